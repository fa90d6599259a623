/* The films of a page of the book. Inserted behind the player (light.py). */

player.host(document);
