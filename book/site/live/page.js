/* "Run it here", once it is pressed: the cells of the page, and Python that runs them in order. */

import { carried } from "./address.js";
import { Cell } from "./cell.js";
import { recall } from "./kept.js";
import { Python } from "./python.js";
import { unpack } from "./share.js";

const READY = "Python is ready. Ctrl-Enter runs a cell, Shift-Enter runs it and goes on.";
/* Seconds that a cell may take which runs by itself: at first, when it loads what it needs, and
   later, when it is known what it takes. */
const FIRST = 20, LEAST = 8, TIMES = 4;
const MB = (bytes) => (bytes / 1e6).toFixed(1);

const NO_MARK = () => {
  const words = document.createElement("small");
  words.textContent = "A check in this page is no mark: whoever grades runs the notebook anew.";
  return words;
};

/* global STOP: the word that films have as well (run_pack.py). */

class Live {
  queue = [];
  current = null;

  /* Called by the button; throws where something is missing, and leaves the page as it was. */
  async open({ base, page, bar, button, said, load }) {
    const folder = page.replace(/[^/]*$/, "");
    const tell = (come, total) => this.say(`Python is loading: ${MB(come)} of ${MB(total)} MB`);
    Object.assign(this, { page, bar, said, load, python: new Python({ base, folder, load, tell }) });
    this.cells = globalThis.kvmexitCells.map((cell, number) => new Cell(cell, number, this));
    const times = {};
    for (const cell of this.cells) {
      const before = times[cell.first] ?? 0; // a text may stand twice in a page
      if (before) cell.key += `\n# ${before + 1}`;
      times[cell.first] = before + 1;
    }
    try {
      this.dress();
      this.say("Python is loading.");
      await this.python.wake();
    } catch (problem) {
      for (const cell of this.cells) cell.close();
      throw problem;
    }
    this.addButtons(button);
    this.say(READY);
    const brought = await this.bring();
    const first = this.cells.find(({ shown }) => shown === "all");
    if (!brought && !this.cells.some((cell) => cell.isChanged)) await this.runTo(first);
  }

  say(words) {
    const text = words[0].toUpperCase() + words.slice(1);
    if (this.said.textContent !== text) this.said.textContent = text;
  }

  cannotKeep() {
    this.say("This browser keeps nothing for this page: what you change ends with your visit.");
  }

  dress() {
    const boxes = [...document.querySelectorAll("article div.cell.docutils")];
    const shown = this.cells.filter((cell) => cell.shown !== "none");
    if (shown.length !== boxes.length)
      throw new Error(`${boxes.length} cells in the page, ${shown.length} in its notebook`);
    const kept = recall(this.page);
    shown.forEach((cell, n) => {
      if (cell.shown === "all" && kept[cell.key] !== undefined) cell.source = kept[cell.key];
      cell.dress(boxes[n], n + 1);
    });
  }

  addButtons(button) {
    const add = (textContent, act) => {
      const made = document.createElement("button");
      Object.assign(made, { type: "button", textContent });
      made.addEventListener("click", act);
      this.said.before(made);
      return made;
    };
    this.runs = add("Run all", () => this.runAll());
    this.anew = add("Start over", () => this.startOver());
    this.stops = add(STOP, () => this.stop());
    add("Download", () => this.takeOut()).title = "This page as a notebook, with your changes";
    this.stops.hidden = true;
    const terms = document.createElement("a");
    Object.assign(terms, { href: `${this.python.base}licences.txt`, textContent: "Licences" });
    this.bar.append(terms);
    if (this.page.includes("/labs/")) this.bar.append(NO_MARK());
    const hadFocus = document.activeElement === button || document.activeElement === document.body;
    button.remove();
    if (hadFocus) this.runs.focus({ preventScroll: true });
  }

  /* The cell that the address carries is put into its editor, and not run. */
  async bring() {
    const link = carried(location.hash), cell = link && this.cells[link.number];
    if (!link) return false;
    try {
      if (!cell?.view) throw new Error("the link is of a cell that this page has no more");
      cell.setText(await unpack(link.packed));
      cell.box.scrollIntoView({ block: "center" });
      this.say(`The link has changed ${cell.name}. Look at it before you run it.`);
    } catch (problem) {
      this.say(`It stays as it was: ${problem.message}.`);
    }
    return true;
  }

  /* The page as a notebook, with what the reader has changed. */
  takeOut() {
    const cells = [...globalThis.kvmexitNotebook.cells];
    for (const { at, source, isChanged } of this.cells)
      if (isChanged) cells[at] = { ...cells[at], source: source.split(/(?<=\n)/) };
    const text = JSON.stringify({ ...globalThis.kvmexitNotebook, cells }, null, 1);
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${text}\n`], { type: "application/x-ipynb+json" }));
    link.download = `${this.page.split("/").at(-1)}.ipynb`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    this.say(`${link.download} is among your downloads, with your changes.`);
  }

  /* Run what stands above and has not run, then this one. */
  runTo(cell) {
    cell.ran = false;
    return this.runThese(this.cells.filter((one) => one.number <= cell.number && !one.ran));
  }

  runOn(cell) {
    this.cells.find((one) => one.number > cell.number && one.view)?.view.focus();
    return this.runTo(cell);
  }

  runAbove(cell) {
    return this.runThese(this.cells.filter((one) => one.number < cell.number));
  }

  runAll() {
    return this.runThese(this.cells);
  }

  startOver() {
    if (this.current) return this.say("A cell is running: stop it first.");
    this.python.forget();
    for (const cell of this.cells) cell.ran = false;
    this.say("Nothing is defined any more. Each cell runs anew.");
  }

  /* What is to run stands in the queue: a cell, or one that runs by itself, and first what it needs. */
  async runThese(cells) {
    const waits = (cell) => this.queue.some((one) => one.cell === cell && !one.alone);
    this.queue.push(...cells.filter((cell) => !waits(cell)).map((cell) => ({ cell })));
    await this.work();
  }

  /* The cells that run by themselves when `cell` has changed. */
  followers(cell) {
    return this.cells.filter((one) => one.follows
      && (one === cell || one.follows.includes(cell.number)));
  }

  follow(cell) {
    if (this.current && this.followers(this.current).includes(cell)) this.stop();
    this.queue = this.queue.filter((one) => one.cell !== cell);
    this.queue.push({ cell, alone: true });
    return this.work();
  }

  async work() {
    if (this.works) return;
    this.works = true;
    while (this.queue.length) {
      const next = this.queue[0], { cell, alone } = next;
      const first = alone && cell.follows.map((n) => this.cells[n]).find((one) => !one.ran);
      if (!first) this.queue.shift();
      const fine = await this.runOne(first || cell, alone);
      if (!fine) this.queue = this.queue.filter((one) => (alone ? one !== next : one.alone));
      if (this.isBroken) await this.wakeAnew();
    }
    this.works = false;
  }

  /* Returns whether the next one may run. `alone`: it runs by itself, and not for long. */
  async runOne(cell, alone) {
    const { output, took } = cell, begun = performance.now();
    const limit = alone && (took ? Math.ceil(Math.max(LEAST, TIMES * took)) : FIRST);
    let absent = "";
    this.mark(cell);
    output?.begin();
    const hear = (kind, value) => {
      document.dispatchEvent(new CustomEvent("kvmexit-said", { detail: [cell.number, kind, value] }));
      if (kind === "absent") absent = value;
      else if (alone && kind === "error") output?.below(value);
      else if (output) output.hear(kind, value);
    };
    let fine = false;
    try {
      fine = await this.python.run(cell.source, cell.name, hear, limit);
      if (fine) cell.took = Math.max(took ?? 0, (performance.now() - begun) / 1000);
    } catch (problem) {
      hear("error", problem.message);
      this.isBroken = true;
    }
    if (absent && cell.isChanged) hear("error", `It cannot run here: ${absent}.`);
    else if (absent) output?.absent(absent);
    output?.end(fine);
    const goesOn = fine || (absent && !cell.isChanged);
    cell.ran = goesOn;
    this.mark(null);
    this.say(goesOn ? `${cell.name} has run.` : `${cell.name} did not come to its end.`);
    document.dispatchEvent(new CustomEvent("kvmexit-ran", { detail: cell.number }));
    return goesOn;
  }

  mark(cell) {
    this.current?.box?.classList.remove("kvmexit-live-runs");
    this.current = cell;
    cell?.box?.classList.add("kvmexit-live-runs");
    this.stops.hidden = !cell;
    if (cell) this.say(`${cell.name} is running.`);
  }

  stop() {
    this.queue = [];
    this.say("Stopping.");
    this.python.stop();
  }

  async wakeAnew() {
    this.isBroken = false;
    for (const cell of this.cells) Object.assign(cell, { ran: false, took: 0 });
    try {
      await this.python.wake();
      this.say("Python was started anew: what stands above a cell runs before it.");
    } catch (problem) {
      this.say(`Python could not be started anew: ${problem.message}. Load the page again.`);
    }
  }
}

globalThis.kvmexitLive = new Live();
