"""The alerts as their page shows them, and what an operator does with them."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.alerts_api import queue_test
from proxy.errors import RequestRefused
from proxy.operations.alert_rules import SHIPPED, Meaning, told
from proxy.operations.alerting import AlertWatch
from proxy.operations.alerts import Episode, Standing
from proxy.operations.memory import Budget, Memory
from proxy.operations.readings import DISK_OFF, Reader
from proxy.operations.webhook import Delivery, Webhook
from webui import alerts_shown
from webui.formats import age, size

_SOURCES = {
    "configuration": "the budget of alerts.memory_budget",
    "cgroup": "the limit of the control group",
    "machine": "all memory of the machine, as nothing limits the process",
}


class AlertsSource:
    """The page, and webui's AlertActions."""

    def __init__(self, watch: AlertWatch, webhook: Webhook, readings: Reader) -> None:
        self._watch = watch
        self._webhook = webhook
        self._readings = readings

    def shown(self) -> alerts_shown.AlertsShown:
        """Everything the page shows, as of the last look."""
        now = self._watch.now()
        firing = self._watch.firing()
        others = [standing for standing in self._watch.standings() if standing.state != "firing"]
        return alerts_shown.AlertsShown(
            now=now,
            enabled=self._watch.settings.enabled,
            alerts=tuple(self._alert(standing, now) for standing in [*firing, *others]),
            history=tuple(_episode(episode) for episode in self._watch.episodes()),
            webhook=_webhook(self._webhook),
            can_keep=self._watch.can_keep,
        )

    def firing(self) -> tuple[alerts_shown.FiringAlert, ...]:
        """What fires now, the worst first."""
        now = self._watch.now()
        return tuple(
            alerts_shown.FiringAlert(
                name=each.rule.name,
                title=SHIPPED[each.rule.name].title,
                severity=each.rule.severity,
                value=_against(SHIPPED[each.rule.name], each),
                for_=now - each.since,
                left=each.left,
            )
            for each in self._watch.firing()
        )

    async def change(self, name: str, settings: Mapping[str, object], *, keep: bool, by: str) -> None:
        try:
            await self._watch.change(name, settings, by=by, keep=keep)
        except RequestRefused as refusal:
            raise alerts_shown.Refused(str(refusal)) from None

    async def reset(self, name: str, *, by: str) -> None:
        try:
            await self._watch.reset(name, by=by)
        except RequestRefused as refusal:
            raise alerts_shown.Refused(str(refusal)) from None

    def try_webhook(self, *, by: str) -> None:
        try:
            queue_test(self._webhook, self._watch.timeline, by)
        except RequestRefused as refusal:
            raise alerts_shown.Refused(str(refusal)) from None

    def _alert(self, standing: Standing, now: float) -> alerts_shown.AlertShown:
        rule, meaning = standing.rule, SHIPPED[standing.rule.name]
        settings = self._watch.settings_of(rule.name)
        return alerts_shown.AlertShown(
            name=rule.name,
            title=meaning.title,
            watches=meaning.watches,
            state=standing.state if rule.enabled and self._watch.settings.enabled else "off",
            severity=rule.severity,
            value=told(meaning.unit, standing.value),
            known=standing.value is not None,
            unknown=meaning.unknown,
            threshold=told(meaning.unit, rule.threshold) if meaning.has_threshold else "",
            share=_share(standing),
            for_=max(now - standing.since, 0.0),
            left=standing.left,
            peak=told(meaning.unit, standing.peak) if meaning.has_threshold and standing.peak is not None else "",
            means=meaning.means,
            note=self._note(meaning),
            advice=meaning.advice,
            where=meaning.where,
            settings=self._settings(rule.name, settings),
            kept=self._watch.is_kept(rule.name),
            unit=meaning.unit,
            lasting=str(settings["for"]),
        )

    def _settings(self, name: str, settings: Mapping[str, object]) -> dict[str, alerts_shown.Setting]:
        changes = self._watch.changes_of(name)
        return {
            key: alerts_shown.Setting(key, _written(value), _written(changes[key][0]) if key in changes else None)
            for key, value in settings.items()
        }

    def _note(self, meaning: Meaning) -> str:
        """What stands behind the reading, where a number alone would not help."""
        notes = self._readings.notes
        if meaning.name == "memory" and isinstance(memory := notes["memory"], Memory):
            return _memory(memory)
        ago = notes["write_failed"]
        if meaning.name == "disk-full" and isinstance(ago, float):
            return f"Writing to the cache failed {age(ago)} ago; that counts as full for five minutes."
        if meaning.name == "disk-full" and notes["journal"] is False:
            return "The realtime journal (realtime.recovery.dir) cannot be written; that counts as full until it can."
        return ""


def _memory(memory: Memory) -> str:
    if memory.used is None or memory.budget is None:
        return ""
    return f"{size(memory.used)} of {size(memory.budget.size)}, {_source(memory.budget)}."


def _source(budget: Budget) -> str:
    return _SOURCES[budget.source]


def _share(standing: Standing) -> float | None:
    """How far the value is on its way to the threshold."""
    value, threshold = standing.value, standing.rule.threshold
    if value is None:
        return None
    if threshold <= 0:
        return 1.0 if value > threshold else 0.0
    return min(max(value / threshold, 0.0), 1.0)


def _against(meaning: Meaning, standing: Standing) -> str:
    """The value, and what it should not be above; while the alert waits to be resolved it is not."""
    if not meaning.has_threshold:
        return ""
    value, threshold = standing.value, standing.rule.threshold
    if meaning.unit == "room" and value is not None and value >= DISK_OFF:
        return told(meaning.unit, value)
    side = "no longer above" if value is not None and value <= threshold else "above"
    return f"{told(meaning.unit, value)}, {side} {told(meaning.unit, threshold)}"


def _written(value: object) -> str:
    """A setting as a form has it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _episode(episode: Episode) -> alerts_shown.EpisodeShown:
    meaning = SHIPPED[episode.rule]
    return alerts_shown.EpisodeShown(
        name=episode.rule,
        title=meaning.title,
        severity=episode.severity,
        began=episode.began,
        ended=episode.ended,
        peak=told(meaning.unit, episode.peak) if meaning.has_threshold else "",
        threshold=told(meaning.unit, episode.threshold) if meaning.has_threshold else "",
        why=episode.why,
    )


def _about(last: Delivery) -> str:
    return "a test" if last.alert == "test" else f"{last.alert} {last.state}"


def _webhook(webhook: Webhook) -> alerts_shown.WebhookShown:
    last = webhook.last
    return alerts_shown.WebhookShown(
        host=webhook.host,
        waiting=webhook.waiting,
        delivered=webhook.results["delivered"],
        failed=webhook.results["failed"],
        dropped=webhook.results["dropped"],
        last="" if last is None else f"{_about(last)}: {last.detail}, attempt {last.attempts}",
        last_at=None if last is None else last.at,
        last_result="" if last is None else last.result,
    )
