/* Where the reader is: the choice of a run, its landing, its step; and how each is changed. */

import { paintRun, paintStep } from "./paint.js";
import { paintStrip } from "./strip.js";

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
}

/* Another run. At the end the reader stays at the end; inside a suspend, at the same kind of
   step; otherwise the request is what there is to see. */
export function rerun(film, keep = false) {
  const { reel, choice, here } = film;
  film.landing = Math.min(film.landing, reel.world(choice).chain.length);
  film.steps = reel.run(choice, film.landing);
  const last = film.steps.length - 1;
  if (!keep) {
    const own = (what) => film.steps.findIndex((one) => !one.own && reel.what(one) === what);
    const places = [own(here), own("restore"), own("request"), film.step];
    film.step = here === "end" ? last : places.find((i) => i >= 0);
  }
  film.step = Math.max(0, Math.min(film.step, last));
  paintRun(film);
  show(film);
}

function show(film) {
  const { reel, steps, step } = film, one = steps[step];
  film.here = step === steps.length - 1 ? "end" : one.own ? "request" : reel.what(one);
  paintStep(film);
}

/* To another step of the same run. */
export function go(film, to) {
  const next = Math.max(0, Math.min(film.steps.length - 1, to));
  if (next === film.step) return;
  film.step = next;
  show(film);
  save(film, "step");
}

/* To another landing. Live, the run has to be made first: `data` will change when it is. */
export function land(film, to) {
  const { model, nodes } = film;
  const next = Math.max(0, Math.min(film.reel.world(film.choice).chain.length, to));
  if (next === film.landing) return;
  film.landing = next;
  if (model.get("live")) {
    nodes.landing.value = next;
    paintStrip(film);
    save(film, "landing");
    return;
  }
  rerun(film);
  save(film, "landing", "step");
}

/* To the next landing, one way or the other, at which the outcome is another. */
export function jump(film, direction) {
  const { kinds } = film, kind = (at) => (at === 0 ? "ok" : kinds[at - 1]);
  let at = film.landing;
  do at += direction; while (at >= 0 && at <= kinds.length && kind(at) === kind(film.landing));
  if (at >= 0 && at <= kinds.length) land(film, at);
}
