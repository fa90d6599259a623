"""What is wrong with a stream is named, once, wherever it stands in it."""

from random import Random

import pytest
from kvmexit.conform.bodies import COUNT_BIT, FIRST, LAST
from kvmexit.conform.sequence import Kind, after, breaks, counts, undisturbed

LENGTH = 400


def said(values):
    """A guest that says these values, each with its count."""
    return bytes(value | (place % 2) * COUNT_BIT for place, value in enumerate(values))


def values(length=LENGTH):
    return [after(FIRST, k) for k in range(length)]


def lose(stream, at):
    return said(stream[:at] + stream[at + 1 :])


def repeat(stream, at):
    return said(stream[: at + 1] + stream[at:])


def make_up(stream, at):
    return said([*stream[:at], 0, *stream[at:]])


def in_place(stream, at):
    return said([*stream[:at], 0x7F, *stream[at + 1 :]])


def stale(stream, at):
    return said([*stream[:at], stream[at - 1], *stream[at + 1 :]])


def reorder(stream, at):
    return said([*stream[:at], stream[at + 1], stream[at], *stream[at + 2 :]])


def write_twice(stream, at):
    whole = said(stream)
    return whole[: at + 1] + whole[at:]


def not_write(stream, at):
    whole = said(stream)
    return whole[:at] + whole[at + 1 :]


def lose_ten(stream, at):
    return said(stream[:at] + stream[at + 10 :])


def read_ten_again(stream, at):
    return said(stream[:at] + stream[at - 10 :])


FAULTS = {
    lose: {Kind.MISSING: 1},
    repeat: {Kind.TWICE: 1},
    make_up: {Kind.MADE_UP: 1},
    in_place: {Kind.MADE_UP: 1, Kind.MISSING: 1},
    stale: {Kind.TWICE: 1, Kind.MISSING: 1},
    reorder: {Kind.OUT_OF_ORDER: 1},
    write_twice: {Kind.WRITTEN_TWICE: 1},
    not_write: {Kind.NOT_WRITTEN: 1},
    lose_ten: {Kind.MISSING: 10},
    read_ten_again: {Kind.TWICE: 10},
}


def test_an_undisturbed_stream_has_no_break():
    assert undisturbed(LENGTH) == said(values())
    assert {byte & 0x7F for byte in undisturbed(LENGTH)} == set(range(FIRST, LAST + 1))
    assert breaks(undisturbed(LENGTH)) == []


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_counted_exactly_wherever_it_stands(fault):
    expected = {kind.value: 0 for kind in Kind} | {k.value: n for k, n in FAULTS[fault].items()}
    for at in range(10, LENGTH - 20):
        found = breaks(fault(values(), at))
        assert counts(found) == expected, at
        assert abs(found[0].at - at) <= 1


@pytest.mark.parametrize("seed", range(50))
def test_two_faults_in_one_stream_are_two(seed):
    random = Random(seed)
    stream, at = values(), random.randrange(10, 100)
    first = [*stream[:at], *stream[at + 1 :]]
    found = breaks(make_up(first, random.randrange(150, 300)))
    assert [one.kind for one in found] == [Kind.MISSING, Kind.MADE_UP]
