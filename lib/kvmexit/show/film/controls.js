/* Hands on: the slider of the landings, its buttons, and the knobs. */

import { make, set } from "./dom.js";
import { draggable, keyed } from "./drag.js";
import { land, rerun, save } from "./place.js";
import { stop } from "./play.js";
import { KNOBS } from "./reel.js";
import { NEAR, damage, landingAt, nearAt } from "./strip.js";

/* A knob is a row of radio buttons; one with nothing to choose is not there. They are made anew
   only if their names are other ones. */
export function buildKnobs(film) {
  const { nodes, uid, reel } = film, { names } = reel.data, key = JSON.stringify(names);
  if (nodes.knobs.dataset.names === key) return;
  nodes.knobs.dataset.names = key;
  const choose = (k, value) => {
    film.choice[k] = value;
    rerun(film);
    save(film, "choice", "landing", "step");
  };
  const button = (knob, k, name, value) => make("label", {}, make("input",
    { type: "radio", name: `${uid}-${knob}`, value, autocomplete: "off",
      onchange: () => choose(k, value) }), make("span", { textContent: name }));
  nodes.knobs.replaceChildren(...KNOBS.flatMap((knob, k) => {
    if (names[knob].length < 2) return [];
    const buttons = names[knob].map((name, value) => button(knob, k, name, value));
    return [make("fieldset", {}, make("legend", { textContent: knob }), ...buttons)];
  }));
}

/* The buttons show what is chosen, whoever has chosen it. */
export function turnKnobs({ nodes, uid, choice }) {
  KNOBS.forEach((knob, k) => {
    const buttons = nodes.knobs.querySelectorAll(`[name="${uid}-${knob}"]`);
    if (buttons[choice[k]]) buttons[choice[k]].checked = true;
  });
}

export function handsOn(film) {
  const { nodes } = film;
  nodes.root.addEventListener("pointerdown", ({ target }) => touched(film, target), true);
  nodes.root.addEventListener("keydown", ({ target }) => touched(film, target), true);
  listenLanding(film);
  film.whole?.listen(film);
}

/* Whatever is touched, the film stops; its own button does so by itself. */
function touched(film, target) {
  if (film.timer && !film.nodes.play.contains(target)) stop(film);
}

function listenLanding(film) {
  const { nodes } = film, outcome = (act) => () => {
    act();
    set(nodes.hear, `${film.told} ${film.said}`);
  };
  nodes.before.onclick = outcome(() => land(film, film.landing - 1));
  nodes.after.onclick = outcome(() => land(film, film.landing + 1));
  nodes.earlier.onclick = outcome(() => land(film, damage(film, -1) ?? film.landing));
  nodes.later.onclick = outcome(() => land(film, damage(film, 1) ?? film.landing));
  keyed(nodes.landing, (by) => land(film, film.landing + by));
  draggable(nodes.landing, (x, down) => {
    if (film.timer) stop(film);
    const place = nodes.near.contains(down.of) ? nearby : film.asking?.meant ?? landingAt;
    land(film, place(film, x, down));
  }, () => film.asking?.guessed(film));
}

/* In the row of wide landings a tap takes one, and a drag goes on from there, as wide. */
function nearby(film, x, down) {
  down.landing ??= x === down.x || !down.moving ? nearAt(film, x) : film.landing;
  return down.landing + Math.round((x - down.x) / NEAR);
}
