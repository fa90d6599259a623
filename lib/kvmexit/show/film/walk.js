/* What moves by itself: the suspend walks to a landing, once, when the film is seen. */

import { land } from "./place.js";
import { run, still } from "./play.js";

const WALK = 7, STRIDE = 220, FLASH = 700; // strides; milliseconds

/* The suspend walks to a landing, and what is lost there flashes. */
export function walk(film, to) {
  const from = film.landing, far = Math.abs(to - from), strides = still() ? 1 : Math.min(WALK, far);
  const places = Array.from({ length: strides }, (_, k) =>
    Math.round(from + ((to - from) * (k + 1)) / strides));
  const acts = places.map((at) => () => land(film, at));
  run(film, [...acts, () => flash(film)], STRIDE);
}

function flash({ nodes }) {
  const hole = nodes.got.querySelector('[data-fate="missing"]');
  if (!still()) hole?.animate([{ transform: "scale(1.7)" }, { transform: "none" }], FLASH);
}

/* It plays by itself once, and when the line and the bytes are seen. */
function whenSeen(film) {
  const { nodes: { whereBox, rows } } = film, hidden = new Set([whereBox, rows]);
  const watch = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries)
      hidden[isIntersecting ? "delete" : "add"](target);
    if (hidden.size) return;
    watch.disconnect();
    if (!still()) (film.veiled ? film.asking.arrive(film) : walk(film, film.landing));
  }, { threshold: 0.9 });
  for (const part of [whereBox, rows]) watch.observe(part);
}

/* What a film needs that plays by itself. */
export const walking = { whenSeen };
