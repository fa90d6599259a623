"""A film as one file: the still frame, the data and the player, for a disk without a network."""

from __future__ import annotations

from html import escape

from kvmexit.show.films import Film
from kvmexit.show.player import module

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 76rem; padding: 0 8px }}
</style>
<main>
<h1>{title}</h1>
{still}
</main>
<script type="module">
{player}
player.host(document);
</script>
</html>
"""


def page(film: Film) -> str:
    """The whole page. The module stands in it: a page from a disk may not import one."""
    title = escape(film.title or f"A film of {len(film.base.response)} bytes")
    player = module("player.js").replace("export default", "const player =")
    assert "</script" not in player, "the module would end its own element"
    return PAGE.format(title=title, still=film.html(), player=player)
