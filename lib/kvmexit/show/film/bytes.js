/* The two rows: what the device sent, what the guest got, in the same columns, as the run ends. */

import { make, set } from "./dom.js";
import { columns, driverText, told, two } from "./fates.js";
import { within } from "./reel.js";
import { sceneAt } from "./scene.js";
import { FATES, MOVED_UP, WORDS } from "./vocabulary.js";

const EACH = [22, 16.8];
const NARROW_ROW = 480, BEFORE = 0.4, HALF = 4; // of a letter, in pixels

/* Once for each run: the columns, and what is said of them. */
export function readBytes(film) {
  const { reel, choice, steps, end } = film, { expected } = reel.world(choice);
  film.expected = expected;
  film.buffer = sceneAt(reel, steps, steps.length - 1).buffer;
  film.columns = columns(film.buffer, expected, end);
  film.told = reel.data.program ? reel.data.meanings[end.kind]
    : told(film.columns, film.buffer, expected, end.kind);
  film.said = reel.data.program ? "" : driverText(end);
}

/* Which columns are shown: all, or those about the damage, or about the suspend. */
function windowOf(film) {
  const { columns: all, steps, stops, reel } = film;
  const { rowWidth: width } = film, each = EACH[Number(width < NARROW_ROW)];
  const room = Math.max(8, Math.floor(width / each));
  if (all.length <= room) return [0, all.length];
  let about = all.findIndex(([, , fate]) => fate !== "ok");
  if (about < 0) about = sceneAt(reel, steps, stops.request ?? 0).buffer.length;
  const first = within(all.length - room, Math.round(about - room * BEFORE));
  return [first, first + room];
}

export function paintBytes(film) {
  const { nodes, buffer, expected } = film;
  set(nodes.outcome, film.told);
  set(nodes.driver, film.said);
  if (film.reel.data.program || !film.rowWidth) return;
  const [first, last] = windowOf(film), shown = film.columns.slice(first, last);
  const up = film.columns.some(([, , fate]) => fate === "missing");
  const rest = film.columns.length - last;
  set(nodes.apart, first || rest ? `${first} before, ${rest} after` : "");
  for (const [name, side, values] of [["sent", 0, expected], ["got", 1, buffer]]) {
    const row = nodes[name], cells = [];
    shown.forEach((column, k) => {
      const [sent, , fate] = column, hole = side === 1 && column[1] === null;
      if (column[side] === null && !hole) return;
      const byte = hole ? expected[sent] : values[column[side]];
      const sign = up && fate === "moved" ? MOVED_UP : FATES[fate].sign;
      const letters = sign + (cells.at(-1)?.sign ?? ""); // a word is wider than its byte
      const fits = HALF * letters.length < film.rowWidth / shown.length;
      cells.push({ k, at: hole ? sent : column[side], byte, fate, sign: side && fits ? sign : "" });
    });
    row.style.setProperty("--columns", shown.length);
    row.classList.toggle("from", first > 0);
    row.classList.toggle("on", rest > 0);
    fill(row, cells, side);
  }
  paintGhosts(film);
  film.asking?.paintAsked(film);
}

/* As many list items as there are bytes; what is there already is used again. */
function fill(row, cells, side) {
  while (row.children.length > cells.length) row.lastChild.remove();
  cells.forEach(({ k, at, byte, fate, sign }, i) => {
    let item = row.children[i];
    if (!item) {
      item = make("li", {}, make("b"), ...(side ? [make("small", { "aria-hidden": "true" })] : []));
      row.append(item);
    }
    if (item.dataset.fate !== fate) item.dataset.fate = fate;
    if (item.dataset.at !== String(at)) item.dataset.at = at;
    const column = String(k + 1);
    if (item.style.gridColumn !== column) item.style.gridColumn = column;
    const text = byte === undefined ? WORDS.unwritten : two(byte);
    set(item.firstChild, text);
    if (side) set(item.lastChild, sign);
    const title = side && fate !== "ok" ? `${text} ${FATES[fate].word}` : "";
    if (item.title !== title) item.title = title;
  });
}

/* Bytes that at this step are still to come are shown faint. */
export function paintGhosts(film) {
  const { reel, steps, step, nodes } = film;
  if (reel.data.program) return;
  const { buffer } = sceneAt(reel, steps, step), atEnd = step === steps.length - 1 || !(film.whole || film.arriving);
  const place = reel.data.popping[film.choice[0]] ? 0 : 2;
  let sent = 0; // how far the device has come
  for (const { dev } of steps.slice(0, step + 1)) sent = Math.max(sent, reel.devices[place][dev]);
  for (const item of nodes.sent.children)
    item.classList.toggle("ghost", !atEnd && Number(item.dataset.at) >= sent);
  for (const item of nodes.got.children) {
    const { at, fate } = item.dataset, hole = fate === "missing" || fate === "unread";
    const come = hole ? Number(at) < sent : buffer[at] !== undefined;
    item.classList.toggle("ghost", !atEnd && !come);
  }
}
