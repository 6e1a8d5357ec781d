"""The watch: looks at the readings every second, moves the alerts, and tells whoever wants to hear of it.

What an operator changes is in the words of the configuration, and checked by it. A listener that fails is logged and
disturbs neither the watch nor the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from proxy.config.alerts import Alerts as Settings
from proxy.config.alerts import RuleSection
from proxy.config.validation import sentences
from proxy.errors import RequestRefused
from proxy.operations.alert_rules import SHIPPED, Meaning, nearest, rule, sentence, told
from proxy.operations.alerts import Alerts, Change, Episode, Ongoing, Standing, Transition
from proxy.operations.kept_changes import Changes, KeptChanges
from proxy.operations.readings import Readings
from proxy.operations.timeline import Timeline

_log = logging.getLogger("cachewire.alerts")

Listener = Callable[[Transition], None]


class AlertWatch:
    """The alerts of one edge. `now` is seconds since the epoch, of a clock that is never set back.

    `kept` is where changes outlive the process; without it they cannot.
    """

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Readings],
        timeline: Timeline,
        *,
        now: Callable[[], float],
        kept: KeptChanges | None = None,
    ) -> None:
        self.settings = settings
        self.transitions: Counter[tuple[str, Change]] = Counter()
        self._read = read
        self.timeline = timeline
        self.now = now
        self._file = kept
        self._listeners: list[Listener] = []
        self._following: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._effective = {name: settings.rule(meaning.key) for name, meaning in SHIPPED.items()}
        self._kept: Changes = {}
        self._changing = asyncio.Lock()
        self.alerts = Alerts((rule(SHIPPED[name], section) for name, section in self._effective.items()), now())

    def subscribe(self, listener: Listener, *, resumed: bool = False) -> None:
        """Call `listener` with every transition, on the event loop; it must not wait.

        With `resumed` also with what fired before a restart and goes on: news to itself, though to nobody else.
        """
        self._listeners.append(listener)
        if resumed:
            self._following.append(listener)

    # Its life

    async def start(self) -> None:
        """Take over what was kept, and begin to watch."""
        if self._file is not None:
            self._recall(await asyncio.to_thread(self._file.read))
        if self.settings.enabled:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="alerts")

    def resume(self, ongoing: Iterable[Ongoing], episodes: Iterable[Episode]) -> None:
        """Go on where another process ended, before `start`: what fired fires until it is calm for long enough."""
        fired = tuple(ongoing) if self.settings.enabled else ()
        self.alerts.resume(fired, episodes)
        for each in fired:
            rule = self.alerts.rule(each.rule)
            self.timeline.add(
                "alert", "automatic", f"{each.rule} fired before the restart, and goes on until it is calm"
            )
            again = Transition(
                each.rule, "firing", None, rule.threshold, each.fired, rule.severity, each.since, each.peak
            )
            self._notify(self._following, again)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                _log.exception("the alerts could not be evaluated")
            await asyncio.sleep(self.settings.interval)

    def look(self) -> list[Transition]:
        """Evaluate once, and tell everybody what has changed."""
        transitions = self.alerts.evaluate(self._read().values(), self.now())
        for transition in transitions:
            self._tell(transition)
        return transitions

    # What is to be seen

    @property
    def can_keep(self) -> bool:
        """Whether changes can outlive the process."""
        return self._file is not None

    def standings(self) -> list[Standing]:
        return self.alerts.standings()

    def episodes(self) -> list[Episode]:
        return self.alerts.episodes()

    def firing(self) -> list[Standing]:
        """What fires now, the most severe first, then the longest."""
        firing = [standing for standing in self.alerts.standings() if standing.state == "firing"]
        return sorted(firing, key=lambda each: (each.rule.severity != "critical", each.since))

    def settings_of(self, name: str) -> dict[str, Any]:
        """An alert's settings as they are in effect, in the words of the configuration."""
        return self._effective[name].model_dump(mode="json")

    def changes_of(self, name: str) -> dict[str, tuple[object, object]]:
        """What of it differs from the configuration: key, configured value, value in effect."""
        configured = self._configured(name).model_dump(mode="json")
        effective = self.settings_of(name)
        return {key: (configured[key], effective[key]) for key in effective if effective[key] != configured[key]}

    def is_kept(self, name: str) -> bool:
        """Whether what is in effect outlives the process."""
        return name in self._kept and self._kept[name] == self._difference(name, self._effective[name])

    # What an operator does

    async def change(self, name: str, changes: Mapping[str, object], *, by: str, keep: bool = False) -> None:
        """Go by other settings from now on. Raises RequestRefused that says what would be right."""
        meaning = _meaning(name)
        async with self._changing:
            before = self.settings_of(name)
            section = _changed(meaning, self._effective[name], changes)
            if keep:
                await self._keep(name, self._difference(name, section))
            self._take(meaning, section)
        after = self.settings_of(name)
        moved = {key: f"{_written(before[key])} → {_written(after[key])}" for key in after if after[key] != before[key]}
        what = "changed" if moved else "left as it is"
        self.timeline.add("alert", by, f"alert {name} was {what}{' and kept' if keep else ''}", **moved)

    async def reset(self, name: str, *, by: str) -> None:
        """Go by the configuration again, now and after a restart. Raises RequestRefused."""
        meaning = _meaning(name)
        async with self._changing:
            moved = {key: f"{_written(now)} → {_written(then)}" for key, (then, now) in self.changes_of(name).items()}
            if name in self._kept:
                await self._keep(name, {})
            self._take(meaning, self._configured(name))
        self.timeline.add("alert", by, f"alert {name} is as configured again", **moved)

    def _configured(self, name: str) -> RuleSection:
        return self.settings.rule(SHIPPED[name].key)

    def _difference(self, name: str, section: RuleSection) -> dict[str, object]:
        configured = self._configured(name).model_dump(mode="json")
        return {key: value for key, value in section.model_dump(mode="json").items() if value != configured[key]}

    def _take(self, meaning: Meaning, section: RuleSection) -> None:
        self._effective[meaning.name] = section
        self.alerts.change(rule(meaning, section))

    async def _keep(self, name: str, difference: dict[str, object]) -> None:
        if self._file is None:
            raise RequestRefused(
                409,
                "cannot-keep",
                "nothing can be kept: the disk tier is off (cache.disk is 0). Change it without keep.",
            )
        changes = {known: values for known, values in self._kept.items() if known != name}
        if difference:
            changes[name] = difference
        try:
            await asyncio.to_thread(self._file.write, changes)
        except OSError as error:
            text = f"nothing is changed: it cannot be kept ({error.strerror or error}); try without keeping it"
            raise RequestRefused(507, "cannot-keep", text) from error
        self._kept = changes

    def _recall(self, kept: Changes) -> None:
        for name, section in recalled(self.settings, kept).items():
            self._take(SHIPPED[name], section)
            self._kept[name] = kept[name]

    # What others hear

    def _tell(self, transition: Transition) -> None:
        self.transitions[transition.rule, transition.state] += 1
        self._note(transition)
        self._notify(self._listeners, transition)

    def _notify(self, listeners: Iterable[Listener], transition: Transition) -> None:
        for listener in listeners:
            try:
                listener(transition)
            except Exception:
                _log.exception("a listener could not be told of alert %s", transition.rule)

    def _note(self, transition: Transition) -> None:
        """Into the timeline goes what woke somebody, and its end."""
        if transition.state not in ("firing", "resolved"):
            return
        name, meaning = transition.rule, SHIPPED[transition.rule]
        figures = {"value": told(meaning.unit, transition.value)}
        if transition.state == "resolved":
            figures["worst"] = told(meaning.unit, transition.peak)
        why = f" ({transition.why})" if transition.why else ""
        text = f"{name} fires: {sentence(meaning, self.alerts.rule(name), transition.value)}"
        self.timeline.add(
            "alert", "automatic", text if transition.state == "firing" else f"{name} is resolved{why}", **figures
        )


def recalled(settings: Settings, kept: Changes) -> dict[str, RuleSection]:
    """The alerts of which something was kept, as it makes them; what makes no sense any more goes to the log."""
    sections = {}
    for name, values in kept.items():
        try:
            meaning = _meaning(name)
            sections[name] = _changed(meaning, settings.rule(meaning.key), values)
        except RequestRefused as error:
            _log.warning("what was kept of alert %.60r is not used: %s", name, error)
    return sections


def _meaning(name: str) -> Meaning:
    if (meaning := SHIPPED.get(name)) is not None:
        return meaning
    near = nearest(name)
    hint = f"did you mean {near}? " if near else ""
    raise RequestRefused(404, "no-such-alert", f"there is no such alert; {hint}They are {', '.join(SHIPPED)}.")


def _changed(meaning: Meaning, section: RuleSection, changes: Mapping[str, object]) -> RuleSection:
    try:
        return type(section).model_validate({**section.model_dump(mode="json"), **changes})
    except ValidationError as error:
        wrong = sentences(error, ("alerts", "rules", meaning.key))
        raise RequestRefused(400, "bad-setting", " ".join(wrong)) from None


def _written(value: object) -> object:
    return ("yes" if value else "no") if isinstance(value, bool) else value
