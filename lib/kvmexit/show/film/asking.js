/* The films of a page that ask before they tell, all of them small. */

import { asking } from "./guess.js";
import { host } from "./page.js";
import { walking } from "./walk.js";

export default { host: (page) => host(page, { asking, walking }) };
