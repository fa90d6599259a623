/* The whole map: a table that was complete before, and what a script adds to it. */

import { listenToCells, paintCells } from "./grid.js";
import { make, set } from "./dom.js";
import { Guesses } from "./guesses.js";
import { paintKnobs } from "./knobs.js";
import { read, write } from "./spot.js";
import { label, paintWords, worldWords } from "./said.js";
import { besides, decode, worldOf } from "./worlds.js";

const OPENING = { save: "served", into: "", machine: "", saved: "", beside: "", access: "", fate: "" };

function rowsOf(table, key) {
  return [...table.rows].filter((row) => row.id.startsWith(`${key}=`));
}

function made(root) {
  const data = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const table = root.querySelector("table"), rows = rowsOf(table, data.key);
  const map = decode(data, rows.map((row) => {
    const [name, { firstElementChild: code, lastChild: facts }] = row.cells[0].childNodes;
    return { name: name.textContent, address: row.id.slice(data.key.length + 1),
      code: code.textContent, facts: facts.textContent.trim(), first: row.classList.contains("a") };
  }));
  const [{ machine, restore: into, saved }] = map.worlds;
  const opening = { ...OPENING, machine, into, saved, exit: map.exits[0].address };
  const knobs = make("div", { className: "knobs" });
  const say = make("div", { className: "say", id: `${data.key}-say` });
  table.before(knobs);
  table.after(say);
  return { root, map, opening, table, knobs, say, guesses: new Guesses(map),
    grid: rows.map((row) => [...row.cells].slice(1)), place: { ...opening }, world: map.worlds[0] };
}

/* Everything again, from where the reader is. */
function paint(atlas) {
  const { map, place, grid } = atlas;
  place.n = Math.max(0, map.exits.findIndex((exit) => exit.address === place.exit));
  place.s = Math.max(0, map.saves.indexOf(place.save));
  atlas.world = worldOf(map, { machine: place.machine, restore: place.into, saved: place.saved });
  atlas.other = besides(map, atlas.world).get(place.beside)?.world;
  const told = paintCells(atlas);
  set(atlas.table.querySelector("caption b"), worldWords(map, atlas.world));
  const chosen = grid[place.n][place.s], last = atlas.table.querySelector('td[tabindex="0"]');
  if (last && last !== chosen) last.tabIndex = -1;
  chosen.tabIndex = 0;
  last?.removeAttribute("aria-label");
  last?.removeAttribute("aria-describedby");
  chosen.setAttribute("aria-label", label(atlas, place.n, place.s));
  chosen.setAttribute("aria-describedby", atlas.say.id);
  paintKnobs(atlas, (name, value) => turn(atlas, { [name]: value }),
    { cover: () => cover(atlas), showAll: () => showAll(atlas) }, told);
  paintWords(atlas, write(map.key, place, atlas.opening), {
    guess: (fate) => guess(atlas, fate),
    next: () => next(atlas),
    step: (exits, saves) => step(atlas, exits, saves),
  });
}

/* Whoever loads a covered map again shall find it covered: it has no address. */
function turn(atlas, change) {
  Object.assign(atlas.place, change);
  paint(atlas);
  if (atlas.guesses.covered) return;
  history.replaceState(history.state, "", write(atlas.map.key, atlas.place, atlas.opening));
}

function choose(atlas, n, s, focus) {
  turn(atlas, { exit: atlas.map.exits[n].address, save: atlas.map.saves[s] });
  if (focus) atlas.grid[n][s].focus({ preventScroll: true });
  if (focus) atlas.grid[n][s].scrollIntoView({ block: "nearest" });
}

function step(atlas, exits, saves) {
  const { place, grid } = atlas, n = place.n + exits, s = place.s + saves;
  if (grid[n]?.[s]) choose(atlas, n, s, false);
}

function guess(atlas, fate) {
  const { n, s } = atlas.place;
  atlas.guesses.guess(n, s, fate);
  paint(atlas);
  atlas.grid[n][s].focus({ preventScroll: true });
}

function next(atlas) {
  choose(atlas, ...atlas.guesses.next(atlas.place.n, atlas.place.s), true);
}

function showAll(atlas) {
  atlas.guesses.showAll();
  choose(atlas, atlas.place.n, atlas.place.s, true);
}

function cover(atlas) {
  atlas.guesses.cover();
  turn(atlas, { ...atlas.opening });
  next(atlas);
}

/* A letter guesses where a cell is covered; true if it did. */
function letter(atlas, key) {
  const { map, guesses, place } = atlas;
  const fate = map.fates.find((word) => word[0] === key);
  if (!fate || !guesses.hides(place.n, place.s)) return false;
  guess(atlas, fate);
  return true;
}

/* Who follows a link to a place of the map wants to see it: nothing is covered any more. */
function follow(atlas) {
  const { map, opening, guesses, grid } = atlas;
  const place = read(map.key, location.hash, opening);
  if (!place) return false;
  guesses.showAll();
  Object.assign(atlas.place, place);
  paint(atlas);
  grid[atlas.place.n][atlas.place.s].scrollIntoView({ block: "center" });
  return true;
}

function start(root) {
  const atlas = made(root);
  root.classList.add("live");
  root.querySelector("details").open = false;
  listenToCells(atlas.table, atlas.grid, (n, s, focus) => choose(atlas, n, s, focus),
    (key) => letter(atlas, key));
  if (!follow(atlas)) {
    if (atlas.guesses.covered) {
      const [n, s] = atlas.guesses.next();
      Object.assign(atlas.place, { exit: atlas.map.exits[n].address, save: atlas.map.saves[s] });
    }
    paint(atlas);
  }
  addEventListener("hashchange", () => follow(atlas));
  addEventListener("beforeprint", () => {
    const { all } = atlas.guesses.score, legend = root.querySelector("details");
    legend.open = true;
    atlas.guesses.score.all = true;
    paint(atlas);
    addEventListener("afterprint", () => {
      atlas.guesses.score.all = all;
      legend.open = false;
      paint(atlas);
    }, { once: true });
  });
}

/* A widget's way in, where there is a kernel. */
function render({ model, el }) {
  el.innerHTML = model.get("html");
  start(el.querySelector(".kvmexit-atlas"));
}

/* Each map of a page comes to life. */
function host(page) {
  for (const map of page.querySelectorAll(".kvmexit-atlas")) start(map);
}

export default { host, render };
