"""The alerts that are shipped, in words: what each looks at, what it means, what to do about it.

The words are for whoever is woken at two in the morning: no term that needs another page, one advice, one place to go.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from proxy.config.alerts import RuleSection
from proxy.operations.alerts import Rule
from proxy.operations.readings import DISK_OFF

Unit = Literal["seconds", "share", "writes", "reach", "room"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """One alert. `key` is its section in the configuration, `where` the dashboard's page that helps most."""

    name: str
    title: str
    """What is wrong when it fires."""
    watches: str
    """What is looked at, for when nothing is wrong."""
    reading: str
    unit: Unit
    means: str
    advice: str
    where: str
    unknown: str
    """Why there may be no reading, as a sentence."""

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def has_threshold(self) -> bool:
        return self.unit != "reach"


_SHIPPED = (
    Meaning(
        "response-time",
        "Answers are slow",
        "Response time",
        "response_time",
        "seconds",
        "The mean time until answers began, in the last minute; where few are served, of the last 5 within five minutes"
        " but for the slowest. Readers wait; the origin is slow, or this machine is.",
        "See whether misses or all answers are slow. If the origin is, let routes give stale sooner (network_timeout).",
        "/traffic",
        "No reading: fewer than 5 answers in the last five minutes",
    ),
    Meaning(
        "quality-poor",
        "Connections are poor",
        "Connection quality",
        "poor_quality",
        "share",
        "The share of realtime clients that are slower than 500 ms or silent for 30 s.",
        "Look who is slow. If it is nearly everybody, the network or this machine is; try the low-bandwidth preset.",
        "/realtime",
        "No reading: fewer than 5 realtime sessions",
    ),
    Meaning(
        "error-rate",
        "Answers are server errors",
        "Error rate",
        "error_ratio",
        "share",
        "The share of answers in the last minute with a status of 500 or above, the application's own or the edge's;"
        " where few are served, of the last 10 within five minutes, from 3 errors on."
        " Newcomers of the realtime core that a limit refuses with 503 count: for them it is down.",
        "See which route and reason they have. With reasons that begin with origin, it is the application to mend; with"
        " those that begin with realtime, a limit: the page Realtime says which.",
        "/traffic",
        "No reading: fewer than 5 answers in the last five minutes, or only a stray error among few",
    ),
    Meaning(
        "memory",
        "Memory runs out",
        "Memory",
        "memory",
        "share",
        "What cannot be given back, against the budget. At its limit the system ends the process without asking.",
        "Make cache.memory smaller: bodies that leave it are given back within seconds. Or raise the limit, or restart"
        " with a smaller realtime.recovery.max_bytes_in_all or cache.max_entries.",
        "/tuning",
        "No reading: this system does not tell how much memory is in use",
    ),
    Meaning(
        "origin-down",
        "The origin is down",
        "Origin",
        "origin_down",
        "reach",
        "The application cannot be reached. What is stored still answers; the rest fails, or waits in the outbox.",
        "Start the application again, or correct origin.url. The edge finds it back by itself.",
        "/",
        "No reading: it has been neither asked nor probed (origin.probe) since the start",
    ),
    Meaning(
        "outbox-growing",
        "The outbox grows or is stuck",
        "Outbox growth",
        "outbox_growth",
        "writes",
        "How many more writes wait than five minutes ago; all of them, if they get no fewer and the first has waited"
        " for longer. They are safe, but users see their effect late.",
        "See why the first one fails: it blocks those behind it. Retry it, or discard it if it can never succeed.",
        "/outbox",
        "Not configured: no route queues writes",
    ),
    Meaning(
        "disk-full",
        "The disk is full",
        "Disk",
        "disk",
        "room",
        "How full the file system of the cache, the outbox or the realtime journal is. Full: nothing more is stored,"
        " writes fail, and after a restart nobody gets what they missed.",
        "Free space there, or make cache.disk smaller. If writing fails although there is space, the log says why."
        " A disk tier that is off comes back with a restart only, once its directory can be used.",
        "/cache",
        "No reading: the file systems cannot be asked",
    ),
    Meaning(
        "redis-lost",
        "Redis is lost",
        "Redis",
        "redis_lost",
        "reach",
        "The tier that several machines share cannot be reached.",
        "Nothing to do: the shared tier is not part of this version.",
        "/",
        "Not configured: the shared tier is not part of this version",
    ),
)

SHIPPED: Mapping[str, Meaning] = MappingProxyType({meaning.name: meaning for meaning in _SHIPPED})


def rule(meaning: Meaning, settings: RuleSection) -> Rule:
    """The rule that these settings make. A yes-or-no reading is bad when it is yes."""
    values = dict(settings)
    return Rule(
        meaning.name,
        meaning.reading,
        threshold=float(values.get("threshold", 0)),
        for_=values["for"],
        resolve_after=values["resolve_after"],
        severity=values["severity"],
        release=values.get("release"),
        enabled=values["enabled"],
    )


def nearest(name: str) -> str | None:
    """The alert that a name was probably meant to be."""
    near = difflib.get_close_matches(name.lower().replace("_", "-"), SHIPPED, 1, 0.5)
    return near[0] if near else None


def told(unit: Unit, value: float | None) -> str:
    """A value in words: `734 ms`, `12.3 %`, `8 writes`, `reachable`."""
    return "not known" if value is None else _TOLD[unit](value)


def sentence(meaning: Meaning, rule: Rule, value: float | None) -> str:
    """What is wrong, with value and threshold, in one line."""
    if not meaning.has_threshold:
        return meaning.title
    if meaning.unit == "room" and value is not None and value >= DISK_OFF:
        return "The disk cache is off and needs a restart, once its directory can be used"
    return f"{meaning.title}: {told(meaning.unit, value)}, above {told(meaning.unit, rule.threshold)}"


def _seconds(value: float) -> str:
    if value < 0.0995:
        return f"{value * 1000:.1f} ms"
    return f"{value * 1000:.0f} ms" if value < 9.9995 else f"{value:.1f} s"


def _writes(value: float) -> str:
    return f"{value:,.0f} write{'' if abs(value) == 1 else 's'}"


def _share(value: float) -> str:
    return f"{value * 100:.1f}".removesuffix(".0") + " %"


_TOLD: Mapping[Unit, Callable[[float], str]] = {
    "seconds": _seconds,
    "share": _share,
    "room": lambda value: _share(value) if value < DISK_OFF else "off until a restart",
    "writes": _writes,
    "reach": lambda value: "out of reach" if value else "reachable",
}
