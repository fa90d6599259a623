"""One document held against another: a real kernel's against the simulator's, or against the
recording that is shipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Key = tuple[str, ...]

PROCESSORS_OWN = {
    ("pending", access, what)
    for access in ("rdmsr", "wrmsr")
    for what in ("counter moved", "earlier state")
}
"""What KVM leaves to the processor: how far it goes on when userspace has moved the counter under a
pending MSR. There the simulator says what KVM's emulator does, and no more."""


class Difference(NamedTuple):
    """An observation on which two documents differ; None where one of them has none."""

    key: Key
    here: Any
    there: Any

    def __str__(self) -> str:
        return f"{', '.join(self.key)}: {_short(self.here, self.there)}"


def observations(document: dict[str, Any]) -> dict[Key, Any]:
    """Every single thing that was seen, by a name: each exit of the atlas, how each of its guests
    ended, each experiment, each landing strip, each fact."""
    found: dict[Key, Any] = {}
    for restore, reports in document["atlas"].items():
        for report in reports:
            base = ("atlas", restore, report["name"])
            for row in report["exits"]:
                found[*base, f"exit {row['k']}"] = row
            found[*base, "end"] = {"end": report["end"], "log": report["log"]}
    for row in document["pending"]:
        found["pending", row["access"], row["while_pending"]] = row
    for name, value in document["packet"].items():
        found["packet", name] = value
    for name, value in document.get("facts", {}).items():
        found["fact", name] = value
    return found


def rules(document: dict[str, Any]) -> dict[Key, Any]:
    """The observations about which the simulator has something to say."""
    return {
        key: value
        for key, value in observations(document).items()
        if key[0] != "fact" and key not in PROCESSORS_OWN
    }


def differences(here: dict[Key, Any], there: dict[Key, Any]) -> list[Difference]:
    """All on which two sets of observations differ."""
    pairs = ((key, _plain(here.get(key)), _plain(there.get(key))) for key in {**here, **there})
    return [Difference(key, a, b) for key, a, b in pairs if a != b]


def _plain(value: Any) -> Any:
    """As JSON gives it back: a recording has been through it."""
    return json.loads(json.dumps(value))


def _short(here: Any, there: Any) -> str:
    """Only the parts that differ."""
    if isinstance(here, dict) and isinstance(there, dict):
        parts = (
            f"{name} {here.get(name)} / {there.get(name)}"
            for name in {**here, **there}
            if here.get(name) != there.get(name)
        )
        return "; ".join(parts)
    return f"{here} / {there}"


class Line(NamedTuple):
    """Accesses that fare alike, and how: the table that `kvmexit elsewhere` prints."""

    accesses: list[str]
    counter: str
    served: str
    unserved: str
    entries: str
    drain: str
    registers_set: str


HEADINGS = (
    "counter at the exit",
    "served",
    "unserved",
    "entries",
    "drain",
    "served, set into the same vCPU",
)


def table(document: dict[str, Any]) -> Iterator[Line]:
    """The first exits of all accesses, those that fare alike in one line."""
    lines: dict[tuple[str, ...], list[str]] = {}
    for new, same in zip(*(document["atlas"][r] for r in ("new-vm", "same-vcpu")), strict=True):
        for exit, (row, again) in enumerate(zip(new["exits"], same["exits"], strict=True)):
            name = new["name"] if len(new["exits"]) == 1 else f"{new['name']} [{exit}]"
            lines.setdefault(_words(row, again), []).append(name)
        if not new["exits"] and new["end"] != "hlt":
            lines.setdefault((new["end"], "", "", "", "", ""), []).append(new["name"])
    for words, accesses in lines.items():
        yield Line(accesses, *words)


def _words(row: dict[str, Any], again: dict[str, Any]) -> tuple[str, ...]:
    counter = "rip" if "rip" in row else "pc"
    at = "moves at completion" if row[counter] != row[f"{counter}_after"] else "does not move"
    save = row["save"]
    return (
        at,
        save["served"],
        save["unserved"],
        str(row["drain_runs"] or "endless"),
        save["drain"] or "never",
        again["save"]["served"],
    )
