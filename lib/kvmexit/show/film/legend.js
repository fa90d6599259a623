/* What the marks mean: each with its word. */

import { draw, drawing, make } from "./dom.js";
import { OUTCOMES } from "./vocabulary.js";

/* `marks` are [path around (0, 0), its classes, its word]. */
export const legend = (marks) => make("div", { className: "legend" }, ...marks.map(([d, name, word]) => {
  const svg = drawing({ viewBox: "-10 -10 20 20", "aria-hidden": "true" });
  draw(svg, "path", { class: name, d });
  return make("span", {}, svg, word);
}));

/* An outcome's mark, as it stands on the strip. */
export const outcomeMark = (kind, word = kind) => [OUTCOMES[kind].bars
  .map(([top, bottom]) => `M-4 ${top - 10}h8v${bottom - top}h-8z`).join(""), kind, word];
