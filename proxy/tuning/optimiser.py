"""PURE: when which rule does what, and when it is undone.

The rule of this room: one step at a time, never two of one rule within its cool-down, never more than its `most`
before its alert was calm. What a rule did is undone when its alert has been resolved for `calm`, or when what the alert
looks at was clearly worse after it, which is not repeated then; nothing that an operator did ever is. `now` is an
argument (seconds); whoever calls carries out what is decided.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from proxy.tuning.actions import CLEARING, JUDGED_BY, Bounds, Clear, Skip, Step, next_step
from proxy.tuning.figures import Figures, worse
from proxy.tuning.state import Change, State

MOST_EVENTS = 200
MOST_PATIENCE = 8

Fate = Literal["stands", "done", "undone", "superseded", "skipped"]


@dataclass(frozen=True, slots=True)
class Rule:
    """What follows when `alert` fires. `reading` names the figure that the alert looks at."""

    alert: str
    actions: tuple[str, ...]
    most: int = 6
    reading: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds: between two steps of a rule; from a step to the figures after it; from an alert's end to the undo."""

    cool_down: float = 60.0
    settle: float = 30.0
    calm: float = 300.0


@dataclass(frozen=True, slots=True)
class Event:
    """One step that was taken, with the figures before and after it.

    `fate`: what it changed stands, it left nothing to undo (`done`), it was undone, an operator has changed
    everything about it since (`superseded`), or it was not taken after all (`skipped`), as its text says. `harmful`:
    what it is judged by was clearly worse after it.
    """

    number: int
    at: float
    rule: str
    action: str
    text: str
    changes: tuple[Change, ...]
    before: Figures
    after: Figures | None = None
    fate: Fate = "stands"
    ended: float | None = None
    ended_by: str = ""
    harmful: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """Carry this step out."""

    event: Event
    clear: Clear


@dataclass(frozen=True, slots=True)
class Undo:
    """Take back what these events changed. `why`: a clause for the log, empty where it goes without saying."""

    events: tuple[Event, ...]
    by: str
    why: str = ""


class UndoRefused(ValueError):
    """There is nothing to undo; the text says why."""


@dataclass(slots=True)
class Watch:
    """One rule and its alert. `taken` steps since it was calm last; `yielded`: an operator has stepped in since."""

    rule: Rule
    firing: bool = False
    since: float | None = None
    taken: int = 0
    done: set[str] = field(default_factory=set)
    skipped: set[str] = field(default_factory=set)
    harmful: set[str] = field(default_factory=set)
    yielded: bool = False
    patience: int = 1
    quiet_until: float = float("-inf")
    resolved: float | None = None
    calm_since: float | None = None

    @property
    def open(self) -> bool:
        """Something has happened that is not calm yet."""
        return self.firing or self.resolved is not None


class Optimiser:
    """All rules. `enabled` may be assigned at any time: while False nothing is done and nothing undone by itself."""

    def __init__(self, rules: Sequence[Rule], times: Times, bounds: Bounds, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self.times = times
        self._bounds = bounds
        self._watches = {rule.alert: Watch(rule) for rule in rules}
        self._events: dict[int, Event] = {}
        self._number = 0

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The rules as they stand, to look at."""
        return tuple(self._watches.values())

    def events(self) -> list[Event]:
        """What was done, newest first."""
        return list(reversed(self._events.values()))

    def alerted(self, alert: str, state: str, now: float) -> None:
        """An alert has gone into another state: `firing`, `resolved`, or what is no concern of ours."""
        watch = self._watches.get(alert)
        if watch is None:
            return
        if state == "firing" and not watch.firing:
            self._fires(watch, now)
        elif state in ("resolved", "inactive") and watch.firing:
            watch.firing, watch.since, watch.resolved = False, now, now

    def due(self, now: float) -> float | None:
        """The earliest moment at which `decide` may have something to say; None: not before another alert."""
        return min(self._moments(now), default=None)

    def decide(self, now: float, state: State, look: Callable[[], Figures]) -> Act | Undo | None:
        """The next thing to carry out, if any; to be asked again until there is none. `look` tells the figures."""
        self._settled(now, look)
        if not self.enabled:
            return None
        if undo := self._harmed(now):
            return undo
        for watch in self._watches.values():
            if watch.resolved is not None and now >= watch.resolved + self._calm(watch):
                if undo := self._calmed(watch, now):
                    return undo
            elif self._may_act(watch, now) and (act := self._acted(watch, now, state, look)):
                return act
        return None

    def undo(self, number: int, by: str, now: float) -> Undo:
        """An operator undoes an event and what the same rule built on it. The rule yields until its alert is calm.

        Raises UndoRefused.
        """
        event = self._events.get(number)
        if event is None:
            raise UndoRefused(f"there is no event {number}; it may have left the log")
        if event.fate != "stands":
            raise UndoRefused(f"event {number} has nothing to undo: {_FATES[event.fate]}")
        if watch := self._watches.get(event.rule):
            watch.yielded = True
        return Undo(self._unbuilt(event, by, now), by)

    def yielded(self, state: State, by: str, now: float) -> None:
        """An operator has changed something: rules that had set it yield; events of which nothing stands are over."""
        for event in list(self._events.values()):
            if event.fate != "stands" or all(state.stands(event.number, change.key) for change in event.changes):
                continue
            if watch := self._watches.get(event.rule):
                watch.yielded = True
            if not any(state.stands(event.number, change.key) for change in event.changes):
                self._end(event, "superseded", by, now)

    # Rules

    def _fires(self, watch: Watch, now: float) -> None:
        watch.firing, watch.since, watch.resolved = True, now, None
        if watch.calm_since is not None:
            # It was calm, and what had been done was undone: the next time it has to be calm for longer.
            soon = now - watch.calm_since < self._calm(watch)
            watch.patience = min(watch.patience * 2, MOST_PATIENCE) if soon else 1
            watch.calm_since = None

    def _calm(self, watch: Watch) -> float:
        return self.times.calm * watch.patience

    def _may_act(self, watch: Watch, now: float) -> bool:
        return watch.firing and not watch.yielded and watch.taken < watch.rule.most and now >= watch.quiet_until

    def _acted(self, watch: Watch, now: float, state: State, look: Callable[[], Figures]) -> Act | None:
        figures = look()
        for action in watch.rule.actions:
            if action in watch.harmful:
                continue
            step = next_step(action, state, self._bounds, watch.done, figures)
            if isinstance(step, Step):
                watch.taken += 1
                watch.done.add(action)
                watch.quiet_until = now + self.times.cool_down
                return Act(self._note(watch.rule.alert, action, step, now, figures), step.clear)
            if isinstance(step, Skip) and action not in watch.skipped:
                watch.skipped.add(action)
                self._note(watch.rule.alert, action, step, now, figures)
        # Nothing is left to do; what an operator lets go of may give it something again.
        watch.quiet_until = now + self.times.cool_down
        return None

    def _harmed(self, now: float) -> Undo | None:
        for event in self._events.values():
            watch = self._watches.get(event.rule)
            if event.harmful and event.fate == "stands" and not (watch and watch.yielded):
                return Undo(self._unbuilt(event, "automatic", now), "automatic", "it was clearly worse after it")
        return None

    def _calmed(self, watch: Watch, now: float) -> Undo | None:
        standing = list(self._standing(watch.rule.alert))
        acted = watch.taken > 0
        watch.since, watch.resolved, watch.taken, watch.yielded = now, None, 0, False
        watch.done.clear()
        watch.skipped.clear()
        watch.harmful.clear()
        watch.calm_since = now if acted else None
        if not standing:
            return None
        watch.quiet_until = now + self.times.cool_down
        return Undo(tuple(self._end(event, "undone", "automatic", now) for event in reversed(standing)), "automatic")

    # Events

    def _note(self, rule: str, action: str, step: Step | Skip, now: float, before: Figures) -> Event:
        self._number += 1
        fate: Fate = "skipped" if isinstance(step, Skip) else "done" if action in CLEARING else "stands"
        changes = step.changes if isinstance(step, Step) else ()
        event = Event(self._number, now, rule, action, step.text, changes, before, fate=fate)
        self._events[event.number] = event
        self._forget(max(0, len(self._events) - MOST_EVENTS))
        return event

    def _forget(self, count: int) -> None:
        """Let go of the oldest events, but of none that can be undone."""
        for number in [number for number, event in self._events.items() if event.fate != "stands"][:count]:
            del self._events[number]

    def _standing(self, rule: str) -> Iterator[Event]:
        return (event for event in list(self._events.values()) if event.rule == rule and event.fate == "stands")

    def _unbuilt(self, event: Event, by: str, now: float) -> tuple[Event, ...]:
        """End an event and what the same rule built on it, the newest first."""
        keys = {change.key for change in event.changes}
        built = [
            each
            for each in self._standing(event.rule)
            if each.number >= event.number and keys & {change.key for change in each.changes}
        ]
        return tuple(self._end(each, "undone", by, now) for each in reversed(built))

    def _end(self, event: Event, fate: Fate, by: str, now: float) -> Event:
        ended = self._events[event.number] = replace(event, fate=fate, ended=now, ended_by=by)
        return ended

    def _settled(self, now: float, look: Callable[[], Figures]) -> None:
        for event in list(self._events.values()):
            if self._unsettled(event) and now >= event.at + self.times.settle:
                self._settle(event, look())

    def _settle(self, event: Event, after: Figures) -> None:
        watch = self._watches[event.rule]
        harmful = worse(JUDGED_BY.get(event.action, watch.rule.reading), event.before, after)
        text = event.text
        if harmful:
            watch.harmful.add(event.action)
            text = f"{text}, and it was clearly worse after it: not done again"
        self._events[event.number] = replace(event, after=after, harmful=harmful, text=text)

    def _unsettled(self, event: Event) -> bool:
        return event.after is None and event.fate in ("stands", "done")

    def _moments(self, now: float) -> Iterator[float]:
        for event in self._events.values():
            if self._unsettled(event):
                yield event.at + self.times.settle
        if not self.enabled:
            return
        for watch in self._watches.values():
            if watch.resolved is not None:
                yield watch.resolved + self._calm(watch)
            elif watch.firing and not watch.yielded and watch.taken < watch.rule.most and watch.rule.actions:
                yield max(now, watch.quiet_until)


_FATES = {
    "skipped": "nothing was changed",
    "done": "what was cleared has filled again by itself",
    "undone": "it is undone already",
    "superseded": "an operator has changed it since",
}
