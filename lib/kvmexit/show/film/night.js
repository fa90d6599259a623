/* The packets of a long test as dots, one a packet, through anywidget's render({model, el}), or all
   of a page through host(document).

   Trait of the model: `data` (night.py). The dots fall in one after another, once, when they come
   into view. Whoever chooses one, prints, or asks for less motion has them all at once. A row of
   the table, chosen, leaves its own dots and pales the others. */

import { CSS, EDGE, PITCH, build, bytesRow, place, words } from "./dots.js";
import { make, set } from "./dom.js";
import { fromHex } from "./reel.js";

const HIGH = 30; // units of the drawing
const EVERY = 4, FALL = 250; // milliseconds
const AIR = 0.3; // how much is seen of a dot that has not landed: it is not counted yet
/* To who hears it, a dot is an option while it is the chosen one: nobody wades through all. */
const OPTION = ["role", "aria-selected", "aria-posinset", "aria-setsize", "aria-label"];

const rowAt = (data, n) => data.seen[data.order[n]][0];

function host(page) {
  for (const still of page.querySelectorAll(".kvmexit-night")) {
    const traits = JSON.parse(still.querySelector('script[type="application/json"]').textContent);
    const el = page.createElement("div");
    render({ model: { get: (name) => traits[name] }, el });
    still.replaceChildren(el);
  }
}

function render({ model, el }) {
  const night = build(model.get("data"));
  el.replaceChildren(make("style", { textContent: CSS }), night.nodes.root);
  choose(night, night.data.first);
  listen(night);
  const watch = whenSeen(night);
  const print = () => {
    watch?.disconnect();
    land(night);
  };
  window.addEventListener("beforeprint", print);
  return () => {
    print();
    window.removeEventListener("beforeprint", print);
  };
}

/* Show one packet: what was sent, what the guest got, what its driver says of it. */
function choose(night, n) {
  const { data, nodes, all } = night, [row, packet] = data.seen[data.order[n]];
  for (const name of OPTION) all[night.at].removeAttribute(name);
  night.at = n;
  const heard = ["option", "true", n + 1, all.length, `Packet ${n + 1}: ${words(data.rows[row])}`];
  OPTION.forEach((name, k) => all[n].setAttribute(name, heard[k]));
  nodes.dots.setAttribute("aria-activedescendant", all[n].id);
  nodes.back.disabled = next(night, -1) === undefined;
  nodes.on.disabled = next(night, 1) === undefined;
  const [x, y] = place(data, n);
  nodes.cursor.setAttribute("d", `M${x - 6} ${y - 6}h12v12h-12z`);
  set(nodes.number, `packet ${n + 1} of ${all.length}`);
  set(nodes.say, `${words(data.rows[row])}.`);
  const sent = fromHex(data.sent), got = fromHex(packet);
  nodes.bytes.replaceChildren(bytesRow("sent", sent, sent), bytesRow("got", got, sent));
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

/* The next packet, one way or the other, among those that the table shows; undefined: none. */
function next({ data, only, at }, direction) {
  let n = at;
  do n += direction; while (only >= 0 && data.order[n] !== undefined && rowAt(data, n) !== only);
  return data.order[n] === undefined ? undefined : n;
}

function walk(night, direction) {
  land(night);
  const n = next(night, direction);
  if (n === undefined) return;
  night.nodes.say.setAttribute("aria-live", "polite");
  choose(night, n);
}

function show(night, row) {
  const { data, nodes, all } = night;
  night.only = night.only === row ? -1 : row;
  nodes.shown.forEach((one, n) => one.setAttribute("aria-pressed", String(n === night.only)));
  all.forEach((one, n) => {
    one.classList.toggle("pale", night.only >= 0 && rowAt(data, n) !== night.only);
  });
  const shown = data.order.findIndex((_, n) => rowAt(data, n) === night.only);
  choose(night, shown >= 0 && rowAt(data, night.at) !== night.only ? shown : night.at);
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
      all[n].setAttribute("opacity", AIR);
      if (part < 1) continue;
      put(all[n]);
      landed++;
      counts[rowAt(data, n)]++;
    }
    counts.forEach((count, row) => set(nodes.shown[row].lastChild, String(count)));
    if (landed < all.length) night.frame = requestAnimationFrame(draw);
    else land(night);
  };
  night.frame = requestAnimationFrame(draw);
}

/* A dot in its place. */
function put(dot) {
  for (const name of ["visibility", "transform", "opacity"]) dot.removeAttribute(name);
}

/* All dots in their places, all counts whole. */
function land({ frame, all, nodes, data }) {
  cancelAnimationFrame(frame);
  delete nodes.root.dataset.falling;
  nodes.cursor.removeAttribute("visibility");
  all.forEach(put);
  data.rows.forEach(([count], row) => set(nodes.shown[row].lastChild, String(count)));
}

export default { render, host };
