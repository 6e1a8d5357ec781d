"""What the tuning page shows, and what can be done there.

Values are texts as the configuration file has them. Moments are seconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ShownChange:
    """One key that differs after something is done, and why."""

    key: str
    name: str
    before: str
    after: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class ShownHeld:
    """One value that stays whatever the preset: `below` is what counts once it is let go of, `rule` the alert whose
    rule holds it, None where an operator does."""

    name: str
    value: str
    below: str
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class PresetCard:
    """One preset: what it is for, and what switching to it would change. `held` stays, as it was set by hand or by
    a rule."""

    name: str
    for_whom: str
    summary: str
    current: bool
    changes: tuple[ShownChange, ...]
    held: tuple[ShownHeld, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownKnob:
    """One value that may change while running. `origin` is who has made it so, `kept` what a restart would find.

    `configured`, `in_force` and `kept` are in words; `effective` is written as the configuration file has it.
    """

    key: str
    name: str
    meaning: str
    configured: str
    effective: str
    in_force: str
    origin: Literal["configuration", "preset", "automatic", "operator"]
    words: str
    since: float | None
    hint: str
    takes_effect: str
    choices: tuple[str, ...] = ()
    kept: str | None = None

    @property
    def changed(self) -> bool:
        """Somebody or something has a hand on it."""
        return self.origin != "configuration"


@dataclass(frozen=True, slots=True)
class ShownRule:
    """What follows when an alert fires, and how far that has gone."""

    alert: str
    actions: tuple[str, ...]
    firing: bool
    since: float | None
    taken: int
    most: int
    yielded: bool


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """Something that was done by itself. `figures` are name, before and after, as texts."""

    number: int
    at: float
    rule: str
    text: str
    changes: tuple[ShownChange, ...]
    figures: tuple[tuple[str, str, str], ...]
    settled: bool
    fate: Literal["stands", "done", "undone", "superseded", "skipped"]
    ended: float | None
    ended_by: str


@dataclass(frozen=True, slots=True)
class TuningShown:
    """Everything on the page. `chosen_by` is empty for the configuration's own preset; `kept_preset` what a restart
    would find, `cool_down`, `settle` and `calm` seconds."""

    now: float
    preset: str
    chosen_by: str
    chosen_at: float | None
    kept_preset: str | None
    can_keep: bool
    presets: tuple[PresetCard, ...]
    knobs: tuple[ShownKnob, ...]
    automatic: bool
    rules: tuple[ShownRule, ...]
    events: tuple[ShownEvent, ...]
    cool_down: float
    settle: float
    calm: float

    @property
    def changed(self) -> tuple[ShownKnob, ...]:
        """The values that are not simply the configuration's."""
        return tuple(knob for knob in self.knobs if knob.changed)


class Refusal(Exception):
    """What was asked for cannot be; the text says what would be right."""


class TuningActions(Protocol):
    """What an operator can do; `by` says who it is. All raise Refusal."""

    def choose(self, preset: str, *, keep: bool, by: str) -> str:
        """Switch to a preset; what happened, as a sentence. So do the others."""
        ...

    def set(self, key: str, value: str, *, keep: bool, by: str) -> str: ...

    def reset(self, key: str, *, by: str) -> str: ...

    def reset_all(self, *, by: str) -> str: ...

    def switch(self, enabled: bool, *, keep: bool, by: str) -> str: ...

    def undo(self, event: int, *, by: str) -> str: ...
