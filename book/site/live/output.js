/* What a cell says, in the place of what the book has stored there. */

const make = (tag, props, ...inner) => {
  const el = Object.assign(document.createElement(tag), props);
  el.append(...inner);
  return el;
};

/* What plays in a page, by the class of its place, and which scripts can. The first is loaded where
   the page has none of them. */
const PLAYERS = {
  "kvmexit-film": ["film.js", "asking.js", "player.js"],
  "kvmexit-night": ["night.js"],
  "kvmexit-atlas": ["atlas.js"],
  "kvmexit-picture": ["picture.js"],
  "kvmexit-predict": ["guesses.js"],
};

/* Who is in the page hears of it; a script that comes late finds it by itself. */
function bringToLife(box, load) {
  for (const [mark, scripts] of Object.entries(PLAYERS)) {
    if (!box.querySelector(`.${mark}`)) continue;
    const isThere = scripts.some((name) => document.querySelector(`script[src*="/${name}"]`));
    if (!isThere) load(`../${scripts[0]}`).catch(() => {}); // it is whole without
  }
  box.dispatchEvent(new Event("kvmexit-output", { bubbles: true }));
}

export class Output {
  /* `box` is the cell in the page, `stored` by what its stored outputs of HTML are known. */
  constructor(box, stored, load) {
    this.box = box;
    this.stored = stored;
    this.load = load;
    this.place = box.querySelector(".cell_output");
    this.book = this.place ? [...this.place.childNodes] : [];
    this.isBook = true;
    this.said = [];
  }

  begin() {
    this.said = [];
    this.note?.remove();
    this.fault?.remove();
  }

  /* While a reader types, an error stands below what the text before had to say. */
  below(text) {
    if (this.wrong === text) return; // it stands there already
    const pre = make("pre", { textContent: text });
    this.fault = make("div", { className: "output kvmexit-live-error", role: "status" }, pre);
    this.box.append(this.fault);
  }

  /* An output that the page has already stays as it is, with what the reader has set in it. */
  hear(kind, value) {
    const has = this.isBook && !this.said.length && this.stored.length === 1;
    this.said.push([kind, value]);
    if (has && value?.digest === this.stored[0]) return;
    if (this.isBook || this.said.length === 1) this.clear();
    else this.show(kind, value);
  }

  /* What was stored goes, and all that was said so far takes its place. */
  clear() {
    this.isBook = false;
    if (!this.place) {
      this.place = make("div", { className: "cell_output docutils container" });
      this.box.append(this.place);
    }
    this.place.replaceChildren();
    this.last = this.wrong = null;
    for (const one of this.said) this.show(...one);
  }

  show(kind, value) {
    if (kind === "stream" && this.last?.kind === "stream") return this.append(value);
    const html = value["text/html"] ?? value["image/svg+xml"];
    if (html) {
      const box = make("div", { className: "output text_html" });
      box.innerHTML = html;
      this.place.append(box);
      this.last = null;
      bringToLife(box, this.load);
      return;
    }
    const pre = make("pre", {});
    const style = { stream: "stream", error: "traceback kvmexit-live-error" }[kind] ?? "text_plain";
    const around = make("div", { className: `output ${style} highlight-myst-ansi notranslate` });
    around.append(make("div", { className: "highlight" }, pre));
    if (kind === "error") this.wrong = value;
    if (kind === "error") around.setAttribute("role", "alert");
    this.place.append(around);
    this.last = { kind, pre };
    this.append(typeof value === "string" ? value : value["text/plain"]);
  }

  append(text) {
    this.last.pre.append(text);
  }

  /* The cell has ended. If it said nothing, what was stored is no longer true. What is wider than
     its place can be reached by the keyboard, to be scrolled. */
  end(fine) {
    if (fine && !this.said.length && this.place?.childNodes.length) this.clear();
    for (const pre of this.box.querySelectorAll(".output pre"))
      if (pre.scrollWidth > pre.clientWidth) pre.tabIndex = 0;
  }

  /* What cannot run here keeps what the book has, and says why. */
  absent(reason) {
    this.asInBook();
    const words = this.book.length ? "This is the book's own output: " : "This cell does not run here: ";
    this.note = make("p", { className: "kvmexit-live-note", textContent: `${words}${reason}.` });
    this.box.append(this.note);
  }

  asInBook() {
    if (!this.isBook) this.place.replaceChildren(...this.book);
    this.isBook = true;
    this.said = [];
    this.wrong = null;
    this.note?.remove();
    this.fault?.remove();
  }
}
