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

/* How it was saved; the world too, where the one above the map may not be what is meant. */
function wayOf({ map, world, other }, save) {
  return upper(map.when[map.saves[save]]) + (other ? `, ${worldWords(map, world)}` : "");
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
  const button = (textContent, label, ...by) => make("button",
    { type: "button", textContent, "aria-label": label, title: label, onclick: () => step(...by) });
  return make("span", { className: "walk" }, button("◂", "The exit before", -1, 0),
    button("▸", "The next exit", 1, 0), button("▴", "The save above", 0, -1),
    button("▾", "The save below", 0, 1));
}

export function paintWords(atlas, address, { guess, next, step }) {
  const { map, world, other, place, guesses, say } = atlas, { n, s } = place;
  const exit = map.exits[n];
  const parts = [make("p", {}, make("a", { href: address, textContent: exit.name }), " ",
    make("code", { textContent: exit.code }))];
  if (guesses.hides(n, s)) {
    const buttons = map.fates.map((fate) =>
      make("button", { type: "button", textContent: fate, onclick: () => guess(fate) }));
    parts.push(make("p", { textContent: `${wayOf(atlas, s)}: what becomes of it?` }),
      make("div", { className: "line" }, ...buttons));
  } else {
    parts.push(make("p", {}, ...answer(guesses, n, s), wayOf(atlas, s),
      ...said(map, world, n, s)));
    if (other)
      parts.push(make("p", {}, `Beside it, ${worldWords(map, other)}`, ...said(map, other, n, s)));
    parts.push(make("p", {}, make("small", { textContent: `${facts(map, world, n)}.` })));
  }
  const more = guesses.covered
    ? [make("button", { type: "button", textContent: "next", title: "To the next guess", onclick: next }), score(guesses)] : [];
  say.replaceChildren(...parts, make("div", { className: "line" }, walk(step), ...more));
}

function answer({ last, map }, n, s) {
  if (!last || last.exit !== n || last.save !== s) return [];
  const kind = map.kinds[map.exits[n].kind];
  const like = last.cells === 1 ? " " : ` All ${last.cells} cells like it (${kind}, ${map.saves[s]}) are open now. `;
  return [make("strong", { textContent: last.right ? "Yes." : `Not ${last.fate}.` }), like];
}

function score({ score: { asked, right } }) {
  return asked ? `${right} of ${asked} right` : "";
}
