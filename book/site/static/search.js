/* The page of search: which sections of the book speak of the words in the address.

   The sections are in search-data.js (finder.py), which is loaded when there is something to look
   for: `pages` [file, title, group, title with a number] in reading order, `parts` [page, id,
   heading, prose, stressed, code]. A word is found where it begins one: "restore" finds
   "restored". Nothing is fetched, so a page from a disk can do the same. */
"use strict";

const WEIGHT = { title: 30, whole: 25, stressed: 14, prose: 4, code: 1.5 };
const GROUP = { words: 60, chapter: 10, labs: 2, reference: 4, library: 0, sources: -40 };
const PER_PAGE = 3; // sections shown of one page
const AROUND = 110; // characters of an excerpt before and behind the word

const SMALL = new Set("a an and are as at be by do does for how in is it of on or the to what when why".split(" "));

const stem = (word) => (word.length > 4 ? word.replace(/(?:ings?|ed|es|s)$/, "") : word);
const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
const pattern = (word) => new RegExp(`(?<![\\p{L}\\p{N}])${escaped(stem(word))}`, "giu");
const count = (text, found) => text.match(found)?.length ?? 0;
const much = (n) => (n ? 1 + Math.log2(n) : 0);

/* How much one section has to say of one word; 0 if nothing. */
function weigh([, , title, prose, stressed, code], word, found) {
  const names = count(title, found);
  const whole = title.toLowerCase() === word ? WEIGHT.whole : 0;
  return whole + WEIGHT.title * Math.min(names, 1) + WEIGHT.stressed * Math.min(count(stressed, found), 1)
    + WEIGHT.prose * much(count(prose, found)) + WEIGHT.code * much(count(code, found));
}

/* The sections that have all words, or else those that have any, as [score, part]. */
function sections(data, words) {
  const patterns = words.map(pattern);
  const weighed = data.parts.map((part) => {
    const each = patterns.map((found, n) => weigh(part, words[n], found));
    return { part, sum: each.reduce((a, b) => a + b, 0), all: each.every(Boolean) };
  });
  const all = weighed.filter((one) => one.all);
  return [all.length ? all : weighed.filter((one) => one.sum), all.length > 0];
}

/* Pages in the order in which they are worth reading: the best section counts most, the others
   a little; among equals, the order of the book. */
function ranked(data, found) {
  const pages = new Map();
  for (const one of found) {
    const at = one.part[0];
    pages.set(at, [...(pages.get(at) ?? []), one]);
  }
  return [...pages]
    .map(([at, its]) => {
      its.sort((a, b) => b.sum - a.sum);
      const rest = its.slice(1).reduce((sum, one) => sum + one.sum, 0);
      const shown = its.slice(0, PER_PAGE).map((one) => one.part);
      const group = data.pages[at][2];
      const named = group !== "words" || its[0].sum > WEIGHT.title ? GROUP[group] : 0;
      return { at, shown, more: its.length - shown.length, score: its[0].sum + rest / 6 + named };
    })
    .sort((a, b) => b.score - a.score || a.at - b.at);
}

/* Some prose about the first of the words, which are marked; of code only where prose has none. */
function excerpt([, , , prose, , code], words) {
  const any = new RegExp(words.map((word) => pattern(word).source).join("|"), "giu");
  const inProse = prose.search(any) >= 0;
  const text = inProse || code.search(any) < 0 ? prose : code;
  const at = Math.max(text.search(any), 0);
  const start = at < AROUND ? 0 : text.indexOf(" ", at - AROUND) + 1;
  const end = at + AROUND >= text.length ? text.length : text.lastIndexOf(" ", at + AROUND);
  const piece = text.slice(start, Math.max(end, at + 1));
  const out = document.createElement(text === code ? "code" : "span");
  let from = 0;
  for (const match of piece.matchAll(any)) {
    out.append(piece.slice(from, match.index));
    const rest = piece.slice(match.index).match(/^[\p{L}\p{N}_]+/u)?.[0] ?? match[0];
    out.append(Object.assign(document.createElement("mark"), { textContent: rest }));
    from = match.index + rest.length;
  }
  out.append(piece.slice(from));
  if (start) out.prepend("… ");
  if (end < text.length) out.append(" …");
  return out;
}

function link(file, anchor, name, words) {
  const asked = `?found=${encodeURIComponent(words.join(" "))}`;
  const made = document.createElement("a");
  made.href = file + asked + (anchor ? `#${anchor}` : "");
  made.textContent = name;
  return made;
}

function show(data, words, said, list) {
  const [found, all] = sections(data, words);
  const pages = ranked(data, found);
  for (const { at, shown, more } of pages) {
    const [file, title, , numbered] = data.pages[at];
    const item = document.createElement("li");
    for (const part of shown) {
      const line = document.createElement("div");
      const name = part[2] === title ? numbered : `${numbered} › ${part[2]}`;
      line.append(link(file, part[1], name, words), document.createElement("br"), excerpt(part, words));
      item.append(line);
    }
    if (more) item.append(Object.assign(document.createElement("div"), {
      textContent: `and in ${more} more section${more > 1 ? "s" : ""} of this page`,
    }));
    list.append(item);
  }
  const what = words.join(" ");
  said.textContent = !pages.length
    ? `Nothing in the book says “${what}”. The page of words lists those that it uses.`
    : `${pages.length} page${pages.length > 1 ? "s" : ""} ${all ? "for" : "with some of"} “${what}”`;
}

const asked = new URLSearchParams(location.search).get("q") ?? "";
const every = [...new Set(asked.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [])];
const large = every.filter((word) => !SMALL.has(word));
const words = large.length ? large : every;
for (const field of document.querySelectorAll('form.bd-search input[name="q"]')) field.value = asked;
if (words.length) {
  const said = document.getElementById("search-said");
  const script = document.createElement("script");
  script.src = document.currentScript.src.replace(/search\.js.*$/, "search-data.js");
  script.onload = () => show(searchData, words, said, document.getElementById("search-results"));
  script.onerror = () => (said.textContent = "The data of the search is not here: build the book again.");
  said.textContent = "Looking …";
  document.head.append(script);
} else {
  document.querySelector("#text input").focus();
}
