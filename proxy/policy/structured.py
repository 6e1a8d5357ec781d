"""Structured fields, and the only room that knows their parser (RFC 9651).

What does not parse, or is not of the asked shape, is None: a structured field is understood as a whole or ignored
as a whole (section 4.2), so nobody here guesses.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias, cast

from http_sf import DisplayString, StructuredFieldError, StructuredType, Token, parse

BareItem: TypeAlias = "bool | int | Decimal | str | bytes | Token | datetime | DisplayString"
"""A value without its parameters. A Token is no `str`, and a Boolean, here as in Python, is also an `int`."""

Member: TypeAlias = "BareItem | tuple[BareItem, ...]"
"""A member of a dictionary or list; a tuple is an inner list."""


def dictionary(lines: Sequence[str]) -> Mapping[str, Member] | None:
    """The members of a dictionary over all its field lines, parameters dropped; None when they are not one.

    Of a key given several times the last value counts (RFC 9651 section 3.2).
    """
    parsed = _parsed(lines, "dictionary")
    if parsed is None:
        return None
    members = cast("Mapping[str, tuple[object, object]]", parsed)
    return {key: _plain(value) for key, (value, _) in members.items()}


def strings(lines: Sequence[str]) -> tuple[str, ...] | None:
    """The members of a list of strings over all its field lines; None when they are not one."""
    parsed = _parsed(lines, "list")
    if parsed is None:
        return None
    values = [value for value, _ in cast("Sequence[tuple[object, object]]", parsed)]
    texts = tuple(value for value in values if isinstance(value, str))
    return texts if len(texts) == len(values) else None


def is_list(lines: Sequence[str]) -> bool:
    """Whether the field lines make a list with something in it."""
    return bool(lines) and bool(_parsed(lines, "list"))


def _parsed(lines: Sequence[str], shape: str) -> StructuredType | None:
    try:
        return parse(", ".join(lines).encode("latin-1"), tltype=shape)
    except (StructuredFieldError, UnicodeEncodeError):
        return None


def _plain(value: object) -> Member:
    if isinstance(value, list):
        return tuple(cast("BareItem", item) for item, _ in value)
    return cast("BareItem", value)
