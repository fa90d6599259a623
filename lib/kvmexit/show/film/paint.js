/* What is drawn when the run is another one, and when only the step is. */

import { paintBytes, paintGhosts, readBytes } from "./bytes.js";
import { set } from "./dom.js";
import { driverText } from "./fates.js";
import { damage, paintStrip } from "./strip.js";
import { TOLD, WORDS } from "./vocabulary.js";

/* What depends on the run alone. */
export function paintRun(film) {
  const { model, nodes, reel, choice, landing } = film, { chain } = reel.world(choice);
  film.kinds = model.get("live") ? model.get("strip") : reel.kinds(choice);
  nodes.whereBox.classList.toggle("hide", !film.kinds.length && !model.get("live"));
  nodes.rows.classList.toggle("program", reel.data.program);
  nodes.rows.classList.toggle("hide", reel.data.program && !film.kinds.length);
  set(nodes.title, reel.data.title);
  nodes.root.setAttribute("aria-label", reel.data.title || WORDS.film);
  readBytes(film);
  set(nodes.at, landing ? `${WORDS.suspend} ${landing} of ${chain.length}` : WORDS.nobody);
  nodes.before.disabled = !landing;
  nodes.after.disabled = landing === chain.length;
  nodes.earlier.disabled = !damage(film, -1);
  nodes.later.disabled = !damage(film, 1);
  hearLanding(film, chain);
  paintStrip(film);
  paintBytes(film);
}

/* Where the suspend lands and what comes of it, to be heard. */
function hearLanding({ nodes, reel, landing, told, said, veiled }, chain) {
  const next = landing && reel.sentence(reel.nodeAt(chain[landing - 1]));
  const where = landing ? `${landing} of ${chain.length}, before: ${next}` : WORDS.plain;
  setSlider(nodes.landing, chain.length, landing, veiled ? where : `${where} ${told} ${said}`);
}

export function setSlider(slider, most, now, text) {
  const values = { max: most, now, text };
  for (const name in values) slider.setAttribute(`aria-value${name}`, values[name]);
}

/* What depends on the step. */
export function paintStep(film) {
  paintGhosts(film);
  film.whole?.paint(film);
}

/* The drawings have the width that there is, and texts the lines that the longest of them needs. */
export function fit(film) {
  const now = film.nodes.landing.clientWidth || film.nodes.lanes.parentNode?.clientWidth;
  if (!now || now === film.width) return;
  film.width = now;
  film.trackWidth = film.nodes.step.clientWidth; // asked for once: it costs a layout
  film.rowWidth = film.nodes.got.clientWidth;
  paintStrip(film);
  paintBytes(film);
  reserve(film);
  film.whole?.paint(film);
}

/* Nothing below a text may move: it gets the height of the longest that there is. */
export function hold(box, nodes, all) {
  const before = nodes.map((node) => node.textContent), long = (texts) => texts.join("").length;
  const longest = all.reduce((most, one) => (long(one) > long(most) ? one : most), before);
  box.style.minHeight = "";
  nodes.forEach((node, k) => { node.textContent = longest[k]; });
  box.style.minHeight = `${box.offsetHeight}px`;
  nodes.forEach((node, k) => { node.textContent = before[k]; });
}

function reserve({ nodes: { say, told, outcome, driver }, reel: { data } }) {
  hold(told, [outcome, driver], data.ends.map(([kind, , shift, returned, message]) =>
    [TOLD[kind].replace(/{.*}/, "1 byte 00".padEnd(6 + 3 * Math.min(4, shift))), driverText({ returned, message })]));
  hold(say, [say], data.texts.map(([, , text]) => [text]));
}
