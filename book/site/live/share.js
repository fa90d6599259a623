/* Packs a changed cell into an address, and takes it out again. */

import { LONGEST, markOf } from "./address.js";

const through = (bytes, stream) =>
  new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer();

/* The address of this page with a cell in it, known by the book's text; null if it is too long. */
export async function linkTo(book, text) {
  const packed = await through(new TextEncoder().encode(text), new CompressionStream("deflate-raw"));
  if (packed.byteLength > LONGEST) return null;
  const code = btoa(String.fromCharCode(...new Uint8Array(packed)));
  const safe = code.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  const address = `${location.href.replace(/#.*/, "")}#live=${markOf(book)}.${safe}`;
  return address.length > LONGEST ? null : address;
}

/* The text that `linkTo` packed. Error if it is damaged. */
export async function unpack(packed) {
  try {
    const code = atob(packed.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(code, (letter) => letter.charCodeAt(0));
    const text = await through(bytes, new DecompressionStream("deflate-raw"));
    return new TextDecoder("utf-8", { fatal: true }).decode(text);
  } catch {
    throw new Error("the link is damaged: its cell cannot be read");
  }
}
