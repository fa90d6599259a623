/* The cards below the lanes: what is in the registers, the shared page, the device, the guest. */

import { make, set, setClass } from "./dom.js";
import { deviceBytes, guestBytes, two } from "./marks.js";
import { reasonWords } from "./scene.js";
import { VOCABULARY } from "./vocabulary.js";

const { words } = VOCABULARY;
const READY = 0x10; // of the device's status: it has a byte to give

/* A list of bytes: [text, mark] each, with a sign of its own as the third if need be. */
export function paintBytes(list, items) {
  while (list.children.length > items.length) list.lastChild.remove();
  items.forEach(([text, mark, sign], i) => {
    let item = list.children[i];
    if (!item) list.append((item = make("li", {}, make("b"), make("small"))));
    const look = VOCABULARY.marks[mark];
    setClass(item, mark);
    set(item.firstChild, text);
    set(item.lastChild, sign ?? look?.sign ?? "");
    const title = look ? `${text} ${look.word}` : "";
    if ((item.getAttribute("title") ?? "") !== title) item.title = title;
  });
}

export function paintCards(film, scene) {
  paintRegisters(film, scene);
  paintPage(film.nodes, scene);
  paintPending(film.nodes, scene);
  paintDevice(film, scene);
  paintGuest(film, scene);
}

/* A register that this step has changed is underlined. */
function paintRegisters({ nodes, reel, steps, step }, scene) {
  const before = step ? steps[step - 1] : null;
  scene.registers.forEach((signed, k) => {
    const value = signed >>> 0;
    set(nodes.registers[k], `0x${value.toString(16)}`);
    const old = before ? reel.registers[k][before.regs] >>> 0 : value;
    setClass(nodes.registers[k], old === value ? "v" : "v new");
  });
}

function paintPage(nodes, { page, immediate }) {
  const { gpa, size, is_write } = page, mmio = page.reason === VOCABULARY.mmio;
  const access = mmio ? [`0x${(gpa >>> 0).toString(16)}`, size, is_write] : ["–", "–", "–"];
  const values = [immediate, reasonWords(page), ...access, page.data.map(two).join(" ")];
  values.forEach((value, k) => set(nodes.page[k], String(value)));
}

function paintPending(nodes, { pending }) {
  set(nodes.pending, pending ? `${pending}.` : "Nothing.");
  nodes.pendingCard.style.borderColor = pending ? "var(--kernel)" : "";
  nodes.pendingCard.style.borderWidth = pending ? "3px" : "";
}

function paintDevice({ nodes, reel, choice }, scene) {
  const [offset, status, index] = scene.device, { response } = reel.world(choice);
  const popping = reel.data.popping[choice[0]], at = popping ? offset : index;
  paintBytes(nodes.fifo, deviceBytes(response, at, status & READY, popping));
  const where = `${popping ? "offset" : "index"} ${at} of ${response.length}`;
  set(nodes.offset, `${where}; status 0x${status.toString(16)}`);
}

function paintGuest({ nodes, reel, choice, landing, step, steps }, { buffer }) {
  const end = reel.end(choice, landing);
  paintBytes(nodes.guest, guestBytes(buffer, reel.world(choice).expected, end));
  set(nodes.got, buffer.length ? `${buffer.length} bytes so far` : words.empty);
  const said = end.message ? `prints “${end.message}”` : words.silent;
  const last = step === steps.length - 1;
  set(nodes.verdict, last ? `returned ${end.returned}, ${said}` : words.early);
}
