/* "Run it here", once it is pressed: the cells of the page, and Python that runs them in order. */

import { carried, markOf } from "./address.js";
import { Bar } from "./bar.js";
import { Cell } from "./cell.js";
import { keep, recall } from "./kept.js";
import { Python } from "./python.js";
import { unpack } from "./share.js";

const READY = "Python is ready. Ctrl-Enter runs a cell, Shift-Enter runs it and goes on.";

class Live {
  queue = [];
  current = null;
  isAwake = false;
  /* Seconds that a cell may take which runs by itself: at first, when it loads what it needs, and
     later, when it is known what it takes. */
  limits = { first: 20, least: 8, times: 4 };

  /* Called by the button; throws where something is missing, and leaves the page as it was. */
  async open({ base, page, bar, button, said, load }) {
    const folder = page.replace(/[^/]*$/, "");
    this.bar = new Bar(bar, said, () => this.stop());
    const tell = (come, total) => this.bar.tell(come, total);
    Object.assign(this, { page, load, python: new Python({ base, folder, load, tell }) });
    const typed = recall(page);
    for (const cell of this.cells ?? []) // typed while the last try was loading, and kept nowhere
      if (cell.isChanged) typed[cell.key] = cell.source;
    this.cells = globalThis.kvmexitCells.map((cell, number) => new Cell(cell, number, this));
    const times = {};
    for (const cell of this.cells) {
      const before = times[cell.first] ?? 0; // a text may stand twice in a page
      if (before) cell.key += `\n# ${before + 1}`;
      times[cell.first] = before + 1;
    }
    try {
      this.dress(typed);
      this.bar.loads();
      this.say("Python is loading.");
      await this.python.wake();
    } catch (problem) {
      this.queue = [];
      this.bar.close();
      for (const cell of this.cells) cell.close();
      throw problem;
    }
    this.isAwake = true;
    this.bar.opens(button, {
      "Run all": [() => this.runAll()],
      "Start over": [() => this.startOver()],
      "Download": [() => this.takeOut(), "This page as a notebook, with your changes"],
    }, `${base}licences.txt`, page.includes("/labs/"));
    this.showLeft();
    this.say(READY);
    addEventListener("hashchange", () => this.bring());
    const brought = await this.bring();
    const first = this.cells.find(({ shown }) => shown === "all");
    if (this.queue.length) await this.work(); // who could not wait
    else if (!brought && !this.cells.some((cell) => cell.isChanged)) await this.runTo(first);
  }

  /* What the reader has written to cells of another edition is not lost. */
  showLeft() {
    const all = Object.entries(recall(this.page));
    const left = all.filter(([key]) => !this.cells.some((cell) => cell.key === key));
    const forget = () => left.forEach(([key]) => keep(this.page, key, null));
    if (left.length) this.bar.left(left.map(([, text]) => text), forget);
  }

  say(words) {
    this.bar.say(words);
  }

  cannotKeep() {
    this.say("This browser keeps nothing for this page: what you change ends with your visit.");
  }

  dress(kept) {
    const boxes = [...document.querySelectorAll("article div.cell.docutils")];
    const shown = this.cells.filter((cell) => cell.shown !== "none");
    if (shown.length !== boxes.length)
      throw new Error(`${boxes.length} cells in the page, ${shown.length} in its notebook`);
    shown.forEach((cell, n) => {
      if (cell.shown === "all" && kept[cell.key] !== undefined) cell.source = kept[cell.key];
      cell.dress(boxes[n], n + 1);
    });
  }

  /* The cell that the address carries is put into its editor, and not run. Returns whether it
     carries one. */
  async bring() {
    const link = carried(location.hash);
    if (!link) return false;
    try {
      const text = await unpack(link.packed);
      const cell = this.cells.find((one) => one.view && markOf(one.key) === link.cell);
      if (!cell) throw new Error("the link is of a cell that this page does not have, or has no more");
      this.say(cell.bring(text));
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

  /* What a cell has made, and what those after it made of that, is of a text that is no more. */
  makeOld(cell) {
    for (const one of this.cells.slice(cell.number)) {
      one.ran = false;
      one.edition += 1;
    }
  }

  /* What is to run stands in the queue: a cell, or one that runs by itself, and first what it needs. */
  async runThese(cells) {
    const waits = (cell) => this.queue.some((one) => one.cell === cell && !one.alone);
    this.queue.push(...cells.filter((cell) => !waits(cell)).map((cell) => ({ cell })));
    await this.work();
  }

  /* The cells that run by themselves when `cell` has changed. Nothing that a link has brought runs
     before the reader says so. */
  followers(cell) {
    return this.cells.filter((one) => {
      const needed = one.follows && [one, ...one.follows.map((n) => this.cells[n])];
      return needed?.includes(cell) && !needed.some(({ isForeign }) => isForeign);
    });
  }

  follow(cell) {
    if (this.current && this.followers(this.current).includes(cell)) this.stop();
    this.queue = this.queue.filter((one) => one.cell !== cell);
    this.queue.push({ cell, alone: true });
    return this.work();
  }

  async work() {
    if (this.works || !this.isAwake) return;
    this.works = true;
    while (this.queue.length) {
      if (this.isBroken && !(await this.wakeAnew())) break;
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
    const { output, took, source, edition } = cell, begun = performance.now();
    const { first, least, times } = this.limits;
    const limit = alone && (took ? Math.ceil(Math.max(least, times * took)) : first);
    let absent = "";
    if (!alone) cell.isForeign = false;
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
      fine = await this.python.run(source, cell.name, hear, limit);
      if (fine) cell.took = Math.max(took ?? 0, (performance.now() - begun) / 1000);
    } catch (problem) {
      hear("error", problem.message);
      this.isBroken = true;
    }
    if (absent && cell.isChanged) hear("error", `It cannot run here: ${absent}.`);
    else if (absent) output?.absent(absent);
    output?.end(fine);
    const isOld = cell.edition !== edition; // its text, or one above, was changed while it ran
    if (source !== cell.source && !cell.isChanged) output?.asInBook();
    const goesOn = fine || (absent && !cell.isChanged);
    cell.ran = goesOn && !isOld;
    this.mark(null);
    this.say(goesOn ? `${cell.name} has run.` : `${cell.name} did not come to its end.`);
    document.dispatchEvent(new CustomEvent("kvmexit-ran", { detail: cell.number }));
    return goesOn;
  }

  mark(cell) {
    this.current?.box?.classList.remove("kvmexit-live-runs");
    this.current = cell;
    cell?.box?.classList.add("kvmexit-live-runs");
    this.bar.runs(Boolean(cell));
    if (cell) this.say(`${cell.name} is running.`);
  }

  stop() {
    this.queue = [];
    this.say("Stopping.");
    this.python.stop();
  }

  /* Returns whether Python is there again. */
  async wakeAnew() {
    for (const cell of this.cells) Object.assign(cell, { ran: false, took: 0 });
    try {
      await this.python.wake();
      this.isBroken = false;
      this.say("Python was started anew: what stands above a cell runs before it.");
    } catch (problem) {
      this.queue = [];
      this.say(`Python could not be started anew: ${problem.message}. To run a cell tries again.`);
    }
    return !this.isBroken;
  }
}

globalThis.kvmexitLive = new Live();
