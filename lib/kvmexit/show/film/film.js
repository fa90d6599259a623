/* The film: plays runs of a suspended machine, through anywidget's render({model, el}).

   Traits of the model: `data` (the tables), `landing` (0: nobody suspends), `step`, `choice`
   (numbers of device, policy, compensation, restore), `live` (a kernel computes the run that is
   asked for) and then `strip` (the outcome at each landing). Only what changed is drawn;
   nothing moves by itself. */

import { build } from "./body.js";
import { buildKnobs, listen, turnKnobs } from "./controls.js";
import { make } from "./dom.js";
import { fit, paintRun } from "./paint.js";
import { read, rerun, save } from "./play.js";
import { Reel } from "./reel.js";
import { CSS } from "./style.js";

let films = 0;

export function render({ model, el }) {
  const film = start(model);
  el.classList.add("kx-host");
  el.replaceChildren(make("style", { textContent: CSS }), film.nodes.root);
  listen(film);
  const heard = wishes(film);
  for (const name in heard) model.on(name, heard[name]);
  load(film);
  const observer = new ResizeObserver(() => fit(film));
  observer.observe(film.nodes.root);
  fit(film);
  return () => {
    observer.disconnect();
    for (const name in heard) model.off(name, heard[name]);
  };
}

/* All that one film on a page remembers. */
function start(model) {
  const uid = `kx${++films}`;
  return {
    model,
    uid,
    nodes: build(uid),
    steps: [], // of the run that is played
    kinds: [], // the outcome at each landing
    shown: [], // the steps on the lanes, each with its x
    striped: {}, // what the strip shows now
    here: "", // the kind of step where the reader is: it outlives the run and its tables
    width: 0,
  };
}

/* New tables: at first, and live, when the run that was asked for has come. */
function load(film) {
  const { model } = film, first = !film.steps.length;
  film.reel = new Reel(model.get("data"));
  if (first) read(film);
  else film.landing = model.get("landing");
  buildKnobs(film);
  turnKnobs(film);
  rerun(film, first);
  if (!first && model.get("step") !== film.step) save(film, "step");
}

/* What is done when somebody else changes the model. */
function wishes(film) {
  const { model } = film;
  const take = (name, then) => {
    const value = model.get(name);
    if (String(value) === String(film[name])) return;
    film[name] = Array.isArray(value) ? [...value] : value;
    then();
  };
  return {
    "change:data": () => load(film),
    "change:strip": () => paintRun(film),
    "change:choice": () => take("choice", () => {
      turnKnobs(film);
      rerun(film);
    }),
    "change:landing": () => take("landing", () => {
      if (!model.get("live")) rerun(film);
    }),
    "change:step": () => take("step", () => rerun(film, true)),
  };
}

export default { render };
