"""The styles that make a list of radio buttons a game: what is chosen decides what is shown."""

from __future__ import annotations

from collections.abc import Iterable

from kvmexit.probe.verdict import Verdict

# A button of the browser's own may stand at the end of one line and its label on the next, so
# the labels draw the buttons.
PLAIN = """
.kvmexit-atlas{border:1px solid;border-left-width:4px;border-radius:5px;padding:.5rem .8rem}
.kvmexit-atlas p{margin:.3rem 0}
.kvmexit-atlas ol{list-style:none;margin:.6rem 0 0;padding:0;max-height:75vh;overflow:auto}
.kvmexit-atlas li{margin:0;padding:.5rem 0;border-top:1px solid}
.kvmexit-atlas fieldset{border:0;margin:0;padding:0;min-width:0}
.kvmexit-atlas legend{float:none;width:auto;margin:0;padding:0;font-size:1rem;font-weight:600}
.kvmexit-atlas small{font-size:.875rem;font-weight:400}
.kvmexit-atlas code{overflow-wrap:anywhere}
.kvmexit-atlas input{position:absolute;opacity:0}
.kvmexit-atlas label{display:inline-block;margin:0 .9rem 0 0;padding:.15rem 0;cursor:pointer}
.kvmexit-atlas label::before{content:"\u25cb ";content:"\u25cb " / ""}
.kvmexit-atlas input:checked+label::before{content:"\u25cf ";content:"\u25cf " / ""}
.kvmexit-atlas,.kvmexit-atlas fieldset{position:relative}
.kvmexit-atlas input:focus-visible+label{outline:2px solid;outline-offset:2px}
.kvmexit-atlas .said,.kvmexit-atlas .yes,.kvmexit-atlas .no{display:none}
.kvmexit-atlas .g-none:not(:checked)~.said{display:block}
@media print{.kvmexit-atlas ol{max-height:none}}
"""


def style(key: str, saves: Iterable[str], kinds: Iterable[str], verdicts: Iterable[Verdict]) -> str:
    """The style sheet of the table ``key``. Where no style is, everything shows."""
    rules = [PLAIN.strip().replace("\n", "")]
    for save in saves:
        rules.append(f"#{key}-s-{save}:not(:checked)~ol .s-{save}{{display:none}}")
    for kind in ("one", *kinds):
        rules.append(f"#{key}-f-{kind}:checked~ol>li:not(.{kind}){{display:none}}")
    for word in (verdict.value for verdict in verdicts):
        chosen = f".kvmexit-atlas .g-{word}:checked~.said"
        rules.append(f"{chosen} .v-{word} .yes{{display:inline}}")
        rules.append(f"{chosen} p:not(.v-{word}) .no{{display:inline}}")
    return "".join(rules)
