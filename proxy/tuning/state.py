"""PURE: what every tunable key is now, and who has made it so.

The rule of this room: four layers, the upper one counts: configuration < preset < automatic < operator. A change
makes another state; nothing is changed in place. Moments are seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from proxy.tuning import presets
from proxy.tuning.presets import DEFAULT, Value

__all__ = ["Automatic", "Change", "Chosen", "Effective", "HandSet", "State", "Value"]

Origin = Literal["configuration", "preset", "automatic", "operator"]


@dataclass(frozen=True, slots=True)
class Chosen:
    """A preset and who has chosen it; `by` None: the configuration, from the start."""

    name: str = DEFAULT
    by: str | None = None
    at: float | None = None


@dataclass(frozen=True, slots=True)
class HandSet:
    """A value that an operator has set."""

    value: Value
    by: str
    at: float


@dataclass(frozen=True, slots=True)
class Automatic:
    """A value that a rule has set; `event` is the number of what it did."""

    event: int
    rule: str
    value: Value
    at: float


@dataclass(frozen=True, slots=True)
class Effective:
    """What a key is now. `origin` is the layer, `words` say it with the name of whoever it was."""

    value: Value
    origin: Origin
    words: str
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One key that differs after something is done."""

    key: str
    before: Value
    after: Value
    why: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """All layers. `configured` has every key that can be tuned on this edge, `defaults` what the model says of them."""

    configured: Mapping[str, Value]
    defaults: Mapping[str, Value]
    preset: Chosen = Chosen()
    automatic: Mapping[str, tuple[Automatic, ...]] = field(default_factory=dict)
    operator: Mapping[str, HandSet] = field(default_factory=dict)

    # What is

    def effective(self, key: str) -> Effective:
        """Raises KeyError for a key that cannot be tuned here."""
        configured = self.configured[key]
        if (hand := self.operator.get(key)) is not None:
            words = hand.by if hand.by == "operator" else f"operator {hand.by}"
            return Effective(hand.value, "operator", words, hand.at)
        if steps := self.automatic.get(key):
            return Effective(steps[-1].value, "automatic", f"automatic: {steps[-1].rule}", steps[-1].at)
        preset = self._preset_values()
        if key in preset:
            return Effective(preset[key], "preset", self._preset_words(), self.preset.at)
        return Effective(configured, "configuration", "configuration")

    def rule(self, key: str) -> str | None:
        """The alert whose rule has made a key what it is; None where somebody or something else has."""
        steps = self.automatic.get(key)
        return steps[-1].rule if steps and key not in self.operator else None

    def values(self) -> dict[str, Value]:
        """The effective value of every key."""
        made = {**self.configured, **self._preset_values()}
        made |= {key: steps[-1].value for key, steps in self.automatic.items() if steps}
        return made | {key: hand.value for key, hand in self.operator.items()}

    def changed(self) -> list[str]:
        """The keys that somebody or something has a hand on, in their order."""
        preset = self._preset_values()
        return [key for key in self.configured if key in self.operator or self.automatic.get(key) or key in preset]

    def diff(self, preset: str) -> list[Change]:
        """What choosing this preset by hand would change. Raises KeyError for an unknown one."""
        why, then = presets.reasons(preset), self.chosen(preset, "", 0.0).values()
        return [
            Change(key, value, then[key], why.get(key, "Back to what the configuration says."))
            for key, value in self.values().items()
            if then[key] != value
        ]

    def held(self, preset: str) -> list[Change]:
        """What stays although this preset is chosen by hand: what it says of keys that are set by hand, and all that
        rules have set. `after` is what will count when that is let go of."""
        why, made = presets.reasons(preset), presets.values(preset, self.configured)
        below = {**self.configured, **made}
        return [
            Change(key, value, below[key], why.get(key, ""))
            for key, value in self.values().items()
            if value != below[key] and key in (made if key in self.operator else self.automatic)
        ]

    # What is done

    def chosen(self, preset: str, by: str, at: float) -> State:
        """An operator has chosen a preset: what rules have changed covers it. Raises KeyError for unknown ones."""
        presets.PRESETS[preset]
        return replace(self, preset=Chosen(preset, by, at))

    def set(self, key: str, value: Value, by: str, at: float) -> State:
        """An operator has set a value: what rules had made of it is forgotten."""
        return replace(self._freed(key), operator={**self.operator, key: HandSet(value, by, at)})

    def reset(self, key: str) -> State:
        """An operator wants what the preset, or the configuration, says."""
        freed = self._freed(key)
        return replace(freed, operator={each: hand for each, hand in self.operator.items() if each != key})

    def reset_all(self, preset: str) -> State:
        """An operator wants everything as it was at the start, with the configuration's `preset`."""
        return replace(self, preset=Chosen(preset), automatic={}, operator={})

    def acted(self, event: int, rule: str, changes: Collection[Change], at: float) -> State:
        """A rule has set values."""
        automatic = dict(self.automatic)
        for change in changes:
            step = Automatic(event, rule, change.after, at)
            automatic[change.key] = (*automatic.get(change.key, ()), step)
        return replace(self, automatic=automatic)

    def taken_back(self, events: Collection[int]) -> State:
        """What rules did in these events is undone."""
        left = {key: tuple(s for s in steps if s.event not in events) for key, steps in self.automatic.items()}
        return replace(self, automatic={key: steps for key, steps in left.items() if steps})

    def stands(self, event: int, key: str) -> bool:
        """Whether what a rule made of this key in this event is still one of its layers."""
        return any(step.event == event for step in self.automatic.get(key, ()))

    def _freed(self, key: str) -> State:
        self.configured[key]
        return replace(self, automatic={each: steps for each, steps in self.automatic.items() if each != key})

    def _preset_values(self) -> dict[str, Value]:
        made = presets.values(self.preset.name, self.configured)
        if self.preset.by is not None:
            return made
        return {key: value for key, value in made.items() if self.configured[key] == self.defaults[key]}

    def _preset_words(self) -> str:
        where = "configuration: " if self.preset.by is None else ""
        return f"{where}preset {self.preset.name}"
