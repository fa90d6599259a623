/* What moves on a page of the book. Inserted behind its player (light.py). */

player.host(document);
