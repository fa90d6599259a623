/* The lanes: some steps around the one that is shown, from left to right, who acts on which. */

import { draw, setSize } from "./dom.js";
import { VOCABULARY } from "./vocabulary.js";

const LEFT = 58, TALL = 38, TOP = 10, NARROW = 18, WIDE = 62;
const { lanes, steps: looks, words } = VOCABULARY;
const HIGH = lanes.length * TALL;
const KERNEL = lanes.findIndex((lane) => lane.key === "kernel");
const lineY = (lane) => TOP + lane * TALL + 14;

export function paintLanes(film) {
  if (!film.width) return;
  const compared = film.nodes.toggle.checked;
  film.shown = choose(film);
  setSize(film.nodes.lanes, film.width, TOP + HIGH + 4 + (compared ? 16 : 0));
  const parts = document.createDocumentFragment();
  drawLines(parts, film.width);
  film.shown.forEach(([i, at], k) => {
    const step = film.steps[i];
    if (compared) drawComparison(parts, step, at, widthOf(film, i) / 2);
    if (i === film.step) drawNow(parts, at, widthOf(film, i) / 2);
    if (film.reel.pending(step)) drawPending(parts, film, k);
    drawStep(parts, film.reel.lane(step), looks[film.reel.what(step)], at);
  });
  film.nodes.lanes.replaceChildren(parts);
}

const widthOf = (film, i) => (looks[film.reel.what(film.steps[i])].label ? WIDE : NARROW);

/* Which steps have room, each with its x; the current one stands left of the middle. */
function choose(film) {
  const { steps, step, width } = film, wide = (i) => widthOf(film, i);
  let first = step, room = (width - LEFT) * 0.45;
  while (first > 0 && room > wide(first - 1)) room -= wide(--first);
  let x = LEFT;
  const shown = [];
  for (let i = first; i < steps.length && x + wide(i) <= width; x += wide(i++))
    shown.push([i, x + wide(i) / 2]);
  while (first > 0 && x + wide(first - 1) <= width) { // at the end: fill up from the left
    const more = wide(--first);
    shown.forEach((one) => { one[1] += more; });
    shown.unshift([first, LEFT + more / 2]);
    x += more;
  }
  return shown;
}

function drawLines(parts, width) {
  lanes.forEach(({ name }, lane) => {
    const y = lineY(lane);
    draw(parts, "line", { class: "rule", x1: LEFT, x2: width, y1: y, y2: y });
    draw(parts, "path", { class: `mark lane${lane}`, d: `M0 ${y - 7}h4v14h-4z` });
    draw(parts, "text", { x: 8, y: y + 4 }, name);
  });
}

function drawComparison(parts, step, at, half) {
  const box = { x: at - half, y: TOP - 5, width: half * 2, height: HIGH };
  if (!step.own) draw(parts, "rect", { class: "other", ...box });
  const sign = { x: at, y: TOP + HIGH + 14, "text-anchor": "middle" };
  draw(parts, "text", sign, step.own ? "=" : "≠");
}

function drawNow(parts, at, half) {
  const box = { x: at - half + 1, y: 1, width: half * 2 - 2, height: HIGH + TOP + 1, rx: 4 };
  draw(parts, "rect", { class: "now", ...box });
}

/* Something is pending from here to the next step; the word stands where that begins. */
function drawPending(parts, film, k) {
  const [i, at] = film.shown[k], y = lineY(KERNEL), { reel, steps } = film;
  const to = film.shown[k + 1]?.[1] ?? film.width;
  draw(parts, "line", { class: `pend lane${KERNEL}`, x1: at, x2: to, y1: y, y2: y });
  const begins = k === 0 || !reel.pending(steps[i - 1]);
  if (begins && reel.what(steps[i]) === "exit")
    draw(parts, "text", { class: "hush", x: at + 19, y: y - 11 }, words.pending.toLowerCase());
}

/* The mark of a step, what it carries to another lane, and its label on the other side. */
function drawStep(parts, lane, { shape, label, carries }, at) {
  const [from, to] = carries;
  if (carries.length) {
    const down = to > from ? 1 : -1, tip = 5 * down;
    const way = `M${at} ${lineY(from)}V${lineY(to) - 9 * down}m-4 ${-tip}l4 ${tip}l4 ${-tip}`;
    draw(parts, "path", { class: `msg lane${lane}`, d: way });
  }
  const place = `translate(${at} ${lineY(lane)})`;
  draw(parts, "path", { class: `mark lane${lane}`, d: shape, transform: place });
  if (!label) return;
  const y = lineY(lane) + (Math.max(...carries) > lane ? -11 : 20);
  draw(parts, "text", { x: at, y, "text-anchor": "middle" }, label);
}
