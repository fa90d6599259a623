/* The strip: a column for each landing, the suspend as an arrow on it, and the landings about the
   arrow once more, wide enough for a finger. */

import { draw, setSize } from "./dom.js";
import { OUTCOMES, STEPS } from "./vocabulary.js";

const TOP = 11, ARROW = 8;
export const TALL = 44;
const NEAR_TALL = 26;
export const NEAR = 24; // pixels of a wide landing

/* Where a landing stands: 0, nobody suspends, left of the first column. */
export const landingX = (film, landing) => ARROW + landing * film.each;

/* The landing at a place. */
export const landingAt = (film, x) => Math.round((x - ARROW) / film.each);

/* How many landings a row of wide ones has, an odd number. */
const nearCount = (film) => Math.max(5, Math.floor(film.width / NEAR) - 1) | 1;

/* The landing at a place of the row of wide ones. */
export function nearAt(film, x) {
  const count = nearCount(film);
  return film.landing - (count >> 1) + Math.floor((x / film.width) * count);
}

export function paintStrip(film) {
  const { nodes, width, striped } = film;
  if (!width || !film.kinds.length) return;
  const kinds = film.veiled ? film.kinds.map(() => "ok") : film.kinds;
  if (striped.kinds !== kinds || striped.width !== width) {
    film.striped = { kinds, width };
    film.each = (width - 2 * ARROW) / kinds.length;
    setSize(nodes.strip, width, TALL);
    nodes.strip.replaceChildren();
    drawColumns(nodes.strip, kinds, film.each);
    nodes.arrow = draw(nodes.strip, "path", { class: "arrow", d: `M-7 0H7L0 10zM-.75 9H.75V${TALL}H-.75z` });
  }
  const at = landingX(film, film.landing).toFixed(1);
  nodes.arrow.setAttribute("transform", `translate(${at} 0)`);
  if (film.whole) paintNear(film, kinds);
}

/* All columns of an outcome are one path. Where a letter has no room, it is left out. */
function drawColumns(svg, kinds, each) {
  const paths = {};
  let lettered = -20, last = ""; // where a letter stands, and which: a new one needs less room
  kinds.forEach((kind, i) => {
    const { bars, letter } = OUTCOMES[kind];
    const left = ARROW + (i + 0.5) * each, apart = each > 3 && letter ? 0.6 : 0;
    const wide = Math.max(letter ? 1.5 : 1, each - apart); // a lone one is seen on a phone too
    const from = left.toFixed(1), to = (left + wide).toFixed(1);
    for (const [top, bottom] of bars) {
      const bar = `M${from} ${TOP + top}H${to}V${TOP + bottom}H${from}z`;
      paths[kind] = (paths[kind] ?? "") + bar;
    }
    if (letter && kinds[i - 1] !== kind && left - lettered > (kind === last ? 15 : 9)) {
      draw(svg, "text", { x: from, y: TALL - 1 }, letter);
      lettered = left;
      last = kind;
    }
  });
  for (const kind in paths) draw(svg, "path", { class: kind, d: paths[kind] });
}

/* The landings about the arrow: the step that would be next, and the outcome under it. The cells
   are made once and move with the landing. */
function paintNear(film, kinds) {
  const { nodes, width, landing, reel } = film, { near } = nodes;
  const count = nearCount(film), each = width / count, { chain } = reel.world(film.choice);
  if (near.childElementCount !== 2 * count + 1) {
    setSize(near, width, NEAR_TALL);
    near.replaceChildren();
    const x = (count >> 1) * each;
    draw(near, "path", { class: "now", d: `M${x} 1h${each}v${NEAR_TALL - 2}h${-each}z` });
    for (let k = 0; k < count; k++) for (const part of ["outcome", "mark"])
      draw(near, "path", { transform: `translate(${(k + 0.5) * each} ${part === "mark" ? 10 : 0})` });
  }
  for (let k = 0; k < count; k++) {
    const at = landing - (count >> 1) + k, inside = at >= 1 && at <= chain.length;
    const step = inside && reel.nodeAt(chain[at - 1]);
    const shapes = inside ? [barOf(kinds[at - 1]), STEPS[reel.what(step)].shape] : ["", ""];
    const classes = inside ? [kinds[at - 1], `mark lane${reel.lane(step)}`] : ["", ""];
    [0, 1].forEach((part) => {
      const node = near.childNodes[1 + 2 * k + part];
      const drawn = { d: shapes[part], class: classes[part] };
      for (const name in drawn)
        if (node.getAttribute(name) !== drawn[name]) node.setAttribute(name, drawn[name]);
    });
  }
}

/* The bars of an outcome, lying: a thin line where all is well. */
function barOf(kind) {
  const y = NEAR_TALL - 5;
  return OUTCOMES[kind].bars
    .map(([top, bottom]) => `M${top - 10} ${y}H${bottom - 10}v${OUTCOMES[kind].letter ? 4 : 2}H${top - 10}z`)
    .join("");
}

/* The next landing that does damage, one way or the other, beyond the damage where the suspend is;
   undefined: there is none. */
export function damage({ kinds, landing }, direction) {
  const kind = (at) => kinds[at - 1] ?? "ok";
  let at = landing;
  do at += direction; while (kinds[at - 1] && kind(at) === kind(landing));
  while (kinds[at - 1] && kind(at) === "ok") at += direction;
  return kinds[at - 1] && at;
}
