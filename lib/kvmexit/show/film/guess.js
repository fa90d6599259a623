/* A small face that is veiled asks before it tells: the packet arrives whole, the reader says where a suspend
   would lose a byte, and the suspend goes on from there to the nearest place that does. */

import { paintGhosts } from "./bytes.js";
import { draw, make, set } from "./dom.js";
import { rerun, save } from "./place.js";
import { run, stop } from "./play.js";
import { legend, outcomeMark } from "./legend.js";
import { hold, paintStep } from "./paint.js";
import { TALL, landingAt, landingX } from "./strip.js";
import { guessWords, longWords, paintTally, placeOf } from "./tally.js";
import { ASKING, HARM, MARKS, OUTCOMES } from "./vocabulary.js";
import { walk } from "./walk.js";

const ASKING_CSS = `
.kx .ask{margin:0 0 6px;font-weight:600;font-size:15px}
.kx .tally{margin:4px 0}
.kx .asked svg{overflow:visible}
.kx .thread{fill:none;stroke-width:1.5;pointer-events:none}
.kx.asks .rows{margin-top:14px}
.kx.asks .legend{row-gap:6px}
.kx.asks :checked+span{font-weight:400;-webkit-text-stroke:.5px}
.kx .hands{display:flex;justify-content:space-between;align-items:end;gap:6px;margin-top:4px}
.kx .hands .bar{display:none}
.kx .moment{fill:var(--device)}
.kx.arriving [data-role=sent] .ghost{opacity:1}
.kx.arriving [data-role=got] .ghost,.kx.arriving .told{opacity:0}
@media (max-width:640px){
  .kx.asks .told{min-height:60px}
  .kx.asks legend{width:100%}
}
@media (max-width:640px),(pointer:coarse){
  .kx .hands .bar{display:flex;flex-wrap:nowrap}
  .kx .hands button{min-width:40px}
  .kx .hands fieldset span{padding:9px 7px}
}
@media print{.kx .ask{display:none}}
`;
const WHOLE = 3000, DROP = 250, THINK = 1500; // milliseconds
const SWAY = 36;
const FINGER = 4; // pixels beside its middle that a finger means, too

/* The question stands above the strip; below the bytes the hands, what all landings come to, and
   the marks. */
function dress(film) {
  film.print = () => reveal(film);
  addEventListener("beforeprint", film.print);
  film.nodes.landing.addEventListener("keydown", (event) => {
    if (!["Enter", " "].includes(event.key)) return;
    event.preventDefault();
    guessed(film);
  });
  if (film.whole) return;
  const { nodes } = film, { root, whereBox, rows, knobs, hear, before, after } = nodes;
  nodes.ask = make("p", { className: "ask" });
  nodes.tally = make("p", { className: "tally" });
  nodes.single = make("div", { className: "bar" }, before, after);
  nodes.legend = make("div");
  root.classList.add("asks");
  whereBox.classList.add("asked");
  root.before(make("style", { textContent: ASKING_CSS }));
  root.replaceChildren(nodes.ask, whereBox, rows,
    make("div", { className: "hands" }, knobs, nodes.single), nodes.tally, nodes.legend, hear);
}

/* Above the bytes and below them: what is said when there is another run, or another width. A whole
   film has no place for it but that of what is told of the bytes. */
function paintAsked(film) {
  const { nodes, veiled } = film;
  if (film.whole) {
    if (veiled) set(nodes.outcome, ASKING.guess);
    if (veiled) set(nodes.driver, "");
    return;
  }
  if (film.held !== film.width) {
    film.held = film.width;
    for (const [node, texts] of longWords(film)) hold(node, [node], texts.map((text) => [text]));
  }
  for (const knob of nodes.knobs.querySelectorAll("legend")) set(knob, ASKING.by);
  paintTally(film);
  paintThread(film);
  paintLegend(film);
  for (const name of ["legend", "single"]) nodes[name].style.visibility = veiled ? "hidden" : "";
}

/* The marks that the film has as it opens; of another VMM, those that there are, in their places. */
function paintLegend(film) {
  const { nodes, kinds } = film;
  if (!film.marks) {
    film.marks = Object.keys(OUTCOMES).filter((kind) => kinds.includes(kind));
    nodes.legend.append(legend(film.marks.map((kind) =>
      outcomeMark(kind, `${OUTCOMES[kind].letter} ${MARKS[kind]}`.trim()))));
  }
  nodes.legend.querySelectorAll("span").forEach((mark, k) => {
    mark.style.visibility = kinds.includes(film.marks[k]) ? "" : "hidden";
  });
}

/* From the suspend's place in time to the byte that it harms: the line and the rows below it have
   two scales. The line says that it is one of time. */
function paintThread({ nodes: { strip, sent }, each, landing, kinds, veiled }) {
  if (!strip.querySelector(".thread")) {
    draw(strip, "text", { y: TALL - 1 }, ASKING.time);
    draw(strip, "path", { class: "thread" });
  }
  const thread = strip.querySelector(".thread"), kind = veiled ? "" : kinds[landing - 1], from = strip.getBoundingClientRect();
  const box = sent.querySelector(`[data-fate="${HARM[kind]}"]`)?.getBoundingClientRect();
  const to = box && [box.left + box.width / 2 - from.left, box.top - from.top];
  thread.style.stroke = `var(--${kind})`;
  thread.setAttribute("d", to ? `M${landingX({ each }, landing)} ${TALL}L${to}` : "");
}

/* The landing that a hand means: a finger the nearest one that does damage, if it is under it. */
function meant(film, x, { touch }) {
  const far = (at) => Math.abs(landingX(film, at) - x);
  const nearest = film.kinds.reduce((best, kind, i) =>
    (kind !== "ok" && far(i + 1) < far(best) ? i + 1 : best), Infinity);
  return touch && !film.veiled && far(nearest) <= FINGER ? nearest : landingAt(film, x);
}

const undress = ({ print }) => removeEventListener("beforeprint", print);

/* The undisturbed run: bytes come one by one, and a dot goes along the line. */
function arrive(film) {
  const { nodes, events } = film, dot = draw(nodes.strip, "circle", { class: "moment", r: 5, cy: 29.5 });
  film.arriving = true;
  nodes.root.classList.add("arriving");
  film.settle = () => {
    film.arriving = false;
    nodes.root.classList.remove("arriving");
    dot.remove();
    paintGhosts(film);
  };
  run(film, [...events.map((at) => () => {
    film.step = at;
    paintStep(film);
    dot.setAttribute("cx", landingX(film, at));
    const last = [...nodes.got.querySelectorAll("li:not(.ghost)")].at(-1);
    last?.animate([{ transform: "translateY(-9px)", opacity: 0 }, { transform: "none", opacity: 1 }],
      { duration: DROP, easing: "ease-in" });
  }), () => {
    film.settle();
    invite(film);
  }], WHOLE / events.length);
}

/* The arrow shows that it can be moved. */
function invite({ nodes, each }) {
  const at = landingX({ each }, 0), place = (x) => ({ transform: `translate(${x}px,0)` });
  nodes.arrow.animate([place(at), place(at + SWAY), place(at)], { duration: 900, easing: "ease" });
}

/* On paper there is nobody to be asked: the strip in its colours, and the landing that was meant. */
function reveal(film) {
  if (!film.veiled) return;
  stop(film);
  film.veiled = false;
  film.landing = film.model.get("landing");
  rerun(film);
}

/* Who has chosen a place on a grey strip, and taken the hand off, sees its colours, and the page
   hears of it. */
function guessed(film) {
  if (!film.veiled || !film.landing) return;
  const { nodes } = film;
  film.veiled = false;
  rerun(film);
  save(film, "landing", "step");
  const detail = { landing: film.landing, kind: film.kinds[film.landing - 1] ?? "ok" };
  nodes.root.dispatchEvent(new CustomEvent("film:guess", { bubbles: true, detail }));
  if (film.whole) return;
  const to = nearestLoss(film);
  film.guess = guessWords(to && to - film.landing);
  film.guessed = placeOf(film);
  paintTally(film);
  set(nodes.hear, `${film.guess} ${nodes.tally.textContent}`);
  if (to && to !== film.landing) film.timer = setTimeout(walk, THINK, film, to);
}

/* The landing nearest to where the suspend is that loses a byte; undefined: there is none. */
function nearestLoss({ kinds, landing }) {
  const far = (at) => Math.abs(at - landing);
  const losses = kinds.flatMap((kind, i) => (kind === "missing" ? [i + 1] : []));
  return losses.sort((a, b) => far(a) - far(b))[0];
}

/* What a film needs that asks. */
export const asking = { arrive, dress, guessed, meant, paintAsked, undress };
