"""Whatever has a widget of its own, as a front end with a kernel shows it."""

from __future__ import annotations

from typing import Any


def widget_view(name: str, traits: dict[str, Any]) -> dict[str, Any]:
    """The part of a MIME bundle of the widget ``name``; empty where no front end can show one."""
    try:
        from kvmexit.show import widget
    except ImportError:
        return {}
    bundle: Any = getattr(widget, name)(**traits)._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    view = "application/vnd.jupyter.widget-view+json"
    return {view: data[view]} if data and view in data else {}
