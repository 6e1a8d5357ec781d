"""PURE: what `/api/tuning` says of the values in force that are not the configured ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Tuned:
    """The preset, whether alerts may change values, which they have changed, and which people have."""

    preset: str
    automatic: bool
    by_alerts: tuple[str, ...]
    by_hand: tuple[str, ...]


def tuned(report: Mapping[str, Any]) -> Tuned | None:
    """What a report says, each value with its key; None where it says nothing that can be read."""
    try:
        return Tuned(
            preset=str(report["preset"]["name"]),
            automatic=bool(report["auto"]["enabled"]),
            by_alerts=_of(report, "automatic"),
            by_hand=_of(report, "operator"),
        )
    except (KeyError, TypeError, AttributeError):
        return None


def _of(report: Mapping[str, Any], origin: str) -> tuple[str, ...]:
    return tuple(f"{key} {value['effective']}" for key, value in report["keys"].items() if value["origin"] == origin)
