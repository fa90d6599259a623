/* The bytes of a packet, each with what became of it: fates.py, and what is said of them. */

import { HARM, TOLD, WORDS } from "./vocabulary.js";

const NAMED = 4; // bytes that are named in a sentence

export const two = (value) => value.toString(16).padStart(2, "0");

/* Two rows in the same columns: [place in what was sent, place in what the guest got, fate], null
   where there is no byte. */
export function columns(buffer, expected, { kind, index, shift }) {
  const first = index ?? expected.length;
  const gone = kind === "missing" ? shift : 0, more = kind === "duplicate" ? shift : 0;
  const fate = (same, right) => (same ? right : kind === "stale" ? kind : "wrong");
  const found = [];
  for (let at = 0; at < Math.min(first, buffer.length, expected.length); at++)
    found.push([at, at, fate(buffer[at] === expected[at], "ok")]);
  for (let at = first; at < first + gone; at++) found.push([at, null, "missing"]);
  for (let at = first; at < buffer.length; at++) {
    if (at < first + more) {
      found.push([null, at, buffer[at] === expected[at - more] ? "twice" : "wrong"]);
      continue;
    }
    const sent = at + gone - more, there = sent < expected.length;
    const same = there && buffer[at] === expected[sent];
    found.push([there ? sent : null, at, fate(same, gone || more ? "moved" : "ok")]);
  }
  const read = Math.max(-1, ...found.map(([sent]) => sent ?? -1)) + 1;
  for (let at = read; at < expected.length; at++) found.push([at, null, "unread"]);
  return found;
}

/* "1 byte missing: 2e": what the two rows show, in words. */
export function told(found, buffer, expected, kind) {
  const harmed = found.filter(([, , fate]) => fate === HARM[kind]);
  const values = harmed.map(([sent, got]) => (got === null ? expected[sent] : buffer[got]) ?? 0);
  const named = values.slice(0, NAMED).map(two).join(" ") + (values.length > NAMED ? " …" : "");
  const count = `${harmed.length} byte${harmed.length === 1 ? "" : "s"}`;
  return TOLD[kind].replace("{count}", count).replace("{bytes}", named);
}

/* What the driver returned and printed. */
export function driverText({ returned, message }) {
  const { driver, silent } = WORDS, said = message ? `prints "${message}"` : silent;
  return `${driver} returns ${returned}, ${said}.`;
}
