/* The questions of a page of the book: each is asked, what answers it is covered until then, and
   the page that counts guesses is filled in. */

import { ask } from "./ask.js";
import { coverAnswers } from "./cover.js";
import { count } from "./count.js";
import { recall } from "./keep.js";

const COUNTER = "book/reference/guesses.html";

function page() {
  const home = (document.documentElement.dataset.content_root ?? "") + COUNTER;
  const questions = [...document.querySelectorAll(".kvmexit-predict")];
  const redraw = questions.map((box) => ask(box, home));
  const covers = coverAnswers(questions, home);
  tally(questions);
  document.addEventListener("kvmexit-guess", () => tally(questions));
  const table = document.querySelector(".kvmexit-guesses");
  if (table) redraw.push(count(table));
  /* A cell that was run in the page may ask as well. */
  document.addEventListener("kvmexit-output", ({ target }) => {
    for (const box of target.querySelectorAll(".kvmexit-predict")) redraw.push(ask(box, home));
  });
  /* A page that comes back as it was may be late: elsewhere something was forgotten. */
  window.addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    for (const draw of redraw) draw();
    covers();
    tally(questions);
  });
}

/* How it stands on this page, in the link to the page that counts them all. */
function tally(questions) {
  const kept = questions.map(({ dataset }) => recall(dataset.key)).filter(Boolean);
  const right = kept.filter((one) => one.right).length;
  for (const link of document.querySelectorAll(".kxq .tally"))
    link.textContent = `Your guesses: ${right} of ${kept.length} right on this page`;
}

export default page;
