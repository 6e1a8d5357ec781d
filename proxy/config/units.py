"""Durations, sizes and addresses as operators write them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, GetPydanticSchema, WithJsonSchema
from pydantic_core import core_schema

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|KB|MB|GB|TB)", re.IGNORECASE)
_BYTES = {
    "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
}  # fmt: skip


def parse_duration(value: Any) -> float:
    """Seconds from `250ms`, `5s`, `1.5h`, `7d`, `1h30m`, or 0. Raises ValueError that says what would be right."""
    if isinstance(value, str):
        text = value.strip().lower()
        parts = _DURATION.findall(text)
        if parts and _DURATION.sub("", text).strip() == "":
            return sum(float(number) * _SECONDS[unit] for number, unit in parts)
        if text == "0":
            return 0.0
    elif value == 0 and not isinstance(value, bool):
        return 0.0
    raise ValueError(f"{value!r} is not a duration; write a number with its unit, as in 250ms, 5s, 10m, 1h30m, 7d")


def parse_size(value: Any) -> int:
    """Bytes from `64KiB`, `256MiB`, `1.5GiB`, `10MB`, or 0. Raises ValueError that says what would be right."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match:
            return int(float(match[1]) * _BYTES[match[2].lower()])
        if value.strip() == "0":
            return 0
    elif value == 0 and not isinstance(value, bool):
        return 0
    raise ValueError(f"{value!r} is not a size; write a number with its unit, as in 512B, 64KiB, 256MiB, 1GiB")


def format_duration(seconds: float) -> str:
    """The shortest exact way to write a duration: 604800 is `7d`, 0.25 is `250ms`."""
    if seconds == 0:
        return "0"
    for unit in ("d", "h", "m", "s"):
        if seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f}ms" if milliseconds == int(milliseconds) else f"{seconds:g}s"


def format_size(size: int) -> str:
    """The shortest exact way to write a size: 67108864 is `64MiB`."""
    if size == 0:
        return "0"
    for unit, factor in (("TiB", 2**40), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size}B"


_DURATION_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": r"^\s*(\d+(\.\d+)?\s*(ms|s|m|h|d|w)\s*)+$|^0$",
    "examples": ["250ms", "5s", "10m", "7d"],
    "maximum": 0,
}
_SIZE_SCHEMA = {
    "type": ["string", "integer"],
    "pattern": r"^\s*\d+(\.\d+)?\s*([KMGTkmgt][iI]?)?[bB]\s*$|^0$",
    "examples": ["64KiB", "256MiB", "1GiB"],
    "maximum": 0,
}

Duration = Annotated[float, BeforeValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)]
"""Seconds; written with a unit."""

Size = Annotated[int, BeforeValidator(parse_size), WithJsonSchema(_SIZE_SCHEMA)]
"""Bytes; written with a unit."""


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
            re.fullmatch(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_.-]+):(\d{1,5})", value.strip())
            if isinstance(value, str)
            else None
        )
        if match is None or int(match[2]) > 65535:
            raise ValueError(f"{value!r} is not an address; write HOST:PORT, as in 127.0.0.1:8080 or [::1]:8080")
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
