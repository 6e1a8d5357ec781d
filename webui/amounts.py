"""Sizes and spans as a filter in an address says them: `64KiB`, `7d`; read strictly, written in their shortest form."""

from __future__ import annotations

import re

_AMOUNT = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*([A-Za-z]*)", re.ASCII)
_BYTES = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def parse_size(text: str) -> int:
    """Bytes of `512`, `64KiB`, `1.5MiB`, `10MB`; nothing is 0. Raises ValueError that says what would be right."""
    return _parsed(text, _BYTES, "a size, as in 512, 64KiB or 10MB")


def parse_span(text: str) -> int:
    """Seconds of `90`, `5m`, `2h`, `7d`; nothing is 0. Raises ValueError that says what would be right."""
    return _parsed(text, _SECONDS, "a span of time, as in 90s, 5m, 2h or 7d")


def written_size(count: int) -> str:
    """What `parse_size` reads back as the same; "" for 0."""
    return _written(count, (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1)))


def written_span(seconds: int) -> str:
    """What `parse_span` reads back as the same; "" for 0."""
    return _written(seconds, (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)))


def _parsed(text: str, units: dict[str, int], right: str) -> int:
    if not (text := text.strip()):
        return 0
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise ValueError(f"must be {right}")
    return int(float(match[1]) * units[match[2].lower()])


def _written(amount: int, units: tuple[tuple[str, int], ...]) -> str:
    unit, factor = next((unit, factor) for unit, factor in units if amount % factor == 0)
    return f"{amount // factor}{unit}" if amount else ""
