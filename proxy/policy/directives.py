"""Cache directives as values: the one place where Cache-Control and CDN-Cache-Control are read.

RFC 9111 section 5.2 and RFC 9213.

Where a field contradicts itself or is malformed, the reading is the one that reuses less, except that of
several values for one directive the first counts (section 4.2.1 leaves the choice between the two).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from proxy.policy.messages import Fields, Request, Rules
from proxy.policy.structured import Member, dictionary

MOST_SECONDS = 2**31
"""What a larger number of seconds counts as (RFC 9111 section 1.2.2)."""

TARGETED = "CDN-Cache-Control"
"""The field by which an origin speaks to caches that it runs itself, as this one (RFC 9213 section 3.1)."""

_SECONDS = frozenset({"max-age", "s-maxage", "stale-if-error", "stale-while-revalidate"})
_FIELD_LISTS = frozenset({"no-cache", "private"})
_PERMISSIONS = frozenset({"immutable", "must-understand", "public"})

_QUOTED = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)"', re.DOTALL)
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_DIGITS = re.compile(r"[0-9]+")
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class Directives:
    """The directives of one message. Names are matched without regard to case; unknown ones are kept.

    `targeted`: they come from a targeted field, beside which Expires is to be ignored (RFC 9213 section 2.2).
    """

    __slots__ = ("_arguments", "targeted")

    def __init__(self, arguments: Mapping[str, tuple[str | None, ...]], *, targeted: bool = False) -> None:
        self._arguments = arguments
        self.targeted = targeted

    def __contains__(self, name: str) -> bool:
        return name in self._arguments

    def __iter__(self) -> Iterator[str]:
        return iter(self._arguments)

    def __repr__(self) -> str:
        return f"Directives({dict(self._arguments)!r})"

    def argument(self, name: str) -> str | None:
        """The argument of the first `name`, unquoted; None when the directive or its argument is absent."""
        return self._arguments.get(name, (None,))[0]

    def seconds(self, name: str) -> int | None:
        """The delta-seconds of the first `name`, at most `MOST_SECONDS`; None when the directive is absent.

        A missing or malformed number counts as 0, so that a response with invalid freshness information is
        stale, as RFC 9111 section 4.2.1 encourages, and an invalid window is no window.
        """
        return None if name not in self._arguments else parse_seconds(self.argument(name) or "") or 0

    def field_names(self, name: str) -> tuple[str, ...]:
        """The field names, lower-case, that the qualified form of `no-cache` or `private` lists.

        Empty when the directive is absent, or binds the whole response: that is the stronger form, so one
        unqualified or unreadable occurrence outweighs all qualified ones.
        """
        names: list[str] = []
        for argument in self._arguments.get(name, ()):
            listed = [member.strip(" \t").lower() for member in (argument or "").split(",")]
            if not all(_TOKEN.fullmatch(member) for member in listed):
                return ()
            names += listed
        return tuple(dict.fromkeys(names))

    def unqualified(self, name: str) -> bool:
        """Whether `name` is present and binds the whole response."""
        return name in self._arguments and not self.field_names(name)


def parse_directives(values: Sequence[str]) -> Directives:
    """The directives in the lines of a Cache-Control field, or of another field with its grammar. Never raises."""
    arguments: dict[str, tuple[str | None, ...]] = {}
    for value in values:
        for member in _members(value):
            name, equals, argument = member.partition("=")
            bare = name.rstrip(" \t")
            # White space around "=" is not in the grammar: it stays in the argument and so makes a number invalid.
            stated = _unquoted(name[len(bare) :] + argument) if equals else None
            if bare:
                arguments[bare.lower()] = (*arguments.get(bare.lower(), ()), stated)
    return Directives(arguments)


def parse_seconds(value: str) -> int | None:
    """A non-negative decimal integer, at most `MOST_SECONDS` (RFC 9111 section 1.2.2); None when it is not one."""
    if not _DIGITS.fullmatch(value):
        return None
    digits = value.lstrip("0")
    # Python refuses to convert thousands of digits, and ten already exceed the bound.
    return MOST_SECONDS if len(digits) > 10 else min(int(digits or "0"), MOST_SECONDS)


def response_directives(fields: Fields) -> Directives:
    """What a response says about its caching: by its targeted field if that is usable, else by Cache-Control.

    Nothing else reads either of them.
    """
    if TARGETED in fields:
        lines = tuple(fields.all(TARGETED))
        # Only short ones are remembered, which bounds the memory of the memo.
        targeted = _remembered(lines) if sum(map(len, lines)) <= 256 else targeted_directives(lines)
        if targeted is not None:
            return targeted
    return parse_directives(fields.all("Cache-Control"))


def targeted_directives(lines: Sequence[str]) -> Directives | None:
    """The directives in the lines of a targeted field; None when it is empty or malformed, and so to be ignored.

    Its errors are those of a structured dictionary and not those of Cache-Control: an upper-case name makes the
    field malformed, and of several values the last counts. A directive whose value has a type that it does not
    take is left out, so that `max-age=1.5` gives no lifetime (RFC 9213 section 2.1), unless it restricts: a
    `no-store=1` still forbids.
    """
    members = dictionary(lines)
    if not members:
        return None
    stated = {name: _argument(name, value) for name, value in members.items() if _is_understood(name, value)}
    return Directives({name: (argument,) for name, argument in stated.items()}, targeted=True)


_remembered = lru_cache(maxsize=256)(targeted_directives)


def request_directives(request: Request, rules: Rules) -> Directives:
    """What a request says about the answer it wants; nothing, where the route ignores such wishes.

    Without Cache-Control, `Pragma: no-cache` means the same as `Cache-Control: no-cache` (RFC 9111 section 5.4).
    """
    if not rules.honour_request_directives:
        return Directives({})
    if "Cache-Control" in request.fields:
        return parse_directives(request.fields.all("Cache-Control"))
    pragma = parse_directives(request.fields.all("Pragma"))
    return Directives({"no-cache": (None,)} if "no-cache" in pragma else {})


def _is_understood(name: str, value: Member) -> bool:
    if name in _SECONDS:
        return type(value) is int
    return value is True if name in _PERMISSIONS else value is not False


def _argument(name: str, value: Member) -> str | None:
    """The argument as Cache-Control would state it. A field list of another type than String binds the whole."""
    if value is True or (name in _FIELD_LISTS and not isinstance(value, str)):
        return None
    return str(value)


def _members(value: str) -> Iterator[str]:
    """The members of a list, split at the commas outside quoted strings, stripped, empty ones dropped.

    A quote that never closes is an ordinary character, and so are the quotes after it: it must not hide
    the `no-store` behind it. The time is linear in the length.
    """
    start = position = 0
    quotes = True
    while position < len(value):
        quoted = _QUOTED.match(value, position) if quotes and value[position] == '"' else None
        if quoted:
            position = quoted.end()
            continue
        if value[position] == '"':
            quotes = False
        elif value[position] == ",":
            yield from _stated(value[start:position])
            start = position + 1
        position += 1
    yield from _stated(value[start:])


def _stated(member: str) -> Iterator[str]:
    if stripped := member.strip(" \t"):
        yield stripped


def _unquoted(argument: str) -> str:
    quoted = _QUOTED.fullmatch(argument)
    return _QUOTED_PAIR.sub(r"\1", quoted[1]) if quoted else argument
