/* A changed cell in the fragment of an address: #live=<the cell>.<its text, packed, in base64>. A cell
   is known by the text that the book has there: in another edition its number may be another one's. */

const PATTERN = /^#live=([\da-f]{8})\.([\w-]+)$/;
export const LONGEST = 8000; // characters of an address that mail, chats and browsers leave whole

/* What the fragment brings: the mark of the cell and its packed text, both missing where the link is
   damaged. Null if it brings no cell. */
export function carried(fragment) {
  if (!fragment.startsWith("#live=")) return null;
  const [, cell, packed] = (fragment.length <= LONGEST && fragment.match(PATTERN)) || [];
  return { cell, packed };
}

/* By this a cell is known: FNV-1a. What would need a secure page is not everywhere. */
export function markOf(text) {
  let sum = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) sum = Math.imul(sum ^ byte, 0x01000193);
  return (sum >>> 0).toString(16).padStart(8, "0");
}
