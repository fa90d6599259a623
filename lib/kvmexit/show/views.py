"""Whatever has a widget of its own, as a front end with a kernel shows it, and as one shows it that
trusts no notebook: it keeps the HTML, and takes the styles and the drawings away."""

from __future__ import annotations

from html import escape
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


def styled(html: str, name: str, words: str) -> str:
    """``html``, one element of the class ``name``, for who has its styles, which it brings along;
    ``words`` for who has taken them away, and would see every state of it one below the other.

    JupyterLab does, and keeps no attribute that has no value.
    """
    begins = f'<div class="{name}"'
    if not html.startswith(begins):
        raise ValueError(f"this is no {name}: {html[:40]}")
    return (
        f"<style>.{name}[hidden]{{display:block!important}}.{name}+.kvmexit-bare{{display:none}}"
        f"</style>{begins} hidden='hidden'{html.removeprefix(begins)}"
        f'<p class="kvmexit-bare">{escape(words)} Run the cell to see it drawn.</p>'
    )
