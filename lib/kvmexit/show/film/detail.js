/* What is folded: pending, the shared page, the registers, the device, the undisturbed
   run, and what the marks mean.
   It is made when it is first opened, and painted only while it is open. */

import { make, set, setClass } from "./dom.js";
import { two } from "./fates.js";
import { legend, outcomeMark } from "./legend.js";
import { reasonWords, sceneAt } from "./scene.js";
import { DEVICE_FIELDS, END_FIELDS, MMIO, OUTCOMES, PAGE, PAGE_FIELDS, REGISTERS, STEPS, WORDS } from "./vocabulary.js";

const READY = 0x10; // of the device's status: it has a byte to give

const cell = (text) => make("td", { className: "v", textContent: text });
const card = (title, ...children) =>
  make("div", { className: "pane" }, make("div", { className: "cap", textContent: title }), ...children);

/* A table of names; the cells for their values join `into`. */
function table(names, into) {
  const rows = names.map((name) => {
    const value = cell("");
    into.push(value);
    return make("tr", {}, make("th", { scope: "row", textContent: name }), value);
  });
  return make("table", {}, make("tbody", {}, ...rows));
}

function buildDetail({ nodes, reel }) {
  const made = { registers: [], page: [], device: [], pending: make("div", { className: "two" }) };
  const middle = REGISTERS.length / 2;
  const halves = [REGISTERS.slice(0, middle), REGISTERS.slice(middle)]
    .map((names) => table(names, made.registers));
  const panes = [
    card(WORDS.pending, made.pending),
    card(PAGE, table(PAGE_FIELDS, made.page)),
    card(WORDS.registers, make("div", { className: "regs" }, ...halves)),
    card(WORDS.device, table(DEVICE_FIELDS, made.device)),
  ];
  if (!reel.data.program) {
    const heads = [WORDS.undisturbed, WORDS.thisRun]
      .map((text) => make("th", { scope: "col", textContent: text }));
    made.ends = make("tbody");
    made.apart = make("p", { className: "two" });
    const head = make("thead", {}, make("tr", {}, make("td"), ...heads));
    panes.push(card(WORDS.compared, make("table", {}, head, made.ends), made.apart));
  }
  panes.push(card(WORDS.marks, legend(marks())));
  nodes.panes.className = "panes";
  nodes.panes.replaceChildren(...panes);
  return made;
}

/* Those of the strip, then those of the lanes. */
const marks = () => [
  ...Object.keys(OUTCOMES).map((kind) => outcomeMark(kind)),
  ["M-9 0H9", "pend lane2", WORDS.pending],
  ...Object.values(STEPS).map(({ shape, label }) => [shape, "mark lane0", label || WORDS.executes]),
];

export function paintDetail(film) {
  const { nodes, reel, steps, step } = film;
  if (!nodes.more.open) return;
  film.detail ??= buildDetail(film);
  const scene = sceneAt(reel, steps, step), { detail } = film;
  set(detail.pending, scene.pending || WORDS.nothing);
  paintRegisters(film, scene);
  paintPage(detail, scene);
  paintDevice(film, scene);
  if (!reel.data.program && detail.of !== steps) paintEnds(film);
}

/* A register that this step has changed is underlined. */
function paintRegisters({ detail, reel, steps, step }, scene) {
  const before = step ? steps[step - 1] : null;
  scene.registers.forEach((signed, k) => {
    const value = signed >>> 0;
    set(detail.registers[k], `0x${value.toString(16)}`);
    const old = before ? reel.registers[k][before.regs] >>> 0 : value;
    setClass(detail.registers[k], old === value ? "v" : "v new");
  });
}

function paintPage(detail, { page, immediate }) {
  const { gpa, size, is_write } = page, mmio = page.reason === MMIO;
  const access = mmio ? [`0x${(gpa >>> 0).toString(16)}`, size, is_write] : Array(3).fill(WORDS.nothing);
  const values = [immediate, reasonWords(page), ...access, page.data.map(two).join(" ")];
  values.forEach((value, k) => set(detail.page[k], String(value)));
}

function paintDevice({ detail, reel, choice }, { device: [offset, status, index] }) {
  const { response } = reel.world(choice), at = reel.data.popping[choice[0]] ? offset : index;
  const next = status & READY && at < response.length ? two(response[at]) : WORDS.nothing;
  [`${at} of ${response.length}`, next, `0x${status.toString(16)}`]
    .forEach((value, k) => set(detail.device[k], value));
}

function paintEnds({ detail, reel, choice, landing, steps, end }) {
  const plain = reel.end(choice, 0);
  const said = ({ message }) => message ?? WORDS.nothing;
  const values = [plain, end].map((one) => [one.returned, said(one), one.reads, one.left].map(String));
  const rows = END_FIELDS.map((name, k) => make("tr", {},
    make("th", { scope: "row", textContent: name }), cell(values[0][k]),
    make("td", { textContent: values[1][k], className: values[0][k] === values[1][k] ? "v" : "v new" })));
  detail.ends.replaceChildren(...rows);
  set(detail.apart, landing === 0 ? WORDS.plain : apart(steps));
  detail.of = steps;
}

/* How many steps the undisturbed run does not have, and whether the two meet again. */
function apart(steps) {
  const own = steps.filter((one) => !one.own).length;
  const again = steps.length - [...steps].reverse().findIndex((one) => !one.own);
  const end = steps.at(-1).own
    ? `From step ${again + 1} on the two do the same.`
    : "The two never come together again.";
  return `${own} of the ${steps.length} steps of this run are not in the undisturbed run. ${end}`;
}
