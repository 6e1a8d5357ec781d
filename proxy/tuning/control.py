"""Tuning as it is carried out: what operators and alerts want becomes a configuration, and that is applied.

The rule of this room: every change goes through `_become`, which applies, notes and keeps. What is decided is decided
in `state` and `optimiser`, which know no clock and no part of the edge.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Protocol

from proxy.config.model import Config
from proxy.errors import RequestRefused
from proxy.operations.alert_rules import SHIPPED
from proxy.operations.timeline import Timeline
from proxy.tuning.actions import Bounds
from proxy.tuning.figures import Figures
from proxy.tuning.kept import Kept, read_kept, starting_state, write_kept
from proxy.tuning.knobs import KNOBS, with_values
from proxy.tuning.optimiser import Act, Optimiser, Rule, Times, Undo, UndoRefused
from proxy.tuning.presets import PRESETS, Value
from proxy.tuning.state import Change, Chosen, State

AUTOMATIC = "automatic"

AFTER_A_FAILURE = 1.0
"""Seconds before it is tried again whether anything is due: what fails at once would fail without end."""

_log = logging.getLogger("cachewire.tuning")


class TuningRefused(RequestRefused):
    """What an operator asks for cannot be; the text says what would be right."""


class Levers(Protocol):
    """The parts of the edge that can be tuned."""

    def keys(self) -> tuple[str, ...]:
        """The keys that have an effect on this edge."""
        ...

    def tune(self, config: Config) -> None:
        """Go by this configuration from now on."""
        ...

    async def clear(self, *, profiles: bool, reports: bool) -> Mapping[str, int]:
        """Forget profiles, mark reports stale; how many there were, by name."""
        ...


class Transition(Protocol):
    """An alert that goes into another state, as tuning looks at it."""

    @property
    def rule(self) -> str: ...

    @property
    def state(self) -> str: ...


class Tuning:
    """All tuning of one edge. `figures` are asked before and after each automatic step; `path` is where it is kept,
    None where nothing can be.

    The configuration's preset, and what was kept, are applied when it is built.
    """

    def __init__(
        self,
        config: Config,
        levers: Levers,
        *,
        figures: Callable[[], Figures],
        timeline: Timeline,
        now: Callable[[], float],
        path: Path | None,
    ) -> None:
        self._config = self._applied = config
        self._levers = levers
        self._figures = figures
        self._timeline = timeline
        self._now = now
        self._path = path
        self.kept = Kept() if path is None else read_kept(path)
        self.optimiser = _optimiser(config, self.kept)
        self.state = starting_state(config, levers.keys(), self.kept)
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._apply()

    # Its life

    async def start(self) -> None:
        """Begin to act on alerts."""
        self._task = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def alerted(self, transition: Transition) -> None:
        """To be called for every transition of an alert; what follows from it is done soon after."""
        self.optimiser.alerted(transition.rule, transition.state, self._now())
        self._news.set()

    # What operators do

    def choose(self, preset: str, *, keep: bool, by: str) -> list[Change]:
        """Switch to a preset; what has changed. Raises TuningRefused."""
        changes = self.preview(preset)
        now = self._now()
        if keep:
            self._keep(replace(self.kept, preset=Chosen(preset, by, now)))
        self._become(self.state.chosen(preset, by, now), by)
        self._timeline.add("tuning", by, f"preset {preset}{_kept(keep)}", **_told(changes))
        return changes

    def preview(self, preset: str) -> list[Change]:
        """What switching to a preset would change. Raises TuningRefused."""
        if preset not in PRESETS:
            raise TuningRefused(400, "no-such-preset", f"{preset!r} is not a preset; there are {', '.join(PRESETS)}")
        return self.state.diff(preset)

    def set(self, key: str, given: object, *, keep: bool, by: str) -> Change:
        """Set one value. Raises TuningRefused that says what would be right."""
        self._check(key)
        try:
            value = KNOBS[key].parse(given)
        except ValueError as error:
            raise TuningRefused(400, "bad-value", f"{key}: {error}") from None
        before = self.state.effective(key).value
        state = self.state.set(key, value, by, self._now())
        if keep:
            self._keep(replace(self.kept, values={**self.kept.values, key: state.operator[key]}))
        self._become(state, by)
        change = Change(key, before, value)
        self._timeline.add("tuning", by, f"{key} set by hand{_kept(keep)}", **_told([change]))
        return change

    def reset(self, key: str, *, by: str) -> Change:
        """Let a key go back to what the preset, or else the configuration, says. Raises TuningRefused."""
        self._check(key)
        before = self.state.effective(key).value
        if key in self.kept.values:
            self._keep(replace(self.kept, values={k: v for k, v in self.kept.values.items() if k != key}))
        self._become(self.state.reset(key), by)
        change = Change(key, before, self.state.effective(key).value)
        self._timeline.add("tuning", by, f"{key} reset", **_told([change]))
        return change

    def reset_all(self, *, by: str) -> list[Change]:
        """Let everything go back to what the configuration says, and keep nothing; what has changed."""
        before = self.state.values()
        if self.kept.preset is not None or self.kept.values:
            self._keep(Kept(auto=self.kept.auto))
        self._become(self.state.reset_all(self._config.tuning.preset), by)
        changes = [
            Change(key, before[key], value) for key, value in self.state.values().items() if before[key] != value
        ]
        self._timeline.add("tuning", by, "everything reset to the configuration", **_told(changes))
        return changes

    def switch(self, enabled: bool, *, keep: bool, by: str) -> None:
        """Switch auto-optimisation on or off. What it has changed stays until it is undone."""
        if keep:
            self._keep(replace(self.kept, auto=enabled))
        self.optimiser.enabled = enabled
        self._timeline.add("tuning", by, f"auto-optimisation switched {'on' if enabled else 'off'}{_kept(keep)}")
        self._news.set()

    def undo(self, number: int, *, by: str) -> int:
        """Undo what an automatic step has changed, and what was built on it; how many steps. Raises TuningRefused."""
        try:
            undo = self.optimiser.undo(number, by, self._now())
        except UndoRefused as error:
            raise TuningRefused(409, "nothing-to-undo", str(error)) from None
        self._take_back(undo)
        return len(undo.events)

    # What others look at

    def overrides(self) -> dict[str, tuple[str, str]]:
        """Each key that is not as the configuration says: its value as the configuration would have it, and who."""
        changed = {key: self.state.effective(key) for key in self.state.changed()}
        return {key: (KNOBS[key].text(now.value), now.words) for key, now in changed.items()}

    @property
    def can_keep(self) -> bool:
        """Whether there is a place for what is to outlive the process."""
        return self._path is not None

    @property
    def config(self) -> Config:
        """The configuration as it is in force."""
        return self._applied

    # What alerts do

    async def act(self) -> None:
        """Do what is due now."""
        async with self._turn:
            while (decision := self.optimiser.decide(self._now(), self.state, self._figures)) is not None:
                if isinstance(decision, Undo):
                    self._take_back(decision)
                else:
                    await self._act(decision)

    async def _act(self, act: Act) -> None:
        event = act.event
        self._become(self.state.acted(event.number, event.rule, event.changes, event.at), AUTOMATIC)
        cleared: Mapping[str, int] = {}
        if act.clear.profiles or act.clear.reports:
            cleared = await self._levers.clear(**asdict(act.clear))
        text = f"{event.rule} fires: {event.text}"
        self._timeline.add("tuning", AUTOMATIC, text, **_told(event.changes), **cleared, **_noted(event.before))

    def _take_back(self, undo: Undo) -> None:
        before = self.state.values()
        self._become(self.state.taken_back([event.number for event in undo.events]), undo.by)
        after = self.state.values()
        changes = [Change(key, before[key], value) for key, value in after.items() if before[key] != value]
        numbers = ", ".join(str(event.number) for event in undo.events)
        why = f", as {undo.why}" if undo.why else ""
        text = f"undone: what {undo.events[0].rule} had changed (#{numbers}){why}"
        self._timeline.add("tuning", undo.by, text, **_told(changes))

    async def _watch(self) -> None:
        while True:
            due = self.optimiser.due(self._now())
            try:
                async with asyncio.timeout(None if due is None else max(0.0, due - self._now())):
                    await self._news.wait()
            except TimeoutError:
                pass  # something is due
            self._news.clear()
            try:
                await self.act()
            except Exception:
                # An edge that serves is worth more than one that tunes itself.
                _log.exception("auto-optimisation has failed, and is switched off")
                self.optimiser.enabled = False
                self._timeline.add("tuning", AUTOMATIC, "auto-optimisation has failed and is off; the log has details")
                await asyncio.sleep(AFTER_A_FAILURE)

    # Becoming so

    def _become(self, state: State, by: str) -> None:
        self.state = state
        self._apply()
        if by != AUTOMATIC:
            self.optimiser.yielded(state, by, self._now())
            self._news.set()

    def _apply(self) -> None:
        config = with_values(self._config, self.state.values())
        if config != self._applied:
            self._applied = config
            self._levers.tune(config)

    def _keep(self, kept: Kept) -> None:
        if self._path is None:
            text = "nothing is changed: without a disk tier (cache.disk) nothing can be kept; try without keeping it"
            raise TuningRefused(409, "cannot-keep", text)
        try:
            write_kept(self._path, kept)
        except OSError as error:
            text = f"nothing is changed: it cannot be kept ({error.strerror or error}); try without keeping it"
            raise TuningRefused(507, "cannot-keep", text) from None
        self.kept = kept

    def _check(self, key: str) -> None:
        if key not in self.state.configured:
            known = key in KNOBS
            why = "has no effect on this edge, as it is configured" if known else "cannot be changed while running"
            raise TuningRefused(404, "no-such-key", f"{key!r} {why}; there are {', '.join(self.state.configured)}")


def _optimiser(config: Config, kept: Kept) -> Optimiser:
    auto = config.tuning.auto
    return Optimiser(
        [Rule(rule.alert, rule.do, rule.most, _reading(rule.alert)) for rule in auto.rules],
        Times(auto.cool_down, auto.settle, auto.calm),
        Bounds(auto.batch_delay_cap, auto.memory_floor),
        enabled=auto.enabled if kept.auto is None else kept.auto,
    )


def _reading(alert: str) -> str:
    return SHIPPED[alert].reading if alert in SHIPPED else ""


def _kept(keep: bool) -> str:
    return ", kept across restarts" if keep else ""


def _told(changes: Any) -> dict[str, str]:
    """Changes as the timeline's figures: `before → after` by key."""
    texts: dict[str, str] = {}
    for change in changes:
        text: Callable[[Value], str] = KNOBS[change.key].in_words
        texts[change.key] = f"{text(change.before)} → {text(change.after)}"
    return texts


def _noted(figures: Figures) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items() if value is not None}
