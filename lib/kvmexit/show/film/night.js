/* The packets of a long test as dots, one a packet, through anywidget's render({model, el}).

   Trait of the model: `data` (night.py). The dots fall in one after another, once, when they come
   into view. Whoever chooses one, prints, or asks for less motion has them all at once. A row of
   the table, chosen, leaves its own dots and pales the others. */

import { KEYS, draw, drawing, make, set } from "./dom.js";
import { fromHex } from "./reel.js";
import { two } from "./fates.js";
import { VOCABULARY } from "./vocabulary.js";

const PITCH = 10, EDGE = 2, HIGH = 30; // units of the drawing
const EVERY = 4, FALL = 400; // milliseconds
/* To who hears it, a dot is an option while it is the chosen one: nobody wades through all. */
const OPTION = ["role", "aria-selected", "aria-posinset", "aria-setsize", "aria-label"];
const CSS = `
.kx-night{--line:color-mix(in srgb,currentColor 35%,transparent);
  font-size:14px;line-height:1.45;max-width:32rem;margin:.75rem 0}
.kx-night svg{display:block;width:100%;overflow:hidden;cursor:pointer;touch-action:manipulation}
.kx-night svg:focus-visible{outline:3px solid currentColor;outline-offset:3px}
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
.kx-night button:focus-visible{outline:3px solid currentColor;outline-offset:2px}
.kx-night table{border-collapse:collapse;width:100%;margin:.3rem 0;border:0}
.kx-night tr{background:none;border:0}
.kx-night :is(td,th){text-align:left;font-weight:400;padding:.15rem .5rem .15rem 0;border:0;
  background:none}
.kx-night thead th{font-weight:600}
.kx-night .count{font-variant-numeric:tabular-nums;min-width:5.5rem;text-align:left}
.kx-night .bytes :is(td,th){font:12px/1.6 ui-monospace,monospace;padding:1px;text-align:center;
  border-bottom:2px solid transparent}
.kx-night .bytes th{font:600 13px system-ui,sans-serif;text-align:left;width:3rem}
.kx-night .bytes .off{font-weight:700;border-bottom-color:currentColor}
@media (max-width:480px){.kx-night p{min-height:2.9em}}
@media print{.kx-night button{border:0}.kx-night .head button{display:none}}
`;

export function render({ model, el }) {
  const night = build(model.get("data"));
  el.replaceChildren(make("style", { textContent: CSS }), night.nodes.root);
  choose(night, night.data.first);
  listen(night);
  const print = () => land(night);
  window.addEventListener("beforeprint", print);
  const watch = whenSeen(night);
  return () => {
    land(night);
    watch?.disconnect();
    window.removeEventListener("beforeprint", print);
  };
}

/* The figure's elements, and what it remembers. */
function build(data) {
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

const place = (data, n) => [
  (n % data.columns + 0.5) * PITCH,
  (Math.floor(n / data.columns) + 0.5) * PITCH,
];

const words = ([, packet, says]) =>
  `${packet[0].toUpperCase()}${packet.slice(1)}. The driver says: ${says}`;

function dot(svg, data, row, n) {
  const [x, y] = place(data, n), look = VOCABULARY.outcomes[row[3]];
  return draw(svg, "path", { id: `${data.key}-${n}`, d: `M${x} ${y}${look.dot}`,
    fill: look.colour, "fill-opacity": look.opacity });
}

/* A count that is a switch: it shows its own dots alone. */
function tallyButton(row) {
  const look = VOCABULARY.outcomes[row[3]];
  const svg = drawing({ viewBox: "0 0 10 10", class: "sample", "aria-hidden": "true" });
  draw(svg, "path", { d: `M5 5${look.dot}`, fill: look.colour, "fill-opacity": look.opacity });
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

/* Show one packet: what was sent, what the guest got, what its driver says of it. */
function choose(night, n) {
  const { data, nodes, all } = night, [row, packet] = data.seen[data.order[n]];
  for (const name of OPTION) all[night.at].removeAttribute(name);
  night.at = n;
  const heard = ["option", "true", n + 1, all.length, `Packet ${n + 1}: ${words(data.rows[row])}`];
  OPTION.forEach((name, k) => all[n].setAttribute(name, heard[k]));
  nodes.dots.setAttribute("aria-activedescendant", all[n].id);
  const [x, y] = place(data, n);
  nodes.cursor.setAttribute("d", `M${x - 6} ${y - 6}h12v12h-12z`);
  set(nodes.number, `packet ${n + 1} of ${all.length}`);
  set(nodes.say, `${words(data.rows[row])}.`);
  const sent = fromHex(data.sent), got = fromHex(packet);
  nodes.bytes.replaceChildren(bytesRow("sent", sent, sent), bytesRow("got", got, sent));
}

/* A byte that is not the one that was sent in its place is marked; one too few is a dash. */
function bytesRow(name, bytes, sent) {
  const long = Math.max(bytes.length, sent.length);
  const cells = Array.from({ length: long }, (_, i) => make("td", {
    className: bytes[i] === sent[i] ? "" : "off",
    textContent: i < bytes.length ? two(bytes[i]) : VOCABULARY.words.unwritten,
  }));
  return make("tr", {}, make("th", { scope: "row", textContent: name }), ...cells);
}

/* The dot at a point of the drawing; with a row of the table chosen, the nearest one of it. */
function nearest({ data, all, only }, x, y) {
  let best = 0, least = Infinity;
  all.forEach((_, n) => {
    if (only >= 0 && rowAt(data, n) !== only) return;
    const [atX, atY] = place(data, n), far = Math.hypot(atX - x, atY - y);
    if (far < least) [best, least] = [n, far];
  });
  return best;
}

/* To the next packet, one way or the other, among those that the table shows. */
function walk(night, direction) {
  const { data, only } = night;
  let n = night.at;
  do n += direction; while (only >= 0 && data.order[n] !== undefined && rowAt(data, n) !== only);
  if (data.order[n] === undefined) return;
  night.nodes.say.setAttribute("aria-live", "polite");
  choose(night, n);
}

const rowAt = (data, n) => data.seen[data.order[n]][0];

function show(night, row) {
  const { data, nodes, all } = night;
  night.only = night.only === row ? -1 : row;
  nodes.shown.forEach((one, n) => one.setAttribute("aria-pressed", String(n === night.only)));
  all.forEach((one, n) => {
    one.classList.toggle("pale", night.only >= 0 && rowAt(data, n) !== night.only);
  });
  const shown = data.order.findIndex((_, n) => rowAt(data, n) === night.only);
  if (shown >= 0 && rowAt(data, night.at) !== night.only) choose(night, shown);
}

function listen(night) {
  const { data, nodes, all } = night, { columns } = data;
  const ways = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
    Home: -all.length, End: all.length };
  const pick = (n) => {
    land(night);
    nodes.say.setAttribute("aria-live", "off"); // the option itself is heard
    choose(night, Math.max(0, Math.min(all.length - 1, n)));
  };
  nodes.dots.onkeydown = (event) => {
    if (!(event.key in ways)) return;
    event.preventDefault();
    pick(night.at + ways[event.key]);
  };
  nodes.dots.onclick = (event) => {
    const box = nodes.dots.getBoundingClientRect();
    const unit = box.width / (columns * PITCH + 2 * EDGE);
    pick(nearest(night, (event.clientX - box.left) / unit - EDGE,
      (event.clientY - box.top) / unit - EDGE));
  };
  nodes.back.onclick = () => walk(night, -1);
  nodes.on.onclick = () => walk(night, 1);
  nodes.again.onclick = () => fall(night);
  nodes.shown.forEach((one, row) => { one.onclick = () => show(night, row); });
}

/* Fall when first seen; not at all where less motion is asked for. */
function whenSeen(night) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
    night.nodes.again.remove();
    return undefined;
  }
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    fall(night);
  }, { threshold: 0.3 });
  watch.observe(night.nodes.dots);
  return watch;
}

function fall(night) {
  const { data, all, nodes } = night, counts = data.rows.map(() => 0);
  land(night);
  all.forEach((one) => one.setAttribute("visibility", "hidden"));
  nodes.cursor.setAttribute("visibility", "hidden");
  nodes.root.dataset.falling = "";
  let begun, landed = 0;
  const draw = (now) => {
    begun ??= now;
    for (let n = landed; n < all.length && n * EVERY <= now - begun; n++) {
      const part = Math.min(1, (now - begun - n * EVERY) / FALL);
      all[n].removeAttribute("visibility");
      all[n].setAttribute("transform", `translate(0 ${((part ** 2 - 1) * HIGH).toFixed(1)})`);
      if (part >= 1 && n === landed) {
        landed++;
        counts[rowAt(data, n)]++;
      }
    }
    counts.forEach((count, row) => set(nodes.shown[row].lastChild, String(count)));
    if (landed < all.length) night.frame = requestAnimationFrame(draw);
    else land(night);
  };
  night.frame = requestAnimationFrame(draw);
}

/* All dots in their places, all counts whole. */
function land({ frame, all, nodes, data }) {
  cancelAnimationFrame(frame);
  delete nodes.root.dataset.falling;
  nodes.cursor.removeAttribute("visibility");
  for (const one of all) {
    one.removeAttribute("visibility");
    one.removeAttribute("transform");
  }
  data.rows.forEach(([count], row) => set(nodes.shown[row].lastChild, String(count)));
}

export default { render };
