"""The watch over the alerts: what it tells, and what operators change about it."""

from __future__ import annotations

import asyncio
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import Metric

from proxy.config.alerts import Alerts as Settings
from proxy.config.alerts import Webhook as WebhookSettings
from proxy.errors import RequestRefused
from proxy.kept_file import LARGEST
from proxy.operations.alert_rules import SHIPPED, sentence, told
from proxy.operations.alert_series import alert_series
from proxy.operations.alerting import AlertWatch
from proxy.operations.alerts import Transition
from proxy.operations.kept_changes import Changes, KeptChanges
from proxy.operations.readings import Readings
from proxy.operations.timeline import Timeline
from proxy.operations.webhook import Webhook

QUICK = {"rules": {"memory": {"for": "2s", "resolve_after": "2s"}, "error_rate": {"for": "1h"}}}


class Watched:
    """A watch over readings that a test sets."""

    def __init__(self, settings: dict[str, Any] | None = None, file: Path | None = None) -> None:
        self.now = 1_800_000_000.0
        self.readings = Readings()
        self.timeline = Timeline(lambda: self.now)
        self.told: list[Transition] = []
        self.watch = AlertWatch(
            Settings.model_validate(settings or QUICK),
            lambda: self.readings,
            self.timeline,
            now=lambda: self.now,
            kept=None if file is None else KeptChanges(file),
        )
        self.watch.subscribe(self.told.append)

    def see(self, seconds: int = 1, **readings: float | None) -> None:
        self.readings = replace(self.readings, **readings)
        for _ in range(seconds):
            self.watch.look()
            self.now += 1

    def states(self) -> list[tuple[str, str]]:
        return [(each.rule, each.state) for each in self.told]


def test_every_shipped_alert_looks_at_a_reading_and_has_a_section() -> None:
    settings = Settings()
    assert len(SHIPPED) == len(type(settings.rules).model_fields) == 8
    for meaning in SHIPPED.values():
        assert meaning.reading in Readings.names()
        assert meaning.has_threshold == hasattr(settings.rule(meaning.key), "threshold")
        assert meaning.means.endswith(".")
        assert meaning.advice.endswith(".")


def test_the_thresholds_of_old_are_the_defaults() -> None:
    watch = Watched(settings={}).watch
    rules = {standing.rule.name: standing.rule for standing in watch.standings()}
    assert [rules[name].threshold for name in ("response-time", "error-rate", "memory")] == [0.5, 0.05, 0.8]
    assert rules["quality-poor"].enabled
    assert all(rule.for_ > 0 for rule in rules.values())


def test_listeners_hear_of_every_state_and_the_timeline_of_what_woke_somebody() -> None:
    watched = Watched()
    watched.see(3, memory=0.9)
    watched.see(3, memory=0.5)
    assert watched.states() == [("memory", "pending"), ("memory", "firing"), ("memory", "resolved")]
    events = [(event.kind, event.by, event.text) for event in reversed(watched.timeline.events())]
    assert events == [
        ("alert", "automatic", "memory fires: Memory runs out: 90 %, above 80 %"),
        ("alert", "automatic", "memory is resolved"),
    ]


def test_a_listener_that_fails_keeps_nothing_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()

    def fail(_: Transition) -> None:
        raise RuntimeError("broken")

    watched.watch.subscribe(fail)
    heard: list[str] = []
    watched.watch.subscribe(lambda transition: heard.append(transition.state))
    watched.see(1, memory=0.9)
    assert heard == ["pending"]
    assert "could not be told" in caplog.text


def test_an_alert_without_a_reading_never_fires() -> None:
    watched = Watched()
    watched.see(10_000)
    assert watched.told == []


def test_what_fires_is_listed_with_the_most_severe_first() -> None:
    watched = Watched({"rules": {"response_time": {"for": 0}, "memory": {"for": "2s"}}})
    watched.see(5, response_time=2.0, memory=0.95)
    assert [standing.rule.name for standing in watched.watch.firing()] == ["memory", "response-time"]


async def test_a_change_counts_at_once_and_is_noted_with_before_and_after() -> None:
    watched = Watched()
    await watched.watch.change("memory", {"threshold": "50%", "for": "1s"}, by="anna")
    watched.see(2, memory=0.6)
    assert watched.states()[-1] == ("memory", "firing")
    event = watched.timeline.events()[-1]
    assert (event.kind, event.by, event.text) == ("alert", "anna", "alert memory was changed")
    assert dict(event.figures) == {"threshold": "80% → 50%", "for": "2s → 1s"}
    assert watched.watch.changes_of("memory") == {"threshold": ("80%", "50%"), "for": ("2s", "1s")}


async def test_reset_goes_back_to_the_configuration_and_not_to_the_defaults() -> None:
    watched = Watched()
    await watched.watch.change("memory", {"for": "9s", "enabled": False}, by="anna")
    await watched.watch.reset("memory", by="ben")
    assert watched.watch.settings_of("memory")["for"] == "2s"
    assert watched.watch.changes_of("memory") == {}
    assert dict(watched.timeline.events()[0].figures) == {"enabled": "no → yes", "for": "9s → 2s"}


@pytest.mark.parametrize(
    ("name", "change", "status", "says"),
    [
        ("memroy", {}, 404, "did you mean memory?"),
        ("response_time", {}, 404, "did you mean response-time?"),
        ("<script>", {}, 404, "They are response-time, "),
        ("memory", {"threshold": 5}, 400, "5 has no percent sign. Write 5%"),
        ("memory", {"threshold": "150%"}, 400, "more than the whole"),
        ("memory", {"threshold": "70%", "release": "75%"}, 400, "release is above threshold"),
        ("memory", {"threshold": None}, 400, "threshold: nothing is not a share"),
        ("memory", {"treshold": "5%"}, 400, "Did you mean `threshold`?"),
        ("origin-down", {"threshold": 1}, 400, "unknown key"),
        ("response-time", {"threshold": "fast"}, 400, "'fast' is not a duration"),
        ("response-time", {"for": 60}, 400, "60 has no unit. Write 60s"),
        ("outbox-growing", {"threshold": "many"}, 400, "not a whole number"),
        ("memory", {"enabled": "perhaps"}, 400, "neither true nor false"),
        ("memory", {"severity": "urgent"}, 400, "The values are warning, critical"),
    ],
)
async def test_what_cannot_be_set_is_refused_with_what_would_be_right(
    name: str, change: dict[str, object], status: int, says: str
) -> None:
    watched = Watched()
    before = [watched.watch.settings_of(each) for each in SHIPPED]
    with pytest.raises(RequestRefused) as refused:
        await watched.watch.change(name, change, by="anna")
    assert refused.value.status == status
    assert says in str(refused.value)
    assert [watched.watch.settings_of(each) for each in SHIPPED] == before
    assert watched.timeline.events() == []


async def test_what_is_kept_counts_after_a_restart_and_what_is_not_does_not(tmp_path: Path) -> None:
    file = tmp_path / "cache" / "alerts.json"
    first = Watched(file=file).watch
    await first.change("memory", {"threshold": "50%"}, by="anna", keep=True)
    await first.change("error-rate", {"threshold": "1%"}, by="anna")
    second = Watched(file=file).watch
    await second.start()
    assert second.changes_of("memory") == {"threshold": ("80%", "50%")}
    assert second.is_kept("memory")
    assert second.changes_of("error-rate") == {}
    await second.change("memory", {"threshold": "60%"}, by="anna")
    assert not second.is_kept("memory")
    await second.reset("memory", by="anna")
    await second.close()
    third = Watched(file=file).watch
    await third.start()
    assert third.changes_of("memory") == {}
    await third.close()


async def test_the_file_is_for_its_owner_and_holds_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "alerts.json"
    await Watched(file=file).watch.change("memory", {"threshold": "50%", "for": "2s"}, by="anna", keep=True)
    assert json.loads(file.read_text()) == {"version": 1, "changes": {"memory": {"threshold": "50%"}}}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["alerts.json"]


async def test_two_who_keep_something_at_once_lose_nothing(tmp_path: Path) -> None:
    watch = Watched(file=tmp_path / "alerts.json").watch
    await asyncio.gather(
        watch.change("memory", {"threshold": "50%"}, by="anna", keep=True),
        watch.change("error-rate", {"threshold": "1%"}, by="ben", keep=True),
    )
    assert set(KeptChanges(tmp_path / "alerts.json").read()) == {"memory", "error-rate"}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\xff", b"null", b'{"version": 2, "changes": {}}', b'{"version": 1}',
        b'{"version": 1, "changes": {"memory": 5}}', b"[" * 100_000, b'{"version": 1, "changes": "' + b"x" * LARGEST,
    ],
)  # fmt: skip
async def test_a_damaged_file_is_said_once_and_counts_as_nothing(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "alerts.json"
    file.write_bytes(content)
    watch = Watched(file=file).watch
    await watch.start()
    await watch.close()
    assert watch.changes_of("memory") == {}
    assert caplog.text.count("is not used") == 1


@given(st.binary(max_size=200))
def test_no_bytes_in_the_file_break_the_start(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("kept") / "alerts.json"
    file.write_bytes(content)
    assert KeptChanges(file).read() == {}


async def test_of_what_was_kept_what_makes_no_sense_any_more_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "alerts.json"
    changes: Changes = {"gone": {"x": 1}, "memory": {"threshold": "soon"}, "error-rate": {"threshold": "2%"}}
    KeptChanges(file).write(changes)
    watch = Watched(file=file).watch
    await watch.start()
    await watch.close()
    assert watch.changes_of("error-rate") == {"threshold": ("5%", "2%")}
    assert watch.changes_of("memory") == {}
    assert caplog.text.count("is not used") == 2


async def test_what_cannot_be_kept_is_not_changed_either(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for watched, status in ((Watched(file=tmp_path / "file" / "alerts.json"), 507), (Watched(), 409)):
        with pytest.raises(RequestRefused) as refused:
            await watched.watch.change("memory", {"threshold": "50%"}, by="anna", keep=True)
        assert refused.value.status == status
        assert watched.watch.changes_of("memory") == {}


async def test_figures_that_cannot_be_read_do_not_end_the_watch(caplog: pytest.LogCaptureFixture) -> None:
    asked = asyncio.Event()
    looks = 0

    def read() -> Readings:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise RuntimeError("broken")
        asked.set()
        return Readings()

    settings = Settings.model_validate({"interval": "100ms"})
    watch = AlertWatch(settings, read, Timeline(lambda: 0.0), now=lambda: 0.0)
    await watch.start()
    async with asyncio.timeout(10):
        await asked.wait()
    await watch.close()
    assert "could not be evaluated" in caplog.text


async def test_switched_off_nothing_is_read() -> None:
    def read() -> Readings:
        raise AssertionError

    watch = AlertWatch(Settings.model_validate({"enabled": False}), read, Timeline(lambda: 0.0), now=lambda: 0.0)
    await watch.start()
    await asyncio.sleep(0)
    await watch.close()


def test_the_series_tell_how_alerts_stand_and_what_became_of_messages() -> None:
    watched = Watched()
    webhook = Webhook(WebhookSettings(), now=lambda: 0.0, rule=watched.watch.alerts.rule)
    watched.see(3, memory=0.9, error_ratio=0.5)
    samples = _samples(alert_series(watched.watch, webhook))
    assert samples["cachewire_alert_state", "memory"] == 2
    assert samples["cachewire_alert_state", "error-rate"] == 1
    assert samples["cachewire_alert_state", "redis-lost"] == 0
    assert samples["cachewire_alert_transitions_total", "memory", "firing"] == 1
    assert samples["cachewire_alert_webhook_deliveries_total", "delivered"] == 0


def _samples(metrics: Any) -> dict[tuple[str, ...], float]:
    found: dict[tuple[str, ...], float] = {}
    metric: Metric
    for metric in metrics:
        for sample in metric.samples:
            found[(sample.name, *sample.labels.values())] = sample.value
    return found


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        ("seconds", 0.0042, "4.2 ms"), ("seconds", 0.734, "734 ms"), ("seconds", 12.34, "12.3 s"),
        ("seconds", 0.0, "0.0 ms"), ("share", 0.123, "12.3 %"), ("share", 1.0, "100 %"), ("writes", 1.0, "1 write"),
        ("writes", 1234.0, "1,234 writes"), ("writes", -3.0, "-3 writes"), ("reach", 1.0, "out of reach"),
        ("reach", 0.0, "reachable"), ("share", None, "not known"),
    ],
)  # fmt: skip
def test_values_are_told_in_words(unit: Any, value: float | None, words: str) -> None:
    assert told(unit, value) == words


def test_a_sentence_has_value_and_threshold_where_there_is_one() -> None:
    watch = Watched(settings={}).watch
    assert sentence(SHIPPED["origin-down"], watch.alerts.rule("origin-down"), 1.0) == "The origin is down"
    rule = watch.alerts.rule("response-time")
    assert sentence(SHIPPED["response-time"], rule, 0.75) == "Answers are slow: 750 ms, above 500 ms"
