/* Films of every kind: those of a page, and one in a front end with a kernel, where who else changes
   the model moves the film: anywidget's render({model, el}). */

import { turnKnobs } from "./controls.js";
import { asking } from "./guess.js";
import { load, open } from "./open.js";
import { host } from "./page.js";
import { paintRun } from "./paint.js";
import { rerun } from "./place.js";
import { stop } from "./play.js";
import { walking } from "./walk.js";
import { whole } from "./whole.js";

const kinds = { asking, walking, whole };

function render({ model, el }) {
  const film = open({ model, el }, kinds), heard = wishes(film);
  for (const event in heard) model.on(event, heard[event]);
  return () => {
    film.asking?.undress(film);
    stop(film);
    film.observer.disconnect();
    for (const event in heard) model.off(event, heard[event]);
  };
}

/* What is done when somebody else changes the model. */
function wishes(film) {
  const { model } = film;
  const take = (name, then) => () => {
    const value = model.get(name);
    if (String(value) === String(film[name])) return;
    film[name] = Array.isArray(value) ? [...value] : value;
    then();
  };
  return {
    "change:data": () => load(film),
    "change:strip": () => paintRun(film),
    "change:choice": take("choice", () => {
      turnKnobs(film);
      rerun(film);
    }),
    "change:landing": take("landing", () => {
      if (!model.get("live")) rerun(film);
    }),
    "change:step": take("step", () => rerun(film, true)),
  };
}

export default { render, host: (page) => host(page, kinds) };
