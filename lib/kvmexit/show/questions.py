"""Predict, commit, reveal: a question, its guesses, and an answer to each of them.

Without scripts each guess is a ``<details>``, and opening one is committing to it. With them one
guess is chosen and kept (``ask/``). A question says which of its guesses are right; in which order
they stand is nobody's choice.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from typing import Any

from kvmexit.errors import KvmExitError
from kvmexit.show.views import widget_view
from kvmexit.show.vocabulary import GUESSES

BOX = "border:1px solid;border-left-width:4px;border-radius:5px;padding:.5rem .8rem;margin:.6rem 0"
GUESS = "margin:.35rem 0;padding:.3rem .6rem;border:1px solid;border-radius:5px"
SHUFFLE = "144"
"""Where right guesses stand in the book depends on it. With this value they are spread evenly, and
a test holds them there."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One guess, and what is to be said to whoever makes it."""

    guess: str
    answer: str
    right: bool

    @property
    def verdict(self) -> str:
        """One word or two before the answer."""
        return GUESSES["right" if self.right else "wrong"].word


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its guesses, in the order in which they are shown."""

    question: str
    guesses: tuple[Guess, ...]

    @property
    def key(self) -> str:
        """By what a browser remembers it: another text or other guesses are another question."""
        return digest(self.question, *sorted(one.guess for one in self.guesses))[:10]

    def __repr__(self) -> str:
        lines = textwrap.wrap(f"Predict: {self.question}", 78)
        indent = " " * 5
        for number, one in enumerate(self.guesses):
            lines.append(f"  {chr(97 + number)}) {one.guess}")
            said = f"{one.verdict}. {one.answer}"
            lines += textwrap.wrap(said, 78, initial_indent=indent, subsequent_indent=indent)
        return "\n".join(lines)

    def html(self) -> str:
        """A box with one disclosure a guess. Right ones carry ``data-right``."""
        return box(self.key, "choice", self.question, "".join(map(disclosure, self.guesses)))

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return bundle(repr(self), self.html())


def predict(question: str, *, right: Mapping[str, str], wrong: Mapping[str, str]) -> Question:
    """A question to answer before the reveal. Both maps lead from a guess to what is said to it.

    More than one guess may be right, and then the question should say so. What is said begins
    with a verdict by itself. KvmExitError without a right or without a wrong guess, and for a
    guess that is both.
    """
    if not right or not wrong:
        raise KvmExitError("a prediction needs at least one right and one wrong guess")
    if both := sorted(set(right) & set(wrong)):
        raise KvmExitError(f"{both[0]!r} cannot be right and wrong")
    guesses = [Guess(*pair, True) for pair in right.items()]
    guesses += [Guess(*pair, False) for pair in wrong.items()]
    return Question(question, tuple(sorted(guesses, key=lambda one: place(question, one.guess))))


def place(question: str, guess: str) -> str:
    """By what guesses are sorted: their texts decide, and nobody's wish."""
    return digest(SHUFFLE, question, guess)


def digest(*texts: str) -> str:
    """A hash of texts, as hexadecimal digits."""
    return sha256("\0".join(texts).encode()).hexdigest()


def box(key: str, kind: str, question: str, inside: str, data: str = "") -> str:
    """The frame of every question; ``data`` are attributes more."""
    return (
        f'<div class="kvmexit-predict" id="predict-{key}" data-key="{key}" data-kind="{kind}"{data}'
        f' style="{BOX}"><p style="margin:0 0 .4rem"><strong>Predict.</strong>'
        f" {code(question)}</p>{inside}</div>"
    )


def disclosure(one: Guess) -> str:
    """A guess that opens."""
    return (
        f'<details style="{GUESS}"{" data-right" * one.right}><summary style="cursor:pointer">'
        f'{code(one.guess)}</summary><p class="kvmexit-answer" style="margin:.4rem 0 0"><strong>'
        f"{one.verdict}.</strong> {code(one.answer)}</p></details>"
    )


def code(text: str) -> str:
    """Escaped text in which `words in backticks` are code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))


def bundle(text: str, html: str) -> dict[str, Any]:
    """What a front end may choose from: text, a box without scripts, and a widget where a kernel
    and a widget manager live."""
    return {"text/plain": text, "text/html": html, **widget_view("QuestionWidget", {"html": html})}
