/* What a reader has guessed, kept in this browser and nowhere else. Where it keeps nothing (a
   private window, storage switched off), guesses last as long as the page is open. */

const GUESS = "kvmexit.guess.", COVER = "kvmexit.cover";
const here = new Map();

function store(act) {
  try {
    return act(window.localStorage);
  } catch {
    return undefined;
  }
}

/* What was guessed at a question: {guess, right}, or null. */
export function recall(key) {
  const text = store((kept) => kept.getItem(GUESS + key)) ?? here.get(key);
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

export function keep(key, guess) {
  here.set(key, JSON.stringify(guess));
  store((kept) => kept.setItem(GUESS + key, JSON.stringify(guess)));
}

export function forget(key) {
  here.delete(key);
  store((kept) => kept.removeItem(GUESS + key));
}

/* Does a guess outlive the page? */
export function lasts() {
  return store((kept) => {
    kept.setItem(GUESS, "1");
    kept.removeItem(GUESS);
    return true;
  }) === true;
}

/* Are answers to be covered until a guess is made? */
export function covers() {
  return (store((kept) => kept.getItem(COVER)) ?? here.get(COVER)) !== "off";
}

export function cover(on) {
  here.set(COVER, on ? "on" : "off");
  store((kept) => kept.setItem(COVER, on ? "on" : "off"));
}
