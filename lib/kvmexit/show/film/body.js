/* What is there once: the film's elements, by name. What they say is painted later. */

import { KEYS, drawing, make } from "./dom.js";
import { WORDS } from "./vocabulary.js";

/* Makers that keep what they make in `nodes`, under its name. */
function makers(nodes) {
  const keep = (name, node) => (nodes[name] = node);
  return {
    keep,
    note: (name, tag = "div", properties = {}) => keep(name, make(tag, properties)),
    svg: (name, properties) => keep(name, drawing(properties)),
    button: (name, text, label) => keep(name, make("button",
      { type: "button", textContent: text, "aria-label": label, title: label })),
    slider: (role, label, ...children) => keep(role, make("div",
      { role: "slider", tabIndex: 0, "data-role": role, "aria-label": label,
        "aria-valuemin": 0 }, ...children)),
  };
}

const hidden = { "aria-hidden": "true" };

/* The suspend: how many there are, one on and one back, and the strip, which is the slider. */
function landing({ note, button, svg, slider }, small) {
  const bar = make("div", { className: "bar" },
    button("earlier", "‹ damage", "Previous damage"),
    button("before", "−", "One landing earlier"),
    note("at", "span", { className: "count" }),
    button("after", "+", "One landing later"),
    button("later", "damage ›", "Next damage"));
  const box = slider("landing", "Where the suspend lands", svg("strip", hidden));
  const near = svg("near", { class: "near", ...hidden });
  if (small) return box;
  box.append(near);
  return make("div", { className: "where" }, bar, box);
}

/* What the device sent and what the guest got, in the same columns, and what both come to. */
function bytes({ note, keep }, uid) {
  const row = (name) => {
    const label = make("div", { className: "name", id: `${uid}-${name}`, textContent: WORDS[name] });
    const list = make("ul", { className: "cells", "data-role": name, "aria-labelledby": label.id });
    return [label, keep(name, list)];
  };
  const sent = row("sent"), got = row("got");
  got[0].append(note("apart", "small"));
  return make("div", { className: "rows" }, ...sent, ...got,
    keep("told", make("div", { className: "told" },
      note("outcome", "strong", { "data-role": "outcome" }),
      note("driver", "span", { "data-role": "driver" }))));
}

/* Time: an event back and on, play, and the events as a slider. */
function time({ button, slider, svg }) {
  return make("div", { className: "time" },
    button("back", "‹", "One event back"),
    button("play", "▶", WORDS.play),
    button("on", "›", "One event on"),
    slider("step", "Step of the run", svg("track", hidden)));
}

/* All elements of one film, by name; `uid` keeps two films on a page apart. */
export function build(uid, face) {
  const nodes = {}, tools = makers(nodes), { note, keep, button, svg } = tools;
  const small = face === "small";
  const knobs = note("knobs", "div", { className: "knobs" });
  const head = make("div", { className: "head" },
    note("title", "strong", { className: "title" }),
    button("link", WORDS.link, "Copy a link to this state"));
  const where = keep("whereBox", landing(tools, small)), rows = keep("rows", bytes(tools, uid));
  const lanes = make("div", { className: "lanes" }, svg("lanes", hidden));
  const moments = time(tools);
  const more = keep("more", make("details", {},
    make("summary", { textContent: WORDS.more }), note("panes")));
  const say = note("say", "p", { className: "say" });
  const hear = note("hear", "div", { className: "hear", role: "status" });
  const children = small ? [knobs, where, rows, hear]
    : [head, knobs, where, rows, lanes, moments, say, more, hear];
  keep("root", make("div",
    { className: `kx ${face}`, role: "group", "data-role": "film", ...KEYS }, ...children));
  return nodes;
}
