/* What a whole film has beside a small one: the lanes, time as a slider, and what is folded. */

import { paintDetail } from "./detail.js";
import { set } from "./dom.js";
import { draggable, keyed, xIn } from "./drag.js";
import { paintLanes } from "./lanes.js";
import { setSlider } from "./paint.js";
import { go, goBy } from "./place.js";
import { fly, play } from "./play.js";
import { within } from "./reel.js";
import { eventAt, paintTime } from "./time.js";

const SWIPE = 44;

function paint(film) {
  const { nodes, reel, steps, step } = film, sentence = reel.sentence(steps[step]);
  setSlider(nodes.step, steps.length - 1, step, sentence);
  set(nodes.say, sentence);
  nodes.back.disabled = step === 0;
  nodes.on.disabled = step === steps.length - 1;
  paintLanes(film);
  paintTime(film);
  paintDetail(film);
}

/* What a slider says by itself, a button has to have said. */
function said({ nodes: { hear, say } }, act) {
  return () => {
    act();
    set(hear, "");
    set(hear, say.textContent);
  };
}

function listen(film) {
  const { nodes } = film;
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
    go(film, events[within(events.length - 1, at + by)]);
  });
  lanes.onclick = (event) => {
    const x = xIn(lanes, event);
    const nearer = (a, b) => (Math.abs(b.x - x) < Math.abs(a.x - x) ? b : a);
    if (!swiped) go(film, film.shown.reduce(nearer).at);
  };
}

export const whole = { listen, paint };
