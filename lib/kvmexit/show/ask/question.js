/* A question in a front end with a kernel: anywidget's render({model, el}). */

import { ask } from "./ask.js";

function render({ model, el }) {
  el.innerHTML = model.get("html");
  ask(el.firstElementChild);
}

export default { render };
