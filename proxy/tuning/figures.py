"""PURE: the figures that steps are judged by: whether one could help now, and whether it has made things worse.

The rule of this room: a figure that is missing, or cannot be told, speaks against nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

Figures = Mapping[str, float | None]

MEMORY_TIER = "memory_tier"
"""What the memory tier holds, in bytes."""

MESSAGES = "messages_per_second"
"""Chat messages accepted per second, in the last minute."""

ORIGIN_DOWN = "origin_down"
"""1 when the application cannot be reached."""

ORIGIN_FAILURES = "origin_failures"
"""Share of the last minute's requests to the origin that it did not answer in time, or with an error."""

ORIGIN_SILENT = "origin_silent"
"""For how many seconds the origin, although asked, has answered nothing at all."""

FAILING = 0.1
SILENT = 3.0
"""Seconds. A request that is overdue is counted as failed when its deadline is over only, which may be a minute."""


def origin_trouble(figures: Figures) -> str | None:
    """Why the origin cannot be relied on to give again what is cleared, as a clause; None when it can."""
    if figures.get(ORIGIN_DOWN):
        return "the origin is down"
    if (silent := figures.get(ORIGIN_SILENT) or 0.0) >= SILENT:
        return f"the origin has not answered for {silent:.0f} s"
    if (failures := figures.get(ORIGIN_FAILURES) or 0.0) >= FAILING:
        return f"{failures * 100:.0f} % of the last minute's requests to the origin have failed"
    return None


CLEARLY = 1.25
"""So many times as much as before is worse for certain: less may be the minute's own ups and downs."""


def worse(reading: str, before: Figures, after: Figures) -> bool:
    """Whether what an alert looks at is clearly higher after a step than before it."""
    then, now = before.get(reading), after.get(reading)
    return then is not None and now is not None and now > max(then, 0.0) * CLEARLY
