"""Globs as automata: matching takes linear time, and whether one glob includes another can be decided.

The rule of this room: no backtracking. Patterns come from an operator, but the text they meet comes from
anybody, and a backtracking matcher can be made to take seconds by a long path.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

_MOST_ALTERNATIVES = 256
_MOST_REMEMBERED_STATES = 2_000
_MOST_COMPARED_STATES = 5_000

_OTHER = "\0"
"""Stands for every character that no pattern in question spells out."""

_ONE, _RUN, _ANYTHING, _OPTIONAL_SEPARATOR = "?", "*", "**", "/**"
_WILDCARDS = frozenset((_ONE, _RUN, _ANYTHING, _OPTIONAL_SEPARATOR))

State = frozenset[tuple[int, int]]
"""The places (alternative, position) an automaton may be in after reading some text."""


class Glob:
    """The union of `patterns`: `*` within a segment, `**` across segments, `?` one character, `{a,b}` alternatives.

    `separator` ends segments; "" means there are none, and `*` then equals `**`. With a separator, `/**` at the
    end of a pattern or before another separator also matches nothing at all: `/api/**` takes `/api`, and
    `/a/**/b` takes `/a/b`. Raises ValueError for a pattern that is not a glob.
    """

    __slots__ = ("_alphabet", "_alternatives", "_beginning", "_next", "_separator", "_start")

    def __init__(self, patterns: Sequence[str], separator: str = "") -> None:
        self._separator = separator
        self._alternatives = tuple(
            tuple(_tokens(plain, separator)) for pattern in patterns for plain in alternatives(pattern)
        )
        self._alphabet = frozenset(t for tokens in self._alternatives for t in tokens if len(t) == 1) - {_ONE, _RUN}
        self._beginning = _beginning(self._alternatives)
        self._next: dict[State, dict[str, State]] = {}
        self._start = self._closed({(index, 0) for index in range(len(self._alternatives))})

    def matches(self, text: str) -> bool:
        """Whether the whole of `text` is in the glob's language; linear in its length."""
        state, alphabet, separator = self._start, self._alphabet, self._separator
        for char in text:
            state = self._after(state, char if char in alphabet or char == separator else _OTHER)
            if not state:
                return False
        return self._accepts(state)

    def includes(self, other: Glob, prefix: str = "") -> bool:
        """Whether every text beginning with `prefix` that `other` matches is matched by this one too.

        True is always right; False may also mean that the question was too large to answer.
        """
        for seen, (mine, theirs) in enumerate(self._pairs(other, prefix)):
            # What has begun can always be ended: where only the other one goes on, it matches something alone.
            alone = theirs and not mine
            if seen > _MOST_COMPARED_STATES or alone or (other._accepts(theirs) and not self._accepts(mine)):
                return False
        return True

    def meets(self, other: Glob, prefix: str = "") -> bool:
        """Whether some text beginning with `prefix` is matched by both.

        False is always right; True may also mean that the question was too large to answer.
        """
        for seen, (mine, theirs) in enumerate(self._pairs(other, prefix)):
            if seen > _MOST_COMPARED_STATES or (other._accepts(theirs) and self._accepts(mine)):
                return True
        return False

    def _pairs(self, other: Glob, prefix: str) -> Iterator[tuple[State, State]]:
        """The pairs of states that some common text leads to, as long as `other` can still match."""
        mine, theirs = self._start, other._start
        # Nothing is decided before the end of what all that `other` matches begins with.
        for char in other._beginning if other._beginning.startswith(prefix) else prefix:
            mine, theirs = self._after(mine, char), other._after(theirs, char)
        symbols = self._alphabet | other._alphabet | {self._separator or _OTHER, _OTHER}
        seen, waiting = {(mine, theirs)}, [(mine, theirs)]
        while waiting:
            mine, theirs = waiting.pop()
            yield mine, theirs
            for symbol in symbols:
                if after := other._after(theirs, symbol):
                    pair = self._after(mine, symbol), after
                    if pair not in seen:
                        seen.add(pair)
                        waiting.append(pair)

    def _accepts(self, state: State) -> bool:
        return any(position == len(self._alternatives[index]) for index, position in state)

    def _after(self, state: State, symbol: str) -> State:
        row = self._next.get(state)
        if row is None:
            if len(self._next) >= _MOST_REMEMBERED_STATES:
                self._next.clear()
            row = self._next[state] = {}
        found = row.get(symbol)
        if found is None:
            found = row[symbol] = self._closed(self._moves(state, symbol))
        return found

    def _moves(self, state: State, symbol: str) -> set[tuple[int, int]]:
        places = set()
        for index, position in state:
            tokens = self._alternatives[index]
            if position == len(tokens):
                continue
            token = tokens[position]
            if token == _ANYTHING or (token == _RUN and symbol != self._separator):
                places.add((index, position))
            elif (
                token == symbol
                or (token == _ONE and symbol != self._separator)
                or (token == _OPTIONAL_SEPARATOR and symbol == self._separator)
            ):
                places.add((index, position + 1))
        return places

    def _closed(self, places: set[tuple[int, int]]) -> State:
        waiting = list(places)
        while waiting:
            index, position = waiting.pop()
            tokens = self._alternatives[index]
            token = tokens[position] if position < len(tokens) else ""
            skipped = {_RUN: 1, _ANYTHING: 1, _OPTIONAL_SEPARATOR: 2}.get(token)
            if skipped and (place := (index, position + skipped)) not in places:
                places.add(place)
                waiting.append(place)
        return frozenset(places)


def _beginning(patterns: Sequence[Sequence[str]]) -> str:
    """What every text that one of the patterns matches begins with."""
    places = itertools.takewhile(lambda tokens: len(set(tokens)) == 1, zip(*patterns, strict=False))
    return "".join(itertools.takewhile(lambda token: token not in _WILDCARDS, (tokens[0] for tokens in places)))


def alternatives(pattern: str) -> list[str]:
    """The patterns without braces that `pattern` stands for. Raises ValueError for unbalanced braces."""
    plain: list[str] = []
    waiting = [pattern]
    while waiting:
        text = waiting.pop()
        start = text.find("{")
        if start < 0:
            plain.append(_without_braces(text, pattern))
            continue
        options, stop = _braces(text, start, pattern)
        waiting.extend(text[:start] + option + text[stop:] for option in reversed(options))
        if len(plain) + len(waiting) > _MOST_ALTERNATIVES:
            raise ValueError(
                f"{pattern!r} stands for more than {_MOST_ALTERNATIVES} patterns; use fewer braces, or `*`"
            )
    return plain


def _without_braces(text: str, pattern: str) -> str:
    if "}" in text:
        raise ValueError(f"{pattern!r} has a `}}` without its `{{`; alternatives are written {{a,b}}")
    return text


def _braces(text: str, start: int, pattern: str) -> tuple[list[str], int]:
    """The options of the braces that open at `start`, and where the text goes on after them."""
    depth, options, begun = 0, [], start + 1
    for at in range(start, len(text)):
        match text[at]:
            case "{":
                depth += 1
            case "," if depth == 1:
                options.append(text[begun:at])
                begun = at + 1
            case "}":
                depth -= 1
                if depth == 0:
                    return [*options, text[begun:at]], at + 1
    raise ValueError(f"{pattern!r} has a `{{` without its `}}`; alternatives are written {{a,b}}")


def _tokens(plain: str, separator: str) -> Iterator[str]:
    """The tokens of a pattern without braces. `/**` that ends a segment yields an optional separator first."""
    if _OTHER in plain:
        raise ValueError(f"{plain!r} has a null character; no text that is matched may contain one")
    at = 0
    while at < len(plain):
        if plain.startswith("***", at):
            raise ValueError(f"{plain!r} has three stars in a row; write `*` within a segment or `**` across segments")
        if separator and plain.startswith(separator + "**", at) and plain[at + 3 : at + 4] in ("", separator):
            yield _OPTIONAL_SEPARATOR
            yield _ANYTHING
            at += 3
        elif plain.startswith("**", at):
            yield _ANYTHING
            at += 2
        elif plain[at] == "*":
            yield _RUN if separator else _ANYTHING
            at += 1
        else:
            yield plain[at]
            at += 1
