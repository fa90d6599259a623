/* Hands on: sliders, buttons, knobs, and clicks on the drawings. */

import { paintDifference } from "./difference.js";
import { KEYS, make } from "./dom.js";
import { paintLanes } from "./lanes.js";
import { go, jump, land, rerun, save } from "./play.js";

const KNOBS = ["device", "policy", "compensation", "restore"];

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
    { type: "radio", name: `${uid}-${knob}`, value, ...KEYS, onchange: () => choose(k, value) }),
    ` ${name}`);
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

export function listen(film) {
  const { nodes } = film;
  nodes.step.oninput = () => go(film, Number(nodes.step.value));
  nodes.landing.oninput = () => land(film, Number(nodes.landing.value));
  nodes.back.onclick = () => go(film, film.step - 1);
  nodes.on.onclick = () => go(film, film.step + 1);
  nodes.earlier.onclick = () => jump(film, -1);
  nodes.later.onclick = () => jump(film, 1);
  nodes.toggle.onchange = () => {
    paintDifference(film);
    paintLanes(film);
  };
  nodes.strip.onclick = (event) => {
    const box = nodes.strip.getBoundingClientRect();
    land(film, Math.round(((event.clientX - box.left) / box.width) * film.kinds.length));
  };
  nodes.lanes.onclick = (event) => {
    const x = event.clientX - nodes.lanes.getBoundingClientRect().left;
    const nearer = (a, b) => (Math.abs(b[1] - x) < Math.abs(a[1] - x) ? b : a);
    go(film, film.shown.reduce(nearer)[0]);
  };
}
