/* A hand on a slider: a mouse moves it at once, a finger only when it goes sideways or taps, so
   that a scroll which begins there stays a scroll. */

const STIR = 6; // pixels in which a finger may still mean to scroll

export const xIn = (node, { clientX }) => clientX - node.getBoundingClientRect().left;

/* `move(x, down)` for each place; `down` is the same while the hand is down, and has its first
   place `x`, what it went down on, `of`, and whether it is a finger, `touch`. `done()` when the
   hand is taken off. */
export function draggable(node, move, done) {
  let down = null;
  const act = (event) => move(xIn(node, event), down);
  node.onpointerdown = (event) => {
    if (event.button || !event.isPrimary) return;
    const touch = event.pointerType === "touch";
    down = { touch, x: xIn(node, event), of: event.target, from: [event.clientX, event.clientY], moving: !touch };
    if (touch) return;
    node.setPointerCapture(event.pointerId);
    act(event);
  };
  node.onpointermove = (event) => {
    if (!down || !event.isPrimary) return;
    const [dx, dy] = [event.clientX - down.from[0], event.clientY - down.from[1]].map(Math.abs);
    if (!down.moving && Math.max(dx, dy) < STIR) return;
    if (!down.moving && dy > dx) {
      down = null;
      return;
    }
    if (!down.moving) node.setPointerCapture(event.pointerId);
    down.moving = true;
    act(event);
  };
  node.onpointerup = (event) => {
    if (!down) return;
    if (!down.moving) act(event);
    down = null;
    done?.();
  };
  node.onpointercancel = () => { down = null; };
}

const KEYS_OF = {
  ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1,
  PageUp: 10, PageDown: -10, Home: -Infinity, End: Infinity,
};

/* Arrow keys and their like on a slider: `by(1, event)`, ±10 for a page, ±Infinity for an end. */
export function keyed(node, by) {
  node.onkeydown = (event) => {
    const step = KEYS_OF[event.key];
    if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    by(step, event);
  };
}
