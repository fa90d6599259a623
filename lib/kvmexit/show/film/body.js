/* What is there once: the film's elements, by name. What they say is painted later. */

import { KEYS, drawing, make } from "./dom.js";
import { VOCABULARY } from "./vocabulary.js";

const { lanes, pageFields, registers, words } = VOCABULARY;
const named = lanes.map((lane) => lane.name);
const LANES = `Lanes of ${named.slice(0, -1).join(", ")} and ${named.at(-1)}`;

const head = (text) => make("div", { className: "head", textContent: text });
const column = (text) => make("th", { scope: "col", textContent: text });

function card(title, ...children) {
  return make("div", { className: "pane" }, head(title), ...children);
}

/* A table of names; the cells for their values join `into`. */
function table(names, into) {
  const rows = names.map((name) => {
    const value = make("td", { className: "v" });
    into.push(value);
    return make("tr", {}, make("th", { scope: "row", textContent: name }), value);
  });
  return make("table", {}, make("tbody", {}, ...rows));
}

/* Makers that keep what they make in `nodes`, under its name. */
function makers(nodes, uid) {
  const keep = (name, node) => (nodes[name] = node);
  return {
    note: (name, tag = "div", properties = {}) => keep(name, make(tag, properties)),
    list: (name, className = "bytes") => keep(name, make("ul", { className })),
    svg: (name, label) => keep(name, drawing({ role: "img", "aria-label": label })),
    range: (name) => keep(name, make("input",
      { type: "range", min: 0, max: 1, id: `${uid}-${name}`, ...KEYS })),
    button: (name, text, label) => keep(name, make("button",
      { type: "button", textContent: text, "aria-label": label, title: label, ...KEYS })),
    keep,
  };
}

function landingBox({ note, range, button, svg, uid }) {
  const label = make("label", { htmlFor: `${uid}-landing` }, "Where the suspend lands: ",
    note("at", "span", { className: "count" }));
  return make("div", {},
    make("div", { className: "bar" }, label,
      button("earlier", "⇤", "Back to where the outcome changes"),
      button("later", "⇥", "On to where the outcome changes")),
    range("landing"),
    make("div", { className: "strip" }, svg("strip", "Outcomes")),
    make("div", { className: "result" },
      note("legend", "div", { className: "legend" }), note("where"), note("outcome", "strong")));
}

function stepBar({ note, button, uid }) {
  const label = make("label", { htmlFor: `${uid}-step` }, "Step ",
    note("number", "span", { className: "count" }));
  return make("div", { className: "bar" }, label,
    button("back", "‹", "One step back"), button("on", "›", "One step on"));
}

function cards({ nodes, note, list, keep }) {
  const middle = registers.length / 2;
  nodes.registers = [];
  nodes.page = [];
  const both = [registers.slice(0, middle), registers.slice(middle)];
  const halves = both.map((names) => table(names, nodes.registers));
  const made = make("div", { className: "panes" },
    keep("pendingCard", card(words.pending, note("pending"))),
    card(VOCABULARY.page, table(pageFields, nodes.page)),
    card(words.registers, make("div", { className: "regs" }, ...halves)),
    keep("fifoCard", card("Device's response",
      note("offset", "div", { className: "note" }), list("fifo"))),
    keep("guestCard", card(words.guest,
      note("got", "div", { className: "note" }), list("guest", "bytes tall"))),
    keep("verdictCard", card(words.verdict, note("verdict"))));
  nodes.fifoCard.classList.add("wide");
  nodes.guestCard.classList.add("wide");
  nodes.verdictCard.classList.add("full");
  return made;
}

function difference({ note, list }) {
  const heads = make("tr", {}, make("td"), column("undisturbed"), column("this run"));
  return [
    note("diffSay", "p"),
    head(`${words.guest}, undisturbed`), list("plainBytes"),
    head(`${words.guest}, this run`), list("thisBytes"),
    make("table", {}, make("thead", {}, heads), note("diffRows", "tbody")),
  ];
}

/* All elements of one film, by name; `uid` keeps two films on a page apart. */
export function build(uid) {
  const nodes = {}, tools = { ...makers(nodes, uid), nodes, uid };
  const { note, range, svg, keep } = tools;
  const sentence = `${LANES}; the sentence above says what happens in the step`;
  keep("root", make("div", { className: "kx", role: "group", "aria-label": "Film of a run" },
    note("title", "strong", { className: "title" }),
    note("knobs", "div", { className: "knobs" }),
    keep("landingBox", landingBox(tools)),
    stepBar(tools),
    range("step"),
    note("say", "p", { className: "say", "aria-live": "polite" }),
    make("div", {}, svg("lanes", sentence)),
    cards(tools),
    keep("differenceLabel", make("label", { className: "compare" },
      note("toggle", "input", { type: "checkbox", ...KEYS }),
      "Show the difference from the undisturbed run")),
    keep("difference", make("div", { className: "pane diff hide" }, ...difference(tools)))));
  return nodes;
}
