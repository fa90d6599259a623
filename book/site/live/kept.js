/* What a reader has changed outlives the visit. A change belongs to the cell of the book that it
   was made to: where the book has another text now, it is kept and not put anywhere. */

const place = (page) => `kvmexit.live.${page}`;

/* Each changed text by the book's own. What anybody else has left there is passed over. */
export function recall(page) {
  try {
    const found = JSON.parse(localStorage.getItem(place(page)));
    const all = typeof found === "object" && !Array.isArray(found) ? Object.entries(found ?? {}) : [];
    return Object.fromEntries(all.filter(([, text]) => typeof text === "string"));
  } catch {
    return {};
  }
}

/* Keep `text` for the cell that is known by `key`, the text that the book has; null: it has that
   again. Returns whether it will be there. */
export function keep(page, key, text) {
  try {
    const all = recall(page);
    if (text === null) delete all[key];
    else all[key] = text;
    if (Object.keys(all).length) localStorage.setItem(place(page), JSON.stringify(all));
    else localStorage.removeItem(place(page));
    return true;
  } catch {
    return false; // a private window, or storage is switched off
  }
}
