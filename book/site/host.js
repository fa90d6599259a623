/* The films of a page of the book. Inserted behind the player (light.py). */

/* When the page has loaded, Bootstrap's scroll spy takes the fragment of each link for a selector,
   and stops at one that is none. It passes over what is disabled, and to a browser no link is. */
const links = document.querySelectorAll('a[href*="#film="]');
for (const link of links) link.disabled = true;
addEventListener("load", () => setTimeout(() => links.forEach((link) => delete link.disabled)));

player.host(document);
