/* What a reader has changed outlives the visit. A change belongs to the cell of the book that it
   was made to: where the book has another text now, it is kept and not put anywhere. */

const place = (page) => `kvmexit.live.${page}`;

/* Each changed text by the book's own. */
export function recall(page) {
  try {
    return JSON.parse(localStorage.getItem(place(page))) ?? {};
  } catch {
    return {};
  }
}

/* Keep `text` for the cell that reads `first` in the book. Returns whether it will be there. */
export function keep(page, first, text) {
  try {
    const all = recall(page);
    if (text === first) delete all[first];
    else all[first] = text;
    if (Object.keys(all).length) localStorage.setItem(place(page), JSON.stringify(all));
    else localStorage.removeItem(place(page));
    return true;
  } catch {
    return false; // a private window, or storage is switched off
  }
}
