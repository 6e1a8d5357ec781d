"""The part of the configuration model that is about the access log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from proxy.config.section import Section
from proxy.config.units import Duration, PositiveCount


def _off(value: object) -> object:
    """YAML reads a bare `off` as false."""
    return "off" if value is False else value


class AccessLog(Section):
    """One line for each exchange, written behind its back. See docs/operations.md for the fields."""

    format: Annotated[Literal["auto", "text", "json", "off"], BeforeValidator(_off)] = "auto"
    """`text` for eyes, `json` for machines, `off`; `auto`: text on a terminal, json into a file, else off."""
    file: Path | None = None
    """Where it is appended to, relative to this file's own directory; opened anew on SIGHUP. null: standard output."""
    sample: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Share of exchanges that are written; errors (5xx, broken off) and slow ones always are."""
    slower_than: Duration = 1.0
    """What counts as slow."""
    max_waiting: PositiveCount = 10_000
    """Lines that may wait to be written; beyond it they are dropped, and counted."""
