/* The bar under the heading: what is said, how much has come, the buttons for all of the page. */

/* global STOP: the word that films have as well (run_pack.py). */

const MB = (bytes) => (bytes / 1e6).toFixed(1);
const NO_MARK = "A check in this page is no mark: whoever grades runs the notebook anew.";
const make = (tag, props, ...inner) => {
  const el = Object.assign(document.createElement(tag), props);
  el.append(...inner);
  return el;
};

export class Bar {
  /* `said` is what a screen reader speaks; what counts up stands beside it. */
  constructor(box, said, stop) {
    Object.assign(this, { box, said, stop, own: [] });
  }

  say(words) {
    const text = words[0].toUpperCase() + words.slice(1);
    if (this.said.textContent !== text) this.said.textContent = text;
  }

  add(el, isLast) {
    if (isLast) this.box.append(el);
    else this.said.before(el);
    this.own.push(el);
    return el;
  }

  button(textContent, onclick, title = "") {
    return this.add(make("button", { type: "button", textContent, onclick, title }));
  }

  /* While Python is loading it can be given up, and says how much has come. */
  loads() {
    this.stops = this.button(STOP, this.stop);
    this.bytes = this.add(make("span", {}), true);
  }

  tell(come, total) {
    this.bytes.textContent = `${MB(come)} of ${MB(total)} MB, unpacked`;
  }

  /* It is there. `acts` are the buttons' names, what each does, and more words on it. */
  opens(pressed, acts, licences, isLab) {
    const hadFocus = [pressed, this.stops, document.body].includes(document.activeElement);
    this.bytes.remove();
    const [first] = Object.entries(acts).map(([name, [act, title]]) => this.button(name, act, title));
    this.first = first;
    this.add(this.stops); // the last of them: it comes and goes
    this.runs(false);
    this.add(make("a", { href: licences, textContent: "Licences" }), true);
    if (isLab) this.box.after(make("p", { className: "kvmexit-live-note", textContent: NO_MARK }));
    pressed.remove();
    if (hadFocus) first.focus({ preventScroll: true });
  }

  /* Something runs, or nothing. A button that goes leaves the keyboard at one that stays. */
  runs(isRunning) {
    if (!isRunning && document.activeElement === this.stops) this.first.focus({ preventScroll: true });
    this.stops.hidden = !isRunning;
  }

  /* Texts that have no cell any more, to be read and copied. */
  left(texts, forget) {
    const box = make("details", { className: "kvmexit-live-left" },
      make("summary", { textContent: "What you wrote to cells that this page has no more" }),
      ...texts.map((text) => make("pre", { textContent: text, tabIndex: 0 })),
      make("button", { type: "button", textContent: "Forget it", onclick: () => {
        forget();
        box.remove();
        this.first.focus();
      } }));
    this.box.after(box);
  }

  /* As it was before the press. */
  close() {
    for (const el of this.own) el.remove();
    this.own = [];
  }
}
