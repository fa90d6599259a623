"""The style sheet that draws a table of exits as a map: each row a column of letters.

Colours are those of :data:`kvmexit.show.vocabulary.VERDICTS`. A cell shows the first letter of its
word, which is all in the page; a *fine* one stays blank. Where there are no styles, or the reader
has chosen the words, it is a table.
"""

from __future__ import annotations

from kvmexit.probe.saves import SAVES
from kvmexit.probe.verdict import Verdict
from kvmexit.show.vocabulary import VERDICTS

CELL, ACCESS_GAP = 15.25, 3
"""Pixels that a cell is wide, and between two accesses."""
BAND = 272
"""Pixels of a line of the map: one fits a phone, two a desk."""
PART_LETTER = 7.4
"""Pixels that a letter of a part's name is wide, about."""

BOTH = """
.kvmexit-atlas{--paper:var(--pst-color-background,var(--jp-layout-color0,Canvas));
  --line:color-mix(in srgb,currentColor 30%,transparent);position:relative;
  border:1px solid var(--line);border-radius:6px;padding:.5rem;font-size:14px;line-height:1.4}
:has(>.kvmexit-atlas){overflow:visible!important}
.kvmexit-atlas>input{position:absolute;opacity:0}
.kvmexit-atlas>label{display:inline-block;margin:0 .8rem .2rem 0;cursor:pointer}
.kvmexit-atlas>label::before{content:"\\25cb ";content:"\\25cb " / ""}
.kvmexit-atlas>input:checked+label::before{content:"\\25cf ";content:"\\25cf " / ""}
.kvmexit-atlas>input:focus-visible+label{outline:2px solid;outline-offset:2px}
.kvmexit-atlas table{margin:.3rem 0;border:0;border-collapse:collapse;width:auto;color:inherit}
.kvmexit-atlas caption{caption-side:top;padding:0 0 .2rem;text-align:left;color:inherit;
  font-size:14px;font-style:normal}
.kvmexit-atlas :is(tr,th,td){background:none;border:0;color:inherit}
.kvmexit-atlas :is(td,th){padding:0 .6rem 0 0;text-align:left;font-size:13px;font-weight:400}
.kvmexit-atlas dl{display:grid;grid-template-columns:auto 1fr;gap:.1rem .6rem;margin:.4rem 0 0;
  font-size:13px}
.kvmexit-atlas :is(dt,dd){margin:0;padding:0 .3rem;font-weight:400}
.kvmexit-atlas summary{cursor:pointer}
.kvmexit-atlas th code{font-size:12px;background:none;border:0;padding:0;color:inherit}
.kvmexit-atlas th small{display:block;font-size:12px}
"""
MAP = """
{is}{display:grid;grid-template-columns:auto 1fr;justify-content:start;gap:0 8px}
{is} caption{grid-column:1/-1;display:block}
{is} tbody{display:flex;flex-wrap:wrap;align-content:start;border:0}
{is} tr{display:block;padding-top:16px;position:relative;border:0;scroll-margin-top:5rem}
{is} tr.a{margin-left:3px}
{is} tr.p::before{content:attr(data-part);position:absolute;top:0;left:0;font-size:12px;
  font-weight:600;line-height:15px;white-space:nowrap}
{is} tr.on::before{font-weight:400}
{is} tr>th{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);
  white-space:nowrap;padding:0}
{is} tr:first-child{width:72px}
{is} tr:first-child>th+th{position:static;display:block;width:auto;height:15px;clip-path:none;
  font-size:12px;line-height:15px}
{is} td{display:block;box-sizing:content-box;width:1ch;height:13px;padding:0;overflow:hidden;
  border:solid transparent;border-width:1px 4px;font:12px/13px ui-monospace,monospace;
  outline:1px solid var(--paper);outline-offset:-1px}
{is} td.fine{text-indent:2ch}
.kvmexit-atlas:not(.live) tr:target{outline:2px solid;outline-offset:-1px}
@media (min-width:720px){{is} tbody:nth-of-type(even)>tr:first-child{display:none}}
@media (max-width:719px){{is}{grid-template-columns:1fr}}
@media (max-width:719px){
 {words} :is(tbody,tr){display:block;border:0}
 {words} tr:first-child{display:none}
 {words} caption{display:block}
 {words} th{display:block;padding:.4rem 0 .1rem}
 {words} td{display:inline-block;padding:0 .3rem;margin:0 .3rem .15rem 0}
 {labels}}
@media (forced-colors:active){{is} td{border-color:Canvas}}
@media print{{is} td{print-color-adjust:exact;-webkit-print-color-adjust:exact}
 {is} tbody{break-inside:avoid}}
"""
SCRIPTED = """
.kvmexit-atlas :is(button,select){font:inherit;color:inherit;background:none;
  border:1px solid var(--line);border-radius:4px;min-height:28px;padding:0 .45rem;cursor:pointer}
.kvmexit-atlas select option{color:CanvasText;background:Canvas}
.kvmexit-atlas button[aria-pressed=true]{outline:2px solid;outline-offset:-2px}
.kvmexit-atlas .line{display:flex;flex-wrap:wrap;gap:.3rem .8rem;align-items:center;margin:.2rem 0}
.kvmexit-atlas .line label{display:flex;gap:.35rem;align-items:center;max-width:100%}
.kvmexit-atlas .line select{min-width:0;max-width:100%}
.kvmexit-atlas .say{position:sticky;bottom:0;z-index:2;margin:.4rem -.5rem 0;padding:.4rem .5rem;
  border-top:1px solid var(--line);background:var(--paper);min-height:8.2em}
.kvmexit-atlas .say p{margin:.1rem 0}
.kvmexit-atlas .say code{overflow-wrap:anywhere}
.kvmexit-atlas .say small{font-size:13px}
.kvmexit-atlas .fate{padding:0 .3rem;border-radius:3px}
.kvmexit-atlas td[tabindex]{cursor:pointer}
{is} td.here{outline:3px solid;outline-offset:-1px;position:relative;z-index:1}
.kvmexit-atlas td.hid{background:var(--line)}
{is} td:not(.hid,.dim,.here){outline-color:var(--line)}
{is} td.fresh:not(.here){outline:2px solid}
.kvmexit-atlas td.dim{background:color-mix(in srgb,currentColor 3%,transparent)}
{is} td.dim{text-indent:2ch}
{is} td.dim::before{content:none}
{is} td.two{width:15.2px;border-width:1px 0;background-origin:border-box;font-size:0}
{is} td.two::before{content:attr(data-two);font-size:12px}
.kvmexit-atlas .knobs p{margin:.2rem 0}
.kvmexit-atlas .knobs p:empty{display:none}
.kvmexit-atlas .walk{display:none;gap:.25rem}
@media (max-width:719px){
 .kvmexit-atlas .line:has(select){display:grid;
  grid-template-columns:repeat(auto-fit,minmax(6.4rem,1fr));gap:.2rem .4rem}
 .kvmexit-atlas .line label{display:block;margin:0;font-size:13px}
 .kvmexit-atlas .line select{width:100%;padding:0 .2rem}
 .kvmexit-atlas .line{gap:.25rem .3rem}
 .kvmexit-atlas .say{min-height:6.6em}}
@media (max-height:500px){.kvmexit-atlas .say{position:static}}
@media (forced-colors:active){{is} td.hid::before{content:"?"}}
@media (pointer:coarse){.kvmexit-atlas :is(button,select){min-height:40px;min-width:40px}
 .kvmexit-atlas .walk{display:flex}}
@media print{.kvmexit-atlas :is(.line,.say,input,label){display:none}}
"""


def style() -> str:
    """All of it."""
    shown = ".kvmexit-atlas>input:first-of-type:checked~table"
    fates = [verdict.value for verdict in Verdict]
    tints = ";".join(f"--{verdict.value}:{_tint(verdict)}" for verdict in Verdict)
    colours = f".kvmexit-atlas{{{tints}}}" + "".join(
        f".kvmexit-atlas .{word}{{background:var(--{word})}}" for word in fates
    )
    words = ".kvmexit-atlas>input:last-of-type:checked~table"
    labels = "".join(
        f'{words} td:nth-of-type({n})::before{{content:"{save}: "}}'
        for n, save in enumerate(SAVES, start=1)
    )
    rules = BOTH + colours + MAP + SCRIPTED
    for name, text in (("is", shown), ("words", words), ("labels", labels)):
        rules = rules.replace(f"{{{name}}}", text)
    return rules.strip().replace("\n", "").replace("  ", "")


def _tint(verdict: Verdict) -> str:
    """Half of the colour: a letter stands on it, in the dark and in the light."""
    look = VERDICTS[verdict]
    if look.colour == "currentColor":
        return "color-mix(in srgb,currentColor 8%,transparent)"
    return f"{look.colour}88"
