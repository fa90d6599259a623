"""The film of the kick race tells each landing as the model ran it, and needs no script."""

import re

from kvmexit.packet import KICKS, kick_races
from kvmexit.show import kicks

FILM = kicks()
RACES = [race for kick in KICKS for race in kick_races(kick)]


def test_every_landing_has_a_button_a_label_a_story_and_a_rule():
    html = FILM.html()
    for n in range(len(RACES)):
        assert html.count(f'id="kx-kick-{n}"') == 1
        assert html.count(f'<label for="kx-kick-{n}"') == 1
        assert html.count(f'<ol class="kx-s{n}"') == 1
        assert f"#kx-kick-{n}:checked~.kx-s{n}{{display:block}}" in html
    assert "<script" not in html


def test_one_that_is_lost_is_shown_first():
    (first,) = re.findall(r'id="kx-kick-(\d+)"[^>]* checked', FILM.html())
    assert not RACES[int(first)].stops


def test_a_story_ends_with_the_look_or_never():
    for race in RACES:
        last = race.story[-1][1]
        assert ("sees the request" in last) == race.stops
        assert last.endswith("for ever") != race.stops


def test_the_text_has_a_strip_a_kick_and_the_lost_ones_in_words():
    lines = repr(FILM).splitlines()
    strips = {line[:18].strip(): line[18:].strip() for line in lines[: len(KICKS)]}
    for kick in KICKS:
        assert strips[kick] == "".join("." if r.stops else "x" for r in kick_races(kick))
    assert len(lines) == len(KICKS) + sum(not race.stops for race in RACES)
