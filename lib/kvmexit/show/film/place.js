/* Where the reader is: the choice of a run, its landing, its step; and how each is changed. */

import { paintRun, paintStep } from "./paint.js";
import { within } from "./reel.js";
import { paintStrip } from "./strip.js";
import { eventsOf, stopsOf } from "./story.js";

export function read(film) {
  const { model } = film;
  film.choice = [...(model.get("choice") ?? [0, 0, 0, 0])];
  film.landing = model.get("landing") ?? 0;
  film.step = model.get("step") ?? 0;
}

/* Tell the model, and with it whoever else shows this film. */
export function save(film, ...names) {
  const values = { choice: [...film.choice], landing: film.landing, step: film.step };
  for (const name of names) film.model.set(name, values[name]);
  film.model.save_changes();
  film.moved();
}

/* Another run; behind the veil it is the undisturbed one, wherever the arrow is. At a named stop the reader stays at it; inside a suspend, at the same kind of step;
   otherwise the request is what there is to see. */
export function rerun(film, keep = false) {
  const { reel, choice, here } = film, { chain, expected } = reel.world(choice);
  film.landing = within(chain.length, film.landing);
  const at = film.veiled ? 0 : film.landing;
  film.steps = reel.run(choice, at);
  film.end = reel.end(choice, at);
  film.stops = stopsOf(reel, film.steps, film.end, expected);
  film.events = eventsOf(reel, film.steps, film.stops);
  const last = film.steps.length - 1;
  if (!keep) {
    const own = (what) => film.steps.findIndex((one) => !one.own && reel.what(one) === what);
    const { stops } = film;
    const places = [stops[here] ?? -1, own(here), here === "wrong" ? last : -1,
      stops.restore ?? -1, stops.request ?? -1, film.step];
    film.step = places.find((i) => i >= 0);
  }
  film.step = within(last, film.step);
  paintRun(film);
  show(film);
}

/* The named stop at which the reader is, or else the kind of step. */
function hereOf({ reel, steps, step, stops }) {
  const named = Object.keys(stops).findLast((name) => stops[name] === step);
  return named ?? (steps[step].own ? "request" : reel.what(steps[step]));
}

function show(film) {
  film.here = hereOf(film);
  paintStep(film);
}

/* To another step of the same run. */
export function go(film, to) {
  const next = within(film.steps.length - 1, to);
  if (next === film.step) return;
  film.step = next;
  show(film);
  save(film, "step");
}

/* Some events on or back; far enough, to an end. */
export function goBy(film, by) {
  const { events, step } = film;
  const on = by > 0 ? events.filter((at) => at > step) : events.filter((at) => at < step).reverse();
  if (on.length) go(film, on[Math.min(Math.abs(by), on.length) - 1]);
}

/* To another landing. Live, the run has to be made first: `data` will change when it is. Behind the
   veil only the arrow moves, and nobody hears of it. */
export function land(film, to) {
  const { model, veiled } = film;
  const next = within(film.reel.world(film.choice).chain.length, to);
  if (next === film.landing) return;
  film.landing = next;
  if (model.get("live") && !veiled) paintStrip(film);
  else rerun(film);
  if (!veiled) save(film, "landing", "step");
}

/* To a whole state at once: what a link or another window says. */
export function visit(film, { choice, landing, step }) {
  Object.assign(film, { choice: [...choice], landing });
  rerun(film, true);
  const { stops, reel, steps } = film;
  const kind = () => steps.findIndex((one) => reel.what(one) === step && (!one.own || !stops.request));
  const at = typeof step === "number" ? step : stops[step] ?? kind();
  film.step = within(steps.length - 1, at);
  show(film);
  save(film, "choice", "landing", "step");
}
