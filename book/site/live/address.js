/* A changed cell in the fragment of an address: #live=<number>.<its text, packed, in base64>. */

const PATTERN = /^#live=(\d+)\.([\w-]+)$/;
export const LONGEST = 8000; // characters of an address that mail, chats and browsers leave whole

/* The number of the cell and its packed text; null if the address carries none. */
export function carried(fragment) {
  const [, number, packed] = fragment.match(PATTERN) ?? [];
  return packed ? { number: Number(number), packed } : null;
}
