/* A picture's control: a slider over its strip, two buttons, and time where the picture plays.

   The picture is whole without it: each frame has a radio button, and rules of style show the
   frame of the one that is checked. So all that is done here is to check a button. */

import { AGAIN, PLAY, STOP } from "./vocabulary.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const SPEEDS = { slow: 700, fast: 200, faster: 60 };

function make(tag, attributes, text = "") {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
  el.textContent = text;
  return el;
}

/* `#picture-<name>-<n>`: which frame, from 0; -1 if the address is not of this picture. */
function addressed(name, count) {
  const [, whose, n] = location.hash.match(/^#picture-(\w+)-(\d+)$/) ?? [];
  return whose === name && n >= 1 && n <= count ? n - 1 : -1;
}

/* Give `root` its control. Where the page is the picture's own, the address says which frame is
   shown. Returns what ends it. */
function start(root, linked = false) {
  const stage = root.querySelector(".kxp-stage"), control = root.querySelector(".kxp-control");
  const radios = [...stage.querySelectorAll("input")], last = radios.length - 1;
  const { name, label } = root.dataset;
  const range = { type: "range", min: 0, max: last, autocomplete: "off", "aria-label": label };
  const slider = make("input", range);
  const back = make("button", { type: "button", "aria-label": "one back" }, "◂");
  const on = make("button", { type: "button", "aria-label": "one on" }, "▸");
  const spoken = make("span", { class: "kxp-spoken", role: "status" });
  const now = () => radios.findIndex((one) => one.checked);
  const end = new AbortController(), { signal } = end;
  const timed = root.hasAttribute("data-plays") ? clock(go, now, last, signal) : null;
  let written = 0;

  function paint() {
    const at = now();
    slider.value = at;
    slider.setAttribute("aria-valuetext", radios[at].ariaLabel);
    back.disabled = at === 0;
    on.disabled = at === last;
    timed?.label();
  }

  /* A slider says where it is; a button does not, so what it has shown is spoken. */
  function go(to, aloud = false) {
    const at = Math.max(0, Math.min(last, to));
    radios[at].checked = true;
    spoken.textContent = aloud ? radios[at].ariaLabel : "";
    paint();
    clearTimeout(written); // a browser refuses an address that is written too often
    const address = `#picture-${name}-${at + 1}`;
    if (linked) written = setTimeout(() => history.replaceState(history.state, "", address), 400);
  }

  function follow() {
    const at = addressed(name, radios.length);
    if (at < 0) return;
    radios[at].checked = true;
    paint();
    root.scrollIntoView({ block: "nearest" });
  }

  const group = `kxp-${Math.random().toString(36).slice(2)}`; // the same output can be shown twice
  for (const radio of radios) Object.assign(radio, { name: group, hidden: true, tabIndex: -1 });
  radios.forEach((radio) => radio.addEventListener("change", () => go(now(), true)));
  stage.setAttribute("role", "group");
  slider.oninput = () => go(Number(slider.value));
  back.onclick = () => go(now() - 1, true);
  on.onclick = () => go(now() + 1, true);
  control.style.setProperty("--n", radios.length);
  control.replaceChildren(slider, back, on, spoken);
  on.after(...timed?.nodes ?? []);
  paint();
  if (linked) {
    // The page's contents are not to take a frame for a section, nor the browser to go to it.
    for (const frame of stage.querySelectorAll(".kxp-frame")) frame.removeAttribute("id");
    addEventListener("hashchange", follow, { signal });
    follow();
  }
  return end;
}

/* A button that runs the frames, and a choice of speeds. Never by itself; any touch stops it; who
   wants no motion has the buttons for single steps. */
function clock(go, now, last, signal) {
  const play = make("button", { type: "button" });
  const speed = make("select", { "aria-label": "speed", autocomplete: "off" });
  for (const word of Object.keys(SPEEDS)) speed.append(make("option", {}, word));
  let timer = 0;
  /* From the last frame it begins again, and says so. */
  const label = () => { play.textContent = timer ? STOP : now() === last ? AGAIN : PLAY; };
  const stop = () => {
    clearInterval(timer);
    timer = 0;
    label();
  };
  const tick = () => {
    go(now() + 1);
    if (now() === last) stop();
  };
  play.onclick = () => {
    if (timer) return stop();
    if (now() === last) go(0);
    timer = setInterval(tick, SPEEDS[speed.value]);
    label();
  };
  const touched = (event) => {
    const own = event.target === play && (!event.key || event.key === "Enter" || event.key === " ");
    if (timer && !own) stop();
  };
  for (const heard of ["pointerdown", "keydown", "wheel", "visibilitychange"])
    document.addEventListener(heard, touched, { capture: true, passive: true, signal });
  const calm = () => {
    play.hidden = speed.hidden = CALM.matches;
    stop();
  };
  CALM.addEventListener("change", calm, { signal });
  signal.addEventListener("abort", stop);
  calm();
  return { nodes: [play, speed], label };
}

export default {
  host(page) {
    for (const root of page.querySelectorAll(".kvmexit-picture")) start(root, true);
  },
  render({ model, el }) {
    el.innerHTML = model.get("html");
    const end = start(el.querySelector(".kvmexit-picture"));
    return () => end.abort();
  },
};
