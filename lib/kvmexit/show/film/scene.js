/* What is to be seen at one step: the steps up to it, folded. scene.py is the same in Python,
   and a test holds the two together. */

import { fromHex } from "./reel.js";
import { INTR, REASONS, WORDS } from "./vocabulary.js";

const emptyPage = () => ({
  reason: 0,
  gpa: 0,
  size: 0,
  is_write: 0,
  data: new Array(8).fill(0),
  stale: true,
});

/* What one step does to the shared page; the page after it. */
function turn(page, op) {
  if (op[0] === "new") return emptyPage();
  if (op[0] === "exit") {
    [, page.reason, page.gpa, page.size, page.is_write] = op;
    fromHex(op[5]).forEach((byte, k) => { page.data[k] = byte; });
    page.stale = false;
  } else if (op[0] === "answer") {
    fromHex(op[1]).forEach((byte, k) => { page.data[k] = byte; });
  } else if (op[0] === "reason") {
    page.reason = op[1];
    page.stale = op[1] === INTR;
  }
  return page;
}

/* The scene after step `last` of `steps`, a run of `reel`. */
export function sceneAt(reel, steps, last) {
  const { pages, writes, states } = reel.data, buffer = [];
  let page = emptyPage();
  for (const step of steps.slice(0, last + 1)) {
    if (step.write) {
      const [at, bytes] = writes[step.write];
      fromHex(bytes).forEach((byte, k) => { buffer[at + k] = byte; });
    }
    if (reel.what(step) === "eintr") page.stale = true;
    page = turn(page, pages[step.page]);
  }
  const step = steps[last], [immediate, pending] = states[step.st];
  return {
    page,
    buffer,
    immediate,
    pending,
    what: reel.what(step),
    sentence: reel.sentence(step),
    registers: reel.registers.map((column) => column[step.regs]),
    device: reel.devices.map((column) => column[step.dev]),
  };
}

/* An exit reason by number and name, as vocabulary.py says it. */
export function reasonWords({ reason, stale }) {
  if (reason === 0 && stale) return `${reason} ${WORDS.unreturned}`;
  const name = REASONS[reason] ? `KVM_EXIT_${REASONS[reason]}` : WORDS.unnamed;
  return stale ? `${reason} ${name} ${WORDS.stale}` : `${reason} ${name}`;
}
