/* The films of a page of which none is small or veiled. */

import { host } from "./page.js";
import { whole } from "./whole.js";

export default { host: (page) => host(page, { whole }) };
