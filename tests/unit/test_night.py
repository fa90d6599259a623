"""The dots of a long test are its suspends, one for one."""

import json
from xml.etree import ElementTree

import pytest
from kvmexit.packet.experiment import Scenario, response_of
from kvmexit.packet.longtest import LongTest, long_test
from kvmexit.packet.outcome import Kind
from kvmexit.show import dots
from kvmexit.show.night import COLUMNS
from kvmexit.show.vocabulary import OUTCOMES

TEST = Scenario(response_of(16))


@pytest.fixture(scope="module")
def night() -> LongTest:
    return long_test(TEST, suspends=300)


def test_every_dot_decodes_to_its_suspend(night: LongTest):
    data = json.loads(dots(night).html().split(">", 2)[2].split("</script>")[0])["data"]
    assert len(data["order"]) == len(night.suspends)
    for one, which in zip(night.suspends, data["order"]):
        row, packet = data["seen"][which]
        assert bytes.fromhex(packet) == one.packet
        assert tuple(data["rows"][row][1:3]) == (one.packet_words, one.driver_words)
    assert [tuple(row[:3]) for row in data["rows"]] == night.tally
    assert bytes.fromhex(data["sent"]) == night.sent


def test_what_the_report_could_not_see_is_not_told(night: LongTest):
    """Neither the number of reads nor where in the run the suspend landed."""
    assert set(dots(night).data) == {
        "key",
        "columns",
        "sent",
        "headings",
        "rows",
        "seen",
        "order",
        "first",
    }


def test_the_first_that_is_shown_came_out_wrong(night: LongTest):
    first = dots(night).data["first"]
    assert night.suspends[first].packet != night.sent
    assert all(one.packet == night.sent for one in night.suspends[:first])


def test_a_night_without_damage_shows_its_first_packet():
    well = dots(long_test(Scenario(TEST.response, policy="drain"), suspends=5))
    assert well.data["first"] == 0 and len(well.data["rows"]) == 1


def test_without_a_script_there_are_as_many_dots_and_the_table(night: LongTest):
    html = dots(night).html()
    svg = ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])
    drawn = {path.get("fill"): path.get("d", "") for path in svg}
    assert Kind.LOST in {one.kind for one in night.suspends}, "whose packets look right"
    for kind, words in ((Kind.OK, "right"), (Kind.MISSING, "a byte missing")):
        look = OUTCOMES[kind]
        wanted = sum(one.packet_words == words for one in night.suspends)
        assert drawn[look.colour].count(look.dot) == wanted > 0
    assert f"0 0 {10 * COLUMNS} 80" == svg.get("viewBox")
    assert html.count("<tr>") == 1 + len(night.tally)
    assert repr(dots(night)) == repr(night)


def test_a_dot_is_the_column_of_a_strip():
    assert OUTCOMES[Kind.MISSING].dot == "m-4 -4h8v2.8h-8zm0 5.2h8v2.8h-8z"
    assert len({look.dot for look in OUTCOMES.values()}) == len(OUTCOMES)
