/* Each map of the page comes to life. Inserted behind the atlas's player (light.py). */

for (const map of document.querySelectorAll(".kvmexit-atlas")) player.start(map);
