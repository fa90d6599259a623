/* One film: made, filled from its model, and kept in step with it. */

import { build } from "./body.js";
import { buildKnobs, listen, turnKnobs } from "./controls.js";
import { make } from "./dom.js";
import { fit, paintRun } from "./paint.js";
import { read, rerun, save } from "./place.js";
import { arrive, reveal } from "./guess.js";
import { still, stop, walk } from "./play.js";
import { Reel } from "./reel.js";
import { CSS } from "./style.js";

let films = 0;

export function open({ model, el }, name) {
  const film = start(model, name);
  el.classList.add("kx-host");
  el.replaceChildren(make("style", { textContent: CSS }), film.nodes.root);
  listen(film);
  const heard = wishes(film);
  for (const event in heard) model.on(event, heard[event]);
  load(film);
  const observer = new ResizeObserver(() => fit(film));
  observer.observe(film.nodes.root);
  fit(film);
  if (model.get("autoplay")) whenSeen(film);
  const print = () => reveal(film);
  addEventListener("beforeprint", print);
  film.close = () => {
    removeEventListener("beforeprint", print);
    stop(film);
    observer.disconnect();
    for (const event in heard) model.off(event, heard[event]);
  };
  return film;
}

/* All that one film on a page remembers. */
function start(model, name) {
  const uid = `kx${++films}`, face = model.get("face") || "whole";
  const asks = face === "small" && Boolean(model.get("veiled"));
  const film = {
    model,
    uid,
    face,
    asks, // before it tells
    name, // in its page; none in a notebook, which has no address
    nodes: build(uid, face, asks),
    steps: [], // of the run that is played
    events: [], // those that tell it
    stops: {}, // those with a name
    kinds: [], // the outcome at each landing
    shown: [], // the columns on the lanes, each with its x
    striped: {}, // what the strip shows now
    timed: {}, // what the time slider shows
    here: "", // where the reader is, in a word: it outlives the run and its tables
    veiled: Boolean(model.get("veiled")), // the strip is grey until a place is chosen
    width: 0,
    timer: 0,
    arriving: false, // the undisturbed packet comes in, byte by byte
    guess: "", // what is said of the reader's
    moved() {}, // the page's: the state is another one
  };
  film.nodes.link.classList.toggle("hide", !name);
  return film;
}

/* New tables: at first, and live, when the run that was asked for has come. */
function load(film) {
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

/* It plays by itself once, and when it is seen. */
function whenSeen(film) {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((one) => one.isIntersecting)) return;
    watch.disconnect();
    if (!still()) (film.veiled ? arrive(film) : walk(film, film.landing));
  }, { threshold: 0.9 });
  watch.observe(film.nodes.root);
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
  const told = (act) => () => {
    film.moved();
    act();
  };
  return {
    "change:data": () => load(film),
    "change:strip": () => paintRun(film),
    "change:choice": told(() => take("choice", () => {
      turnKnobs(film);
      rerun(film);
    })),
    "change:landing": told(() => take("landing", () => {
      if (!model.get("live")) rerun(film);
    })),
    "change:step": told(() => take("step", () => rerun(film, true))),
  };
}
