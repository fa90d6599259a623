"""Values on the pipe between referee and student: one JSON document a line.

JSON and a closed list of frozen types: what comes out of a student's process is data of known
shape or an error, and never code. A line has a limit, so that a flood fills no memory.
"""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from kvmexit import exits
from kvmexit.lab.words import Moment, Pop, Role, Saved, Situation, Snapshot, StudentError

LONGEST_LINE = 1 << 18
DEEPEST = 40

_TYPES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        exits.MmioRead,
        exits.MmioWrite,
        exits.PioIn,
        exits.PioOut,
        exits.Rdmsr,
        exits.Wrmsr,
        exits.Hlt,
        exits.Shutdown,
        exits.InternalError,
        exits.Debug,
        exits.OtherExit,
        exits.Interrupted,
        Moment,
        Pop,
        Role,
        Saved,
        Situation,
        Snapshot,
    )
}


_COLLECTIONS: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}


def pack(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON values. StudentError if it has no place on the wire."""
    if depth > DEEPEST:
        raise StudentError("a value is nested too deeply")
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if value.bit_length() > 4096:
            raise StudentError("a number has more than 4096 bits")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes | bytearray):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, list):
        return [pack(item, depth + 1) for item in value]
    if isinstance(value, set | frozenset):
        items = sorted((pack(item, depth + 1) for item in value), key=json.dumps)
        return {"set" if isinstance(value, set) else "frozenset": items}
    if isinstance(value, tuple):
        return {"tuple": [pack(item, depth + 1) for item in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(k, depth + 1), pack(v, depth + 1)] for k, v in value.items()]}
    if type(value) in _TYPES.values():
        parts = [pack(getattr(value, part.name), depth + 1) for part in fields(value)]
        return {type(value).__name__: parts}
    raise StudentError(
        f"a value of type {type(value).__name__} cannot be handed over: use numbers, bytes,"
        " text, None, and tuples, lists, sets or dicts of them"
    )


def unpack(value: Any) -> Any:
    """The value behind JSON values. StudentError if they stand for none."""
    if isinstance(value, list):
        return [unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    try:
        ((kind, inner),) = value.items()
        if kind == "bytes":
            return bytes.fromhex(inner)
        if kind in _COLLECTIONS:
            return _COLLECTIONS[kind](unpack(item) for item in inner)
        if kind == "dict":
            return {unpack(k): unpack(v) for k, v in inner}
        if kind == "Interrupted":
            return exits.EINTR
        return _TYPES[kind](*(unpack(item) for item in inner))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise StudentError("sent something that is no value") from None


def dumps(value: Any, limit: int | None = LONGEST_LINE) -> bytes:
    """One line, of ``limit`` bytes at most."""
    text = json.dumps(pack(value), separators=(",", ":"), ensure_ascii=False)
    line = text.encode("utf-8", "surrogatepass") + b"\n"
    if limit is not None and len(line) > limit:
        raise StudentError(f"a value is larger than {limit >> 10} KiB")
    return line


def loads(line: bytes) -> Any:
    """The value on one line."""
    try:
        return unpack(json.loads(line.decode("utf-8", "surrogatepass")))
    except (ValueError, RecursionError):
        raise StudentError("sent something that is no value") from None
