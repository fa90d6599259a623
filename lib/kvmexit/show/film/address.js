/* A state as the fragment of an address: #film=<name>&l=<landing>&s=<step>&p=<policy>.

   `s` is a number or a named stop (start, request, save, restore, wrong, end) or the first step of
   a kind; `l` a number, or an outcome: the first landing that ends so. `d`, `c` and `r` are device,
   compensation and restore. What is left out is as the film opens. */

import { visit } from "./place.js";
import { KNOBS } from "./reel.js";

export function fragmentOf(film) {
  const { reel, choice, landing, step, stops } = film, { names } = reel.data;
  const named = Object.keys(stops).findLast((name) => stops[name] === step);
  const values = { film: film.name };
  if (film.kinds.length) values.l = landing;
  values.s = named ?? step;
  KNOBS.forEach((knob, k) => {
    if (names[knob].length > 1) values[knob[0]] = names[knob][choice[k]];
  });
  return `#${new URLSearchParams(values)}`;
}

/* The name and the state that a fragment asks for; null if it is about no film. */
export function stateOf(fragment) {
  const values = Object.fromEntries(new URLSearchParams(fragment.replace(/^#/, "")));
  return values.film ? values : null;
}

/* The film as a fragment says. What cannot be is left as the film opens. */
export function goTo(film, values) {
  const { reel, opening } = film, { names } = reel.data;
  const choice = KNOBS.map((knob, k) => {
    const at = names[knob].indexOf(values[knob[0]]);
    return at < 0 ? opening.choice[k] : at;
  });
  const kinds = reel.kinds(choice), number = (text) => (/^\d+$/.test(text ?? "") ? Number(text) : null);
  let landing = number(values.l) ?? kinds.indexOf(values.l) + 1;
  if (values.l === undefined || (!landing && values.l !== "0")) landing = opening.landing;
  const same = landing === opening.landing && String(choice) === String(opening.choice);
  const step = number(values.s) ?? values.s ?? (same ? opening.step : "end");
  if (landing && values.l !== undefined) film.veiled = false;
  visit(film, { choice, landing, step });
}
