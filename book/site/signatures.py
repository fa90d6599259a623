"""A Sphinx extension: what would tell a reader nothing is left out of the reference.

Nobody makes an enumeration or a protocol by calling it, so its page names it and no more; and
the fields of a named tuple are in its signature.
"""

from enum import Enum
from typing import Any

from sphinx.application import Sphinx


def shorten(
    app: Sphinx, what: str, name: str, it: Any, options: Any, signature: str, returns: str
) -> tuple[str, str | None] | None:
    """Called by autodoc: what to show instead; None for what it has found."""
    if what != "class" or not isinstance(it, type):
        return None
    return ("", None) if issubclass(it, Enum) or signature == "(*args, **kwargs)" else None


def leave_out(app: Sphinx, what: str, name: str, it: Any, skip: bool, options: Any) -> bool | None:
    """Called by autodoc: True for a field whose only words are Python's own."""
    return True if str(it.__doc__ or "").startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("autodoc-process-signature", shorten)
    app.connect("autodoc-skip-member", leave_out)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
