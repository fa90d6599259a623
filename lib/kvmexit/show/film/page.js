/* The films of a page, and the page's address.

   A film in a page is
     <div class="kvmexit-film">, with JSON in a script element, then the still frame
   Each key of that JSON is a trait of the model. The still frame is what is seen with scripts off;
   it goes when the film is drawn. The last state of every film is kept in the history's entry, and
   that of the film last touched in the address: a reload and a way back find them. */

import { fragmentOf, goTo, stateOf } from "./address.js";
import { turnKnobs } from "./controls.js";
import { set } from "./dom.js";
import { open } from "./open.js";
import { WORDS } from "./vocabulary.js";

const PAUSE = 200; // milliseconds from the last move to the address

/* The model of a film with no kernel behind it: nobody else changes it. */
const pageModel = (traits) => ({
  get: (name) => traits[name],
  set: (name, value) => { traits[name] = value; },
  save_changes() {},
});

/* Every film has a name in its page; a second of the same name gets a number. */
function nameFor(films, name = "film") {
  let count = 1, free = name;
  while (films.has(free)) free = `${name}-${++count}`;
  return free;
}

/* All films of the page, by name, and who keeps them in its address. */
const hosted = new Map();
let follow = null;

/* Play the films in `root`, the page or a part of it that has come later. One that has left the
   page by then leaves its name to those that come. */
export function host(root, kinds) {
  for (const [name, film] of hosted) if (!film.nodes.root.isConnected) hosted.delete(name);
  for (const still of root.querySelectorAll(".kvmexit-film")) {
    const data = still.querySelector(':scope > script[type="application/json"]');
    if (!data) continue; // it plays
    const traits = JSON.parse(data.textContent);
    const el = document.createElement("div"), name = nameFor(hosted, traits.name);
    const film = open({ model: pageModel(traits), el }, kinds, name);
    still.replaceChildren(el);
    film.opening = { choice: film.choice, landing: film.landing, step: film.step };
    hosted.set(name, film);
    follow?.(film);
  }
  if (hosted.size && !follow) follow = keepAddress(hosted);
}

/* Returns what makes one more film known to the address. */
function keepAddress(films) {
  let timer = 0, touched = null, loading = false;
  const all = () => Object.fromEntries([...films].map(([name, film]) => [name, fragmentOf(film)]));
  const write = () => {
    clearTimeout(timer);
    timer = 0;
    const address = touched ? fragmentOf(touched) : location.hash;
    history.replaceState({ ...history.state, films: all() }, "", address || undefined);
  };
  const restore = () => {
    loading = true;
    const kept = history.state?.films ?? {}, asked = stateOf(location.hash);
    for (const [name, film] of films) {
      const state = asked?.film === name ? asked : stateOf(kept[name] ?? "");
      if (state) goTo(film, state);
      else if (!asked) goTo(film, {});
      turnKnobs(film);
    }
    touched = films.get(asked?.film) ?? null;
    loading = false;
    return touched;
  };
  const know = (film) => {
    film.moved = () => {
      if (loading) return;
      touched = film;
      clearTimeout(timer);
      timer = setTimeout(write, PAUSE);
    };
    film.nodes.link.onclick = () => copy(film, write);
  };
  for (const film of films.values()) know(film);
  const arrive = () => {
    const film = restore();
    if (film) bringIntoView(film.nodes.root);
    write();
  };
  document.addEventListener("click", () => timer && write(), true);
  addEventListener("beforeunload", () => timer && write());
  addEventListener("hashchange", arrive);
  addEventListener("pageshow", ({ persisted }) => persisted && restore());
  if (stateOf(location.hash) || history.state?.films) arrive();
  return know;
}

/* A film that a link has set comes into view, unless it is there, and no farther: the text with the
   link is beside it. What covers it hears of it first. */
function bringIntoView(root) {
  root.dispatchEvent(new Event("kvmexit-shown", { bubbles: true }));
  root.scrollIntoView({ block: "nearest" });
}

async function copy(film, write) {
  film.moved();
  write();
  const { link } = film.nodes;
  try {
    await navigator.clipboard.writeText(location.href);
    set(link, WORDS.copied);
  } catch {
    set(link, WORDS.inAddress); // a page from a disk may not write to the clipboard
  }
  set(film.nodes.hear, link.textContent);
  setTimeout(() => set(link, WORDS.link), 2000);
}
