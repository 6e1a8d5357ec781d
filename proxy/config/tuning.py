"""The part of the configuration model that is about tuning: presets, and what the edge does by itself.

Names are fixed; the sentence under a key is its documentation everywhere, as in model.py.
"""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from proxy.config.section import Section
from proxy.config.units import Duration, PositiveCount, Size

PresetName = Literal["default", "high-traffic", "low-bandwidth"]
Action = Literal[
    "clear-caches", "clear-profiles", "raise-batch-delay", "shrink-memory", "high-traffic", "low-bandwidth"
]
WatchedAlert = Literal[
    "response-time",
    "quality-poor",
    "error-rate",
    "memory",
    "origin-down",
    "outbox-growing",
    "disk-full",
    "redis-lost",
]


class Remedy(Section):
    """What is done by itself while an alert fires. One action at a time: those that come in steps are repeated until
    they have reached their end, the others are done once; then the next one in the list has its turn."""

    alert: WatchedAlert
    """The alert that has to fire."""
    do: tuple[Action, ...] = ()
    """`clear-caches`: profiles are forgotten, and what `report_routes` and `report_tags` name is marked stale;
    `clear-profiles`: profiles alone; `raise-batch-delay`: by half, up to `batch_delay_cap`; `shrink-memory`: by a
    quarter, down to `memory_floor`; or the values of a preset. Empty: nothing."""
    most: PositiveCount = 6
    """How many actions there may be before the alert has been calm again."""


class Auto(Section):
    """Auto-optimisation: what is done while alerts fire, and put back when they are over. What an operator has set by
    hand is left alone."""

    enabled: bool = True
    """Whether anything is done; switchable while running."""
    cool_down: Duration = 60.0
    """Shortest time between two actions of one rule: each needs time to show what it is good for."""
    settle: Duration = 30.0
    """How long after an action the figures are taken that its event shows beside those before it."""
    calm: Duration = 300.0
    """How long an alert must have been resolved before what was done is undone; twice as long each time it comes back
    soon after, up to eight times."""
    batch_delay_cap: Duration = 0.2
    """`raise-batch-delay` goes no further: a chat answered later than this feels slow."""
    memory_floor: Size = 16 * 2**20
    """`shrink-memory` leaves at least this to the memory tier."""
    report_routes: tuple[str, ...] = ("api",)
    """Routes whose stored responses `clear-caches` marks stale; they may still stand in while the origin fails."""
    report_tags: tuple[str, ...] = ("reports",)
    """Tags of stored responses that it marks stale, whatever their route."""
    rules: tuple[Remedy, ...] = (
        Remedy(alert="response-time", do=("clear-caches", "raise-batch-delay")),
        Remedy(alert="memory", do=("shrink-memory", "clear-profiles")),
        Remedy(alert="quality-poor", do=("low-bandwidth",)),
        Remedy(alert="error-rate"),
        Remedy(alert="origin-down"),
    )
    """One for each alert that is to have consequences."""

    @field_validator("rules")
    @classmethod
    def _one_for_each_alert(cls, rules: tuple[Remedy, ...]) -> tuple[Remedy, ...]:
        alerts = [rule.alert for rule in rules]
        for alert in alerts:
            if alerts.count(alert) > 1:
                raise ValueError(f"{alert!r} has two rules; write all its actions into one, as in do: [a, b]")
        return rules


class Tuning(Section):
    """Settings that may change while running: as a preset, by hand, or by themselves."""

    preset: PresetName = "default"
    """The preset at the start. It leaves alone what is configured to another value than the default; one that is
    switched to while running overrides that, too, but nothing that was set by hand."""
    auto: Auto = Auto()
    """Auto-optimisation."""
