/* What the reader can turn: the world, the one beside it, and what is shown of them. */

import { KEYS, make } from "./dom.js";
import { besides, cell, SEVERAL } from "./worlds.js";

function menu(text, options, value, change) {
  const items = options.map(([name, shown]) =>
    make("option", { value: name, textContent: shown, selected: name === value }));
  return make("label", {}, text, make("select", { ...KEYS,
    onchange: ({ target }) => change(target.value) }, ...items));
}

/* How many cells of the world have each fate. */
function counts(map, world) {
  const found = Object.fromEntries(map.fates.map((fate) => [fate, 0]));
  map.exits.forEach((_, exit) => map.saves.forEach((_, save) => {
    const said = cell(map, world, exit, save);
    if (said) found[said[0]] += 1;
  }));
  return found;
}

export function paintKnobs(atlas, turn, { cover, showAll }, { shown, differ }) {
  const { map, world, other, place, guesses, knobs } = atlas;
  if (guesses.covered) {
    knobs.replaceChildren(make("p", { textContent: "The map is covered. Choose a cell, and say what"
      + " becomes of the access there, with a button or its first letter: all cells like it open. " },
      make("button", { type: "button", textContent: "show all", onclick: showAll })));
    return;
  }
  const focused = [...knobs.querySelectorAll("select, button")].indexOf(document.activeElement);
  const row = (...children) => make("div", { className: "line" }, ...children);
  const pairs = (names) => Object.entries(names);
  const machines = map.machines.map((name) => [name, name]);
  const beside = [...besides(map, world)].map(([name, one]) => [name, one.label]);
  const kinds = [["", "all"], ...pairs(map.kinds), [SEVERAL, "of several exits"]];
  const some = pairs(counts(map, world)).filter(([fate, number]) => number || fate === place.fate);
  const fates = some.map(([fate, number]) => make("button", {
    type: "button", className: fate, textContent: `${fate} ${number}`,
    "aria-pressed": String(place.fate === fate),
    onclick: () => turn("fate", place.fate === fate ? "" : fate) }));
  const told = other ? `${differ} cells differ` : "";
  const narrowed = place.access || place.fate ? `${shown} cells of this kind` : "";
  knobs.replaceChildren(
    row(menu("machine", machines, world.machine, (to) => turn("machine", to)),
      menu("into", pairs(map.into), world.restore, (to) => turn("into", to)),
      menu("saved", pairs(map.saved), world.saved, (to) => turn("saved", to))),
    row(menu("show what differs from", [["", "nothing"], ...beside], place.beside,
      (to) => turn("beside", to)), menu("accesses", kinds, place.access,
      (to) => turn("access", to))),
    row(...fates, make("button", { type: "button", textContent: "cover it and guess",
      onclick: cover })),
    make("p", { role: "status", textContent: [told, narrowed].filter(Boolean).join("; ") }));
  knobs.querySelectorAll("select, button")[focused]?.focus();
}
