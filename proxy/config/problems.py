"""What is wrong with a configuration, as a report of one screen: where, what, and what would be right.

A report never shows a secret: values of keys that sound like one, and the user information of URLs, are masked.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.errors import ConfigurationError

MASK = "********"
SCREEN_LINES = 19
SCREEN_WIDTH = 100

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something was written. `source` names it as in `config --effective`, `label` as at the head of a problem;
    `text` is the line, `column` (from 0) and `width` what the caret marks; `hidden`: the line is a piece of a secret.
    """

    source: str
    label: str = ""
    text: str = ""
    column: int = 0
    width: int = 1
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `key` is a key path, or "" when the file as a whole is meant."""

    place: Place
    key: KeyPath | str
    what: str
    advice: str = ""


def failure(*problems: Problem) -> ConfigurationError:
    """The error that reports `problems`."""
    return ConfigurationError(report(problems))


def report(problems: Sequence[Problem]) -> str:
    """The problems, as many as fit on one screen, each with the line it is about."""
    blocks: list[str] = []
    used = 0
    for problem in problems:
        block = _block(problem)
        used += block.count("\n") + 2
        if blocks and used > SCREEN_LINES:
            break
        blocks.append(block)
    left = len(problems) - len(blocks)
    if left:
        blocks.append(f"... and {left} more; mend these first.")
    return "\n\n".join(blocks)


def written(key: KeyPath | str) -> str:
    """A key path as operators write it: `routes[2].match.path`."""
    if isinstance(key, str):
        return key
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


def sounds_secret(name: str) -> bool:
    """Whether a key of this name should never have its value shown."""
    return _SECRET.search(name) is not None


def conceal(text: str) -> str:
    """`text` without control characters, secrets and the user information of URLs."""
    text = _SECRET_VALUE.sub(rf"\1{MASK}", printable(text))
    return _USER_INFORMATION.sub(f"://{MASK}@", text)


def printable(text: str) -> str:
    """`text` without characters that would move a terminal's cursor."""
    return "".join(character if character.isprintable() else " " for character in text)


_SECRET = re.compile(r"tok|secret|passw|pwd", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"([\w.-]*(?:tok|secret|passw|pwd)[\w-]*[\"']?\s*[:=]\s*)\S.*", re.IGNORECASE)
_USER_INFORMATION = re.compile(r"://\S*@")


_ADVICE = textwrap.TextWrapper(
    SCREEN_WIDTH,
    initial_indent="    ",
    subsequent_indent="    ",
    break_on_hyphens=False,  # a path that is broken cannot be copied
    break_long_words=False,
)


def _block(problem: Problem) -> str:
    place = problem.place
    head = ": ".join(
        part for part in (place.label or place.source, written(problem.key), conceal(problem.what)) if part
    )
    lines = [_shortened(printable(head), 3 * SCREEN_WIDTH)]
    if place.text:
        lines += _excerpt(place)
    if problem.advice:
        lines += _ADVICE.wrap(printable(problem.advice))
    return "\n".join(lines)


def _excerpt(place: Place) -> list[str]:
    """The line and, below it, the caret."""
    if place.hidden:
        return [f"    | {MASK}"]
    text = conceal(place.text)
    start = max(0, place.column - SCREEN_WIDTH // 2) if len(text) > SCREEN_WIDTH else 0
    shown = text[start : start + SCREEN_WIDTH]
    column = min(place.column - start, len(shown))
    width = max(1, min(place.width, len(shown) - column))
    return [f"    | {shown}", f"    | {' ' * column}{'^' * width}"]


def _shortened(text: str, limit: int) -> str:
    """Without its middle: a long path stands there, between where it is and what is wrong with it."""
    half = (limit - 3) // 2
    return text if len(text) <= limit else f"{text[:half]}...{text[-half:]}"
