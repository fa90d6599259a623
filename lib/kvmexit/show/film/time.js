/* Time: the events of the run as a slider. They stand evenly; those with a name bear it. */

import { draw, setSize } from "./dom.js";
import { within } from "./reel.js";
import { STEPS, WORDS } from "./vocabulary.js";

const SIDE = 10, HIGH = 34, LINE = 10, NAME_LETTER = 6.6;

const nameOf = (stop) => ({ wrong: WORDS.wrongByte, end: STEPS.halt.label })[stop]
  ?? STEPS[stop].label;

/* Where a step stands: between two events evenly, too. */
function stepX(film, step) {
  const { events, trackWidth } = film, each = (trackWidth - 2 * SIDE) / Math.max(1, events.length - 1);
  const next = events.findIndex((at) => at >= step);
  if (next <= 0) return SIDE;
  const [from, to] = [events[next - 1], events[next]];
  return SIDE + (next - 1 + (step - from) / (to - from)) * each;
}

/* The event at a place. */
export function eventAt(film, x) {
  const { events, trackWidth } = film, part = (x - SIDE) / (trackWidth - 2 * SIDE);
  const last = events.length - 1;
  return events[within(last, Math.round(part * last))];
}

export function paintTime(film) {
  const { nodes: { track }, events, stops, trackWidth: width } = film;
  if (!width) return;
  if (film.timed.events !== events || film.timed.width !== width) {
    film.timed = { events, width };
    setSize(track, width, HIGH);
    track.replaceChildren();
    draw(track, "path", { class: "rule", d: `M${SIDE} ${LINE}H${width - SIDE}` });
    for (const at of events)
      draw(track, "circle", { class: "tick", cx: stepX(film, at), cy: LINE, r: 2.5 });
    drawNames(film, track, stops, width);
    film.thumb = draw(track, "circle", { class: "thumb", cy: LINE, r: 7 });
  }
  film.thumb.setAttribute("cx", stepX(film, film.step).toFixed(1));
}

/* A name that has no room is left out; the wrong byte comes first. */
function drawNames(film, track, stops, width) {
  const taken = [];
  for (const stop of ["wrong", "request", "restore", "save", "end"]) {
    if (stops[stop] === undefined) continue;
    const text = nameOf(stop), half = (text.length * NAME_LETTER) / 2;
    const x = Math.max(half, Math.min(width - half, stepX(film, stops[stop])));
    if (taken.some(([at, wide]) => Math.abs(at - x) < wide + half + 2)) continue;
    taken.push([x, half]);
    draw(track, "text", { x, y: HIGH - 4, "text-anchor": "middle" }, text);
  }
}
