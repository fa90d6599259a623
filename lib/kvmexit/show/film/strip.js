/* The outcome strip: a column for each landing, letters above it, a legend below. */

import { draw, drawing, make, setSize } from "./dom.js";
import { VOCABULARY } from "./vocabulary.js";

const TOP = 14, TALL = 44, SIDE = 16;

export function paintStrip(film) {
  const { nodes, kinds } = film, room = Math.max(50, film.width - SIDE);
  if (!kinds.length) return;
  const each = room / kinds.length;
  if (film.striped.kinds !== kinds || film.striped.room !== room) {
    film.striped = { kinds, room };
    const counts = {};
    for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
    setSize(nodes.strip, room, TALL);
    nodes.strip.replaceChildren();
    drawColumns(nodes.strip, kinds, each);
    nodes.pointer = draw(nodes.strip, "path", { fill: "currentColor" });
    const total = Object.entries(counts).map(([kind, n]) => `${n} ${kind}`).join(", ");
    nodes.strip.setAttribute("aria-label", `Outcome at each of ${kinds.length} landings: ${total}`);
    nodes.legend.replaceChildren(...Object.keys(counts).map((kind) => sample(kind, counts[kind])));
  }
  const at = film.landing * each;
  nodes.pointer.setAttribute("d", `M${at - 5} 44L${at} 35.500L${at + 5} 44z`);
}

/* All columns of an outcome are one path. Where a letter has no room, it is left out. */
function drawColumns(svg, kinds, each) {
  const paths = {};
  let lettered = -20, last = ""; // where a letter stands, and which: a new one needs less room
  kinds.forEach((kind, i) => {
    const { bars, letter } = VOCABULARY.outcomes[kind];
    const left = (i + 0.5) * each, apart = each > 3 && letter ? 0.6 : 0;
    const from = left.toFixed(1), to = (left + Math.max(1, each - apart)).toFixed(1);
    for (const [top, bottom] of bars) {
      const bar = `M${from} ${TOP + top}H${to}V${TOP + bottom}H${from}z`;
      paths[kind] = (paths[kind] ?? "") + bar;
    }
    if (letter && kinds[i - 1] !== kind && left - lettered > (kind === last ? 15 : 9)) {
      draw(svg, "text", { x: from, y: 11 }, letter);
      lettered = left;
      last = kind;
    }
  });
  for (const kind in paths) draw(svg, "path", { class: kind, d: paths[kind] });
}

/* An entry of the legend. Where in its box a bar stands is part of it, so the box is there. */
function sample(kind, count) {
  const { bars, letter } = VOCABULARY.outcomes[kind];
  const svg = drawing({ width: 12, height: 20, viewBox: "0 0 12 20", "aria-hidden": "true" });
  draw(svg, "path", { class: "box", d: "M0 0H12V20H0z" });
  const shape = bars.map(([top, bottom]) => `M0 ${top}H12V${bottom}H0z`).join("");
  draw(svg, "path", { class: kind, d: shape });
  return make("span", {}, svg, `${letter ? `${letter} ` : ""}${kind}: ${count}`);
}
