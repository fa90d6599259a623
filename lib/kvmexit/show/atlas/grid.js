/* The cells: their letters and colours, and the keys that walk among them. */

import { KEYS } from "./dom.js";
import { cell, NONE, ofKind } from "./worlds.js";

/* Only what differs is touched: there are more than a thousand cells. */
function put(td, name, text, background) {
  if (td.className !== name) td.className = name;
  if (td.textContent !== text) td.textContent = text;
  if (td.style.background !== background) td.style.background = background;
}

export function paintCells({ map, world, other, place, guesses, grid }) {
  let shown = 0, differ = 0;
  grid.forEach((row, exit) => row.forEach((td, save) => {
    const here = td === grid[place.n]?.[place.s] ? " here" : "";
    if (guesses.hides(exit, save)) return put(td, `hid${here}`, "", "");
    const fate = cell(map, world, exit, save)?.[0] ?? "";
    const beside = other && (cell(map, other, exit, save)?.[0] ?? "");
    const two = Boolean(other) && beside !== fate;
    const wanted = ofKind(map.exits[exit], place.access) && (!other || two)
      && (!place.fate || place.fate === fate || (two && place.fate === beside));
    shown += wanted;
    differ += two;
    const split = `linear-gradient(105deg, var(--${fate || "none"}) 50%, var(--${beside || "none"}) 50%)`;
    const fresh = guesses.opened(exit, save) ? " fresh" : "";
    if (two) td.dataset.two = `${fate[0] ?? "–"}${beside[0] ?? "–"}`;
    put(td, `${fate}${two ? " two" : ""}${wanted ? "" : " dim"}${fresh}${here}`,
      two ? `${fate || NONE} / ${beside || NONE}` : fate, two && wanted ? split : "");
  }));
  return { shown, differ };
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/* Where a key leads from (exit, save); null if it leads nowhere. */
function led(key, ctrl, n, s, exits, saves) {
  if (key === "Home") return ctrl ? [0, 0] : [n, 0];
  if (key === "End") return ctrl ? [exits - 1, saves - 1] : [n, saves - 1];
  const step = STEPS[key];
  if (!step) return null;
  const to = [n + step[0], s + step[1]];
  return to[0] >= 0 && to[0] < exits && to[1] >= 0 && to[1] < saves ? to : [n, s];
}

/* A grid with one stop for the tabulator; `choose(exit, save)` and `letter(key)` are the map's. */
export function listenToCells(table, grid, choose, letter) {
  table.setAttribute("role", "grid");
  for (const name in KEYS) table.setAttribute(name, KEYS[name]);
  const at = new Map();
  for (const body of table.tBodies) {
    body.setAttribute("role", "rowgroup");
    for (const row of body.rows) row.setAttribute("role", "row");
    for (const head of body.querySelectorAll("th[scope=col], tr:first-child > th"))
      head.setAttribute("role", "columnheader");
  }
  grid.forEach((row, exit) => {
    row[0].parentNode.cells[0].setAttribute("role", "rowheader");
    row.forEach((td, save) => {
      td.setAttribute("role", "gridcell");
      td.tabIndex = -1;
      at.set(td, [exit, save]);
    });
  });
  table.addEventListener("click", ({ target }) => {
    const to = at.get(target.closest("td"));
    if (to) choose(...to, true);
  });
  table.addEventListener("keydown", (event) => {
    const from = at.get(event.target);
    if (!from || event.altKey || event.metaKey) return;
    const to = led(event.key, event.ctrlKey, ...from, grid.length, grid[0].length);
    if (to) choose(...to, true);
    else if (event.ctrlKey || !letter(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
  });
}
