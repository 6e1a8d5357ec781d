"""Alerts as states: a value that is bad for long enough fires, one that is calm for long enough resolves.

The rule of this room: PURE. `now` is an argument (seconds of a clock that never steps back), values come in,
transitions go out; nobody is told anything here.

    inactive -> pending -> firing -> inactive          pending falls back to inactive as soon as the value is good
                `for`       `resolve_after`            with `for: 0` what is bad fires at once

A value that cannot be told (None) moves nothing: neither the time it must be bad nor the time it must be calm passes.
Only when there was none for NO_DATA_AFTER is what was pending given up and what was firing resolved as `no data`: an
alert nobody can check any more must not stand for ever, and one that flickers with its figure would be worse.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["inactive", "pending", "firing"]
Change = Literal["pending", "firing", "resolved", "inactive"]
CHANGES: tuple[Change, ...] = ("pending", "firing", "resolved", "inactive")
Severity = Literal["warning", "critical"]
Why = Literal["", "no data", "switched off"]

NO_DATA_AFTER = 300.0
EPISODES = 200


@dataclass(frozen=True, slots=True)
class Rule:
    """Bad is what lies strictly beyond `threshold`; calm, once it fires, what is not beyond `release`.

    `reading` is the name of the value it looks at. Spans are seconds.
    """

    name: str
    reading: str
    threshold: float
    for_: float
    resolve_after: float
    severity: Severity = "warning"
    side: Literal["above", "below"] = "above"
    release: float | None = None
    enabled: bool = True

    def bad(self, value: float) -> bool:
        return self._beyond(value, self.threshold)

    def calm(self, value: float) -> bool:
        return not self._beyond(value, self.threshold if self.release is None else self.release)

    def worse(self, value: float, other: float | None) -> float:
        """The one of the two that is further out."""
        if other is None:
            return value
        return max(value, other) if self.side == "above" else min(value, other)

    def _beyond(self, value: float, bound: float) -> bool:
        return value > bound if self.side == "above" else value < bound


@dataclass(frozen=True, slots=True)
class Transition:
    """One alert has changed its state. `since` is when the value became bad, `why` says what else ended it."""

    rule: str
    state: Change
    value: float | None
    threshold: float
    at: float
    severity: Severity = "warning"
    since: float | None = None
    peak: float | None = None
    why: Why = ""


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert that fired and was resolved. `peak` is the worst value from its first bad moment on."""

    rule: str
    severity: Severity
    threshold: float
    began: float
    ended: float
    peak: float | None
    why: Why = ""


@dataclass(frozen=True, slots=True)
class Ongoing:
    """An alert that fires: `since` when its value became bad, `fired` since it fires. `peak` as of an Episode."""

    rule: str
    since: float
    fired: float
    peak: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How one alert stands. `since` is when `state` began, `left` how long until it fires or is resolved, if it goes
    on like this; None when nothing is under way. `value` is the last look's, None if it cannot be told."""

    rule: Rule
    state: State
    since: float
    value: float | None
    peak: float | None
    left: float | None


class Alerts:
    """Every rule's state, and the last EPISODES episodes."""

    def __init__(self, rules: Iterable[Rule], now: float) -> None:
        self._watches = {rule.name: _Watch(rule, now) for rule in rules}
        self._episodes: deque[Episode] = deque(maxlen=EPISODES)
        self._now = now

    def evaluate(self, readings: Mapping[str, float | None], now: float) -> list[Transition]:
        """Take one look; what has changed by it, in the order of the rules."""
        self._now = now = max(now, self._now)
        transitions = []
        for watch in self._watches.values():
            transition = watch.look(readings.get(watch.rule.reading), now)
            if transition is not None:
                transitions.append(transition)
                if transition.state == "resolved":
                    self._episodes.append(watch.episode(transition))
        return transitions

    def change(self, rule: Rule) -> None:
        """Go by another form of a rule from the next look on; its state stays until then."""
        self._watches[rule.name].rule = rule

    def rule(self, name: str) -> Rule:
        return self._watches[name].rule

    def standings(self) -> list[Standing]:
        """How all alerts stand, as of the last look, in the order of the rules."""
        return [watch.standing(self._now) for watch in self._watches.values()]

    def episodes(self) -> list[Episode]:
        """What has been, newest first."""
        return list(reversed(self._episodes))

    def ongoing(self) -> list[Ongoing]:
        """What fires, for `resume` of another process."""
        return [watch.ongoing() for watch in self._watches.values() if watch.fires]

    def resume(self, ongoing: Iterable[Ongoing], episodes: Iterable[Episode]) -> None:
        """Go on with what fired and what has been, oldest first, before the first look."""
        self._episodes.extend(episodes)
        for each in ongoing:
            self._watches[each.rule].resume(each)


class _Watch:
    """One rule under watch."""

    __slots__ = ("_blind_since", "_calm_since", "_fired", "_peak", "_since", "_state", "_unseen", "_value", "rule")

    def __init__(self, rule: Rule, now: float) -> None:
        self.rule = rule
        self._state: State = "inactive"
        self._since = self._fired = now
        self._unseen = 0.0
        self._value: float | None = None
        self._peak: float | None = None
        self._blind_since: float | None = None
        self._calm_since: float | None = None

    def look(self, value: float | None, now: float) -> Transition | None:
        self._value = value
        if not self.rule.enabled:
            return self._end(now, "switched off")
        if value is None:
            return self._blind(now)
        self._sighted(now)
        if self.rule.bad(value):
            return self._bad(value, now)
        if self._state == "pending":
            return self._end(now)
        return self._good(value, now) if self._state == "firing" else None

    @property
    def fires(self) -> bool:
        return self._state == "firing"

    def ongoing(self) -> Ongoing:
        return Ongoing(self.rule.name, self._since, self._fired, self._peak)

    def resume(self, ongoing: Ongoing) -> None:
        self._state = "firing"
        self._since, self._fired, self._peak = ongoing.since, ongoing.fired, ongoing.peak

    def standing(self, now: float) -> Standing:
        since = self._fired if self._state == "firing" else self._since
        return Standing(self.rule, self._state, since, self._value, self._peak, self._left(now))

    def episode(self, end: Transition) -> Episode:
        return Episode(end.rule, end.severity, end.threshold, self._fired, end.at, end.peak, end.why)

    def _bad(self, value: float, now: float) -> Transition | None:
        self._calm_since = None
        self._peak = self.rule.worse(value, self._peak)
        if self._state == "inactive":
            self._since = now
            if self.rule.for_ > 0:
                self._state = "pending"
                return self._told("pending", now)
            return self._fire(now)
        if self._state == "pending" and now - self._since - self._unseen >= self.rule.for_:
            return self._fire(now)
        return None

    def _good(self, value: float, now: float) -> Transition | None:
        self._peak = self.rule.worse(value, self._peak)
        if not self.rule.calm(value):
            self._calm_since = None
            return None
        if self._calm_since is None:
            self._calm_since = now
        return self._end(now) if now - self._calm_since >= self.rule.resolve_after else None

    def _blind(self, now: float) -> Transition | None:
        if self._state == "inactive":
            return None
        if self._blind_since is None:
            self._blind_since = now
        return self._end(now, "no data") if now - self._blind_since >= NO_DATA_AFTER else None

    def _sighted(self, now: float) -> None:
        """What happened while nothing could be seen counts neither as bad nor as calm."""
        if self._blind_since is None:
            return
        gap = now - self._blind_since
        self._blind_since = None
        self._unseen += gap
        if self._calm_since is not None:
            self._calm_since += gap

    def _fire(self, now: float) -> Transition:
        self._state, self._fired = "firing", now
        return self._told("firing", now)

    def _end(self, now: float, why: Why = "") -> Transition | None:
        if self._state == "inactive":
            return None
        ended = self._told("resolved" if self._state == "firing" else "inactive", now, why)
        self._state, self._since = "inactive", now
        self._unseen = 0.0
        self._peak = self._blind_since = self._calm_since = None
        return ended

    def _told(self, state: Change, now: float, why: Why = "") -> Transition:
        rule = self.rule
        return Transition(
            rule.name, state, self._value, rule.threshold, now, rule.severity, self._since, self._peak, why
        )

    def _left(self, now: float) -> float | None:
        if self._blind_since is not None:
            return None
        if self._state == "pending":
            return max(self.rule.for_ - (now - self._since - self._unseen), 0.0)
        if self._state == "firing" and self._calm_since is not None:
            return max(self.rule.resolve_after - (now - self._calm_since), 0.0)
        return None
