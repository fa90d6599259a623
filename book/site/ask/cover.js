/* Covers over what answers a question, until there is a guess or the reader will not guess. What
   is covered is inert: out of the way of the keyboard and of a screen reader, to whom the cover
   says what is there, and whose buttons open it. */

import { make } from "./dom.js";
import { cover, covers, recall } from "./keep.js";

/* `home` is the address of the page whose switch brings covers back. */
export function coverAnswers(questions, home) {
  const opened = new Set(); // keys of questions that are not to be guessed at, on this visit
  const all = questions.map((box) => {
    const { key } = box.dataset;
    const answers = [...document.querySelectorAll(`.kvmexit-answer.of-${key}`)];
    return { key, answers, lid: answers.length ? lid(key, answers[0]) : null };
  }).filter(({ lid }) => lid);

  function draw() {
    for (const { key, answers, lid } of all) {
      const closed = covers() && recall(key) === null && !opened.has(key);
      lid.hidden = !closed;
      for (const answer of answers) answer.inert = closed;
    }
  }

  function lid(key, first) {
    const open = (act) => () => {
      act();
      draw();
      first.tabIndex = -1;
      first.focus({ preventScroll: true }); // the button that had it is gone
    };
    const show = make("button", { type: "button", textContent: "Show without guessing" });
    const never = make("button", { type: "button", textContent: "Never cover answers" });
    show.addEventListener("click", open(() => opened.add(key)));
    never.addEventListener("click", open(() => cover(false)));
    const says = "What follows answers the question, and is covered until you have guessed. ";
    const back = make("a", { href: home, textContent: "Your guesses" });
    const text = make("p", {}, says, "(", back, " has a switch for all covers.)");
    const made = make("div", { className: "kxv" }, text, show, never);
    first.before(made);
    return made;
  }

  document.addEventListener("kvmexit-guess", draw);
  openFor(opened, draw);
  draw();
  return draw;
}

/* Whoever follows a link into what is covered, or to the state of a film there, has asked for it. */
function openFor(opened, draw) {
  const open = (there) => {
    const answer = there?.closest(".kvmexit-answer[class*='of-']");
    const key = answer?.className.match(/\bof-(\w+)/)?.[1];
    if (!key || opened.has(key)) return false;
    opened.add(key);
    draw();
    return true;
  };
  const look = () => {
    const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (open(there)) there.scrollIntoView();
  };
  window.addEventListener("hashchange", look);
  document.addEventListener("kvmexit-shown", ({ target }) => open(target));
  look();
}
