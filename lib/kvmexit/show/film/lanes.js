/* The lanes: the events about the one that is shown, from left to right, who acts on which. What
   the guest executes between two of them is one dot with a number. */

import { draw, setSize } from "./dom.js";
import { carried } from "./story.js";
import { FATES, LANES, STEPS, WORDS } from "./vocabulary.js";

const LEFT = 58, LANE_TALL = 33, LANES_TOP = 4, NARROW = 40, WIDE = 62, RUN = 30, GAP = 7;
const LETTER = 6.3, RIDE = 52; // a letter of a label, and a column with a byte on its message
const KERNEL = LANES.findIndex((lane) => lane.key === "kernel");
const lineY = (lane) => LANES_TOP + lane * LANE_TALL + 14;
const LANES_HIGH = LANES_TOP + LANES.length * LANE_TALL + 6;

export function paintLanes(film) {
  const { nodes, width } = film;
  if (!width) return;
  setSize(nodes.lanes, width, LANES_HIGH);
  const parts = document.createDocumentFragment();
  film.shown = choose(film, columnsOf(film));
  drawLines(parts, width);
  film.rider = null;
  film.shown.forEach((column, k) => {
    if (column.at === film.step) drawNow(parts, column);
    if (film.reel.pending(film.steps[column.at])) drawPending(parts, film, k);
    if (column.run) drawRun(parts, column);
    else drawStep(parts, film, column);
  });
  nodes.lanes.replaceChildren(parts);
}

/* An event is a column; so is what lies between two: {at, run: how many steps}. */
function columnsOf({ events, step }) {
  const shown = [...new Set([...events, step])].sort((a, b) => a - b);
  const found = [];
  let last = -1;
  for (const at of shown) {
    if (at - last > 1) found.push({ at: at - 1, run: at - last - 1, wide: RUN });
    found.push({ at, run: 0 });
    last = at;
  }
  return found;
}

/* Which columns have room, each with its x; the current one stands left of the middle. */
function choose(film, all) {
  const room = film.width - LEFT, runs = all.filter((one) => one.run).length;
  const fair = (room - runs * RUN) / (all.length - runs);
  for (const one of all) one.wide ??= Math.max(widthOf(film, one.at), Math.min(WIDE, fair));
  const now = Math.max(0, all.findIndex((one) => one.at === film.step && !one.run));
  let first = now, left = room * 0.5, last = now + 1, used = all[now].wide;
  while (first > 0 && left > all[first - 1].wide) {
    left -= all[--first].wide;
    used += all[first].wide;
  }
  while (last < all.length && used + all[last].wide <= room + 1) used += all[last++].wide;
  while (first > 0 && used + all[first - 1].wide <= room + 1) used += all[--first].wide;
  let x = LEFT;
  return all.slice(first, last).map((one) => {
    x += one.wide;
    return { ...one, x: x - one.wide / 2 };
  });
}

/* What a column needs for its label, and for the byte beside its message. */
function widthOf({ reel, steps, stops }, at) {
  const label = labelOf(reel, steps, stops, at), rides = carried(reel, steps, at);
  return Math.max(NARROW, label.length * LETTER + 8, rides ? RIDE : 0);
}

const labelOf = (reel, steps, stops, at) =>
  (at === stops.wrong ? FATES.wrong.word : reel.label(steps[at]));

function drawLines(parts, width) {
  LANES.forEach(({ name }, lane) => {
    const y = lineY(lane);
    draw(parts, "line", { class: "rule", x1: LEFT, x2: width, y1: y, y2: y });
    draw(parts, "path", { class: `mark lane${lane}`, d: `M0 ${y - 7}h4v14h-4z` });
    draw(parts, "text", { x: 8, y: y + 4 }, name);
  });
}

function drawNow(parts, { x, wide }) {
  const box = { x: x - wide / 2 + 1, y: 1, width: wide - 2, height: LANES_HIGH - 2, rx: 4 };
  draw(parts, "rect", { class: "now", ...box });
}

/* Something is pending from here to the next column; the word stands where that begins. */
function drawPending(parts, film, k) {
  const { shown, reel, steps } = film, { at, x, run } = shown[k], y = lineY(KERNEL);
  const gap = (one) => (one && parted(film, one) ? GAP : 0);
  const from = x + gap(shown[k]), to = (shown[k + 1]?.x ?? film.width) - gap(shown[k + 1]);
  draw(parts, "line", { class: `pend lane${KERNEL}`, x1: from, x2: to, y1: y, y2: y });
  if (!run && reel.what(steps[at]) === "exit")
    draw(parts, "text", { class: "hush", x: x + 14, y: y - 9 }, WORDS.pending.toLowerCase());
}

/* Does what was pending before these steps end within them? */
const parted = ({ reel, steps }, { at, run }) =>
  steps.slice(at + 1 - run, at + 1).some((step) => !reel.pending(step));

function drawRun(parts, { x, run }) {
  const lane = LANES.findIndex(({ key }) => key === "guest"), y = lineY(lane);
  const place = `translate(${x} ${y})`;
  draw(parts, "path", { class: `mark lane${lane}`, d: STEPS.execute.shape, transform: place });
  draw(parts, "text", { x, y: y + 17, "text-anchor": "middle" }, String(run));
}

/* The mark of a step, what it carries to another lane, and its label on the other side. */
function drawStep(parts, film, { at, x }) {
  const { reel, steps, stops } = film, step = steps[at], lane = reel.lane(step);
  const { shape, carries } = STEPS[reel.what(step)], label = labelOf(reel, steps, stops, at);
  if (carries.length) drawMessage(parts, lane, carries, x);
  const place = `translate(${x} ${lineY(lane)})`;
  draw(parts, "path", { class: `mark lane${lane}`, d: shape, transform: place });
  const y = lineY(lane) + (Math.max(...carries) > lane ? -9 : 18);
  if (label) draw(parts, "text", { x, y, "text-anchor": "middle" }, label);
  drawByte(parts, film, at, x, carries);
}

function drawMessage(parts, lane, [from, to], x) {
  const down = to > from ? 1 : -1, tip = 5 * down;
  const way = `M${x} ${lineY(from)}V${lineY(to) - 7 * down}m-4 ${-tip}l4 ${tip}l4 ${-tip}`;
  draw(parts, "path", { class: `msg lane${lane}`, d: way });
}

/* The byte rides on the message. A device's answer comes back; at a restore it falls out. */
function drawByte(parts, film, at, x, carries) {
  const { reel, steps } = film, bytes = carried(reel, steps, at), what = reel.what(steps[at]);
  const lost = what === "restore";
  if (!bytes || (lost && reel.pending(steps[at]))) return;
  const text = bytes.length > 4 ? `${bytes.slice(0, 4)}…` : bytes;
  const [from, to] = what === "serve" ? [...carries].reverse() : carries;
  const y = lost ? lineY(KERNEL) - 8 : (lineY(from) + lineY(to)) / 2 + 4;
  const node = draw(parts, "text", { class: lost ? "rider fell" : "rider", x: x + 5, y }, text);
  if (at === film.step)
    film.rider = { node, lost, way: lost ? 34 : lineY(from) - lineY(to) };
}
