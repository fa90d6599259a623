/* A covered map: a guess uncovers all cells like the one that was asked. What is open, and how many
   guesses were right, is kept in the reader's browser. */

import { cell } from "./worlds.js";

const EMPTY = { asked: 0, right: 0, open: [], all: false };

function stored(name) {
  try {
    return { ...EMPTY, ...JSON.parse(localStorage.getItem(name) ?? "{}") };
  } catch {
    return { ...EMPTY };  // no storage, or what is no JSON: begin anew
  }
}

/* Cells that share a key are of one kind of access, one save and one fate. */
function keyOf(map, exit, save) {
  return `${map.exits[exit].kind} ${map.saves[save]} ${cell(map, map.worlds[0], exit, save)[0]}`;
}

export class Guesses {
  constructor(map) {
    this.map = map;
    this.name = `kvmexit-${map.key}`;
    this.score = stored(this.name);
    this.last = null;
    this.groups = new Map();
    map.exits.forEach((_, exit) => map.saves.forEach((_, save) => {
      const key = keyOf(map, exit, save);
      this.groups.set(key, [...(this.groups.get(key) ?? []), [exit, save]]);
    }));
  }

  get covered() {
    return !this.score.all && this.score.open.length < this.groups.size;
  }

  hides(exit, save) {
    return this.covered && !this.score.open.includes(keyOf(this.map, exit, save));
  }

  /* Has the last guess opened it? */
  opened(exit, save) {
    return this.covered && this.last?.key === keyOf(this.map, exit, save);
  }

  /* The answer, and how many cells it uncovers. */
  guess(exit, save, fate) {
    const key = keyOf(this.map, exit, save), [true_] = cell(this.map, this.map.worlds[0], exit, save);
    this.last = { key, exit, save, fate, right: fate === true_, cells: this.groups.get(key).length };
    this.score.asked += 1;
    this.score.right += this.last.right;
    this.score.open.push(key);
    this.keep();
  }

  /* The nearest cell from a place on, itself included, that is still covered. */
  next(exit = 0, save = 0) {
    const { exits, saves } = this.map, all = exits.length * saves.length;
    let at = exit * saves.length + save;
    while (!this.hides(Math.floor(at / saves.length), at % saves.length)) at = (at + 1) % all;
    return [Math.floor(at / saves.length), at % saves.length];
  }

  showAll() {
    this.score.all = true;
    this.keep();
  }

  cover() {
    this.score = { ...EMPTY, open: [] };
    this.last = null;
    this.keep();
  }

  keep() {
    try {
      localStorage.setItem(this.name, JSON.stringify(this.score));
    } catch { /* not kept, then */ }
  }
}
