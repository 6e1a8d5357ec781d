"""How the readings that alerts and rules look at are called and written, the same on every page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from webui import formats

_WHOLE: Callable[[float], str] = "{:,.0f}".format


def _yes_or_no(value: float) -> str:
    return "yes" if value else "no"


WRITTEN: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "response_time": ("response time", formats.duration),
    "p95": ("p95", formats.duration),
    "error_ratio": ("errors", formats.ratio),
    "origin_failures": ("origin failures", formats.ratio),
    "hit_ratio": ("hit ratio", formats.ratio),
    "poor_quality": ("poor connections", formats.ratio),
    "memory": ("memory", formats.ratio),
    "memory_tier": ("memory tier", formats.size),
    "disk": ("disk", formats.ratio),
    "requests_per_second": ("requests/s", formats.rate),
    "messages_per_second": ("messages/s", formats.rate),
    "origin_down": ("origin down", _yes_or_no),
    "origin_silent": ("origin silent for", formats.age),
    "outbox_queued": ("waiting writes", _WHOLE),
    "outbox_oldest": ("oldest write", formats.age),
    "outbox_growth": ("more waiting than before", _WHOLE),
    "redis_lost": ("shared tier lost", _yes_or_no),
}
"""By name of a reading."""
