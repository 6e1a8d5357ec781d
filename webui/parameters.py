"""Parameters of an address as values, and sentences about those that are wrong."""

from __future__ import annotations

from collections.abc import Mapping


def whole(parameters: Mapping[str, str], name: str, default: int, least: int, most: int, *, digits: int = 7) -> int:
    """A whole number within bounds, of so many digits; the default where it is left out. Raises ValueError."""
    text = parameters.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= digits and least <= int(text) <= most):
        raise ValueError(f"{name} must be a whole number from {least} to {most}")
    return int(text)


def told_count(text: str | None) -> int | None:
    """A count that a redirect brought along for a message; None for anything else: anybody can write addresses."""
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 10 else None
