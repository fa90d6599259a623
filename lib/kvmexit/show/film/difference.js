/* This run beside the undisturbed one: the guest's bytes, what the driver says, the steps. */

import { paintBytes } from "./cards.js";
import { make, set } from "./dom.js";
import { guestBytes } from "./marks.js";
import { sceneAt } from "./scene.js";

export function paintDifference({ nodes, reel, choice, landing, steps }) {
  const on = nodes.toggle.checked;
  nodes.difference.classList.toggle("hide", !on);
  if (!on) return;
  const { expected } = reel.world(choice);
  const end = reel.end(choice, landing), plain = reel.end(choice, 0);
  const [ours, theirs] = [steps, reel.run(choice, 0)].map(
    (list) => sceneAt(reel, list, list.length - 1).buffer,
  );
  paintBytes(nodes.plainBytes, guestBytes(theirs, expected, plain));
  paintBytes(nodes.thisBytes, guestBytes(ours, expected, end));
  const rows = [
    ["the driver returns", String(plain.returned), String(end.returned)],
    ["the driver prints", plain.message ?? "nothing", end.message ?? "nothing"],
    ["reads of the response", String(plain.reads), String(end.reads)],
    ["bytes left over", String(plain.left), String(end.left)],
  ];
  nodes.diffRows.replaceChildren(...rows.map(row));
  set(nodes.diffSay, landing === 0 ? "This is the undisturbed run." : apart(steps));
}

function row([name, plain, here]) {
  return make("tr", {},
    make("th", { scope: "row", textContent: name }),
    make("td", { textContent: plain }),
    make("td", { textContent: here, className: plain === here ? "" : "new" }));
}

/* How many steps the undisturbed run does not have, and whether the two meet again. */
function apart(steps) {
  const own = steps.filter((one) => !one.own).length;
  const again = steps.length - [...steps].reverse().findIndex((one) => !one.own);
  const end = steps.at(-1).own
    ? `From step ${again + 1} on the two do the same.`
    : "The two never come together again.";
  return `${own} of the ${steps.length} steps of this run are not in the undisturbed run. ${end}`;
}
