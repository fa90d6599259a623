/* Who comes from the page of search lands at the word, and sees it: `?found=drain#the-section`.

   The words are marked without a change of the page, where the browser can do that. What is
   closed, a hint or an answer, stays closed. */
"use strict";

function landAt(words) {
  const article = document.querySelector("article.bd-article");
  const section = document.getElementById(decodeURIComponent(location.hash.slice(1))) ?? article;
  const stem = (word) => (word.length > 4 ? word.replace(/(?:ings?|ed|es|s)$/, "") : word);
  const any = words.map((word) => stem(word).replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const found = new RegExp(`(?<![\\p{L}\\p{N}])(?:${any})[\\p{L}\\p{N}_]*`, "giu");
  const text = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
  const ranges = [];
  while (text.nextNode()) {
    const node = text.currentNode;
    if (!node.parentElement.checkVisibility?.() || node.parentElement.closest("svg, .kvmexit-film"))
      continue;
    for (const match of node.data.matchAll(found)) {
      const range = new Range();
      range.setStart(node, match.index);
      range.setEnd(node, match.index + match[0].length);
      ranges.push(range);
    }
  }
  if (globalThis.Highlight) CSS.highlights.set("found", new Highlight(...ranges));
  const behind = (range) => section.compareDocumentPosition(range.startContainer)
    & (Node.DOCUMENT_POSITION_CONTAINED_BY | Node.DOCUMENT_POSITION_FOLLOWING);
  const first = ranges.find(behind) ?? ranges[0];
  first?.startContainer.parentElement.scrollIntoView({ block: "center" });
}

const found = new URLSearchParams(location.search).get("found");
if (found) addEventListener("load", () => requestAnimationFrame(() => landAt(found.split(" "))));
