/* The film: draws runs of a suspended machine from the tables that frames.py writes.

   One module, anywidget's interface: render({model, el}). Traits of the model: `data` (the
   tables), `landing` (0: nobody suspends), `step`, `choice` (numbers of device, policy,
   compensation, restore) and `live` (a kernel computes the run that is asked for).
   Only what changed is drawn; nothing moves by itself. */

const SVG = "http://www.w3.org/2000/svg";
const KNOBS = ["device", "policy", "compensation", "restore"];
const REASONS = { 0: "UNKNOWN", 2: "IO", 5: "HLT", 6: "MMIO", 8: "SHUTDOWN", 10: "INTR",
  17: "INTERNAL_ERROR", 29: "X86_RDMSR", 30: "X86_WRMSR" };
const REGISTERS = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "rip", "rflags"];
const LANE_NAMES = ["host", "guest", "kernel", "VMM", "device"];
const LABELS = { exit: "exit", eintr: "EINTR", look: "look", serve: "serve", entry: "entry",
  complete: "complete", request: "suspend!", stop: "stop", save: "save", restore: "restore",
  halt: "halt" };
/* From which lane to which lane a step carries something. */
const MESSAGES = { exit: [2, 3], eintr: [2, 3], serve: [3, 4], entry: [3, 2], complete: [2, 1],
  request: [0, 3], save: [4, 3], restore: [3, 4] };
/* Their messages leave downwards, so their labels stand above. */
const ABOVE = new Set(["exit", "eintr", "request", "save", "restore"]);
const MARKS = {
  execute: "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z",
  exit: "M-6-6H6V6H-6z",
  eintr: "M-6-6H6V6H-6zM-3-3V3H3V-3z",
  look: "M-7 0a7 7 0 1 0 14 0a7 7 0 1 0-14 0zM-4 0a4 4 0 1 1 8 0a4 4 0 1 1-8 0z",
  serve: "M0-8L8 0L0 8L-8 0z",
  entry: "M-6-7L8 0L-6 7z",
  complete: "M-2-7H2V-2H7V2H2V7H-2V2H-7V-2H-2z",
  request: "M-8-6H8L0 8z",
  stop: "M-3-7H3L7-3V3L3 7H-3L-7 3V-3z",
  save: "M-7-2H-2.500V-8H2.500V-2H7L0 7z",
  restore: "M-7 2H-2.500V8H2.500V2H7L0-7z",
  halt: "M-7-7H-3V7H-7zM3-7H7V7H3z",
};
/* The outcome strip: a shape for each outcome in a box of height 20. */
const BARS = { ok: [[17, 20]], missing: [[0, 7], [13, 20]], stale: [[10, 20]],
  duplicate: [[0, 20]], torn: [[0, 3], [6, 9], [12, 15], [18, 20]], lost: [[0, 5]] };
const LETTERS = { missing: "m", stale: "s", duplicate: "d", torn: "t", lost: "l" };

const CSS = `
.kx{--host:#767676;--guest:#c4650f;--kernel:#2b7bba;--vmm:#138a63;--device:#b8569b;
--missing:#d1422f;--stale:#a97f00;--duplicate:#7d62c9;--torn:#8d6748;--lost:#0f8a99;
--line:color-mix(in srgb,currentColor 28%,transparent);
--soft:color-mix(in srgb,currentColor 7%,transparent);
font-size:14px;line-height:1.45;color:inherit;margin:.75rem 0;border:1px solid var(--line);
border-radius:6px;padding:.6rem}
.kx *{box-sizing:border-box}.kx svg{display:block;width:100%;overflow:hidden}
.kx svg text{fill:currentColor;font:12px system-ui,sans-serif}.kx svg .hush{font-style:italic}
.kx .lane0{fill:var(--host);stroke:var(--host)}.kx .lane1{fill:var(--guest);stroke:var(--guest)}
.kx .lane2{fill:var(--kernel);stroke:var(--kernel)}.kx .lane3{fill:var(--vmm);stroke:var(--vmm)}
.kx .lane4{fill:var(--device);stroke:var(--device)}.kx .mark{stroke:none;fill-rule:evenodd}
.kx .now{fill:var(--soft);stroke:currentColor;stroke-width:1.5}
.kx .other{fill:var(--soft);stroke:none}.kx .rule{stroke:var(--line)}
.kx .pend{stroke-width:5;stroke-dasharray:4 3;fill:none}.kx .msg{fill:none;stroke-width:1.5}
.kx .ok{fill:currentColor;opacity:.45}.kx .missing{fill:var(--missing)}
.kx .stale{fill:var(--stale)}.kx .duplicate{fill:var(--duplicate)}.kx .torn{fill:var(--torn)}
.kx .lost{fill:var(--lost)}.kx .box{fill:currentColor;opacity:.12}
.kx .title{display:block;margin:0 0 .35rem}.kx .title:empty{display:none}
.kx .knobs{display:flex;flex-wrap:wrap;gap:.35rem 1.2rem;margin:0 0 .5rem}.kx .knobs:empty{display:none}
.kx fieldset{border:0;margin:0;padding:0;min-width:0;display:flex;flex-wrap:wrap;
align-items:baseline;gap:.1rem .7rem}
.kx legend{float:left;padding:0;margin:0 .3rem 0 0;font-size:14px;font-weight:600;width:auto}
.kx label{white-space:nowrap;font-size:14px}.kx .bar{display:flex;align-items:center;gap:.4rem}
.kx .bar>label{font-weight:600;margin-inline-end:auto}
.kx .count{white-space:nowrap;font-variant-numeric:tabular-nums}
.kx input[type=range]{width:100%;margin:0;min-height:28px}
.kx input{accent-color:var(--kernel);accent-color:light-dark(#2b7bba,#7cc0f5)}
.kx button{font:inherit;color:inherit;background:var(--soft);border:1px solid var(--line);
border-radius:4px;min-width:30px;min-height:28px;padding:0 .4rem;cursor:pointer}
.kx :is(input,button):focus-visible{outline:3px solid var(--kernel);outline-offset:2px}
.kx .say{min-height:1.5em;margin:.3rem 0;font-size:15px}
.kx .legend{display:flex;flex-wrap:wrap;gap:.3rem 1rem;margin:.3rem 0 .5rem}
.kx .legend span{display:flex;align-items:center;gap:.4rem}.kx .legend svg{flex:none;width:12px}
.kx .result{margin:.2rem 0 .8rem}.kx .result strong{display:block;margin-top:.3rem}
.kx .strip{cursor:pointer;padding:0 8px}.kx .strip svg{overflow:visible}
.kx .panes{display:flex;flex-wrap:wrap;gap:.5rem;margin:.4rem 0}
.kx .pane{border:1px solid var(--line);border-radius:5px;padding:.35rem .5rem;min-width:0;
flex:1 1 15rem}.kx .wide{flex:2 1 24rem}.kx .full{flex:1 1 100%}
.kx .head{font-size:13px;font-weight:600;margin:0 0 .2rem;padding:0}
.kx table{border-collapse:collapse;margin:0;font-size:13px;width:auto;border:0}
.kx tr{background:none;border:0}.kx :is(td,th){font-weight:400;text-align:left;padding:0 .7rem 0 0;
border:0;vertical-align:top;background:none}.kx .mono,.kx td.v{font-family:ui-monospace,monospace}
.kx .regs{display:grid;grid-template-columns:1fr 1fr;gap:0 1rem}
.kx .new{font-weight:700;text-decoration:underline;text-underline-offset:2px}
.kx .bytes{display:flex;flex-wrap:wrap;gap:3px 2px;margin:0;padding:0;list-style:none}
.kx .bytes li{margin:0;padding:0 2px;min-width:26px;text-align:center;border:1px solid transparent;
border-radius:3px;font:13px/1.35 ui-monospace,monospace}
.kx .bytes small{display:block;font-size:12px;font-family:system-ui,sans-serif}
.kx .bytes small:empty{display:none}.kx .tall{min-height:2.9em}
.kx li.gone b{opacity:.75;text-decoration:line-through;font-weight:400}.kx .bytes b{font-weight:400}
.kx li.next{border-color:currentColor}.kx li.gap{border:2px dashed var(--missing)}
.kx li.old{border:2px solid var(--stale)}.kx li.twice{border:2px solid var(--duplicate)}
.kx li.wrong{border:2px solid var(--torn)}.kx li.moved{border-bottom:2px solid currentColor}
.kx .note{margin:0 0 .25rem}.kx .compare{display:inline-flex;align-items:center;gap:.4rem;
margin-top:.3rem;white-space:normal}
.kx .diff{margin-top:.5rem}.kx .diff p{margin:0}.kx .diff .head{margin-top:.6rem}
.kx .diff table{margin-top:.6rem}.kx .diff th{font-weight:600}.kx .hide{display:none}
.kx .sr{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
@media (max-width:640px){.kx{padding:.4rem}.kx .say{min-height:3em}
.kx .bar>label{white-space:normal;min-width:0}}
@media (max-width:640px),(pointer:coarse){.kx button{min-width:44px;min-height:40px}
.kx input[type=range]{min-height:36px}.kx :is(fieldset label,.compare){padding:.35rem 0}
.kx :is([type=radio],[type=checkbox]){width:18px;height:18px;vertical-align:-4px}}
@media print{.kx button,.kx input,.kx .knobs,.kx .bar{display:none}}
`;

/* ------------------------------------------------------------------ decoding the tables */

const sums = (steps) => { let sum = 0; return Int32Array.from(steps, (step) => (sum += step)); };
const hex = (text) => text.match(/../g)?.map((two) => parseInt(two, 16)) ?? [];
const two = (value) => value.toString(16).padStart(2, "0");

class Reel {
  constructor(data) {
    this.data = data;
    const table = (name) => data[name].map(sums);
    [this.text, this.regs, this.dev, this.st, this.page, this.write, this.next] = table("nodes");
    this.registers = table("registers");
    this.devices = table("devices");
    this.rows = table("rows");
    this.segments = data.segments.map(sums);
    this.worlds = data.worlds.map((world) => ({
      ...world,
      response: hex(world.response),
      expected: hex(world.expected),
      runs: world.runs.map((run) => run.map(sums)),
      chain: this.chain(world.first),
    }));
    for (const world of this.worlds) world.own = new Set(world.chain);
  }
  chain(node) {
    const nodes = [];
    for (; node >= 0; node = this.next[node]) nodes.push(node);
    return nodes;
  }
  world(choice) { return this.worlds[choice[0]]; }
  variant(choice) {
    const { compensation, restore } = this.data.names;
    return (choice[1] * compensation.length + choice[2]) * restore.length + choice[3];
  }
  end(choice, landing) {
    const world = this.world(choice);
    const { live } = this.data;
    const number = landing === 0 ? world.end : live ? live[2]
      : world.runs[this.variant(choice)][2][landing - 1];
    const [kind, index, shift, returned, message, reads, left] = this.data.ends[number];
    return { kind, index, shift, returned, message, reads, left };
  }
  kinds(choice) {
    const run = this.world(choice).runs[this.variant(choice)];
    return run.kinds ??= Array.from(run[2] ?? [], (end) => this.data.ends[end][0]);
  }
  /* A run, step by step: numbers into the tables, and whether the undisturbed run has it too. */
  run(choice, landing) {
    const world = this.world(choice), steps = [];
    const add = (node) => steps.push({ text: this.text[node], regs: this.regs[node],
      dev: this.dev[node], st: this.st[node], page: this.page[node], write: this.write[node],
      own: world.own.has(node) });
    if (landing === 0) { world.chain.forEach(add); return steps; }
    const { live } = this.data;
    const [segments, tails] = live ? [] : world.runs[this.variant(choice)];
    world.chain.slice(0, landing - 1).forEach(add);
    let [regs, dev, st] = world.start;
    if (steps.length) ({ regs, dev, st } = steps.at(-1));
    for (const row of this.segments[live ? live[0] : segments[landing - 1]]) {
      const [text, dRegs, dDev, dSt, page, write] = this.rows.map((column) => column[row]);
      regs += dRegs; dev += dDev; st += dSt;
      steps.push({ text, regs, dev, st, page, write, own: false });
    }
    this.chain(live ? live[1] : tails[landing - 1]).forEach(add);
    return steps;
  }
  /* What is to be seen after step `last`. */
  scene(world, steps, last) {
    const page = { reason: 0, gpa: 0, len: 0, is_write: 0, data: new Array(8).fill(0), stale: true };
    const buffer = [], { pages, writes, texts, states } = this.data;
    for (let i = 0; i <= last; i++) {
      const step = steps[i], op = pages[step.page];
      if (step.write) {
        const [at, bytes] = writes[step.write];
        hex(bytes).forEach((byte, k) => { buffer[at + k] = byte; });
      }
      if (this.data.whats[texts[step.text][1]] === "eintr") page.stale = true;
      if (op[0] === "exit") {
        [, page.reason, page.gpa, page.len, page.is_write] = op;
        hex(op[5]).forEach((byte, k) => { page.data[k] = byte; });
        page.stale = false;
      } else if (op[0] === "answer") hex(op[1]).forEach((byte, k) => { page.data[k] = byte; });
      else if (op[0] === "reason") { page.reason = op[1]; page.stale = op[1] === 10; }
      else if (op[0] === "new") {
        Object.assign(page, { reason: 0, gpa: 0, len: 0, is_write: 0, stale: true });
        page.data.fill(0);
      }
    }
    const step = steps[last], [immediate, pending] = states[step.st];
    return { page, buffer, immediate, pending, what: this.data.whats[texts[step.text][1]],
      sentence: texts[step.text][2],
      registers: this.registers.map((column) => column[step.regs]),
      device: this.devices.map((column) => column[step.dev]) };
  }
}

/* ------------------------------------------------------------------ small helpers */

function make(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in node && name !== "list") node[name] = value; else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}
function draw(parent, tag, attributes, text) {
  const node = document.createElementNS(SVG, tag);
  for (const name in attributes) node.setAttribute(name, attributes[name]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}
function set(node, text) { if (node.textContent !== text) node.textContent = text; }
function setClass(node, name) { if (node.className !== name) node.className = name; }

/* ------------------------------------------------------------------ bytes and their marks */

/* What each byte of the guest's buffer is, given how the run ends. */
function marksOf(buffer, expected, end) {
  const marks = [];
  for (let i = 0; i < buffer.length; i++) {
    let mark = "";
    if (end.index === null || end.index === undefined || i < end.index) mark = "";
    else if (end.kind === "missing") mark = buffer[i] === expected[i + end.shift] ? "moved" : "wrong";
    else if (end.kind === "duplicate") {
      mark = buffer[i] !== expected[i - end.shift] ? "wrong" : i < end.index + end.shift ? "twice" : "moved";
    } else if (buffer[i] !== expected[i]) mark = end.kind === "stale" ? "old" : "wrong";
    marks.push(mark);
  }
  return marks;
}
const MARK_WORDS = { moved: ["→", "moved"], wrong: ["✗", "wrong"], old: ["old", "stale"],
  twice: ["×2", "duplicate"], gap: ["gone", "missing"], gone: ["", "popped"],
  next: ["", "next"] };

function byteList(list, items) {
  while (list.children.length > items.length) list.lastChild.remove();
  items.forEach(([text, mark, arrow], i) => {
    let item = list.children[i];
    if (!item) list.append(item = make("li", {}, make("b"), make("small")));
    setClass(item, mark);
    set(item.firstChild, text);
    let under = MARK_WORDS[mark]?.[0] ?? "";
    if (mark === "moved" && arrow) under = arrow;
    set(item.lastChild, under);
    const label = mark ? `${text} ${MARK_WORDS[mark][1]}` : "";
    if ((item.getAttribute("title") ?? "") !== label) item.title = label;
  });
}
function guestBytes(buffer, expected, end) {
  const marks = marksOf(buffer, expected, end);
  const items = Array.from(buffer, (byte, i) =>
    [byte === undefined ? "··" : two(byte), marks[i], end.kind === "missing" ? "←" : "→"]);
  if (end.kind === "missing" && buffer.length > end.index) {
    const lost = expected.slice(end.index, end.index + end.shift);
    items.splice(end.index, 0, ...lost.map((byte) => [two(byte), "gap"]));
  }
  return items;
}
function ending(end) {
  return end.index === null || end.index === undefined ? end.kind : `${end.kind} at ${end.index}`;
}

/* ------------------------------------------------------------------ the film */

let films = 0;

function render({ model, el }) {
  const uid = `kx${++films}`;
  let reel, steps = [], shown = [], choice, landing, step, kinds = [], width = 0;
  let striped = {}; // what the strip shows now
  let here = ""; // the kind of step where the reader is: it outlives the run and its tables
  const nodes = build(model, uid);
  el.classList.add("kx-host");
  el.replaceChildren(make("style", { textContent: CSS }), nodes.root);

  function load() {
    reel = new Reel(model.get("data"));
    buildKnobs();
    if (!steps.length) {
      read();
      rerun(true);
      return;
    }
    landing = model.get("landing"); // live: the run that was asked for has come
    rerun();
    if (model.get("step") !== step) save("step");
  }
  function read() {
    choice = [...(model.get("choice") ?? [0, 0, 0, 0])];
    landing = model.get("landing") ?? 0;
    step = model.get("step") ?? 0;
  }
  function save(...names) {
    const values = { choice: [...choice], landing, step };
    for (const name of names) model.set(name, values[name]);
    model.save_changes();
  }
  function buildKnobs() {
    const names = reel.data.names;
    const key = JSON.stringify(names);
    if (nodes.knobs.dataset.names === key) return;
    nodes.knobs.dataset.names = key;
    nodes.knobs.replaceChildren(...KNOBS.flatMap((knob, k) => {
      if (names[knob].length < 2) return [];
      return [make("fieldset", {}, make("legend", { textContent: knob }),
        ...names[knob].map((name, value) => make("label", {},
          make("input", { type: "radio", name: `${uid}-${knob}`, value,
            "data-lm-suppress-shortcuts": "true",
            onchange: () => { choice[k] = value; rerun(); save("choice", "landing", "step"); } }),
          ` ${name}`)))];
    }));
  }
  /* Another run. At the end the reader stays at the end; inside a suspend, at the same kind of
     step; otherwise the request is what there is to see. */
  function rerun(keep = false) {
    const world = reel.world(choice);
    landing = Math.min(landing, world.chain.length);
    steps = reel.run(choice, landing);
    if (!keep) {
      const own = (what) => steps.findIndex((one, i) => !one.own && whatOf(i) === what);
      const place = [own(here), own("restore"), own("request"), step].find((i) => i >= 0);
      step = here === "end" ? steps.length - 1 : place;
    }
    step = Math.max(0, Math.min(step, steps.length - 1));
    paintRun();
    paint();
  }
  const whatOf = (i) => reel.data.whats[reel.data.texts[steps[i].text][1]];

  function go(to) {
    const next = Math.max(0, Math.min(steps.length - 1, to));
    if (next === step) return;
    step = next;
    paint();
    save("step");
  }
  function land(to) {
    const next = Math.max(0, Math.min(reel.world(choice).chain.length, to));
    if (next === landing) return;
    landing = next;
    if (model.get("live")) {
      nodes.landing.value = landing;
      paintStrip();
      save("landing");
      return;
    }
    rerun();
    save("landing", "step");
  }
  function jump(direction) {
    const kind = (at) => (at === 0 ? "ok" : kinds[at - 1]);
    let at = landing;
    const here = kind(at);
    do at += direction; while (at >= 0 && at <= kinds.length && kind(at) === here);
    if (at >= 0 && at <= kinds.length) land(at);
  }

  /* -- what depends on the run alone */
  function paintRun() {
    const world = reel.world(choice), end = reel.end(choice, landing);
    KNOBS.forEach((knob, k) => {
      const buttons = nodes.knobs.querySelectorAll(`[name="${uid}-${knob}"]`);
      if (buttons[choice[k]]) buttons[choice[k]].checked = true;
    });
    kinds = model.get("live") ? model.get("strip") : reel.kinds(choice);
    nodes.step.max = steps.length - 1;
    nodes.landing.max = world.chain.length;
    nodes.landingBox.classList.toggle("hide", !kinds.length);
    nodes.differenceLabel.classList.toggle("hide", !kinds.length);
    for (const name of ["guestCard", "verdictCard"])
      nodes[name].classList.toggle("hide", reel.data.program);
    nodes.landing.value = landing;
    const before = landing ? reel.data.texts[reel.text[world.chain[landing - 1]]][2] : "";
    const where = landing === 0 ? "Nobody suspends it: the undisturbed run."
      : `The request to suspend arrives just before this: “${before}”`;
    const outcome = `Outcome: ${ending(end)}, ${reel.data.meanings[end.kind]}.`;
    nodes.landing.setAttribute("aria-valuetext", `${where} ${outcome}`);
    set(nodes.title, reel.data.title);
    set(nodes.at, landing ? `${landing} of ${world.chain.length}` : "nowhere");
    set(nodes.where, where);
    set(nodes.outcome, outcome);
    paintStrip();
    paintDifference();
  }
  function paintStrip() {
    const svg = nodes.strip, room = Math.max(50, width - 16);
    if (!kinds.length) return;
    const each = room / kinds.length, x = (i) => i * each;
    if (striped.kinds !== kinds || striped.room !== room) {
      striped = { kinds, room };
      svg.setAttribute("viewBox", `0 0 ${room} 44`);
      svg.setAttribute("height", 44);
      svg.replaceChildren();
      const counts = {};
      const paths = {};
      let lettered = -20, last = ""; // where a letter stands, and which: a new one needs less room
      kinds.forEach((kind, i) => {
        counts[kind] = (counts[kind] ?? 0) + 1;
        const left = x(i + 0.5), right = left + Math.max(1, each - (each > 3 && kind !== "ok" ? 0.6 : 0));
        for (const [top, bottom] of BARS[kind]) {
          paths[kind] = `${paths[kind] ?? ""}M${left.toFixed(1)} ${14 + top}H${right.toFixed(1)}V${14 + bottom}H${left.toFixed(1)}z`;
        }
        if (LETTERS[kind] && kinds[i - 1] !== kind && left - lettered > (kind === last ? 15 : 9)) {
          draw(svg, "text", { x: left.toFixed(1), y: 11 }, LETTERS[kind]);
          lettered = left;
          last = kind;
        }
      });
      for (const kind in paths) draw(svg, "path", { class: kind, d: paths[kind] });
      nodes.pointer = draw(svg, "path", { fill: "currentColor" });
      const total = Object.entries(counts).map(([kind, n]) => `${n} ${kind}`).join(", ");
      svg.setAttribute("aria-label", `Outcome at each of ${kinds.length} landings: ${total}`);
      nodes.legend.replaceChildren(...Object.keys(counts).map((kind) => {
        const sample = document.createElementNS(SVG, "svg");
        for (const [name, value] of Object.entries({ width: 12, height: 20, viewBox: "0 0 12 20",
          "aria-hidden": "true" }))
          sample.setAttribute(name, value);
        draw(sample, "path", { class: "box", d: "M0 0H12V20H0z" });
        draw(sample, "path", { class: kind,
          d: BARS[kind].map(([top, bottom]) => `M0 ${top}H12V${bottom}H0z`).join("") });
        const letter = LETTERS[kind] ? `${LETTERS[kind]} ` : "";
        return make("span", {}, sample, `${letter}${kind}: ${counts[kind]}`);
      }));
    }
    const at = x(landing);
    nodes.pointer.setAttribute("d", `M${at - 5} 44L${at} 35.500L${at + 5} 44z`);
  }
  function paintDifference() {
    const on = nodes.toggle.checked;
    nodes.difference.classList.toggle("hide", !on);
    if (!on) return;
    const world = reel.world(choice);
    const end = reel.end(choice, landing), plain = reel.end(choice, 0);
    const [ours, theirs] = [steps, reel.run(choice, 0)].map((list) =>
      reel.scene(world, list, list.length - 1).buffer);
    const rows = [
      ["the driver returns", String(plain.returned), String(end.returned)],
      ["the driver prints", plain.message ?? "nothing", end.message ?? "nothing"],
      ["reads of the response", String(plain.reads), String(end.reads)],
      ["bytes left over", String(plain.left), String(end.left)],
    ];
    byteList(nodes.plainBytes, guestBytes(theirs, world.expected, plain));
    byteList(nodes.thisBytes, guestBytes(ours, world.expected, end));
    nodes.diffRows.replaceChildren(...rows.map(([name, a, b]) => make("tr", {},
      make("th", { scope: "row", textContent: name }), make("td", { textContent: a }),
      make("td", { textContent: b, className: a === b ? "" : "new" }))));
    const own = steps.filter((one) => !one.own).length;
    const again = steps.length - [...steps].reverse().findIndex((one) => !one.own);
    set(nodes.diffSay, landing === 0 ? "This is the undisturbed run."
      : `${own} of the ${steps.length} steps of this run are not in the undisturbed run.` +
        (steps.at(-1).own ? ` From step ${again + 1} on the two do the same.`
          : " The two never come together again."));
  }

  /* -- what depends on the step */
  function paint() {
    const world = reel.world(choice), scene = reel.scene(world, steps, step);
    const before = step ? steps[step - 1] : null;
    here = step === steps.length - 1 ? "end" : steps[step].own ? "request" : scene.what;
    nodes.step.value = step;
    nodes.step.setAttribute("aria-valuetext", scene.sentence);
    set(nodes.say, scene.sentence);
    set(nodes.number, `${step + 1} of ${steps.length}`);
    REGISTERS.forEach((_, k) => {
      const value = scene.registers[k] >>> 0;
      set(nodes.registers[k], `0x${value.toString(16)}`);
      const old = before ? reel.registers[k][before.regs] : value;
      setClass(nodes.registers[k], (old >>> 0) === value ? "v" : "v new");
    });
    const { page } = scene;
    const reason = `${page.reason} KVM_EXIT_${REASONS[page.reason] ?? "?"}`;
    const mmio = page.reason === 6;
    set(nodes.page[0], String(scene.immediate));
    set(nodes.page[1], page.reason === 0 && page.stale ? "0 (nothing yet)"
      : page.stale ? `${reason} (stale)` : reason);
    set(nodes.page[2], mmio ? `0x${(page.gpa >>> 0).toString(16)}` : "–");
    set(nodes.page[3], mmio ? String(page.len) : "–");
    set(nodes.page[4], mmio ? String(page.is_write) : "–");
    set(nodes.page[5], page.data.map(two).join(" "));
    set(nodes.pending, scene.pending ? `${scene.pending}.` : "Nothing.");
    nodes.pendingCard.style.borderColor = scene.pending ? "var(--kernel)" : "";
    nodes.pendingCard.style.borderWidth = scene.pending ? "3px" : "";
    const [offset, status, index] = scene.device;
    const popping = reel.data.popping[choice[0]];
    const at = popping ? offset : index;
    byteList(nodes.fifo, world.response.map((byte, i) => [two(byte),
      i === at && status & 0x10 ? "next" : popping && i < at ? "gone" : ""]));
    set(nodes.offset, popping
      ? `offset ${offset} of ${world.response.length}; status 0x${status.toString(16)}`
      : `index ${index} of ${world.response.length}; status 0x${status.toString(16)}`);
    const end = reel.end(choice, landing);
    byteList(nodes.guest, guestBytes(scene.buffer, world.expected, end));
    set(nodes.got, scene.buffer.length ? `${scene.buffer.length} bytes so far` : "empty so far");
    const last = step === steps.length - 1;
    set(nodes.verdict, last
      ? `returned ${end.returned}${end.message ? `, prints “${end.message}”` : ", prints nothing"}`
      : "not done yet");
    paintLanes();
  }
  function paintLanes() {
    const svg = nodes.lanes, left = 58, tall = 38, top = 10;
    if (!width) return;
    const wide = (i) => (whatOf(i) === "execute" ? 18 : 62);
    let first = step, room = (width - left) * 0.45;
    while (first > 0 && room > wide(first - 1)) room -= wide(--first);
    let x = left;
    shown = [];
    for (let i = first; i < steps.length && x + wide(i) <= width; x += wide(i++))
      shown.push([i, x + wide(i) / 2]);
    while (first > 0 && x + wide(first - 1) <= width) { // at the end: fill up from the left
      const more = wide(--first);
      shown.forEach((one) => { one[1] += more; });
      shown.unshift([first, left + more / 2]);
      x += more;
    }
    const lineY = (lane) => top + lane * tall + 14;
    const height = top + 5 * tall + 4 + (nodes.toggle.checked ? 16 : 0);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const parts = document.createDocumentFragment();
    LANE_NAMES.forEach((name, lane) => {
      draw(parts, "line", { class: "rule", x1: left, x2: width, y1: lineY(lane), y2: lineY(lane) });
      draw(parts, "path", { class: `mark lane${lane}`, d: `M0 ${lineY(lane) - 7}h4v14h-4z` });
      draw(parts, "text", { x: 8, y: lineY(lane) + 4 }, name);
    });
    let pendingLabel = false;
    shown.forEach(([i, at], k) => {
      const one = steps[i], [lane, what] = reel.data.texts[one.text];
      const name = reel.data.whats[what], half = wide(i) / 2;
      if (nodes.toggle.checked) {
        if (!one.own) draw(parts, "rect", { class: "other", x: at - half, y: top - 5, width: half * 2, height: 5 * tall });
        draw(parts, "text", { x: at, y: top + 5 * tall + 14, "text-anchor": "middle" }, one.own ? "=" : "≠");
      }
      if (i === step) draw(parts, "rect", { class: "now", x: at - half + 1, y: 1, width: half * 2 - 2, height: 5 * tall + top + 1, rx: 4 });
      if (reel.data.states[one.st][1]) {
        const to = shown[k + 1]?.[1] ?? width;
        draw(parts, "line", { class: "pend lane2", x1: at, x2: to, y1: lineY(2), y2: lineY(2) });
        if (!pendingLabel && name === "exit") {
          draw(parts, "text", { class: "hush", x: at + 19, y: lineY(2) - 11 }, "pending");
          pendingLabel = true;
        } else pendingLabel = true;
      } else pendingLabel = false;
      const message = MESSAGES[name];
      if (message) {
        const [from, to] = message, down = to > from ? 1 : -1;
        const y = lineY(to) - 9 * down;
        draw(parts, "path", { class: `msg lane${lane}`, d: `M${at} ${lineY(from)}V${y}m-4 ${-5 * down}l4 ${5 * down}l4 ${-5 * down}` });
      }
      draw(parts, "path", { class: `mark lane${lane}`, d: MARKS[name], transform: `translate(${at} ${lineY(lane)})` });
      if (LABELS[name]) {
        const y = lineY(lane) + (ABOVE.has(name) ? -11 : 20);
        draw(parts, "text", { x: at, y, "text-anchor": "middle" }, LABELS[name]);
      }
    });
    svg.replaceChildren(parts);
  }

  /* -- hands on */
  nodes.step.oninput = () => go(Number(nodes.step.value));
  nodes.landing.oninput = () => land(Number(nodes.landing.value));
  nodes.back.onclick = () => go(step - 1);
  nodes.on.onclick = () => go(step + 1);
  nodes.earlier.onclick = () => jump(-1);
  nodes.later.onclick = () => jump(1);
  nodes.toggle.onchange = () => { paintDifference(); paintLanes(); };
  nodes.strip.onclick = (event) => {
    const box = nodes.strip.getBoundingClientRect();
    land(Math.round(((event.clientX - box.left) / box.width) * kinds.length));
  };
  nodes.lanes.onclick = (event) => {
    const x = event.clientX - nodes.lanes.getBoundingClientRect().left;
    const near = shown.reduce((a, b) => (Math.abs(b[1] - x) < Math.abs(a[1] - x) ? b : a));
    go(near[0]);
  };
  const heard = {
    "change:data": load,
    "change:strip": () => paintRun(),
    "change:choice": () => { if (String(model.get("choice")) !== String(choice)) { choice = [...model.get("choice")]; rerun(); } },
    "change:landing": () => { if (model.get("landing") !== landing) { landing = model.get("landing"); if (!model.get("live")) rerun(); } },
    "change:step": () => { if (model.get("step") !== step) { step = model.get("step"); rerun(true); } },
  };
  for (const name in heard) model.on(name, heard[name]);
  load();
  const fit = () => {
    const now = nodes.lanes.parentNode.clientWidth;
    if (now && now !== width) { width = now; paintStrip(); paintLanes(); }
  };
  const observer = new ResizeObserver(fit);
  observer.observe(nodes.root);
  fit();
  return () => {
    observer.disconnect();
    for (const name in heard) model.off(name, heard[name]);
  };
}

/* ------------------------------------------------------------------ what is there once */

function build(model, uid) {
  const keys = { "data-lm-suppress-shortcuts": "true" };
  const nodes = {};
  const range = (name) => (nodes[name] = make("input", { type: "range", min: 0, max: 1, id: `${uid}-${name}`, ...keys }));
  const button = (name, text, label) => (nodes[name] = make("button", { type: "button", textContent: text, "aria-label": label, title: label, ...keys }));
  const svg = (name, label) => {
    const node = (nodes[name] = document.createElementNS(SVG, "svg"));
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", label);
    return node;
  };
  const card = (title, ...children) => make("div", { className: "pane" }, make("div", { className: "head", textContent: title }), ...children);
  const table = (names, into) => make("table", {}, make("tbody", {}, ...names.map((name) => {
    const value = make("td", { className: "v" });
    into.push(value);
    return make("tr", {}, make("th", { scope: "row", textContent: name }), value);
  })));
  const list = (name) => (nodes[name] = make("ul", { className: "bytes" }));
  const note = (name, tag = "div") => (nodes[name] = make(tag, {}));
  nodes.registers = [];
  nodes.page = [];
  nodes.knobs = make("div", { className: "knobs" });
  nodes.say = make("p", { className: "say", "aria-live": "polite" });
  nodes.number = make("span", { className: "count" });
  nodes.where = make("div", {});
  nodes.outcome = make("strong", {});
  nodes.legend = make("div", { className: "legend" });
  nodes.toggle = make("input", { type: "checkbox", ...keys });
  nodes.diffRows = make("tbody", {});
  nodes.diffSay = make("p", {});
  nodes.pendingCard = card("Pending", note("pending"));
  nodes.difference = make("div", { className: "pane diff hide" }, nodes.diffSay,
    make("div", { className: "head", textContent: "Guest's buffer, undisturbed" }), list("plainBytes"),
    make("div", { className: "head", textContent: "Guest's buffer, this run" }), list("thisBytes"),
    make("table", {}, make("thead", {}, make("tr", {}, make("td"),
      make("th", { scope: "col", textContent: "undisturbed" }),
      make("th", { scope: "col", textContent: "this run" }))), nodes.diffRows));
  nodes.landingBox = make("div", {},
    make("div", { className: "bar" },
      make("label", { htmlFor: `${uid}-landing` }, "Where the suspend lands: ", note("at", "span")),
      button("earlier", "⇤", "Back to where the outcome changes"),
      button("later", "⇥", "On to where the outcome changes")),
    range("landing"),
    make("div", { className: "strip" }, svg("strip", "Outcomes")),
    make("div", { className: "result" }, nodes.legend, nodes.where, nodes.outcome));
  nodes.root = make("div", { className: "kx", role: "group", "aria-label": "Film of a run" },
    note("title", "strong"), nodes.knobs, nodes.landingBox,
    make("div", { className: "bar" },
      make("label", { htmlFor: `${uid}-step` }, "Step ", nodes.number),
      button("back", "‹", "One step back"), button("on", "›", "One step on")),
    range("step"),
    nodes.say,
    make("div", {}, svg("lanes", "Lanes of host, guest, kernel, VMM and device; the sentence above says what happens in the step")),
    make("div", { className: "panes" },
      nodes.pendingCard,
      card("struct kvm_run", table(["immediate_exit", "exit_reason", "mmio.phys_addr", "mmio.len", "mmio.is_write", "mmio.data"], nodes.page)),
      card("Registers", make("div", { className: "regs" }, table(REGISTERS.slice(0, 5), nodes.registers), table(REGISTERS.slice(5), nodes.registers))),
      nodes.fifoCard = card("Device's response", note("offset"), list("fifo")),
      nodes.guestCard = card("Guest's buffer", note("got"), list("guest")),
      nodes.verdictCard = card("Driver's verdict", note("verdict"))),
    nodes.differenceLabel = make("label", {}, nodes.toggle, "Show the difference from the undisturbed run"),
    nodes.difference);
  nodes.fifoCard.classList.add("wide");
  nodes.guestCard.classList.add("wide");
  nodes.guest.classList.add("tall");
  nodes.verdictCard.classList.add("full");
  nodes.title.className = "title";
  nodes.at.className = "count";
  nodes.offset.className = nodes.got.className = "note";
  nodes.differenceLabel.className = "compare";
  return nodes;
}

export default { render };
