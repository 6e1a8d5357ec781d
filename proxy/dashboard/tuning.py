"""Tuning as its page shows it, and what an operator does there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from proxy.dashboard.readings import WRITTEN
from proxy.errors import RequestRefused
from proxy.tuning.control import Tuning
from proxy.tuning.figures import Figures
from proxy.tuning.knobs import KNOBS
from proxy.tuning.optimiser import Event
from proxy.tuning.presets import PRESETS
from proxy.tuning.state import Change, State
from webui import formats
from webui.tuning_shown import (
    PresetCard,
    Refusal,
    ShownChange,
    ShownEvent,
    ShownHeld,
    ShownKnob,
    ShownRule,
    TuningShown,
)

T = TypeVar("T")

SHOWN_EVENTS = 50


class TuningSource:
    """The page's figures, and webui's TuningActions."""

    def __init__(self, tuning: Tuning, now: Callable[[], float]) -> None:
        self._tuning = tuning
        self._now = now

    def shown(self) -> TuningShown:
        """Everything on the page, as of now."""
        tuning, state, optimiser = self._tuning, self._tuning.state, self._tuning.optimiser
        kept = tuning.kept.preset
        return TuningShown(
            now=self._now(),
            preset=state.preset.name,
            chosen_by=state.preset.by or "",
            chosen_at=state.preset.at,
            kept_preset=None if kept is None else kept.name,
            can_keep=tuning.can_keep,
            presets=tuple(self._card(name) for name in PRESETS),
            knobs=tuple(self._knob(key) for key in state.configured),
            automatic=optimiser.enabled,
            rules=tuple(
                ShownRule(w.rule.alert, w.rule.actions, w.firing, w.since, w.taken, w.rule.most, w.yielded)
                for w in optimiser.watches
            ),
            events=tuple(_event(event) for event in optimiser.events()[:SHOWN_EVENTS]),
            cool_down=optimiser.times.cool_down,
            settle=optimiser.times.settle,
            calm=optimiser.times.calm,
        )

    def choose(self, preset: str, *, keep: bool, by: str) -> str:
        """Switch to a preset. Raises Refusal, as all of these do."""
        changes = _carried_out(lambda: self._tuning.choose(preset, keep=keep, by=by))
        return f"The preset is {preset} now: {_values(len(changes))} changed{_across(keep)}."

    def set(self, key: str, value: str, *, keep: bool, by: str) -> str:
        change = _carried_out(lambda: self._tuning.set(key, value, keep=keep, by=by))
        return f"{key} is {KNOBS[key].in_words(change.after)} now{_across(keep)}."

    def reset(self, key: str, *, by: str) -> str:
        change = _carried_out(lambda: self._tuning.reset(key, by=by))
        return f"{key} is {KNOBS[key].in_words(change.after)} again."

    def reset_all(self, *, by: str) -> str:
        changes = _carried_out(lambda: self._tuning.reset_all(by=by))
        return f"Everything is as configured: {_values(len(changes))} changed back."

    def switch(self, enabled: bool, *, keep: bool, by: str) -> str:
        _carried_out(lambda: self._tuning.switch(enabled, keep=keep, by=by))
        return f"Auto-optimisation is {'on' if enabled else 'off'} now{_across(keep)}."

    def undo(self, event: int, *, by: str) -> str:
        count = _carried_out(lambda: self._tuning.undo(event, by=by))
        return f"Undone: {count} automatic step{'' if count == 1 else 's'}."

    def _card(self, name: str) -> PresetCard:
        preset, state = PRESETS[name], self._tuning.state
        return PresetCard(
            name,
            preset.for_whom,
            preset.summary,
            state.preset.name == name,
            _changes(state.diff(name)),
            tuple(_held(change, state) for change in state.held(name)),
        )

    def _knob(self, key: str) -> ShownKnob:
        knob, state, kept = KNOBS[key], self._tuning.state, self._tuning.kept.values.get(key)
        now = state.effective(key)
        return ShownKnob(
            key=key,
            name=knob.name,
            meaning=knob.meaning,
            configured=knob.in_words(state.configured[key]),
            effective=knob.text(now.value),
            in_force=knob.in_words(now.value),
            origin=now.origin,
            words=now.words,
            since=now.since,
            hint=knob.hint,
            takes_effect=knob.takes_effect,
            choices=("true", "false") if knob.kind == "switch" else knob.choices,
            kept=None if kept is None else knob.in_words(kept.value),
        )


def _carried_out(action: Callable[[], T]) -> T:
    try:
        return action()
    except RequestRefused as refused:
        raise Refusal(str(refused)) from None


def _changes(changes: Iterable[Change]) -> tuple[ShownChange, ...]:
    return tuple(_change(change) for change in changes)


def _change(change: Change) -> ShownChange:
    knob = KNOBS[change.key]
    words = knob.in_words
    return ShownChange(change.key, knob.name, words(change.before), words(change.after), change.why)


def _held(change: Change, state: State) -> ShownHeld:
    knob = KNOBS[change.key]
    words, rule = knob.in_words, state.rule(change.key)
    return ShownHeld(knob.name, words(change.before), words(change.after), rule)


def _event(event: Event) -> ShownEvent:
    return ShownEvent(
        number=event.number,
        at=event.at,
        rule=event.rule,
        text=event.text,
        changes=_changes(event.changes),
        figures=_figures(event.before, event.after),
        settled=event.after is not None,
        fate=event.fate,
        ended=event.ended,
        ended_by=event.ended_by,
    )


def _figures(before: Figures, after: Figures | None) -> tuple[tuple[str, str, str], ...]:
    """The figures that can be told before or after, in words."""
    shown = []
    for name, (label, written) in WRITTEN.items():
        values = before.get(name), None if after is None else after.get(name)
        if any(value is not None for value in values):
            then, now = (formats.NOTHING if value is None else written(value) for value in values)
            shown.append((label, then, now))
    return tuple(shown)


def _values(count: int) -> str:
    return f"{count} value{'' if count == 1 else 's'}"


def _across(keep: bool) -> str:
    return ", also after a restart" if keep else ""
