/* The film plays: once, by events, from the request to the first wrong byte. A touch stops it. */

import { set } from "./dom.js";
import { go } from "./place.js";
import { STOP, WORDS } from "./vocabulary.js";

const ALL = 6000, SLOWEST = 900, FLIGHT = 450;

/* No flight for who wants none; the steps are the same. */
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/* The byte of this step comes flying, or falls. */
export function fly({ rider }) {
  if (!rider?.node.animate || still()) return;
  const { node, lost, way } = rider;
  const from = lost ? { transform: "none" } : { transform: `translateY(${way / 2}px)` };
  const to = lost ? { transform: `translateY(${way}px)`, opacity: 0 } : { transform: "none" };
  node.animate([from, to], { duration: FLIGHT, easing: lost ? "ease-in" : "ease-out" });
}

export function stop(film) {
  clearTimeout(film.timer);
  film.timer = 0;
  film.settle?.();
  label(film);
}

function label({ nodes, timer }) {
  set(nodes.play, timer ? "❚❚" : "▶");
  nodes.play.setAttribute("aria-label", timer ? STOP : WORDS.play);
}

export function play(film) {
  if (film.timer) return stop(film);
  const { stops, events } = film, first = stops.request ?? 0, last = stops.wrong ?? stops.end;
  const scenes = events.filter((at) => first <= at && at <= last);
  const pause = Math.min(SLOWEST, ALL / scenes.length);
  run(film, scenes.map((at) => () => {
    go(film, at);
    fly(film);
  }), pause);
}

/* One act after the other; at once where nothing shall move. */
export function run(film, acts, pause) {
  const next = (i) => {
    acts[i]();
    film.timer = i + 1 < acts.length ? setTimeout(next, pause, i + 1) : 0;
    label(film);
  };
  next(0);
}
