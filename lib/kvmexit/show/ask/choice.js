/* One of several guesses, as radio buttons. The answers come with the guess. */

import { make } from "./dom.js";
import { GUESSES } from "./vocabulary.js";

export function choice(box, name) {
  const options = [...box.querySelectorAll(":scope > details")].map((still, n) => {
    const [guess, answer] = still.children;
    const radio = make("input", { type: "radio", name: `${name}-guess` });
    radio.setAttribute("data-lm-suppress-shortcuts", "true");
    const mark = make("small");
    const text = make("span", {}, ...[...guess.childNodes].map((one) => one.cloneNode(true)));
    const label = make("label", {}, radio, text, mark);
    const said = answer.cloneNode(true);
    const row = make("div", { className: "option" }, label, said);
    return { n, radio, text, mark, said, row, right: "right" in still.dataset };
  });
  const list = make("div", { role: "radiogroup" }, ...options.map(({ row }) => row));
  list.setAttribute("aria-labelledby", name);

  function show(guess) {
    for (const { n, radio, mark, said, row, right } of options) {
      radio.checked = n === guess;
      radio.disabled = guess !== null;
      said.hidden = guess === null;
      row.classList.toggle("mine", n === guess);
      const { sign } = GUESSES[right ? "right" : "wrong"];
      mark.textContent = guess === null ? "" : n === guess ? `${sign} your guess` : sign;
    }
  }

  return {
    nodes: [list],
    missing: "Choose one of the guesses first.",
    first: () => options[0].radio,
    read: () => options.find(({ radio }) => radio.checked)?.n ?? null,
    judge(guess) {
      const right = options[guess]?.right ?? false, good = options.filter((one) => one.right);
      const named = good.flatMap(({ text }, n) =>
        [n ? "; and right is: " : "Right is: ", ...[...text.childNodes].map((it) => it.cloneNode(true))]);
      return { right, words: right ? [] : [...named, "."] };
    },
    show,
  };
}
