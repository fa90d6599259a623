/* What the map says in words: the cell that is chosen, a question about it, the answer. */

import { make } from "./dom.js";
import { cell, facts, NONE } from "./worlds.js";

function fateMark(fate) {
  return make("strong", { className: `fate ${fate}`, textContent: fate });
}

function upper(text) {
  return text[0].toUpperCase() + text.slice(1);
}

export function worldWords(map, { machine, restore, saved }) {
  return `${machine}, ${map.into[restore]}, ${map.saved[saved]}`;
}

function wayOf(map, world, save) {
  return `${upper(map.when[map.saves[save]])}, ${worldWords(map, world)}`;
}

function said(map, world, exit, save) {
  const found = cell(map, world, exit, save);
  return found ? [": ", fateMark(found[0]), `. ${found[1]}`] : [`: ${NONE}.`];
}

/* A sentence for the focus: short, as the panel tells the rest. */
export function label({ map, world, other, guesses }, exit, save) {
  const where = `${map.exits[exit].name}, ${map.saves[save]}`;
  if (guesses.hides(exit, save)) return `${where}: covered`;
  const words = [cell(map, world, exit, save)?.[0] ?? NONE];
  if (other) words.push(`beside it ${cell(map, other, exit, save)?.[0] ?? NONE}`);
  return `${where}: ${words.join(", ")}`;
}

/* For fingers, which are wider than a cell. */
function walk(step) {
  const button = (textContent, ...by) => make("button",
    { type: "button", textContent, onclick: () => step(...by) });
  return make("div", { className: "line walk" }, button("‹ exit", -1, 0), button("exit ›", 1, 0),
    button("‹ save", 0, -1), button("save ›", 0, 1));
}

export function paintWords(atlas, address, { guess, next, showAll, step }) {
  const { map, world, other, place, guesses, say } = atlas, { n, s } = place;
  const exit = map.exits[n];
  const parts = [make("p", {}, make("a", { href: address, textContent: exit.name }), " ",
    make("code", { textContent: exit.code }))];
  if (guesses.hides(n, s)) {
    const buttons = map.fates.map((fate) =>
      make("button", { type: "button", textContent: fate, onclick: () => guess(fate) }));
    parts.push(make("p", { textContent: `${wayOf(map, world, s)}: what becomes of it?` }),
      make("div", { className: "line" }, ...buttons));
  } else {
    parts.push(make("p", {}, ...answer(guesses, n, s), wayOf(map, world, s),
      ...said(map, world, n, s)));
    if (other)
      parts.push(make("p", {}, `Beside it, ${worldWords(map, other)}`, ...said(map, other, n, s)));
    parts.push(make("p", {}, make("small", { textContent: `${facts(map, world, n)}.` })));
  }
  if (guesses.covered)
    parts.push(make("div", { className: "line" },
      make("button", { type: "button", textContent: "next guess", onclick: next }),
      make("button", { type: "button", textContent: "show all", onclick: showAll }),
      make("span", { textContent: score(guesses) })));
  say.replaceChildren(...parts, walk(step));
}

function answer({ last, map }, n, s) {
  if (!last || last.exit !== n || last.save !== s) return [];
  const kind = map.kinds[map.exits[n].kind];
  const like = last.cells === 1 ? " " : ` All ${last.cells} cells of its kind of access (${kind}),`
    + " its save and its fate are open now. ";
  return [make("strong", { textContent: last.right ? "Yes." : `Not ${last.fate}.` }), like];
}

function score({ score: { asked, right } }) {
  return asked ? `${right} of ${asked} guesses right` : "no guess yet";
}
