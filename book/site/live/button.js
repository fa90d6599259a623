/* Before the press: one button under the heading. All else is loaded when it is pressed. */

import { carried } from "./address.js";

/* What old browsers have not, and some have switched off. */
const NEEDED = ["WebAssembly", "Worker", "DecompressionStream", "CompressionStream"];
const { src, dataset: { page } } = document.currentScript;
const base = src.replace(/[^/]*$/, "");
const make = (tag, props, ...inner) => {
  const el = Object.assign(document.createElement(tag), props);
  el.append(...inner);
  return el;
};
const kept = () => {
  try {
    return localStorage.getItem(`kvmexit.live.${page}`);
  } catch {
    return null;
  }
};
const load = (name) => new Promise((done, failed) => {
  const onerror = () => failed(new Error(`${name} could not be loaded`));
  document.head.append(make("script", { src: base + name, onload: done, onerror }));
});

const button = make("button", { type: "button", textContent: "Run it here" });
button.style.cssText = "font:inherit;padding:.3rem .8rem;border:1px solid;border-radius:4px;"
  + "background:none;color:var(--pst-color-link);min-height:2.5rem";
const said = make("span", {});
const greet = () => {
  said.textContent = carried(location.hash)
    ? "This link brings a cell that somebody has changed. Look at it before you run it."
    : kept()
      ? "Your changes to this page are kept in this browser."
      : "Change the code of this page and run it, in this browser: 7 MB, once.";
};
greet();
said.setAttribute("role", "status");
const bar = make("div", { className: "kvmexit-live" }, button, said);
bar.style.cssText = "display:flex;flex-wrap:wrap;gap:.3rem .8rem;align-items:center;margin:0 0 1rem";

async function press() {
  button.disabled = true;
  said.textContent = "The editor is loading.";
  try {
    const lacks = NEEDED.find((name) => !globalThis[name]);
    if (lacks) throw new Error(`this browser has no ${lacks}`);
    if (!document.querySelector(`link[href^="${base}live.css"]`))
      document.head.append(make("link", { rel: "stylesheet", href: `${base}live.css` }));
    await Promise.all([
      globalThis.kvmexitCells ?? load(`cells/${page}.js`), // one may be there from the last try
      globalThis.kvmexitLive ?? load("page.js"),
    ]);
    await globalThis.kvmexitLive.open({ base, page, bar, button, said, load });
  } catch (problem) {
    said.textContent = `That did not work: ${problem.message}. The page is as it was.`;
    button.disabled = false;
    button.textContent = "Try again";
    if (document.activeElement === document.body) button.focus();
  }
}

button.addEventListener("click", press);
addEventListener("hashchange", () => {
  if (button.isConnected && !button.disabled && carried(location.hash)) greet();
});
document.querySelector("article h1")?.after(bar);
