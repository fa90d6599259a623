/* One cell of the page: its text, whether it has run, and, where the reader may change it, its
   editor and buttons. */

import { carried } from "./address.js";
import { editor, replace } from "./editor.js";
import { keep } from "./kept.js";
import { Output } from "./output.js";
import { linkTo } from "./share.js";

const make = (tag, props, ...inner) => {
  const el = Object.assign(document.createElement(tag), props);
  el.append(...inner);
  return el;
};

const forgetLink = () => history.replaceState(history.state, "", location.href.replace(/#.*/, ""));

const PAUSE = 200; // milliseconds after which a reader has stopped typing

export class Cell {
  constructor(given, number, live) {
    Object.assign(this, given, { first: given.source, key: given.source, number, live, ran: false, edition: 0 });
    this.name = `cell ${number}`;
  }

  get isChanged() {
    return this.source !== this.first;
  }

  /* The cell's box in the page, and its number among those that are shown. */
  dress(box, shownAs) {
    this.box = box;
    this.name = `cell ${shownAs}`;
    this.output = new Output(box, this.stored, this.live.load);
    if (this.shown === "all") this.open(box.querySelector(".cell_input"));
  }

  open(input) {
    const { live, name } = this;
    const button = (textContent, act, title = "") => {
      const made = make("button", { type: "button", textContent, title });
      made.addEventListener("click", act);
      return made;
    };
    const place = make("div", { className: "kvmexit-live-editor highlight" });
    const reset = button("As in the book", () => this.setText(this.first));
    const share = button("Share", () => this.share(share));
    share.setAttribute("aria-label", `Share ${name} as it is now, by a link`);
    this.buttons = make("div", { className: "kvmexit-live-cell" },
      make("span", { textContent: name[0].toUpperCase() + name.slice(1) }),
      button("Run", () => live.runTo(this), "Ctrl-Enter; what stands above and has not run goes first"),
      button("Run all above", () => live.runAbove(this)), reset, share);
    this.still = [...input.childNodes];
    this.input = input;
    input.replaceChildren(place, this.buttons);
    this.changing = [reset, share];
    this.mark();
    const keys = {
      "Ctrl-Enter": () => live.runTo(this),
      "Cmd-Enter": () => live.runTo(this),
      "Shift-Enter": () => live.runOn(this),
    };
    const label = `${name}, Python; Control and Enter run it`;
    this.view = editor({ parent: place, text: this.source, label, keys, changed: (it) => this.changed(it) });
  }

  /* A change makes this cell's names, and those that later cells made of them, old. */
  changed(text) {
    this.source = text;
    this.live.makeOld(this);
    this.mark();
    if (this.isBeingBrought) return;
    if (carried(location.hash)) forgetLink(); // another visit is to find what was typed last
    if (!keep(this.live.page, this.key, text === this.first ? null : text)) this.live.cannotKeep();
    for (const one of this.live.followers(this)) one.soon();
  }

  /* It runs by itself when the reader has stopped typing. */
  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.live.follow(this), PAUSE);
  }

  mark() {
    for (const one of this.changing) one.hidden = !this.isChanged;
  }

  setText(text) {
    replace(this.view, text);
    if (text !== this.first) return;
    this.isForeign = false;
    this.output.asInBook();
    this.view.focus();
  }

  /* A text that a link has brought. It is nobody's here until the reader runs or changes it: it is
     not kept, and nothing runs by itself on it. A change of the reader's own does not make way
     unasked. Returns what is to be said. */
  bring(text) {
    this.question?.remove();
    this.box.closest("details")?.setAttribute("open", "");
    this.input.closest("details")?.setAttribute("open", "");
    this.box.scrollIntoView({ block: "center" });
    if (text === this.source) return `${this.name} is as the link has it.`;
    if (this.isChanged) return this.ask(text);
    this.take(text);
    return `The link has changed ${this.name}. Look at it before you run it.`;
  }

  take(text) {
    this.isForeign = this.isBeingBrought = true;
    replace(this.view, text);
    this.isBeingBrought = false;
  }

  ask(text) {
    const words = `The link has another text for ${this.name}, which you have changed yourself.`;
    const answer = (textContent, act) => make("button", { type: "button", textContent, onclick: () => {
      act();
      this.question.remove();
      this.view.focus();
    } });
    this.question = make("div", { className: "kvmexit-live-cell" },
      make("span", { textContent: words }),
      answer("Take the link's", () => {
        this.take(text);
        this.live.say("Look at it before you run it. Undo brings yours back.");
      }),
      answer("Keep mine", forgetLink));
    this.question.setAttribute("role", "group");
    this.question.setAttribute("aria-label", words);
    this.input.prepend(this.question);
    return `${words} It is yours that stands there.`;
  }

  async share(button) {
    const address = await linkTo(this.key, this.source);
    if (!address) return this.live.say("This cell is too long for a link: some 8000 characters, packed.");
    history.replaceState(history.state, "", address);
    try {
      await navigator.clipboard.writeText(address);
      this.live.say("The link is copied. Who opens it finds this cell as it is now.");
    } catch {
      this.live.say("The link is in the address of this page.");
    }
    button.focus();
  }

  /* The page as it was. */
  close() {
    this.view?.destroy();
    this.view = null;
    if (this.input) this.input.replaceChildren(...this.still);
  }
}
