"""What the alerts page shows, and what an operator can do there. Values are words; moments are epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["firing", "pending", "inactive", "off"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of an alert's form, as the configuration writes it. `configured` is set where it differs."""

    key: str
    value: str
    configured: str | None = None


@dataclass(frozen=True, slots=True)
class AlertShown:
    """One alert. `share` is how far the value is on its way to the threshold (1: there), None without a value.

    `for_` is how long the state has lasted, `left` how long until it fires or is resolved if it goes on like this.
    """

    name: str
    title: str
    watches: str
    state: State
    severity: Literal["warning", "critical"]
    value: str
    known: bool
    unknown: str
    threshold: str
    share: float | None
    for_: float
    left: float | None
    peak: str
    means: str
    note: str
    advice: str
    where: str
    settings: Mapping[str, Setting]
    kept: bool
    unit: str
    lasting: str
    """The configured `for`, in words."""

    @property
    def changed(self) -> tuple[Setting, ...]:
        """What differs from the configuration."""
        return tuple(setting for setting in self.settings.values() if setting.configured is not None)


@dataclass(frozen=True, slots=True)
class EpisodeShown:
    """An alert that fired and was resolved."""

    name: str
    title: str
    severity: Literal["warning", "critical"]
    began: float
    ended: float
    peak: str
    threshold: str
    why: str


@dataclass(frozen=True, slots=True)
class WebhookShown:
    """Who is told, and how that went. `host` is empty when nobody is."""

    host: str
    waiting: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0
    last: str = ""
    last_at: float | None = None
    last_result: Literal["", "delivered", "retrying", "failed"] = ""


@dataclass(frozen=True, slots=True)
class AlertsShown:
    """The page. `can_keep`: whether changes can outlive the process."""

    now: float
    enabled: bool
    alerts: tuple[AlertShown, ...]
    history: tuple[EpisodeShown, ...]
    webhook: WebhookShown
    can_keep: bool

    def of(self, state: State) -> tuple[AlertShown, ...]:
        return tuple(alert for alert in self.alerts if alert.state == state)


@dataclass(frozen=True, slots=True)
class FiringAlert:
    """One line of the banner that every page may show."""

    name: str
    title: str
    severity: Literal["warning", "critical"]
    value: str
    for_: float
    left: float | None = None
    """Seconds until it is resolved, if it stays calm."""


class Refused(Exception):
    """What an operator asked for cannot be done; the text says what would be right."""


class AlertActions(Protocol):
    """What an operator can do; `by` says who it is. All raise Refused."""

    async def change(self, name: str, settings: Mapping[str, object], *, keep: bool, by: str) -> None:
        """Go by other settings of an alert, given as the configuration writes them."""
        ...

    async def reset(self, name: str, *, by: str) -> None:
        """Go by the configuration again."""
        ...

    def try_webhook(self, *, by: str) -> None:
        """Send a message that says it is a test."""
        ...
