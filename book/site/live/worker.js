/* Python, in a worker. Over http it fetches its files and says how many bytes have come; to a page
   from a disk, which may fetch nothing, they are given.

   A cell is stopped without shared memory: Python asks now and then whether it is to go on. `still`
   is a blob: address that the page takes back to say no. A page from a disk has none to give, and
   there Stop ends the worker. `limit`, in
   seconds, ends a cell by itself, everywhere. */

const ASK = 100; // milliseconds from one question to the next
const INSIST = 500; // and from one interrupt to the next, where a cell goes on after it
const HOME = "/book";
let cells, still, until, mayAsk, running, asked = 0, unsaid = "";

/* Pyodide refuses workers that are no modules because some lack import(). This one has it, and a
   page from a disk can start no other. */
self.importScripts = undefined;

const post = (kind, value) => postMessage({ id: running, kind, value });

function flush() {
  if (unsaid) post("stream", unsaid);
  unsaid = "";
}

/* What a cell prints is sent in pieces. */
function emit(kind, value) {
  if (kind === "stream") {
    unsaid += value;
    if (unsaid.length > 4000) flush();
    return;
  }
  flush();
  post(kind, value.toJs ? value.toJs({ dict_converter: Object.fromEntries }) : value);
}

function isStill() {
  try {
    const request = new XMLHttpRequest();
    request.open("GET", still, false);
    request.send();
    return request.response === ".";
  } catch {
    return false;
  }
}

/* To Pyodide this is the buffer of an interrupt: 2 is SIGINT. */
const signal = {
  get 0() {
    const now = performance.now();
    if (now - asked < ASK) return 0;
    asked = now;
    flush();
    if (now > until) {
      until = now + INSIST;
      return 2;
    }
    return mayAsk && !isStill() ? 2 : 0;
  },
  set 0(value) {}, // Pyodide says that it has heard
};

/* A connection that is lost half way: Pyodide would wait for the rest for ever. */
let lose;
const lost = new Promise((_, failed) => { lose = failed; });
const missing = (name) => new Error(`${name} could not be loaded`);

let come = 0;
const count = (bytes) => post("bytes", (come += bytes));
async function countAll(body) {
  for await (const { length } of body) count(length);
}

const real = self.fetch.bind(self);

/* Files that are given: as responses, and as modules. */
const fromBytes = (given) => ({
  async take(name) {
    const type = name.endsWith(".wasm") ? "application/wasm" : "application/zip";
    return new Response(given[name], { headers: { "Content-Type": type } });
  },
  script(name) {
    const address = URL.createObjectURL(new Blob([given[name]], { type: "text/javascript" }));
    return import(address).finally(() => URL.revokeObjectURL(address));
  },
});

/* Files that are fetched, and counted as they come. By its address a browser knows what it has
   compiled before, so a script is imported from there, and the response is not made anew. */
const fromAddress = (base, version, sizes) => ({
  async take(name) {
    const response = await real(`${base}${name}?${version}`).catch(() => null);
    if (!response?.ok) throw missing(name);
    countAll(response.clone().body).catch(() => lose(missing(name)));
    return response;
  },
  async script(name) {
    const made = await import(`${base}${name}?${version}`).catch(() => null);
    if (!made) throw missing(name);
    count(sizes[name]);
    return made;
  },
});

async function start({ base, version, sizes, lock, given, folder }) {
  const { take, script } = given ? fromBytes(given) : fromAddress(base, version, sizes);
  const library = take("library.zip").then((it) => it.arrayBuffer());
  library.catch(() => {}); // it is awaited below, and what is lost is said at once
  const early = Object.fromEntries(
    ["pyodide.asm.wasm", "python_stdlib.zip"].map((name) => [name, take(name)]),
  );
  const [{ loadPyodide }, { default: createPyodideModule }] = await Promise.all(
    ["pyodide.mjs", "pyodide.asm.mjs"].map(script),
  );
  await Promise.all(Object.values(early)); // what is missing is said here: Pyodide would wait
  // Pyodide asks for two files by their names; nothing else is to be had.
  self.fetch = async (address) => {
    const name = String(address.url ?? address).split("/").at(-1);
    if (!early[name]) throw new TypeError(`this Python loads nothing: ${name}`);
    return early[name];
  };
  const nowhere = "https://none.invalid/"; // only the names of files are looked at
  const python = await loadPyodide({
    indexURL: nowhere,
    packageBaseUrl: nowhere,
    createPyodideModule,
    lockFileContents: JSON.parse(lock),
    env: { HOME },
  });
  python.unpackArchive(await library, "zip", { extractDir: HOME });
  python.runPython(`
import os, sys
sys.path.insert(0, "${HOME}/lib")
sys.dont_write_bytecode = True
os.makedirs("${HOME}/${folder}", exist_ok=True)
os.chdir("${HOME}/${folder}")
import run_cells
run_cells.install()
run_cells.forget()
`);
  cells = python.pyimport("run_cells");
  python.setInterruptBuffer(signal);
}

/* Whether the page's blob can be read from here is found out once, while it is there: a browser
   where it cannot be would stop each cell. */
function run({ source, name, limit }) {
  mayAsk ??= Boolean(still) && isStill();
  asked = performance.now();
  until = asked + (limit ? limit * 1000 : Infinity);
  const fine = cells.run(source, name, emit, limit ?? 0);
  flush();
  post("done", fine);
}

const ACTS = {
  start: async (data) => post("ready", await Promise.race([start(data), lost])),
  run,
  forget: () => cells.forget(),
};

onmessage = async ({ data }) => {
  running = data.id;
  if (data.still) still = data.still;
  try {
    await ACTS[data.act](data);
  } catch (problem) {
    flush();
    post("died", String(problem?.message ?? problem));
  }
};
