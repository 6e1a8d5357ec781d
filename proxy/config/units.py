"""Durations, sizes, shares, counts and addresses as operators write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetPydanticSchema, PlainSerializer, WithJsonSchema
from pydantic_core import core_schema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)", re.IGNORECASE | re.ASCII)
_BYTES = {
    "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip
_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?)\s*%|0?\.\d{1,9}", re.ASCII)
_NUMBER = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_LONGEST = 36525 * 86400.0  # a century: beyond it timers and dates overflow
_LARGEST = 2**60


def parse_duration(value: Any) -> float:
    """Seconds from `250ms`, `5s`, `1.5h`, `7d`, `1h30m`, or 0. Raises ValueError that says what would be right."""
    if _is_zero(value):
        return 0.0
    if isinstance(value, str):
        text = value.strip().lower()
        parts = _DURATION.findall(text)
        if parts and _DURATION.sub("", text).strip() == "":
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
            if seconds > _LONGEST:
                raise ValueError(f"{_shown(value)} is longer than a century; write at most 36525d")
            return seconds
    if number := _unitless(value):
        raise ValueError(
            f"{number} has no unit; write {number}s for seconds (units: ms, s, m for minutes, h, d for days, w)"
        )
    raise ValueError(
        f"{_shown(value)} is not a duration; write a number with its unit, as in 250ms, 5s, 10m, 1h30m, 7d"
    )


def parse_size(value: Any) -> int:
    """Bytes from `64KiB`, `256MiB`, `1.5GiB`, `10MB`, or 0. Raises ValueError that says what would be right."""
    if _is_zero(value):
        return 0
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        size = Decimal(match[1]) * _BYTES[match[2].lower()]
        if size > _LARGEST:
            raise ValueError(f"{_shown(value)} is larger than any disk; write at most {2**20}TiB")
        return int(size)
    if number := _unitless(value):
        raise ValueError(
            f"{number} has no unit; write {number}KiB or {number}MiB (units: B, KiB, MiB, GiB, TiB, KB, MB, GB, TB)"
        )
    raise ValueError(f"{_shown(value)} is not a size; write a number with its unit, as in 512B, 64KiB, 256MiB, 1GiB")


def parse_share(value: Any) -> float:
    """A share of one from `5%`, `0.05`, or 0. Raises ValueError that says what would be right."""
    if _is_zero(value):
        return 0.0
    text = "" if isinstance(value, bool) else str(value).strip()
    if match := _SHARE.fullmatch(text):
        share = Decimal(match[1]) / 100 if match[1] else Decimal(text)
        if share <= 1:
            return float(share)
        raise ValueError(f"{_shown(value)} is more than the whole; write at most 100%")
    if number := _unitless(value):
        raise ValueError(f"{number} has no percent sign; write {number}%, or a part of one, as in 0.05")
    raise ValueError(f"{_shown(value)} is not a share; write it in percent, as in 5% or 0.5%")


def format_duration(seconds: float) -> str:
    """The shortest exact way to write a duration: 604800 is `7d`, 0.25 is `250ms`."""
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "m", "s"):
        if seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    milliseconds = seconds * 1000
    if milliseconds == int(milliseconds):
        return f"{milliseconds:.0f}ms"
    return f"{Decimal(repr(seconds)):f}s"


def format_size(size: int) -> str:
    """The shortest exact way to write a size: 67108864 is `64MiB`."""
    if size == 0:
        return "0"
    units = ("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)
    for unit, factor in units:
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


def format_share(share: float) -> str:
    """The exact way to write a share: 0.05 is `5%`."""
    percent = (Decimal(repr(share)) * 100).normalize()
    return f"{percent:f}%"


_DURATION_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": r"^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$|^0$",
    "examples": ["250ms", "5s", "10m", "7d"],
    "minimum": 0,
    "maximum": 0,
}
_SIZE_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": r"^\s*\d+(\.\d+)?\s*([KMGTkmgt][iI]?)?[bB]\s*$|^0$",
    "examples": ["64KiB", "256MiB", "1GiB"],
    "minimum": 0,
    "maximum": 0,
}

Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema(_DURATION_SCHEMA),
]
"""Seconds; written with a unit."""

Share = Annotated[
    float,
    BeforeValidator(parse_share),
    PlainSerializer(format_share, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": ["string", "number"],
            "pattern": r"^\s*\d+(\.\d+)?\s*%\s*$",
            "examples": ["5%"],
            "minimum": 0,
            "maximum": 1,
        }
    ),
]
"""A part of one; written in percent."""

Size = Annotated[
    int,
    BeforeValidator(parse_size),
    PlainSerializer(format_size, return_type=str, when_used="json"),
    WithJsonSchema(_SIZE_SCHEMA),
]
"""Bytes; written with a unit."""


def parse_count(value: Any) -> Any:
    """`value` unless it is a boolean, which Python would take for 0 or 1. Raises ValueError then."""
    if isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is not a number; write a whole number, as in 3")
    return value


PositiveCount = Annotated[int, Field(ge=1), BeforeValidator(parse_count)]
"""A whole number, 1 or more."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on. Port 0 asks the system for a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: Any) -> Address:
        """From `HOST:PORT` or `[IPV6]:PORT`. Raises ValueError that says what would be right."""
        if isinstance(value, Address):
            return value
        match = (
            re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):(\d{1,5})", value.strip(), re.ASCII)
            if isinstance(value, str)
            else None
        )
        if match is None or int(match[2]) > 65535:
            raise ValueError(f"{_shown(value)} is not an address; write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080")
        return cls(match[1].strip("[]"), int(match[2]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


ListenAddress = Annotated[
    Address,
    GetPydanticSchema(
        lambda _source, _handler: core_schema.no_info_plain_validator_function(
            Address.parse, serialization=core_schema.plain_serializer_function_ser_schema(str)
        )
    ),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:8080", "[::1]:8080"]}),
]
"""HOST:PORT."""


def _is_zero(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() == "0"
    return isinstance(value, int | float) and not isinstance(value, bool) and value == 0


def _unitless(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = str(value).strip()
    return text if _NUMBER.fullmatch(text) else None


def _shown(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "nothing", True: "true", False: "false"}[value]
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a section of keys"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
