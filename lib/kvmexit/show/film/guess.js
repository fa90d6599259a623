/* A small face that is veiled asks before it tells: the packet arrives whole, the reader says where a suspend
   would lose a byte, and the suspend goes on from there to the nearest place that does. */

import { paintGhosts } from "./bytes.js";
import { draw, make, set } from "./dom.js";
import { rerun } from "./place.js";
import { run, stop, walk } from "./play.js";
import { paintStep } from "./paint.js";
import { landingX } from "./strip.js";
import { guessWords, paintTally } from "./tally.js";
import { ASKING } from "./vocabulary.js";

const ASKING_CSS = `
.kx .ask{margin:0 0 6px;font-weight:600;font-size:15px}
.kx .tally{margin:4px 0 8px}
.kx .moment{fill:var(--device)}
.kx.arriving [data-role=sent] .ghost{opacity:1}
.kx.arriving [data-role=got] .ghost,.kx.arriving .told{opacity:0}
@media (max-width:640px){
  .kx.asks .told{min-height:60px}
  .kx .ask{min-height:2.8em}
  .kx .tally{min-height:4.4em}
  .kx.asks legend{width:100%}
}
@media print{.kx .ask{display:none}}
`;
const WHOLE = 3000, DROP = 250, THINK = 1500; // milliseconds
const SWAY = 36;

/* The question stands above the strip, and below the bytes what all landings come to. */
function dress({ nodes }) {
  const { root, whereBox, rows, knobs, hear } = nodes;
  nodes.ask = make("p", { className: "ask" });
  nodes.tally = make("p", { className: "tally" });
  root.classList.add("asks");
  root.before(make("style", { textContent: ASKING_CSS }));
  root.replaceChildren(nodes.ask, whereBox, rows, nodes.tally, knobs, hear);
}

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
    last?.animate([{ transform: "translateY(-22px)" }, { transform: "none" }],
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

/* Who has chosen a place on a grey strip sees its colours, and the page hears of it. */
function guessed(film) {
  if (!film.veiled) {
    film.guess = "";
    return;
  }
  const { nodes } = film;
  film.veiled = false;
  rerun(film);
  const detail = { landing: film.landing, kind: film.kinds[film.landing - 1] ?? "ok" };
  nodes.root.dispatchEvent(new CustomEvent("film:guess", { bubbles: true, detail }));
  if (!film.asks) return;
  const to = nearestLoss(film);
  film.guess = guessWords(to && to - film.landing);
  film.guessed = film.landing;
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
export const asking = { arrive, dress, guessed, paintTally, reveal, words: ASKING };
