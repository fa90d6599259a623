/* The map's data: exits, saves, and what became of each cell in each world. Knows no screen. */

export const SEVERAL = "several";
export const NONE = "no such exit";

/* `table` has, in the order of the map, what the page says of each exit: its name, its address, its
   code, what was measured, and whether it is the first of its access. */
export function decode(data, table) {
  const kinds = Object.keys(data.kinds), of = new Map();
  let access = -1;
  const exits = table.map(({ first, ...exit }, n) => {
    access += first ? 1 : 0;
    of.set(access, (of.get(access) ?? 0) + 1);
    return { ...exit, access, kind: kinds[data.kind[n]] };
  });
  for (const exit of exits) exit.several = of.get(exit.access) > 1;
  const worlds = data.worlds.map(([machine, restore, saved, cells]) =>
    ({ machine, restore, saved, cells: [...cells].map((one) => data.letters.indexOf(one)) }));
  return { ...data, saves: Object.keys(data.saves), when: data.saves, exits, worlds,
    machines: Object.keys(data.machines), measured: data.machines };
}

/* The world that is asked for, or the nearest that there is. */
export function worldOf(map, { machine, restore, saved }) {
  const like = map.worlds.filter((one) => one.machine === machine);
  return like.find((one) => one.restore === restore && one.saved === saved)
    ?? like.find((one) => one.saved === saved) ?? map.worlds[0];
}

/* What can stand beside a world: others that differ in one thing. By the word for the address. */
export function besides(map, world) {
  const found = new Map();
  for (const one of map.worlds) {
    const into = one.restore !== world.restore, saved = one.saved !== world.saved;
    const machine = one.machine !== world.machine;
    if (into + saved + machine !== 1) continue;
    if (into) found.set("into", { world: one, label: map.into[one.restore] });
    else if (saved) found.set("saved", { world: one, label: map.saved[one.saved] });
    else found.set(one.machine, { world: one, label: one.machine });
  }
  return found;
}

/* (fate, reason) of a cell; null where the world has no such exit. */
export function cell(map, world, exit, save) {
  return map.says[world.cells[exit * map.saves.length + save]] ?? null;
}

export function facts(map, world, exit) {
  const measured = map.measured[world.machine];
  return exit in measured ? (measured[exit] ?? NONE) : map.exits[exit].facts;
}

export function ofKind(exit, kind) {
  return !kind || (kind === SEVERAL ? exit.several : exit.kind === kind);
}
