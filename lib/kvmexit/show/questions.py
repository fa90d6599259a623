"""Predict, commit, reveal: questions that need neither a kernel nor a script.

Each guess is a disclosure of its own. Opening one is committing to it, and what opens
addresses that guess. Keyboard and screen reader work as with any ``<details>``.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from html import escape
from typing import Any

from kvmexit.errors import KvmExitError

BOX = "border:1px solid;border-left-width:4px;border-radius:5px;padding:.5rem .8rem;margin:.6rem 0"
GUESS = "margin:.35rem 0;padding:.3rem .6rem;border:1px solid;border-radius:5px"


@dataclass(frozen=True, slots=True)
class Question:
    """A question, and for each guess what is to be said to it."""

    question: str
    choices: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        lines = textwrap.wrap(f"Predict: {self.question}", 78)
        for number, (guess, answer) in enumerate(self.choices):
            lines.append(f"  {chr(97 + number)}) {guess}")
            lines += textwrap.wrap(answer, 78, initial_indent="     ", subsequent_indent="     ")
        return "\n".join(lines)

    def html(self) -> str:
        """A box with one disclosure a guess."""
        guesses = "".join(
            f'<details style="{GUESS}"><summary style="cursor:pointer">I say: {code(guess)}'
            f'</summary><p style="margin:.4rem 0 0">{code(answer)}</p></details>'
            for guess, answer in self.choices
        )
        return (
            f'<div class="kvmexit-predict" style="{BOX}"><p style="margin:0 0 .4rem">'
            f"<strong>Predict.</strong> {code(self.question)} <em>Open the answer to your guess;"
            f" to open is to commit.</em></p>{guesses}</div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/plain": repr(self), "text/html": self.html()}


def code(text: str) -> str:
    """Escaped text in which `words in backticks` are code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def predict(question: str, choices: dict[str, str]) -> Question:
    """A question to answer before the reveal. ``choices`` maps each guess to its answer.

    Raises KvmExitError if there are fewer than two guesses.
    """
    if len(choices) < 2:
        raise KvmExitError(f"a prediction needs at least two guesses, this one has {len(choices)}")
    return Question(question, tuple(choices.items()))
