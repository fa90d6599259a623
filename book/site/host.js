/* What moves on a page of the book. Inserted behind its player (light.py). What a cell says that
   was run in the page (live/output.js) is played as well. */

player.host(document);
document.addEventListener("kvmexit-output", ({ target }) => player.host(target));
