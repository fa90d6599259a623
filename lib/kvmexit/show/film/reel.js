/* Decoding: the tables that Python writes (frames.py, reel.py), and any run read out of them.

   Columns of integers come as differences. A run is the undisturbed one up to the landing, then
   the segment of its suspend, then a tail; frames.py says how they are shared. */

import { STEPS } from "./vocabulary.js";

const sums = (steps) => {
  let sum = 0;
  return Int32Array.from(steps, (step) => (sum += step));
};
export const within = (last, at) => Math.max(0, Math.min(last, at));

export const fromHex = (text) => text.match(/../g)?.map((two) => parseInt(two, 16)) ?? [];

/* What a run is chosen by, in the order of a choice. */
export const KNOBS = ["device", "policy", "compensation", "restore"];

export class Reel {
  constructor(data) {
    this.data = data;
    const table = (name) => data[name].map(sums);
    this.nodes = table("nodes");
    this.registers = table("registers");
    this.devices = table("devices");
    this.rows = table("rows");
    this.segments = data.segments.map(sums);
    this.worlds = data.worlds.map((world) => ({
      ...world,
      response: fromHex(world.response),
      expected: fromHex(world.expected),
      runs: world.runs.map((run) => run.map(sums)),
      chain: this.chain(world.first),
    }));
    for (const world of this.worlds) world.own = new Set(world.chain);
  }

  /* A node as a step, of which only the text is known. */
  nodeAt(node) {
    return { text: this.nodes[0][node] };
  }

  /* The nodes from `node` to the end of its run. */
  chain(node) {
    const nodes = [];
    for (; node >= 0; node = this.nodes[6][node]) nodes.push(node);
    return nodes;
  }

  world(choice) {
    return this.worlds[choice[0]];
  }

  /* The number of a choice's runs among those of its world. */
  variant(choice) {
    const { compensation, restore } = this.data.names;
    return (choice[1] * compensation.length + choice[2]) * restore.length + choice[3];
  }

  end(choice, landing) {
    const world = this.world(choice);
    const { live } = this.data;
    let number = world.end;
    if (landing !== 0) number = live ? live[2] : world.runs[this.variant(choice)][2][landing - 1];
    const [kind, index, shift, returned, message, reads, left] = this.data.ends[number];
    return { kind, index, shift, returned, message, reads, left };
  }

  /* The outcome at each landing. */
  kinds(choice) {
    const run = this.world(choice).runs[this.variant(choice)];
    return (run.kinds ??= Array.from(run[2] ?? [], (end) => this.data.ends[end][0]));
  }

  /* A run, step by step: numbers into the tables, and whether the undisturbed run has it too. */
  run(choice, landing) {
    const world = this.world(choice), steps = [];
    const add = (node) => {
      const [text, regs, dev, st, page, write] = this.nodes.map((column) => column[node]);
      steps.push({ text, regs, dev, st, page, write, own: world.own.has(node) });
    };
    if (landing === 0) {
      world.chain.forEach(add);
      return steps;
    }
    const { live } = this.data;
    const [segments, tails] = live ? [] : world.runs[this.variant(choice)];
    world.chain.slice(0, landing - 1).forEach(add);
    let [regs, dev, st] = world.start;
    if (steps.length) ({ regs, dev, st } = steps.at(-1));
    for (const row of this.segments[live ? live[0] : segments[landing - 1]]) {
      const [text, dRegs, dDev, dSt, page, write] = this.rows.map((column) => column[row]);
      regs += dRegs;
      dev += dDev;
      st += dSt;
      steps.push({ text, regs, dev, st, page, write, own: false });
    }
    this.chain(live ? live[1] : tails[landing - 1]).forEach(add);
    return steps;
  }

  lane(step) {
    return this.data.texts[step.text][0];
  }

  what(step) {
    return this.data.whats[this.data.texts[step.text][1]];
  }

  sentence(step) {
    return this.data.texts[step.text][2];
  }

  /* On its lane; a line of a reader's own stop path, if it was one. */
  label(step) {
    return this.data.texts[step.text][3] ?? STEPS[this.what(step)].label;
  }

  pending(step) {
    return this.data.states[step.st][1];
  }
}
