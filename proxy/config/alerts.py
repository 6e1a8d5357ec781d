"""The part of the configuration model that is about alerts: what is watched, from which value on, and who is told.

Names are fixed; the sentence under a key is its documentation everywhere, as in model.py. An alert's name elsewhere
has hyphens (`response-time`), its key here underscores, as all keys have.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, create_model, model_validator

from proxy.config.section import Section
from proxy.config.units import Duration, Share, Size, parse_count

Severity = Literal["warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("warning", "critical")

Writes = Annotated[int, Field(ge=0), BeforeValidator(parse_count)]
"""A number of writes, 0 or more."""


class RuleSection(Section):
    """What all alerts have in common. The keys are those of the sections below: `for` is no name in Python."""

    @model_validator(mode="after")
    def _released_below(self) -> Self:
        threshold, release = getattr(self, "threshold", None), getattr(self, "release", None)
        if threshold is not None and release is not None and release > threshold:
            raise ValueError("release is above threshold; write a smaller one, or null to take the threshold itself")
        return self


def _watched(
    name: str, what: str, *, after: float, severity: Severity, threshold: tuple[Any, Any, str] | None = None
) -> type[RuleSection]:
    """The section of one alert; `threshold` is its type, its default, and what it says."""
    keys: dict[str, Any] = {"enabled": (bool, Field(default=True, description="Whether it is watched."))}
    if threshold is not None:
        kind, default, meaning = threshold
        release = "Once it fires, only a value that is not above this counts as calm; null: the threshold."
        keys["threshold"] = (kind, Field(default=default, description=meaning))
        keys["release"] = (kind | None, Field(default=None, description=release))
    keys["for"] = (Duration, Field(default=after, description="How long it must last before the alert fires."))
    calm = "How long it must be calm before the alert is resolved."
    keys["resolve_after"] = (Duration, Field(default=min(after, 60.0), description=calm))
    keys["severity"] = (Severity, Field(default=severity, description="What the webhook and the page say of it."))
    return create_model(name, __base__=RuleSection, __doc__=what, **keys)


_RULES: dict[str, type[RuleSection]] = {
    "response_time": _watched(
        "ResponseTimeRule",
        "Answers begin too late: the mean time to their head over the last minute, WebSockets and long-polling apart.",
        after=60.0,
        severity="warning",
        threshold=(
            Duration,
            0.5,
            "Fires above this mean; of fewer than 5 answers in the minute, above that of the last 5 within five"
            " minutes, the slowest apart.",
        ),
    ),
    "quality_poor": _watched(
        "QualityPoorRule",
        "Realtime clients have a poor connection: slower than 500 ms, or silent for 30 s.",
        after=60.0,
        severity="warning",
        threshold=(Share, 0.3, "Fires above this share of sessions; with at least 5 of them."),
    ),
    "error_rate": _watched(
        "ErrorRateRule",
        "Answers are server errors (5xx), the application's and the edge's own.",
        after=60.0,
        severity="critical",
        threshold=(
            Share,
            0.05,
            "Fires above this share of the last minute's answers; if those are fewer than 10, of the last 10 within"
            " five minutes, with at least 5 of them, and 3 errors.",
        ),
    ),
    "memory": _watched(
        "MemoryRule",
        "Memory runs out: what is in use, against the budget.",
        after=60.0,
        severity="critical",
        threshold=(Share, 0.8, "Fires above this share of the budget; see `memory_budget`."),
    ),
    "origin_down": _watched(
        "OriginDownRule",
        "The application cannot be reached, as requests found out, or probes (`origin.probe`).",
        after=15.0,
        severity="critical",
    ),
    "outbox_growing": _watched(
        "OutboxGrowingRule",
        "Writes come faster into the outbox than they can be delivered, or none of them can.",
        after=300.0,
        severity="warning",
        threshold=(
            Writes,
            0,
            "Fires when so many more writes wait than five minutes before; while the first waits longer, all count.",
        ),
    ),
    "disk_full": _watched(
        "DiskFullRule",
        "The file systems of cache, outbox and realtime journal are nearly full, or writing to the cache failed lately,"
        " or the journal cannot be written.",
        after=60.0,
        severity="critical",
        threshold=(Share, 0.95, "Fires above this share of the fuller file system."),
    ),
    "redis_lost": _watched(
        "RedisLostRule",
        "The shared tier is lost. It is not part of this version, so this never fires.",
        after=15.0,
        severity="critical",
    ),
}

Rules = create_model(  # type: ignore[call-overload] # mypy takes the names of the keys for parameters
    "AlertRules",
    __base__=Section,
    __doc__="One section for each alert.",
    **{key: (section, Field(default=section(), description=section.__doc__)) for key, section in _RULES.items()},
)


def _webhook_url(value: str) -> str:
    if re.fullmatch(r"https?://[^/@?#\s\\]+(/[!-~]*)?", value) is None or "#" in value:
        raise ValueError(
            "is not a URL for the webhook; write http or https, a host and a path, without user or password,"
            " as in https://hooks.example.org/alerts"
        )
    return value


class Webhook(Section):
    """Who is told when an alert fires and when it is resolved: a POST of JSON."""

    url: Annotated[str, AfterValidator(_webhook_url)] | None = Field(default=None, repr=False)
    """Where to; redirects are not followed. null: nobody is told. Its path is shown nowhere, as it may be a secret."""
    token: Annotated[str, Field(min_length=1)] | None = Field(default=None, repr=False)
    """Sent as bearer token; better set as CACHEWIRE__ALERTS__WEBHOOK__TOKEN than in a file."""
    timeout: Duration = 5.0
    """Longest time that one attempt may take."""
    retries: Annotated[int, Field(ge=0, le=20), BeforeValidator(parse_count)] = 6
    """Further attempts, after 1 s, 2 s, 4 s ... and at most a minute, each with jitter."""


class Alerts(Section):
    """What the edge watches and tells: on the page, in `/metrics`, in the timeline, by webhook."""

    enabled: bool = True
    """Whether anything is watched."""
    interval: Duration = 1.0
    """Time between two looks, at least 100ms."""
    memory_budget: Size | None = None
    """What the process may use, if that is less than the cgroup's limit; null: that limit, or the machine's memory."""
    webhook: Webhook = Webhook()
    """Who is told."""
    rules: Rules = Rules()
    """The alerts."""

    def rule(self, key: str) -> RuleSection:
        """The section of one alert, by its key here."""
        section: RuleSection = getattr(self.rules, key)
        return section

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.interval < 0.1:
            raise ValueError("interval is shorter than 100ms; looking that often costs more than it tells, write 1s")
        if self.memory_budget == 0:
            raise ValueError("memory_budget is 0; write a size, as in 512MiB, or null for the limit of the machine")
        return self
