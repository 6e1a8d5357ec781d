"""What fires, what has been and what nobody was told yet goes on after a restart."""

from __future__ import annotations

import asyncio
import json
import stat
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from proxy.config.alerts import Alerts as Settings
from proxy.operations import kept_alerts
from proxy.operations.alerting import AlertWatch
from proxy.operations.alerts import EPISODES, Episode, Ongoing, Transition
from proxy.operations.kept_alerts import LARGEST, Kept, KeptAlerts, read_kept, write_kept
from proxy.operations.readings import Readings
from proxy.operations.timeline import Timeline
from proxy.operations.webhook import MOST_WAITING, Message, Webhook
from tests.origin import ScriptedOrigin, read_body, reply, steps, when

RULES = {"memory": {"for": "2s", "resolve_after": "2s"}}
TAKEN = steps(read_body(), reply(204))
AWAY = steps(read_body(), reply(503))

ONGOING = Ongoing("memory", 90.0, 100.0, 0.9)
EPISODE = Episode("disk-full", "critical", 0.95, 10.0, 20.0, 1.0)
MESSAGE = Message("memory", "firing", "critical", 0.9, 0.8, 90.0, 100.0, "Memory runs out", "23ce")


@pytest.fixture
async def receiver() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        yield origin


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Edge:
    """The alerts of one process; the test looks in its stead."""

    def __init__(self, path: Path, clock: Clock, url: str | None, sleep: Callable[[float], Awaitable[None]]) -> None:
        self.clock = clock
        self.readings = Readings()
        self.timeline = Timeline(clock)
        settings = Settings.model_validate({"rules": RULES, "webhook": {"url": url, "retries": 0}})
        self.watch = AlertWatch(settings, lambda: self.readings, self.timeline, now=clock)
        self.webhook = Webhook(settings.webhook, now=clock, rule=self.watch.alerts.rule, sleep=sleep)
        self.watch.subscribe(self.webhook.tell)
        self.heard: list[Transition] = []
        self.followed: list[Transition] = []
        self.watch.subscribe(self.heard.append)
        self.watch.subscribe(self.followed.append, resumed=True)
        self.kept = KeptAlerts(path, self.watch, self.webhook)

    def see(self, seconds: int = 1, **readings: float | None) -> None:
        self.readings = replace(self.readings, **readings)
        for _ in range(seconds):
            self.watch.look()
            self.clock.now += 1

    def states(self) -> list[str]:
        return [each.state for each in self.heard]


@asynccontextmanager
async def running(path: Path, clock: Clock, url: str | None = None, *, killed: bool = False) -> AsyncIterator[Edge]:
    async def never(_: float) -> None:
        await asyncio.Event().wait()

    edge = Edge(path, clock, url, never)
    await edge.kept.start()
    await edge.webhook.start()
    yield edge
    if not killed:
        await edge.webhook.close()
        await edge.kept.close()
        return
    for task in (edge.kept._task, edge.webhook._task):
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def written(path: Path, condition: Callable[[Kept], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition(read_kept(path)):
            await asyncio.sleep(0.005)


async def test_what_fires_goes_on_firing_after_kill_9_until_it_is_calm(tmp_path: Path) -> None:
    path, clock = tmp_path / "alert-history.json", Clock()
    async with running(path, clock, killed=True) as edge:
        edge.see(3, memory=0.9)
        (before,) = edge.watch.firing()
        await written(path, lambda kept: bool(kept.firing))
    async with running(path, clock) as edge:
        edge.see(1, memory=None)
        (standing,) = edge.watch.firing()
        assert (standing.rule.name, standing.since, standing.peak) == ("memory", before.since, 0.9)
        edge.see(5, memory=0.85)
        assert edge.heard == [], "it is news to nobody"
        assert [(each.rule, each.state) for each in edge.followed] == [("memory", "firing")]
        assert "goes on" in edge.timeline.events()[0].text
        edge.see(3, memory=0.5)
        assert edge.states() == ["resolved"]
        (episode,) = edge.watch.episodes()
        assert (episode.began, episode.peak) == (before.since, 0.9)
    async with running(path, clock) as edge:
        assert edge.watch.firing() == []
        assert edge.watch.episodes() == [episode]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_what_the_webhook_was_not_told_is_told_after_the_restart_in_order_and_once(
    tmp_path: Path, receiver: ScriptedOrigin
) -> None:
    path, clock, url = tmp_path / "alert-history.json", Clock(), f"{receiver.url}/hook"
    begun = asyncio.Event()
    receiver.on("/hook", steps(read_body(), when(begun)))
    async with running(path, clock, url, killed=True) as edge:
        edge.see(3, memory=0.9)
        edge.see(3, memory=0.5)
        await receiver.until_asked("/hook")
        await written(path, lambda kept: len(kept.untold) == 2)
    begun.set()
    receiver.on("/hook", TAKEN)
    async with running(path, clock, url):
        await receiver.until_asked("/hook", 3)
        await written(path, lambda kept: not kept.untold)
    async with running(path, clock, url) as edge:
        assert edge.webhook.waiting == 0
    told = [json.loads(asked.body) for asked in receiver.requests]
    assert [each["state"] for each in told] == ["firing", "firing", "resolved"]
    assert told[0] == told[1]


async def test_the_webhook_is_told_of_nothing_that_a_crash_would_make_us_forget(
    tmp_path: Path, receiver: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clock = tmp_path / "alert-history.json", Clock()
    write, begun, may_go_on = kept_alerts.write_kept, threading.Event(), threading.Event()

    def slowly(path: Path, kept: Kept) -> None:
        begun.set()
        may_go_on.wait()
        write(path, kept)

    monkeypatch.setattr(kept_alerts, "write_kept", slowly)
    receiver.on("/hook", TAKEN)
    async with running(path, clock, f"{receiver.url}/hook") as edge:
        edge.see(3, memory=0.9)
        await asyncio.to_thread(begun.wait)
        try:
            await asyncio.sleep(0.05)  # long enough for a message that did not wait
            assert receiver.requests == []
        finally:
            may_go_on.set()
        await receiver.until_asked("/hook")
        assert [each.rule for each in read_kept(path).firing] == ["memory"]


async def test_what_cannot_be_delivered_at_the_end_waits_for_the_next_start(
    tmp_path: Path, receiver: ScriptedOrigin
) -> None:
    path, clock = tmp_path / "alert-history.json", Clock()
    settings = Settings.model_validate({"rules": RULES, "webhook": {"url": f"{receiver.url}/hook"}})
    receiver.on("/hook", AWAY)
    async with running(path, clock) as edge:
        edge.webhook._settings = settings.webhook
        await edge.webhook.start()
        edge.see(3, memory=0.9)
        await receiver.until_asked("/hook")
    assert [message.state for message in read_kept(path).untold] == ["firing"]


async def test_nothing_is_written_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[Kept] = []
    monkeypatch.setattr(kept_alerts, "write_kept", lambda _path, kept: writes.append(kept))
    async with running(tmp_path / "alert-history.json", Clock()) as edge:
        edge.see(100, memory=0.5)
        edge.see(3, memory=0.9)
        await asyncio.sleep(0)
        for tenth in range(100):
            edge.see(1, memory=0.9 + tenth / 10000)
            await asyncio.sleep(0)
    assert len(writes) == 2, "when it fired, and at the end with the worst value"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"[" * 5000,
        b"\xff",
        b'{"version": 2}',
        b'{"version": 1, "firing": [{"rule": "memory"}]}',
        b'{"version": 1, "firing": [{"rule": "memory", "since": 1, "fired": 1e300, "peak": null}]}',
        b'{"version": 1, "firing": [{"rule": "memory", "since": 1, "fired": 2, "peak": NaN}]}',
        b" " * (LARGEST + 1),
    ],
)
def test_a_damaged_file_is_a_warning(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "alert-history.json"
    path.write_bytes(content)
    assert read_kept(path) == Kept()
    assert caplog.text.count("is not used") == 1


def test_what_is_kept_comes_back_bounded_and_without_alerts_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "new" / "alert-history.json"
    assert read_kept(path) == Kept()
    gone = replace(EPISODE, rule="gone")
    many = Kept(1, (ONGOING, replace(ONGOING, rule="gone")), (gone, *[EPISODE] * 300), (MESSAGE,) * 150)
    write_kept(path, many)
    assert read_kept(path) == Kept(1, (ONGOING,), (EPISODE,) * EPISODES, (MESSAGE,) * MOST_WAITING)


def test_the_largest_file_there_can_be_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "alert-history.json"
    full = Kept(1, (ONGOING,) * 8, (EPISODE,) * EPISODES, (replace(MESSAGE, text="x" * 500),) * MOST_WAITING)
    write_kept(path, full)
    assert read_kept(path) == full


async def test_a_disk_that_takes_nothing_is_told_of_once_and_stops_no_alert(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    async with running(tmp_path / "file" / "alert-history.json", Clock()) as edge:
        for _ in range(3):
            edge.see(3, memory=0.9)
            edge.see(3, memory=0.5)
            await asyncio.sleep(0.02)
        assert edge.states().count("resolved") == 3
    assert caplog.text.count("cannot be written") == 1
