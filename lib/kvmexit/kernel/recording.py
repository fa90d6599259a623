"""A recording: which question a vCPU was asked, after which others, and what it answered.

It is a tree. A new VM stands at the root; each question (an *input*) is an edge, and carries
the *answer*. Lives that begin alike share their beginning, and on disk subtrees that are alike
are stored once, so a guest restored at each of its exits costs little more than one run.

A question names everything the kernel's answer can depend on. For ``set_state`` that is the
state; for ``run`` it is ``immediate_exit``, the bytes given in answer to the last exit, and a
digest of the memory if anyone but the guest has written to it since the last question.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias

from kvmexit import exits
from kvmexit.errors import KvmExitError
from kvmexit.exits import EINTR, Events, Interrupted, VcpuExit, VcpuState

FORMAT = "kvmexit recording 2"
FACTS = {"cpu", "date", "kernel", "kvmexit", "module", "release", "what"}
"""What a recording says of its making."""

Input: TypeAlias = tuple[Any, ...]
"""("run", immediate_exit, answer in hex or "", memory digest or "") or ("set", state digest)."""
REFUSED = "refused"
"""The answer to an MSR exit that userspace has set ``msr.error`` for."""
Changes: TypeAlias = tuple[tuple[int, bytes], ...]
"""What a run wrote to memory: (address, bytes)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: of ``set_state``, only the state that can be read after it."""

    result: VcpuExit | Interrupted
    state: VcpuState
    changes: Changes = ()


@dataclass(slots=True, eq=False)
class Node:
    """A point in a vCPU's life, and the questions it was asked there."""

    edges: dict[Input, tuple[Answer, Node]] = field(default_factory=dict)


def digest(*parts: bytes) -> str:
    """A short name for bytes: 64 bits in hex."""
    total = hashlib.blake2b(digest_size=8)
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()


def name_state(state: VcpuState) -> str:
    """The digest of a state. Its ``rest`` counts by its own name, see :func:`name_rest`."""
    numbers = (state.gpr, state.rip, state.rflags, state.xmm, name_rest(state.rest))
    return digest(repr((*numbers, _pack_events(state.events))).encode())


def name_rest(rest: Any) -> str:
    """A name for the kernel's own part of a state: "" for none, a digest, or a name itself."""
    if rest is None or isinstance(rest, str):
        return rest or ""
    return digest(*rest)


_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (*exits.DATA_EXITS, exits.Hlt, exits.Shutdown, exits.InternalError, exits.Debug)
} | {"OtherExit": exits.OtherExit, "Interrupted": Interrupted}


def _pack_exit(exit: VcpuExit | Interrupted) -> list[Any]:
    values = [getattr(exit, part.name) for part in fields(exit)]
    return [type(exit).__name__, *(v.hex() if isinstance(v, bytes) else v for v in values)]


def _unpack_exit(packed: list[Any]) -> VcpuExit | Interrupted:
    kind = _KINDS[packed[0]]
    if kind is Interrupted:
        return EINTR
    values = [bytes.fromhex(v) if isinstance(v, str) else v for v in packed[1:]]
    exit: VcpuExit = kind(*values)
    return exit


class Table:
    """Values by number, each stored once."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self._numbers: dict[str, int] = {}

    def number(self, row: Any) -> int:
        """The number of ``row``, which JSON must be able to say."""
        key = json.dumps(row)
        if key not in self._numbers:
            self._numbers[key] = len(self.rows)
            self.rows.append(row)
        return self._numbers[key]


def save(
    path: Path, roots: dict[int, Node], starts: dict[int, VcpuState], host: dict[str, str]
) -> None:
    """Write a recording; the same content gives the same bytes. ``.gz`` in the name packs it.
    Raises KvmExitError if that cannot be written."""
    results, states, nodes = Table(), Table(), Table()
    numbers: dict[int, int] = {}
    for root in (roots[size] for size in sorted(roots)):
        for node in _leaves_first(root):
            numbers[id(node)] = nodes.number(
                [
                    [
                        *question,
                        results.number(_pack_exit(answer.result)),
                        states.number(_pack_state(answer.state)),
                        [[address, data.hex()] for address, data in answer.changes],
                        numbers[id(child)],
                    ]
                    for question, (answer, child) in sorted(node.edges.items())
                ]
            )
    document = {
        "format": FORMAT,
        "host": host,
        "roots": {
            str(size): [numbers[id(node)], states.number(_pack_state(starts[size]))]
            for size, node in sorted(roots.items())
        },
        "results": results.rows,
        "states": states.rows,
        "nodes": nodes.rows,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    try:
        path.write_bytes(gzip.compress(text, 9, mtime=0) if path.suffix == ".gz" else text)
    except OSError as problem:
        raise KvmExitError(
            f"{path}: cannot be written: {problem.strerror}; make room, or write elsewhere"
        ) from None


def _leaves_first(root: Node) -> Iterator[Node]:
    """Every node after its children; without recursion, for a life can be long."""
    stack = [(root, False)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            yield node
        else:
            stack.append((node, True))
            stack += [(node.edges[question][1], False) for question in sorted(node.edges)]


def _pack_events(events: Events | None) -> list[Any] | None:
    """Empty for none, None for those that nobody has saved."""
    if events is None:
        return None
    return [] if events == Events() else [getattr(events, part.name) for part in fields(events)]


def _pack_state(state: VcpuState) -> list[Any]:
    xmm = [format(value, "x") for value in state.xmm] if any(state.xmm) else []
    events = _pack_events(state.events)
    return [*state.gpr, state.rip, state.rflags, name_rest(state.rest), events, *xmm]


def _unpack_state(packed: list[Any]) -> VcpuState:
    xmm = tuple(int(value, 16) for value in packed[12:]) or (0,) * 8
    events = None if packed[11] is None else Events(*packed[11])
    return VcpuState(tuple(packed[:8]), packed[8], packed[9], xmm, events, packed[10] or None)


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording as read: where it was made, and for each size of memory a root and a state."""

    host: dict[str, str]
    roots: dict[int, tuple[Node, VcpuState]]


def load(path: Path) -> Recording:
    """Read a recording. Raises KvmExitError if it is not there, not whole or not one."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        document = json.loads(data)
    except OSError as problem:
        if isinstance(problem, gzip.BadGzipFile):
            raise _damaged(path, problem) from None
        raise KvmExitError(f"recording {path}: {problem.strerror}; give another file") from None
    except (EOFError, RecursionError, ValueError, zlib.error) as problem:
        raise _damaged(path, problem) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise KvmExitError(
            f"recording {path}: not a {FORMAT!r}; record it anew with `kvmexit record`"
        )
    try:
        return _build(document)
    except (KeyError, IndexError, TypeError, ValueError) as problem:
        raise _damaged(path, problem) from None


def _damaged(path: Path, problem: Exception) -> KvmExitError:
    return KvmExitError(
        f"recording {path} is cut short or damaged ({problem}); record it anew with"
        " `kvmexit record`, or take --kernel simulated"
    )


def _build(document: dict[str, Any]) -> Recording:
    results = [_unpack_exit(row) for row in document["results"]]
    states = [_unpack_state(row) for row in document["states"]]
    nodes: list[Node] = []
    for edges in document["nodes"]:
        node = Node()
        for *question, result, state, changes, child in edges:
            written = tuple((address, bytes.fromhex(data)) for address, data in changes)
            answer = Answer(results[result], states[state], written)
            node.edges[tuple(question)] = (answer, nodes[child])
        nodes.append(node)
    roots = {
        int(size): (nodes[number], states[state])
        for size, (number, state) in document["roots"].items()
    }
    host = dict(document["host"])
    if missing := FACTS - host.keys():
        raise KeyError(*sorted(missing))
    return Recording(host, roots)
