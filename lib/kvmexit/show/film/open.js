/* One film: made, and filled from its model.

   Traits of the model: `data` (the tables), `landing` (0: nobody suspends), `step`, `choice`
   (numbers of device, policy, compensation, restore), `live` (a kernel computes the run that is
   asked for) and then `strip` (the outcome at each landing); `name` in its page, `face` ("small":
   strip, bytes and knobs), `autoplay` (the suspend walks in once) and `veiled` (the strip is grey
   until a place is chosen; then the root sends `film:guess` with {landing, kind}). Only what
   changed is drawn. `kinds` are `asking`, for veiled ones (guess.js), and `whole` (whole.js), for those that are
   not small: what a page needs. */

import { build } from "./body.js";
import { buildKnobs, handsOn, turnKnobs } from "./controls.js";
import { make } from "./dom.js";
import { fit } from "./paint.js";
import { read, rerun, save } from "./place.js";
import { Reel } from "./reel.js";
import { CSS } from "./style.js";

let films = 0;

export function open({ model, el }, kinds, name) {
  const film = start(model, kinds, name);
  el.classList.add("kx-host");
  el.replaceChildren(make("style", { textContent: CSS }), film.nodes.root);
  film.asking?.dress(film);
  handsOn(film);
  load(film);
  film.observer = new ResizeObserver(() => fit(film));
  film.observer.observe(film.nodes.root);
  fit(film);
  if (model.get("autoplay")) kinds.walking?.whenSeen(film);
  return film;
}

/* All that one film on a page remembers. */
function start(model, { asking, whole }, name) {
  const uid = `kx${++films}`, face = model.get("face") || "whole";
  const veiled = Boolean(asking && model.get("veiled"));
  const film = {
    model,
    uid,
    asking: veiled ? asking : null, // how it does
    whole: face === "small" ? null : whole, // what a small one has not
    name, // in its page; none in a notebook, which has no address
    nodes: build(uid, face),
    steps: [], // of the run that is played
    events: [], // those that tell it
    stops: {}, // those with a name
    kinds: [], // the outcome at each landing
    shown: [], // the columns on the lanes, each with its x
    striped: {}, // what the strip shows now
    timed: {}, // what the time slider shows
    here: "", // where the reader is, in a word: it outlives the run and its tables
    veiled, // the strip is grey until a place is chosen
    width: 0,
    timer: 0,
    moved() {}, // the page's: the state is another one
  };
  film.nodes.link.classList.toggle("hide", !name);
  return film;
}

/* New tables: at first, and live, when the run that was asked for has come. */
export function load(film) {
  const { model } = film, first = !film.steps.length;
  film.reel = new Reel(model.get("data"));
  film.detail = null;
  if (first) read(film);
  if (film.veiled) film.landing = 0;
  else if (!first) film.landing = model.get("landing");
  if (first && film.reel.data.program) film.nodes.more.open = true;
  buildKnobs(film);
  turnKnobs(film);
  rerun(film, first);
  if (!first && model.get("step") !== film.step) save(film, "step");
}
