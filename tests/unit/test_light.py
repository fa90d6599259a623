"""What a page of the book loads to move: which scripts, and how heavy they are."""

import gzip

import pytest
from bench.bench_film import HEAVIEST
from kvmexit.show import film
from kvmexit.show.player import MAINS, module
from light import HERE, classic_script, minified, played

WHOLE = film(4).html()
SMALL = film(4, face="small").html()
ASKING = film(4, face="small", veiled=True).html()
VEILED = film(4, veiled=True).html()


@pytest.mark.parametrize(
    ("html", "scripts"),
    [
        ("<p>nothing moves</p>", []),
        (WHOLE, ["film.js"]),
        (WHOLE + SMALL, ["player.js"]),
        (ASKING, ["asking.js"]),
        (ASKING + WHOLE, ["player.js"]),
        (ASKING + SMALL, ["player.js"]),
        (VEILED, ["player.js"]),
        (WHOLE + '<div class="kvmexit-night">', ["film.js", "night.js"]),
    ],
)
def test_a_page_loads_what_plays_its_films(html: str, scripts: list[str]):
    assert sorted(played(html)) == scripts


@pytest.mark.skipif(not minified, reason="the minifier has no build for this machine")
@pytest.mark.parametrize("main", ["film.js", "asking.js"])
def test_the_player_of_a_page_keeps_its_promise(main: str):
    script = classic_script(module(main), (HERE / "host.js").read_text())
    assert len(gzip.compress(script.encode(), 6)) <= HEAVIEST
    assert "keepAddress" in module(main) and "keepAddress" not in script


@pytest.mark.parametrize("main", MAINS)
def test_without_the_minifier_a_page_has_the_same_script(
    main: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("light.minified", None)
    script = classic_script(module(main), "player.host(document);\n")
    assert script.startswith('(() => {\n"use strict";\n') and "const player =" in script
