/* The film: plays runs of a suspended machine, through anywidget's render({model, el}), or all films
   of a page through host(document).

   Traits of the model: `data` (the tables), `landing` (0: nobody suspends), `step`, `choice`
   (numbers of device, policy, compensation, restore), `live` (a kernel computes the run that is
   asked for) and then `strip` (the outcome at each landing); `name` in its page, `face` ("small":
   strip, bytes and knobs), `autoplay` (the suspend walks in once) and `veiled` (the strip is grey
   until a place is chosen; then the root sends `film:guess` with {landing, kind}). Only what
   changed is drawn. */

import { open } from "./open.js";
import { host } from "./page.js";

const render = (options) => open(options).close;

export default { render, host };
