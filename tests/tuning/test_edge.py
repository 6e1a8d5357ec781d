"""Tuning on a real edge: what is set is what the parts go by, alerts have consequences, and what is kept comes back."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.errors import RequestRefused
from proxy.operations.timeline import Event as TimelineEvent
from proxy.tuning.control import Tuning
from tests.edge import CACHE_FIRST, Clock, EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply, silence

MEMORY, DELAY = "cache.memory", "realtime.batch.delay"


@dataclass
class Transition:
    """An alert's transition as the alerts room tells it."""

    rule: str
    state: str


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        yield origin


@asynccontextmanager
async def tuned(origin: ScriptedOrigin, **settings: Any) -> AsyncIterator[tuple[EdgeUnderTest, Tuning]]:
    async with edge_before(origin, **{"realtime": {"auth": "trusted"}, **settings}) as edge:
        yield edge, edge.app.control_room.tuning


async def alerted(tuning: Tuning, rule: str, state: str) -> None:
    tuning.alerted(Transition(rule, state))
    await tuning.act()


def told(edge: EdgeUnderTest) -> list[TimelineEvent]:
    return edge.app.control_room.timeline.events(kind="tuning")


class Admin:
    """The admin listener's API, as a script asks it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str) -> Any:
        async with self._session.get(path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def post(self, path: str, document: object, status: int = 200) -> Any:
        async with self._session.post(path, json=document) as answer:
            assert answer.status == status, await answer.text()
            kind = "application/json" if status == 200 else "application/problem+json"
            assert answer.content_type == kind
            return json.loads(await answer.text())


@asynccontextmanager
async def admin(edge: EdgeUnderTest) -> AsyncIterator[Admin]:
    async with aiohttp.ClientSession(f"http://{edge.app.admin_address}") as session:
        yield Admin(session)


def chat(edge: EdgeUnderTest) -> Any:
    """The chat's settings, as the core goes by them."""
    assert edge.app.realtime is not None
    return edge.app.realtime.core.chat._settings


async def test_a_preset_reaches_every_part_and_goes_again(origin: ScriptedOrigin) -> None:
    realtime = {"auth": "trusted", "origin": {"profiles": "/profiles?ids={ids}"}}
    routes = [{"name": "api", "match": "/**", "strategy": "network-first"}]
    async with tuned(origin, routes=routes, realtime=realtime) as (edge, tuning):
        assert edge.app.realtime is not None
        engine = edge.app.realtime.core.engine.settings
        tuning.choose("high-traffic", keep=False, by="anna")
        assert chat(edge).batch.delay == 0.1
        assert edge.app.realtime.core._profiles is not None
        assert edge.app.realtime.core._profiles.ttl == 120.0
        route = edge.app.routes.routes[0]
        assert (route.timeout_limit, route.rules.assumed_lifetime) == (1.0, 10.0)
        tuning.choose("low-bandwidth", keep=False, by="anna")
        assert (chat(edge).batch.delay, chat(edge).batch.max_messages, chat(edge).channel_delay) == (0.05, 25, 0.2)
        assert edge.app.realtime.core.engine.settings.compression == 2**10
        tuning.choose("default", keep=False, by="anna")
        assert tuning.config == edge.app.config
        assert chat(edge).batch.max_messages == 100
        assert (chat(edge).channel_delay, edge.app.realtime.core.engine.settings) == (0.1, engine)
        assert [(event.by, event.text) for event in told(edge)] == [
            ("anna", "preset default"),
            ("anna", "preset low-bandwidth"),
            ("anna", "preset high-traffic"),
        ]
        assert told(edge)[-1].figures[DELAY] == "50ms → 100ms"


async def test_a_preset_of_the_configuration_is_in_force_from_the_start(origin: ScriptedOrigin) -> None:
    realtime = {"auth": "trusted", "batch": {"delay": "70ms"}}
    async with tuned(origin, tuning={"preset": "high-traffic"}, realtime=realtime) as (edge, tuning):
        assert chat(edge).batch.delay == 0.07, "what the file says otherwise counts more"
        assert tuning.overrides()["cache.heuristic"] == ("10s", "configuration: preset high-traffic")
        assert DELAY not in tuning.overrides()
        tuning.choose("high-traffic", keep=False, by="anna")
        assert chat(edge).batch.delay == 0.1
        assert tuning.overrides()[DELAY] == ("100ms", "preset high-traffic")


async def test_memory_shrinks_at_once_and_what_is_on_disk_still_answers(origin: ScriptedOrigin, tmp_path: Path) -> None:
    for number in range(20):
        origin.on(f"/{number}", reply(200, b"x" * 10_000, [("Cache-Control", "max-age=60")]))
    async with tuned(origin, cache_dir=tmp_path, routes=CACHE_FIRST) as (edge, tuning):
        for number in range(20):
            await edge.get(f"/{number}")
        await edge.background_done()
        before = edge.app.store.stats()
        assert before.memory_entries == 20
        tuning.set(MEMORY, "50KiB", keep=False, by="anna")
        now = edge.app.store.stats()
        assert now.memory_bytes <= 50 * 2**10
        assert 0 < now.memory_entries < 20
        assert now.entries == 20
        assert (await edge.get("/0")).cache_status.startswith("cachewire; hit")
        tuning.set(MEMORY, 0, keep=False, by="anna")
        assert edge.app.store.stats().memory_entries == 0
        assert (await edge.get("/1")).cache_status.startswith("cachewire; hit")
        tuning.reset(MEMORY, by="anna")
        await edge.get("/1")
        assert edge.app.store.stats().memory_entries == 1


async def test_coded_copies_are_neither_chosen_nor_made_while_compression_is_off(origin: ScriptedOrigin) -> None:
    text = (("Content-Type", "text/plain"), ("Cache-Control", "max-age=60"))
    origin.on("/text", reply(200, b"hello " * 1000, text))
    wants = {"Accept-Encoding": "gzip"}
    async with tuned(origin, cache={"compression": {"enabled": False}}) as (edge, tuning):
        await edge.get("/text", wants)
        assert "Content-Encoding" not in await edge.get("/text", wants)
        await edge.background_done()
        tuning.set("cache.compression.enabled", True, keep=False, by="anna")
        await edge.get("/text", wants)
        await edge.background_done()
        assert (await edge.get("/text", wants))["Content-Encoding"] == "gzip"
        tuning.set("cache.compression.enabled", False, keep=False, by="anna")
        assert "Content-Encoding" not in await edge.get("/text", wants)


async def test_a_degradation_walks_through_fire_act_recover_undo(
    origin: ScriptedOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole story on the real store and the real core; only the alert's own decision is told by the test."""
    report = (("Cache-Control", "max-age=600"), ("Content-Type", "application/json"))
    origin.on("/api/reports", reply(200, b"[]", report))
    origin.on("/picture", reply(200, b"png", [("Cache-Control", "max-age=600")]))
    clock = Clock()
    routes = [
        {"name": "api", "match": "/api/**", "strategy": "network-first"},
        {"name": "rest", "match": "/**", "strategy": "cache-first"},
    ]
    origin.on("/profiles?ids=u1", reply(200, b'{"profiles": [{"id": "u1", "name": "Anna"}]}'))
    realtime = {"auth": "trusted", "origin": {"profiles": "/profiles?ids={ids}"}}
    async with tuned(origin, cache_dir=tmp_path, clock=clock, routes=routes, realtime=realtime) as (edge, tuning):
        core = edge.app.realtime.core  # type: ignore[union-attr] # it is on
        figures = tuning._figures
        monkeypatch.setattr(tuning, "_figures", lambda: {**figures(), "messages_per_second": 2.0})
        for path in ("/api/reports", "/picture", "/api/reports"):
            await edge.get(path)
        assert origin.count("/api/reports") == 1
        profiles = core._profiles
        assert profiles is not None
        assert await profiles.load(["u1"]) == {"u1": {"id": "u1", "name": "Anna"}}

        await alerted(tuning, "response-time", "pending")
        assert told(edge) == []
        await alerted(tuning, "response-time", "firing")
        (event,) = tuning.optimiser.events()
        assert event.text == "profiles are forgotten, reports are stale"
        assert told(edge)[0].by == "automatic"
        assert told(edge)[0].figures["stale"] == 1
        assert len(profiles) == 0
        await edge.get("/api/reports")
        assert origin.count("/api/reports") == 2, "stale reports are asked for again"
        await edge.get("/picture")
        assert origin.count("/picture") == 1, "other things are not"

        for delay in (0.075, 0.112):
            clock.advance(60)
            await tuning.act()
            assert chat(edge).batch.delay == delay
            assert core.chat.conversations._windows._settings[1] == delay
        assert tuning.overrides() == {DELAY: ("112ms", "automatic: response-time")}
        first = tuning.optimiser.events()[-1]
        assert first.before["requests_per_second"] is not None
        assert first.after is not None, "the figures after it were taken when it had settled"

        await alerted(tuning, "response-time", "resolved")
        clock.advance(299)
        await tuning.act()
        assert chat(edge).batch.delay == 0.112
        clock.advance(1)
        await tuning.act()
        assert chat(edge).batch.delay == 0.05
        assert tuning.overrides() == {}
        assert [each.fate for each in tuning.optimiser.events()] == ["undone", "undone", "done"]
        assert "undone" in told(edge)[0].text


async def test_reports_still_answer_from_the_store_while_the_origin_hangs_and_their_alert_fires(
    origin: ScriptedOrigin,
) -> None:
    origin.on("/api/reports", reply(200, b"[]", [("Cache-Control", "max-age=600")]))
    origin.on("/slow", silence())
    routes = [{"name": "api", "match": "/**", "strategy": "network-first"}]
    async with tuned(origin, routes=routes) as (edge, tuning):
        await edge.get("/api/reports")
        waits = asyncio.create_task(edge.get("/slow"))
        await origin.until_asked("/slow")
        edge.clock.advance(6)
        await alerted(tuning, "response-time", "firing")
        assert [(event.fate, event.text) for event in tuning.optimiser.events()[-1:]] == [
            ("skipped", "nothing is cleared: the origin has not answered for 6 s")
        ]
        assert (await edge.get("/api/reports")).cache_status.startswith("cachewire; hit")
        assert origin.count("/api/reports") == 1
        waits.cancel()
        origin.on("/", reply(200, b"here again"))
        await edge.get("/")
        edge.clock.advance(60)
        await tuning.act()
        assert tuning.optimiser.events()[0].action == "clear-caches"


async def test_the_timeline_tells_why_a_harmful_step_was_undone(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tuned(origin) as (edge, tuning):
        figures = {"poor_quality": 0.4}
        monkeypatch.setattr(tuning, "_figures", lambda: dict(figures))
        await alerted(tuning, "quality-poor", "firing")
        assert chat(edge).batch.max_messages == 25
        figures["poor_quality"] = 0.8
        edge.clock.advance(30)
        await tuning.act()
        assert tuning.overrides() == {}
        assert told(edge)[0].text == "undone: what quality-poor had changed (#1), as it was clearly worse after it"
        assert told(edge)[0].by == "automatic"


async def test_the_edge_acts_by_itself_when_it_is_told_of_an_alert(origin: ScriptedOrigin) -> None:
    origin.on("/", reply(200, b"x" * 110 * 2**10, {"Cache-Control": "max-age=60"}))
    auto = {"auto": {"memory_floor": "8KiB"}}
    async with tuned(origin, cache={"memory": "128KiB"}, tuning=auto) as (edge, tuning):
        await edge.get("/")
        tuning.alerted(Transition("memory", "firing"))
        async with asyncio.timeout(10):
            while not tuning.optimiser.events():
                await asyncio.sleep(0.005)
        assert edge.app.store.memory_limit == 96 * 2**10
        assert edge.app.store.stats().memory_bytes == 0


async def test_a_memory_tier_that_holds_little_is_not_what_fills_the_memory(origin: ScriptedOrigin) -> None:
    async with tuned(origin) as (edge, tuning):
        await alerted(tuning, "memory", "firing")
        assert edge.app.store.memory_limit == 64 * 2**20
        assert [(each.action, each.fate) for each in tuning.optimiser.events()] == [
            ("clear-profiles", "done"),
            ("shrink-memory", "skipped"),
        ]


async def test_an_automatism_that_breaks_is_switched_off_and_says_so(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with tuned(origin) as (edge, tuning):

        def broken(*_: object) -> None:
            raise RuntimeError("broken")

        monkeypatch.setattr(tuning.optimiser, "decide", broken)
        tuning.alerted(Transition("memory", "firing"))
        async with asyncio.timeout(10):
            while tuning.optimiser.enabled:
                await asyncio.sleep(0.005)
        assert "has failed" in told(edge)[0].text
        assert "broken" in caplog.text
        origin.on("/", reply(200, b"all is well"))
        assert (await edge.get("/")).body == b"all is well"


# What is kept


async def test_what_is_kept_comes_back_and_what_is_not_does_not(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with tuned(origin, cache_dir=tmp_path) as (edge, tuning):
        tuning.choose("high-traffic", keep=True, by="anna")
        tuning.set(MEMORY, "48MiB", keep=True, by="bo")
        tuning.set("realtime.debounce", "1s", keep=False, by="bo")
        tuning.switch(False, keep=True, by="bo")
        file = edge.app.config.cache.dir / "tuning.json"
        assert stat.S_IMODE(os.stat(file).st_mode) == 0o600
    async with tuned(origin, cache_dir=tmp_path) as (edge, tuning):
        assert chat(edge).batch.delay == 0.1
        assert edge.app.store.memory_limit == 48 * 2**20
        assert tuning.overrides()[MEMORY] == ("48MiB", "operator bo")
        assert "realtime.debounce" not in tuning.overrides()
        assert tuning.optimiser.enabled is False
        tuning.reset_all(by="anna")
    async with tuned(origin, cache_dir=tmp_path) as (edge, tuning):
        assert tuning.overrides() == {}
        assert tuning.optimiser.enabled is False


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"version": 2}', b'{"version": 1, "preset": {"name": "fast"}}', b"\xff", b"[" * 5000,
     b'{"version": 1, "auto": "no"}', b'{"version": 1, "values": [1]}', b'{"version": 1, "preset": 7}'],
)  # fmt: skip
async def test_a_damaged_file_costs_a_warning_and_not_the_start(
    origin: ScriptedOrigin, tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "tuning.json").write_bytes(content)
    with caplog.at_level(logging.WARNING):
        async with tuned(origin, cache_dir=tmp_path) as (_, tuning):
            assert tuning.overrides() == {}
    assert "tuning.json" in caplog.text


async def test_one_bad_value_in_the_file_leaves_the_others(
    origin: ScriptedOrigin, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = {"value": "48MiB", "by": "anna", "at": 1.0}, {"value": "much", "by": "anna", "at": 1.0}
    values = {MEMORY: good, DELAY: bad, "cache.dir": good, "realtime.debounce": 7}
    (tmp_path / "tuning.json").write_text(json.dumps({"version": 1, "values": values}))
    async with tuned(origin, cache_dir=tmp_path) as (_, tuning):
        assert tuning.overrides() == {MEMORY: ("48MiB", "operator anna")}
    assert all(key in caplog.text for key in (DELAY, "cache.dir", "realtime.debounce"))


async def test_what_cannot_be_kept_is_not_done(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with tuned(origin) as (_, tuning):
        assert not tuning.can_keep
        with pytest.raises(RequestRefused, match=r"cache\.disk"):
            tuning.choose("high-traffic", keep=True, by="anna")
        assert tuning.overrides() == {}
    async with tuned(origin, cache_dir=tmp_path) as (_, tuning):
        (tmp_path / "tuning.json.new").mkdir()
        with pytest.raises(RequestRefused, match="nothing is changed"):
            tuning.set(MEMORY, "48MiB", keep=True, by="anna")
        assert tuning.overrides() == {}


# The API


async def test_everything_can_be_done_by_a_script(
    origin: ScriptedOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with tuned(origin, cache_dir=tmp_path) as (edge, tuning), admin(edge) as api:
        preview = await api.get("/api/tuning/preview?preset=high-traffic")
        assert {"key": DELAY, "before": "50ms", "after": "100ms"}.items() <= preview["changes"][2].items()
        assert tuning.overrides() == {}, "a preview changes nothing"
        done = await api.post("/api/tuning/preset", {"preset": "high-traffic", "keep": True})
        assert done["changes"] == preview["changes"]
        assert await api.post("/api/tuning/set", {"key": MEMORY, "value": "48MiB"}) == {
            "key": MEMORY, "before": "64MiB", "after": "48MiB", "why": "",
        }  # fmt: skip
        report = await api.get("/api/tuning")
        assert report["preset"]["name"] == report["kept"]["preset"] == "high-traffic"
        key = report["keys"][MEMORY]
        assert (key["configured"], key["effective"], key["origin"]) == ("64MiB", "48MiB", "operator")
        assert key["since"] == edge.clock()
        await api.post("/api/tuning/reset", {"key": MEMORY})
        monkeypatch.setattr(tuning, "_figures", lambda: {"memory_tier": 60.0 * 2**20})
        await alerted(tuning, "memory", "firing")
        assert (await api.get("/api/tuning/preview?preset=default"))["held"] == [
            {"key": MEMORY, "before": "48MiB", "after": "64MiB", "why": "", "by": "automatic: memory"}
        ]
        (event,) = (await api.get("/api/tuning"))["auto"]["events"]
        assert (event["rule"], event["changes"][0]["after"]) == ("memory", "48MiB")
        assert await api.post("/api/tuning/undo", {"event": event["number"]}) == {"undone": 1}
        await api.post("/api/tuning/auto", {"enabled": False})
        assert (await api.get("/api/tuning"))["auto"]["enabled"] is False
        assert len((await api.post("/api/tuning/reset", {"all": True}))["changes"]) == 4
        assert tuning.overrides() == {}
        assert {event.by for event in told(edge)} == {"operator", "automatic"}


async def test_what_a_full_disk_cannot_keep_is_507_with_the_reason_and_changes_nothing(
    origin: ScriptedOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with tuned(origin, cache_dir=tmp_path) as (edge, tuning), admin(edge) as api:
        monkeypatch.setattr(os, "fsync", full)
        asked = [
            ("/api/tuning/set", {"key": MEMORY, "value": "48MiB", "keep": True}),
            ("/api/alerts/memory", {"threshold": "50%", "keep": True}),
        ]
        for path, document in asked:
            problem = await api.post(path, document, status=507)
            assert "nothing is changed: it cannot be kept (No space left on device)" in problem["detail"]
            assert "try without keeping it" in problem["detail"]
        assert tuning.overrides() == {}
        assert edge.app.control_room.alerts.changes_of("memory") == {}
        monkeypatch.undo()


@pytest.mark.parametrize(
    ("path", "document", "status", "said"),
    [
        ("preset", {"preset": "fast"}, 400, "default, high-traffic, low-bandwidth"),
        ("preset", {}, 400, "'preset' is missing"),
        ("preset", {"preset": 7}, 400, "'preset' is not a text"),
        ("preset", {"preset": "default", "kep": True}, 400, "'kep' is not known here; there are preset, keep"),
        ("preset", [1], 400, "not an object"),
        ("set", {"key": DELAY, "value": "100"}, 400, "write 100s for seconds"),
        ("set", {"key": DELAY}, 400, "'value' is missing"),
        ("set", {"key": "cache.dir", "value": "/"}, 404, "cannot be changed while running"),
        ("reset", {}, 400, "say what to reset"),
        ("reset", {"all": True, "key": DELAY}, 400, "say what to reset"),
        ("reset", {"key": "nonsense"}, 404, "cannot be changed"),
        ("auto", {"enabled": "yes"}, 400, "'enabled' is not true or false"),
        ("undo", {"event": 7}, 409, "no event 7"),
        ("undo", {"event": True}, 400, "whole number"),
    ],
)
async def test_what_a_script_has_wrong_is_said(
    origin: ScriptedOrigin, path: str, document: object, status: int, said: str
) -> None:
    async with tuned(origin) as (edge, tuning), admin(edge) as api:
        problem = await api.post(f"/api/tuning/{path}", document, status)
        assert said in problem["detail"]
        assert tuning.overrides() == {}
        assert told(edge) == []


async def test_keys_of_parts_that_are_not_there_are_not_offered(origin: ScriptedOrigin) -> None:
    async with tuned(origin, realtime={"enabled": False}) as (edge, tuning), admin(edge) as api:
        assert not any(key.startswith("realtime") for key in (await api.get("/api/tuning"))["keys"])
        problem = await api.post("/api/tuning/set", {"key": DELAY, "value": "1s"}, 404)
        assert "has no effect on this edge" in problem["detail"]
        tuning.choose("high-traffic", keep=False, by="anna")
        assert set(tuning.overrides()) == {"cache.network_timeout_limit", "cache.heuristic"}
