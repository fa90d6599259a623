/* A question: made from the box that stands there without scripts, asked once, and answered for
   good. A part of its own asks: a choice of guesses, or a strip. It gives

     nodes           what stands between the question and the buttons
     first()         what has the focus when it is asked again
     read()          the guess as the reader has made it so far, or null
     show(guess)     the same elements with the guess in them, locked, and answered
     judge(guess)    {right, words}
     missing         what to say where there is no guess yet */

import { choice } from "./choice.js";
import { KEYS, make } from "./dom.js";
import { forget, keep, lasts, recall } from "./keep.js";
import { strip } from "./row.js";
import { GUESSES } from "./vocabulary.js";
import { CSS } from "./look.js";

const NOT_KEPT = "This browser keeps nothing for this page, so the guess ends with your visit.";
const button = (textContent) => make("button", { type: "button", textContent, ...KEYS });

/* `home` is the address of the page that counts guesses, where there is one. */
export function ask(box, home = "") {
  const still = [...box.childNodes], [asked] = box.children, { key, kind } = box.dataset;
  const name = `${box.id}-asked`;
  const parts = kind === "choice" ? choice(box, name) : strip(box);
  const commit = button("That is my guess"), again = button("Ask me again");
  const said = make("p", { className: "said", role: "status", tabIndex: -1 });
  const need = make("p", { className: "need", role: "status" });
  const tally = make("a", { href: home, textContent: "Your guesses", className: "tally" });
  const bar = make("div", { className: "bar" }, commit, need, again, ...(home ? [tally] : []));
  const paper = make("div", { className: "paper" }, ...still); // for print, all answers open
  const question = asked.cloneNode(true);
  question.id = name;
  const root = make("div", { className: "kxq", role: "group" }, question, said, ...parts.nodes, bar);
  root.setAttribute("aria-labelledby", name);

  function draw() {
    const kept = recall(key);
    root.classList.toggle("done", kept !== null);
    parts.show(kept?.guess ?? null);
    commit.hidden = need.hidden = kept !== null;
    need.textContent = "";
    again.hidden = tally.hidden = kept === null;
    said.replaceChildren();
    if (kept === null) return;
    const { right, words } = parts.judge(kept.guess);
    const { sign, word } = GUESSES[right ? "right" : "wrong"];
    said.className = `said ${right ? "yes" : "no"}`;
    said.append(make("strong", { textContent: `${sign} ${word}.` }), " ", ...words);
    if (!lasts()) said.append(` ${NOT_KEPT}`);
  }

  const tell = () => box.dispatchEvent(new CustomEvent("kvmexit-guess", { bubbles: true }));
  commit.addEventListener("click", () => {
    const guess = parts.read();
    if (guess === null) {
      need.textContent = parts.missing;
      return;
    }
    keep(key, { guess, right: parts.judge(guess).right });
    draw();
    said.focus(); // the button that had it is gone
    tell();
  });
  /* Whoever has chosen is no longer told to. */
  for (const heard of ["input", "pointerdown", "keydown", "click"])
    root.addEventListener(heard, () => { if (parts.read() !== null) need.textContent = ""; });
  again.addEventListener("click", () => {
    forget(key);
    draw();
    parts.first().focus();
    tell();
  });
  for (const one of still) if (one.nodeName === "DETAILS") one.open = true;
  box.replaceChildren(make("style", { textContent: CSS }), root, paper);
  draw();
  return draw;
}
