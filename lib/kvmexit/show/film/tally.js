/* What all landings of a choice come to, in a sentence: loss_words in words.py says the same. */

import { set } from "./dom.js";
import { ASKING } from "./vocabulary.js";

const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

/* Does the driver, which has as many bytes as it asked for, say nothing? */
function silentAt({ reel, choice }, landing) {
  const { returned, message } = reel.end(choice, landing);
  return returned >= 0 && !message;
}

/* How many landings there are, how many lose a byte, and of how many of these the driver, which
   got as many bytes as it asked for, says nothing. */
function countLosses(film) {
  const { kinds } = film;
  const silent = kinds.filter((kind, i) => kind === "missing" && silentAt(film, i + 1));
  const missing = kinds.filter((kind) => kind === "missing");
  return { all: kinds.length, missing: missing.length, silent: silent.length };
}

/* Where a guess is made: elsewhere, and with another VMM, nothing is said of it. */
export const placeOf = ({ landing, choice }) => String([landing, choice]);

export function paintTally(film) {
  const counted = countLosses(film), { nodes, veiled, landing } = film;
  set(nodes.tally, filled(counted.missing ? ASKING.losses : ASKING.noLoss, counted));
  nodes.tally.style.visibility = veiled ? "hidden" : "";
  if (film.guessed !== placeOf(film)) film.guess = "";
  const question = landing ? ASKING.commit : ASKING.guess;
  set(nodes.ask, veiled ? question : film.guess || resultWords(film));
}

/* What comes of a suspend where the arrow is. */
function resultWords(film) {
  const kind = film.kinds[film.landing - 1];
  if (!kind) return ASKING.drag;
  if (kind === "ok") return keptWords(film);
  if (kind !== "missing") return film.told;
  return silentAt(film, film.landing) ? ASKING.silentLoss : ASKING.loudLoss;
}

/* Nothing is lost where the arrow is; if nowhere, there may be a VMM with which something is. */
function keptWords({ kinds, choice, reel }) {
  const other = reel.data.names.policy.find((_, k) => k !== choice[1]);
  return other && kinds.every((kind) => kind === "ok") ? filled(ASKING.safe, { other }) : ASKING.kept;
}

/* The nodes, each with texts as long as it may have to show. */
export function longWords({ kinds: { length }, nodes: { ask, tally } }) {
  const most = { all: length, missing: length, silent: length, steps: `${length} steps` };
  const { losses, guess, commit, found, lossBefore } = ASKING;
  return [[tally, [losses]], [ask, [guess, commit, found, lossBefore]]]
    .map(([node, texts]) => [node, texts.map((text) => filled(text, most))]);
}

/* What is said of a guess: `by` is how far behind it the nearest landing lies that loses a byte. */
export function guessWords(by) {
  if (by === undefined) return "";
  if (by === 0) return ASKING.found;
  const far = Math.abs(by), steps = `${far} step${far === 1 ? "" : "s"}`;
  return filled(by > 0 ? ASKING.lossAfter : ASKING.lossBefore, { steps });
}
