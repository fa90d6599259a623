/* Python as the page sees it: woken, told to run, stopped, and woken anew. */

/* global SIZES, VERSION, LOCK: put here when the site is built (run_pack.py). */

const TOTAL = Object.values(SIZES).reduce((sum, bytes) => sum + bytes, 0);
const isDisk = location.protocol === "file:";

const bytesOf = (text) =>
  (Uint8Array.fromBase64 ? Uint8Array.fromBase64(text)
    : Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
const loose = (bytes) =>
  new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

/* What a page from a disk has loaded as a script, taken out of its base64. */
async function unpacked({ files, squeezed }) {
  const all = Object.entries(files).map(async ([name, text]) => {
    const bytes = bytesOf(text);
    return [name, squeezed.includes(name) ? await loose(bytes) : bytes.buffer];
  });
  return Object.fromEntries(await Promise.all(all));
}

export class Python {
  patience = 2000; // milliseconds that a stop may take before the worker is ended

  /* `base` is where the files lie, `folder` where the page's notebook stands in the book;
     `tell(share)` hears how much has come, from 0 to 1 and in bytes. */
  constructor({ base, folder, load, tell }) {
    Object.assign(this, { base, folder, load, tell, serial: 0, job: null });
  }

  /* Python is there; an error where something is missing, or where `stop` gives it up. */
  wake() {
    this.worker?.terminate();
    const turn = this.turn = {};
    return new Promise((done, failed) => {
      turn.giveUp = () => failed(new Error("it was stopped"));
      this.start(turn).then(done, failed);
    }).catch((problem) => {
      this.worker?.terminate();
      throw problem;
    }).finally(() => { this.turn = this.job = null; });
  }

  async start(turn) {
    const start = { act: "start", base: `${this.base}python/`, version: VERSION, sizes: SIZES,
      lock: LOCK, folder: this.folder };
    let address = `${this.base}worker.js`;
    if (isDisk) {
      if (!globalThis.kvmexitPython) await this.load("python.js");
      const { worker } = globalThis.kvmexitPython;
      start.given = await unpacked(globalThis.kvmexitPython);
      address = URL.createObjectURL(new Blob([worker], { type: "text/javascript" }));
    }
    if (turn !== this.turn) return;
    this.worker = new Worker(address);
    await this.send(start, (kind, value) => kind === "bytes" && this.tell(value, TOTAL));
  }

  /* One act of the worker; `hear(kind, value)` gets all that it says until it is done. */
  send(message, hear) {
    const { worker } = this, id = ++this.serial;
    return new Promise((done, failed) => {
      this.job = { id, failed };
      worker.onmessage = ({ data }) => {
        if (data.id !== id || this.job?.id !== id) return; // or what comes late
        const isBorn = message.act !== "start"; // what was never there has not ended
        if (data.kind === "died") failed(new Error(isBorn ? `Python has ended: ${data.value}` : data.value));
        else if (data.kind === "done" || data.kind === "ready") done(data.value);
        else hear(data.kind, data.value);
      };
      worker.onerror = (event) => failed(new Error(event.message || "its worker would not start"));
      worker.postMessage({ ...message, id });
    }).finally(() => { this.job = null; });
  }

  /* Run a cell. Resolves to whether it came to its end. */
  async run(source, name, hear, limit) {
    // A worker of a page from a disk may not read it.
    this.still = isDisk ? "" : URL.createObjectURL(new Blob(["."]));
    const done = this.send({ act: "run", source, name, limit, still: this.still }, hear);
    const { job } = this; // its worker ends it; where the cell catches that, its end is here
    const timer = limit && setTimeout(() => this.end(job), 1000 * limit + this.patience);
    try {
      return await done;
    } finally {
      clearTimeout(timer);
      URL.revokeObjectURL(this.still);
    }
  }

  /* Stop what runs. What cannot be stopped is ended with its worker, and Python wakes anew: then
     nothing is defined any more. */
  stop() {
    const { job, turn } = this;
    if (turn) return turn.giveUp();
    if (!job) return;
    URL.revokeObjectURL(this.still);
    setTimeout(() => this.end(job), this.patience);
  }

  end(job) {
    if (this.job !== job) return;
    this.worker.terminate();
    job.failed(new Error("Stopped. Python had to be started anew: what the cells had defined is gone."));
  }

  forget() {
    this.worker.postMessage({ act: "forget" });
  }
}
