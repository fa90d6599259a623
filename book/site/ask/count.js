/* The page that counts: guessed and right, chapter by chapter, what to read again, and two
   switches. It reads what this browser keeps, and asks nobody else. */

import { make } from "./dom.js";
import { cover, covers, forget, lasts, recall } from "./keep.js";

const LOST = "This browser keeps nothing for this site (a private window, perhaps, or storage is"
  + " switched off), so there is nothing to count here.";

export function count(table) {
  const says = table.querySelector(".without");
  const rows = [...table.querySelectorAll("tbody tr")].map((row) => ({
    asked: Object.entries(JSON.parse(row.dataset.questions)),
    cells: [...row.children].slice(-2),
    link: row.querySelector("a"),
  }));
  const keys = rows.flatMap(({ asked }) => asked.map(([key]) => key));
  const again = make("div", { className: "again" });
  table.append(again, covering(), clearing(keys, draw));

  function draw() {
    for (const { asked, cells } of rows) {
      const kept = asked.map(([key]) => recall(key)).filter(Boolean);
      cells[0].textContent = `${kept.length} of ${asked.length}`;
      cells[1].textContent = kept.filter(({ right }) => right).length;
    }
    const kept = keys.map(recall).filter(Boolean), right = kept.filter((one) => one.right).length;
    says.textContent = lasts()
      ? `You have guessed at ${kept.length} of ${keys.length} questions, and ${right} of these`
        + " guesses were right. This browser keeps them and sends them nowhere."
      : LOST;
    again.replaceChildren(...toReadAgain(rows));
  }

  draw();
  window.addEventListener("storage", draw); // a chapter in another tab
  return draw;
}

function toReadAgain(rows) {
  const found = rows.map(({ asked, link }) => {
    const wrong = asked.filter(([key]) => recall(key)?.right === false);
    return { wrong, link };
  }).filter(({ wrong }) => wrong.length);
  if (!found.length) return [];
  const items = found.map(({ wrong, link }) => make("li", {}, link.textContent,
    make("ul", {}, ...wrong.map(([key, html]) => {
      const to = make("a", { href: `${link.getAttribute("href")}#predict-${key}` });
      to.innerHTML = html;
      return make("li", {}, to);
    }))));
  return [make("h2", { textContent: "To read again" }), make("ul", {}, ...items)];
}

function covering() {
  const box = make("input", { type: "checkbox", checked: covers() });
  box.addEventListener("change", () => cover(box.checked));
  return make("p", {}, make("label", {}, box, " Cover what answers a question until I have guessed"));
}

/* Two presses, as nothing brings the guesses back. */
function clearing(keys, draw) {
  const clear = make("button", { type: "button", textContent: "Forget all guesses" });
  const sure = make("button", { type: "button", textContent: "Yes, forget them" });
  const no = make("button", { type: "button", textContent: "No, keep them" });
  const said = make("span", { role: "status" });
  const turn = (asking) => {
    clear.hidden = asking;
    sure.hidden = no.hidden = !asking;
    said.textContent = asking ? "Nothing brings them back." : "";
    (asking ? sure : clear).focus();
  };
  sure.hidden = no.hidden = true;
  clear.addEventListener("click", () => turn(true));
  no.addEventListener("click", () => turn(false));
  sure.addEventListener("click", () => {
    keys.forEach(forget);
    draw();
    turn(false);
    said.textContent = "All are forgotten.";
  });
  return make("p", { className: "forget" }, clear, sure, no, said);
}
