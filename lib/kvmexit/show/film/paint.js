/* What is drawn when the run is another one, and when only the step is. */

import { paintCards } from "./cards.js";
import { paintDifference } from "./difference.js";
import { set } from "./dom.js";
import { paintLanes } from "./lanes.js";
import { endWords } from "./marks.js";
import { sceneAt } from "./scene.js";
import { paintStrip } from "./strip.js";

/* What depends on the run alone. */
export function paintRun(film) {
  const { model, nodes, reel, choice, landing, steps } = film, { chain } = reel.world(choice);
  film.kinds = model.get("live") ? model.get("strip") : reel.kinds(choice);
  nodes.step.max = steps.length - 1;
  nodes.landing.max = chain.length;
  nodes.landing.value = landing;
  for (const name of ["landingBox", "differenceLabel"])
    nodes[name].classList.toggle("hide", !film.kinds.length);
  for (const name of ["guestCard", "verdictCard"])
    nodes[name].classList.toggle("hide", reel.data.program);
  set(nodes.title, reel.data.title);
  set(nodes.at, landing ? `${landing} of ${chain.length}` : "nowhere");
  paintOutcome(film, chain);
  paintStrip(film);
  paintDifference(film);
}

/* Where the suspend lands and what comes of it, to be read and to be heard. */
function paintOutcome({ nodes, reel, choice, landing }, chain) {
  const end = reel.end(choice, landing);
  let where = "Nobody suspends it: the undisturbed run.";
  if (landing) {
    const next = reel.sentence({ text: reel.text[chain[landing - 1]] });
    where = `The request to suspend arrives here. Without it, this would be next: “${next}”`;
  }
  const outcome = `Outcome: ${endWords(end)}, ${reel.data.meanings[end.kind]}.`;
  nodes.landing.setAttribute("aria-valuetext", `${where} ${outcome}`);
  set(nodes.where, where);
  set(nodes.outcome, outcome);
}

/* What depends on the step. */
export function paintStep(film) {
  const { nodes, reel, steps, step } = film, scene = sceneAt(reel, steps, step);
  nodes.step.value = step;
  nodes.step.setAttribute("aria-valuetext", scene.sentence);
  set(nodes.say, scene.sentence);
  set(nodes.number, `${step + 1} of ${steps.length}`);
  paintCards(film, scene);
  paintLanes(film);
}

/* The drawings have the width that there is. */
export function fit(film) {
  const now = film.nodes.lanes.parentNode.clientWidth;
  if (!now || now === film.width) return;
  film.width = now;
  paintStrip(film);
  paintLanes(film);
}
