/* The events of a run, and the stops among them that have a name: story.py for the player. */

import { fromHex } from "./reel.js";

const SHORT = 24, MOST = 8;

/* The step that stores the first wrong byte in the guest's buffer; -1 if none does. */
function wrongStep({ data: { writes } }, steps, index, expected) {
  return steps.findIndex(({ write }) => {
    if (!write || index === null || index === undefined) return false;
    const [at, bytes] = writes[write], byte = at <= index ? fromHex(bytes)[index - at] : undefined;
    return byte !== undefined && byte !== expected[index];
  });
}

/* The named stops of a run, each with its step, in the order of time. */
export function stopsOf(reel, steps, end, expected) {
  const found = { start: 0 };
  const next = (what, first) => steps.findIndex((one, i) => i >= first && reel.what(one) === what);
  const request = next("request", 0), keep = (name, at) => { if (at >= 0) found[name] = at; };
  if (request >= 0)
    for (const what of ["request", "save", "restore"]) keep(what, next(what, request));
  keep("wrong", wrongStep(reel, steps, end.index, expected));
  return { ...found, end: steps.length - 1 };
}

/* The steps that tell a run. */
export function eventsOf(reel, steps, stops) {
  const sorted = (...all) => [...new Set([...all.flat(), ...Object.values(stops)])]
    .sort((a, b) => a - b);
  const numbers = [...steps.keys()], { request } = stops, restore = stops.restore ?? request;
  const is = (what) => (at) => reel.what(steps[at]) === what;
  if (request === undefined) {
    if (steps.length <= SHORT) return numbers;
    const moved = (at) => at > 0 && is("serve")(at) && steps[at].dev !== steps[at - 1].dev;
    return sorted(numbers.filter(moved));
  }
  const tells = (at) => !is("execute")(at) && !(is("look")(at) && !reel.data.states[steps[at].st][2]);
  const acts = numbers.filter(tells);
  const before = acts.filter((at) => at < request);
  const pending = request > 0 && reel.pending(steps[request - 1]);
  const first = (pending && before.findLast(is("exit"))) || before.at(-1) || request;
  const last = acts.find((at) => at > restore && is("complete")(at)) ?? steps.length - 1;
  let inside = acts.filter((at) => request < at && at < restore);
  if (inside.length > MOST) inside = [...inside.slice(0, MOST / 2), ...inside.slice(-MOST / 2)];
  const around = (at) => (first <= at && at <= request) || (restore <= at && at <= last);
  return sorted(acts.filter(around), inside);
}

/* The bytes that a step carries from lane to lane: the answer of a read, as hex; "" if none. */
export function carried(reel, steps, at) {
  const what = reel.what(steps[at]), ops = reel.data.pages;
  const answer = (i) => (ops[steps[i].page][0] === "answer" ? ops[steps[i].page][1] : "");
  if (what === "serve") return answer(at);
  if (at === 0 || !["entry", "complete", "restore"].includes(what)) return "";
  if (!reel.pending(steps[at - 1])) return "";
  for (let i = at - 1; i >= 0 && !["exit", "restore"].includes(reel.what(steps[i])); i--)
    if (answer(i)) return answer(i); // what was written back into the same vCPU has dropped it
  return "";
}
