/* Hands on: the two sliders, buttons, knobs, and a swipe over the lanes. */

import { paintDetail } from "./detail.js";
import { KEYS, make, set } from "./dom.js";
import { draggable, keyed } from "./drag.js";
import { guessed } from "./guess.js";
import { go, goBy, land, rerun, save } from "./place.js";
import { fly, play, stop } from "./play.js";
import { NEAR, change, landingAt, nearAt } from "./strip.js";
import { eventAt } from "./time.js";
import { VOCABULARY } from "./vocabulary.js";

const { words } = VOCABULARY;

const KNOBS = ["device", "policy", "compensation", "restore"];
const SWIPE = 44;

/* A knob is a row of radio buttons; one with nothing to choose is not there. They are made anew
   only if their names are other ones. */
export function buildKnobs(film) {
  const { nodes, uid, reel } = film, { names } = reel.data, key = JSON.stringify(names);
  if (nodes.knobs.dataset.names === key) return;
  nodes.knobs.dataset.names = key;
  const choose = (k, value) => {
    film.choice[k] = value;
    film.guess = "";
    rerun(film);
    save(film, "choice", "landing", "step");
  };
  const button = (knob, k, name, value) => make("label", {}, make("input",
    { type: "radio", name: `${uid}-${knob}`, value, autocomplete: "off", ...KEYS,
      onchange: () => choose(k, value) }), make("span", { textContent: name }));
  nodes.knobs.replaceChildren(...KNOBS.flatMap((knob, k) => {
    if (names[knob].length < 2) return [];
    const buttons = names[knob].map((name, value) => button(knob, k, name, value));
    const legend = make("legend", { textContent: film.asks ? words.by : knob });
    return [make("fieldset", {}, legend, ...buttons)];
  }));
}

/* The buttons show what is chosen, whoever has chosen it. */
export function turnKnobs({ nodes, uid, choice }) {
  KNOBS.forEach((knob, k) => {
    const buttons = nodes.knobs.querySelectorAll(`[name="${uid}-${knob}"]`);
    if (buttons[choice[k]]) buttons[choice[k]].checked = true;
  });
}

/* What a slider says by itself, a button has to have said. */
function said(film, act) {
  return () => {
    act();
    set(film.nodes.hear, "");
    set(film.nodes.hear, film.nodes.say.isConnected ? film.nodes.say.textContent : film.told);
  };
}

export function listen(film) {
  const { nodes } = film;
  nodes.root.addEventListener("pointerdown", ({ target }) => touched(film, target), true);
  nodes.root.addEventListener("keydown", ({ target }) => touched(film, target), true);
  listenLanding(film);
  nodes.back.onclick = said(film, () => goBy(film, -1));
  nodes.on.onclick = said(film, () => {
    goBy(film, 1);
    fly(film);
  });
  nodes.play.onclick = () => play(film);
  keyed(nodes.step, (by, { shiftKey }) => (shiftKey && Math.abs(by) === 1
    ? go(film, film.step + by) : goBy(film, by)));
  draggable(nodes.step, (x) => go(film, eventAt(film, x)));
  nodes.more.ontoggle = () => paintDetail(film);
  swipe(film);
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
  nodes.earlier.onclick = outcome(() => land(film, change(film, -1) ?? film.landing));
  nodes.later.onclick = outcome(() => land(film, change(film, 1) ?? film.landing));
  keyed(nodes.landing, (by) => {
    land(film, film.landing + Math.max(-1e6, Math.min(1e6, by)));
    guessed(film);
  });
  draggable(nodes.landing, (x, down) => {
    if (film.timer) stop(film);
    land(film, nodes.near.contains(down.of) ? nearby(film, x, down) : landingAt(film, x));
    guessed(film);
  });
}

/* In the row of wide landings a tap takes one, and a drag goes on from there, as wide. */
function nearby(film, x, down) {
  down.landing ??= x === down.x || !down.moving ? nearAt(film, x) : film.landing;
  return down.landing + Math.round((x - down.x) / NEAR);
}

/* A click on an event shows it; a finger that goes sideways turns the events. */
function swipe(film) {
  const { lanes } = film.nodes;
  let swiped = false;
  draggable(lanes, (x, down) => {
    const by = Math.round((down.x - x) / SWIPE), { events } = film;
    down.step ??= film.step;
    swiped = by !== 0;
    if (!by) return;
    const at = Math.max(0, events.findLastIndex((one) => one <= down.step));
    go(film, events[Math.max(0, Math.min(events.length - 1, at + by))]);
  });
  lanes.onclick = ({ clientX }) => {
    const x = clientX - lanes.getBoundingClientRect().left;
    const nearer = (a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a);
    if (!swiped) go(film, film.shown.reduce(nearer).at);
  };
}
