/* Where the reader is on the map, as the end of an address: #atlas=in-al-dx.1&save=drain. */

const NAMES = ["save", "machine", "into", "saved", "beside", "access", "fate"];

/* What the address says, with what it leaves out as the map opens; null if it is another's. */
export function read(key, hash, opening) {
  const said = new URLSearchParams(hash.replace(/^#/, ""));
  if (!said.has(key)) return null;
  const place = { ...opening, exit: said.get(key) };
  for (const name of NAMES) if (said.has(name)) place[name] = said.get(name);
  return place;
}

export function write(key, place, opening) {
  const said = new URLSearchParams({ [key]: place.exit });
  for (const name of NAMES) if (place[name] !== opening[name]) said.set(name, place[name]);
  return `#${said}`;
}
