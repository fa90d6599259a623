/* What is there of a night (night.js): dots, buttons, tables. What they say is painted later. */

import { KEYS, draw, drawing, make } from "./dom.js";
import { two } from "./fates.js";
import { DOTS, OUTCOMES, WORDS } from "./vocabulary.js";

export const PITCH = 10; // units of the drawing
export const EDGE = 2;
export const CSS = `
.kx-night{--line:color-mix(in srgb,currentColor 35%,transparent);
  font-size:14px;line-height:1.45;max-width:32rem;margin:.75rem 0}
.kx-night svg{display:block;width:100%;overflow:hidden;cursor:pointer;touch-action:manipulation}
.kx-night svg:focus-visible{outline:3px solid currentColor;outline-offset:-1px}
.kx-night .sample{width:16px;display:inline-block;vertical-align:-3px;margin-inline-end:.4rem}
.kx-night .pale{opacity:.18}
.kx-night .cursor{fill:none;stroke:currentColor;stroke-width:1.2}
.kx-night .head{display:flex;align-items:center;gap:.5rem;margin:.5rem 0 .2rem}
.kx-night .head span{font-weight:600;font-variant-numeric:tabular-nums;text-align:center;
  min-width:9.5rem}
.kx-night .head .again{margin-inline-start:auto}
.kx-night p{margin:0 0 .2rem;min-height:1.45em}
.kx-night button{flex:none;font:inherit;color:inherit;border:1px solid var(--line);
  border-radius:4px;min-width:44px;min-height:36px;padding:0 .5rem;cursor:pointer;
  background:color-mix(in srgb,currentColor 7%,transparent)}
.kx-night button[aria-pressed=true]{background:color-mix(in srgb,currentColor 22%,transparent);
  outline:2px solid}
.kx-night button:disabled{opacity:.4;cursor:default}
.kx-night button:focus-visible{outline:3px solid currentColor;outline-offset:2px}
.kx-night table{border-collapse:collapse;width:100%;margin:.3rem 0;border:0}
.kx-night tr{background:none;border:0}
.kx-night :is(td,th){text-align:left;font-weight:400;padding:.15rem .5rem .15rem 0;border:0;
  background:none}
.kx-night thead th{font-weight:600}
.kx-night .count{font-variant-numeric:tabular-nums;min-width:5.5rem;text-align:left}
.kx-night .bytes :is(td,th){font:12px/1.6 ui-monospace,monospace;padding:1px 1px 3px;
  text-align:center}
.kx-night .bytes th{font:600 13px system-ui,sans-serif;text-align:left;width:3rem}
.kx-night .bytes .off{font-weight:700;border-bottom:2px solid;padding-bottom:1px}
@media (max-width:480px){.kx-night p{min-height:2.9em}}
@media print{.kx-night button{border:0}.kx-night .head button{display:none}}
`;

/* The figure's elements, and what it remembers. */
export function build(data) {
  const nodes = {}, { columns, order, seen, rows } = data;
  const tall = Math.ceil(order.length / columns) * PITCH;
  const box = [-EDGE, -EDGE, columns * PITCH + 2 * EDGE, tall + 2 * EDGE].join(" ");
  nodes.dots = drawing({ viewBox: box, role: "listbox", tabindex: 0,
    "aria-label": `${order.length} packets, in the order in which they came`,
    "aria-orientation": "horizontal" });
  for (const name in KEYS) nodes.dots.setAttribute(name, KEYS[name]);
  const all = order.map((which, n) => dot(nodes.dots, data, rows[seen[which][0]], n));
  nodes.cursor = draw(nodes.dots, "path", { class: "cursor", "aria-hidden": "true" });
  const button = (text, label) => make("button",
    { type: "button", textContent: text, "aria-label": label, title: label, ...KEYS });
  nodes.back = button("‹", "The packet before");
  nodes.on = button("›", "The next packet");
  nodes.again = button("again", "Let the packets come again");
  nodes.again.className = "again";
  nodes.number = make("span");
  nodes.say = make("p");
  nodes.bytes = make("tbody");
  nodes.shown = rows.map((row) => tallyButton(row));
  nodes.root = make("div", { className: "kx-night", role: "group", "aria-label": "The packets" },
    nodes.dots,
    make("div", { className: "head" }, nodes.back, nodes.number, nodes.on, nodes.again),
    nodes.say,
    make("table", { className: "bytes" }, nodes.bytes),
    tally(data, nodes.shown));
  return { data, nodes, all, at: 0, only: -1, frame: 0 };
}

export const place = (data, n) => [
  (n % data.columns + 0.5) * PITCH,
  (Math.floor(n / data.columns) + 0.5) * PITCH,
];

export const words = ([, packet, says]) =>
  `${packet[0].toUpperCase()}${packet.slice(1)}. The driver says: ${says}`;

function dot(svg, data, row, n) {
  const [x, y] = place(data, n), look = OUTCOMES[row[3]];
  return draw(svg, "path", { id: `${data.key}-${n}`, d: `M${x} ${y}${DOTS[row[3]]}`,
    fill: look.colour, "fill-opacity": look.opacity });
}

/* A count that is a switch: it shows its own dots alone. */
function tallyButton(row) {
  const look = OUTCOMES[row[3]];
  const svg = drawing({ viewBox: "0 0 10 10", class: "sample", "aria-hidden": "true" });
  draw(svg, "path", { d: `M5 5${DOTS[row[3]]}`, fill: look.colour, "fill-opacity": look.opacity });
  const number = make("span", { textContent: row[0] });
  return make("button", { type: "button", className: "count", "aria-pressed": "false", ...KEYS,
    title: "Show these alone" }, svg, number);
}

function tally({ headings, rows }, buttons) {
  const head = headings.map((name) => make("th", { scope: "col", textContent: name }));
  const body = rows.map(([, packet, says], n) => make("tr", {}, make("td", {}, buttons[n]),
    make("td", { textContent: packet }), make("td", { textContent: says })));
  return make("table", {}, make("thead", {}, make("tr", {}, ...head)),
    make("tbody", {}, ...body));
}

/* A byte that is not the one that was sent in its place is marked; one too few is a dash. */
export function bytesRow(name, bytes, sent) {
  const long = Math.max(bytes.length, sent.length);
  const cells = Array.from({ length: long }, (_, i) => make("td", {
    className: bytes[i] === sent[i] ? "" : "off",
    textContent: i < bytes.length ? two(bytes[i]) : WORDS.unwritten,
  }));
  return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells);
}
