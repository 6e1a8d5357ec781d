"""Figures in words: the thresholds of the application this edge was made for, each with what it is called. PURE."""

from __future__ import annotations

EXCELLENT_BELOW, GOOD_UP_TO = 0.1, 0.5
"""Seconds of a mean response time, or of a latency."""

FEW_ERRORS_BELOW, SOME_ERRORS_UP_TO = 0.01, 0.05
ACTIVE_ABOVE = 0.1
"""Messages per second."""

HIGH_ABOVE = 0.8
"""Share of a memory budget."""


def of_time(seconds: float | None) -> str | None:
    """`excellent`, `good` or `poor`; None where there is no figure."""
    if seconds is None:
        return None
    if seconds < EXCELLENT_BELOW:
        return "excellent"
    return "good" if seconds <= GOOD_UP_TO else "poor"


def of_errors(share: float | None) -> str | None:
    """`good`, `elevated` or `poor`; None where nothing was answered."""
    if share is None:
        return None
    if share < FEW_ERRORS_BELOW:
        return "good"
    return "elevated" if share <= SOME_ERRORS_UP_TO else "poor"


def of_messages(per_second: float | None) -> str | None:
    """`active` or `quiet`."""
    if per_second is None:
        return None
    return "active" if per_second > ACTIVE_ABOVE else "quiet"


def of_memory(share: float | None) -> str | None:
    """`good` or `high`; None without a budget."""
    if share is None:
        return None
    return "high" if share > HIGH_ABOVE else "good"
