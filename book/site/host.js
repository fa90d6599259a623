/* What moves on a page of the book. Inserted behind its player (light.py). */

/* Bootstrap's scroll spy takes the fragment of each link for a selector, and stops at one that is
   none. It passes over a link that is disabled, which to a browser means nothing. */
for (const link of document.querySelectorAll('a[href*="#film="]')) link.disabled = true;

player.host(document);
