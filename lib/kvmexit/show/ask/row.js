/* A grey strip, one column an exit: the reader points at the first damage, or paints all of it.
   Pointer, arrow keys and buttons do the same, and the slider says in words where one is. */

import { draw, drawing, make } from "./dom.js";
import { OUTCOMES } from "./vocabulary.js";

const TALL = 20, ENOUGH = 0.9; // of the columns, painted as the run is: that counts as right
const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

export function strip(box) {
  const { phase, kinds, exits } = JSON.parse(box.dataset.strip);
  const paints = box.dataset.kind === "paint";
  const count = kinds.length, bad = kinds.map((kind) => kind !== "ok");
  const first = bad.indexOf(true);
  const keys = { "data-lm-suppress-shortcuts": "true" };
  const button = (textContent, label) =>
    make("button", { type: "button", textContent, "aria-label": label, ...keys });

  const mine = canvas(count), run = canvas(count);
  const slider = make("input", { type: "range", min: 1, max: count, value: 1, ...keys });
  slider.setAttribute("aria-label", "Exit");
  const back = button("‹", "One exit back"), on = button("›", "One exit on");
  const brush = button("Paint");
  const where = make("span", { className: "where" });
  const bar = make("div", { className: "bar" }, back, on, ...(paints ? [brush] : []), where);
  const hand = make("div", {}, slider, bar);
  const head = (textContent) => make("p", { className: "head", textContent });
  const answer = make("div", {},
    head(`The run, each exit ${phase}`), run, legend(kinds),
    box.querySelector(".kvmexit-answer p").cloneNode(true));
  let at = 0, touched = false, painted = new Set(), locked = false;

  const told = () => {
    const state = !paints ? "" : painted.has(at) ? ", painted" : ", not painted";
    return `Exit ${at + 1} of ${count}: ${exits[at]}${state}`;
  };
  const unset = paints ? "Nothing is painted yet." : "No exit is chosen yet.";

  function paint() {
    const chosen = paints ? [...painted] : touched ? [at] : [];
    columns(mine, count, (n) => (chosen.includes(n) ? [[0, TALL]] : []), "guess");
    if (touched && !(locked && paints)) {
      const edge = draw(mine, "rect", { x: at, y: 0, width: 1, height: TALL, class: "here" });
      edge.setAttribute("vector-effect", "non-scaling-stroke");
    }
    slider.value = at + 1;
    slider.classList.toggle("unset", !touched);
    slider.setAttribute("aria-valuetext", touched || paints ? told() : `${told()}, not chosen`);
    where.textContent = touched ? told() : unset;
    brush.textContent = painted.has(at) ? "Clear" : "Paint";
    brush.setAttribute("aria-label", `${brush.textContent} exit ${at + 1}`);
    brush.disabled = !touched;
    back.disabled = at === 0;
    on.disabled = at === count - 1;
  }

  function go(n) {
    at = Math.max(0, Math.min(count - 1, n));
    touched = true;
    paint();
  }

  function dip(n, full) {
    if (full) painted.add(n);
    else painted.delete(n);
  }

  /* From column to column of a drag: a fast hand jumps over some. */
  function pull(from, to, full) {
    for (let n = Math.min(from, to); n <= Math.max(from, to); n++) dip(n, full);
    go(to);
  }

  const column = (event) => {
    const { left, width } = mine.getBoundingClientRect();
    const n = Math.floor(((event.clientX - left) / width) * count);
    return Math.max(0, Math.min(count - 1, n));
  };
  let full = null, last = 0; // what a drag does to the columns it meets, and where it was
  mine.addEventListener("pointerdown", (event) => {
    if (locked) return;
    last = column(event);
    full = !painted.has(last);
    mine.setPointerCapture(event.pointerId);
    if (paints) pull(last, last, full);
    else go(last);
  });
  mine.addEventListener("pointermove", (event) => {
    if (locked || full === null) return;
    const to = column(event);
    if (paints) pull(last, to, full);
    else go(to);
    last = to;
  });
  for (const end of ["pointerup", "pointercancel"])
    mine.addEventListener(end, () => { full = null; });
  slider.addEventListener("input", () => go(slider.value - 1));
  slider.addEventListener("click", () => { if (!touched) go(at); }); // where it stood already
  slider.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    if (paints) pull(at, at, !painted.has(at));
    else go(at);
  });
  back.addEventListener("click", () => go(at - 1));
  on.addEventListener("click", () => go(touched ? at + 1 : at));
  brush.addEventListener("click", () => pull(at, at, !painted.has(at)));

  function show(guess) {
    locked = guess !== null;
    touched = locked;
    at = locked && !paints ? guess : 0;
    painted = new Set(paints && locked ? guess : []);
    hand.hidden = locked;
    answer.hidden = !locked;
    mine.classList.toggle("locked", locked);
    columns(run, count, (n) => OUTCOMES[kinds[n]].bars, (n) => kinds[n]);
    paint();
  }

  return {
    nodes: [box.children[1].cloneNode(true), head(`Your guess, each exit ${phase}`), mine, hand, answer],
    missing: paints ? "Paint at least one exit first." : "Choose an exit first.",
    first: () => slider,
    read: () => (paints ? (painted.size ? [...painted].sort((a, b) => a - b) : null)
      : touched ? at : null),
    judge: (guess) => (paints ? judgePaint(new Set(guess), bad) : judgeTap(guess, first, count)),
    show,
  };
}

function judgeTap(guess, first, count) {
  const off = guess - first, told = `The first damage is at exit ${first + 1} of ${count}`;
  if (!off) return { right: true, words: [`${told}.`] };
  const side = off > 0 ? "too late" : "too early";
  return {
    right: false,
    words: [`${told}; you said exit ${guess + 1}, ${plural(Math.abs(off), "exit")} ${side}.`],
  };
}

function judgePaint(guess, bad) {
  const all = bad.filter(Boolean).length;
  const hit = bad.filter((is, n) => is && guess.has(n)).length, over = guess.size - hit;
  const same = bad.filter((is, n) => is === guess.has(n)).length;
  return {
    right: same >= ENOUGH * bad.length,
    words: [`You painted ${hit} of the ${plural(all, "exit")} that end badly, and ${over} that do`
      + ` not. ${same} of ${bad.length} are as in the run; nine in ten count as right.`],
  };
}

/* Columns one unit wide: the drawing is as wide as there is room. */
function canvas(count) {
  const viewBox = `0 0 ${count} ${TALL}`;
  return drawing({ viewBox, preserveAspectRatio: "none", "aria-hidden": "true" });
}

/* A grey box for each column, and in it what `bars` gives. */
function columns(svg, count, bars, kind) {
  svg.replaceChildren();
  const gap = 0.12;
  for (let n = 0; n < count; n++) {
    const left = n + gap / 2, wide = 1 - gap;
    draw(svg, "rect", { x: left, y: 0, width: wide, height: TALL, class: "box" });
    for (const [top, bottom] of bars(n)) {
      draw(svg, "rect", {
        x: left, y: top, width: wide, height: bottom - top,
        class: typeof kind === "string" ? kind : kind(n),
      });
    }
  }
}

function legend(kinds) {
  const counts = {};
  for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
  return make("p", { className: "legend" }, ...Object.entries(counts).map(([kind, n]) => {
    const svg = canvas(1);
    columns(svg, 1, () => OUTCOMES[kind].bars, kind);
    return make("span", {}, svg, `${kind}: ${n}`);
  }));
}
