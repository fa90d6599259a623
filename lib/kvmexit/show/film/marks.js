/* Bytes and what each of them is: scene.py's `marks`, and the bytes as they are shown. */

import { VOCABULARY } from "./vocabulary.js";

export const two = (value) => value.toString(16).padStart(2, "0");

/* Does this end say where the guest's bytes go wrong? */
const hasIndex = (end) => end.index !== null && end.index !== undefined;

function markOf(byte, i, expected, end) {
  if (!hasIndex(end) || i < end.index) return "";
  if (end.kind === "missing") return byte === expected[i + end.shift] ? "moved" : "wrong";
  if (end.kind === "duplicate") {
    if (byte !== expected[i - end.shift]) return "wrong";
    return i < end.index + end.shift ? "twice" : "moved";
  }
  if (byte === expected[i]) return "";
  return end.kind === "stale" ? "old" : "wrong";
}

/* What each byte of the guest's buffer is, given how the run ends. */
function marksOf(buffer, expected, end) {
  return Array.from(buffer, (byte, i) => markOf(byte, i, expected, end));
}

/* The guest's buffer as [text, mark, sign]: a sign only where the mark's own is not meant. */
export function guestBytes(buffer, expected, end) {
  const marks = marksOf(buffer, expected, end), up = end.kind === "missing";
  const items = Array.from(buffer, (byte, i) => [
    byte === undefined ? VOCABULARY.words.unwritten : two(byte),
    marks[i],
    up && marks[i] === "moved" ? VOCABULARY.movedUp : undefined,
  ]);
  if (up && buffer.length > end.index) {
    const lost = expected.slice(end.index, end.index + end.shift);
    items.splice(end.index, 0, ...lost.map((byte) => [two(byte), "gap"]));
  }
  return items;
}

/* The device's response as [text, mark]; `at` is its next byte. */
export function deviceBytes(response, at, ready, popping) {
  const mark = (i) => (i === at && ready ? "next" : popping && i < at ? "gone" : "");
  return response.map((byte, i) => [two(byte), mark(i)]);
}

export function endWords(end) {
  return hasIndex(end) ? `${end.kind} at ${end.index}` : end.kind;
}
