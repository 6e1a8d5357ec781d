"""Precache: what the manifest lists is fetched before anybody asks, and kept."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.config import load
from proxy.config.model import PrecacheEntry
from proxy.errors import ConfigurationError
from proxy.precache import read_manifest
from tests.edge import PATIENCE, Clock, edge_before
from tests.origin import ScriptedOrigin, computed, reply

FRESH = {"Cache-Control": "max-age=3600"}
BROWSER = {"Accept-Encoding": "gzip, deflate, br, zstd"}


class Rounds:
    """A sleep that lasts until the test wants the next look."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._begun = asyncio.Event()
        self._next = asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._begun.set()
        await self._next.wait()
        self._next.clear()

    async def over(self) -> None:
        """Until a look has ended."""
        async with asyncio.timeout(PATIENCE):
            await self._begun.wait()

    async def another(self) -> None:
        self._begun.clear()
        self._next.set()
        await self.over()


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=lambda asked: asked.target.encode(), headers=FRESH)
        yield origin


def listed(*entries: Any, **more: Any) -> dict[str, Any]:
    return {"manifest": list(entries), **more}


async def test_the_first_request_is_a_hit(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, precache=listed("/app.js", {"url": "/app.css?v=1", "revision": "1"})) as edge:
        await edge.precached()
        assert origin.count() == 2
        for target in ("/app.js", "/app.css?v=1"):
            answer = await edge.get(target, BROWSER)
            assert answer.cache_status.startswith("cachewire; hit")
            assert answer.body == target.encode()
        assert origin.count() == 2


async def test_metrics_and_dashboard_show_how_far_it_is(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, precache=listed("/a", "/b")) as edge:
        await edge.precached()
        base = f"http://{edge.app.admin_address}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base}/metrics") as response:
                assert 'cachewire_precache_responses{state="stored"} 2.0' in await response.text()
            async with session.get(base) as response:
                assert 'id="precached">2 of 2' in await response.text()


async def test_it_is_the_variant_that_browsers_select(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.1."""
    headers = {**FRESH, "Vary": "Accept-Encoding"}
    origin.on(
        "/a", computed(lambda asked: reply(body=(asked.header("Accept-Encoding") or "").encode(), headers=headers))
    )
    async with edge_before(origin, precache=listed("/a")) as edge:
        await edge.precached()
        assert (await edge.get("/a", BROWSER)).cache_status.startswith("cachewire; hit")


async def test_paths_are_kept_for_the_host_that_browsers_use(origin: ScriptedOrigin) -> None:
    precache = listed("/a", "http://other.example/b", public_url="http://www.example.org")
    async with edge_before(origin, precache=precache) as edge:
        await edge.precached()
        assert (await edge.get("/a", {**BROWSER, "Host": "www.example.org"})).cache_status.startswith("cachewire; hit")
        assert (await edge.get("/b", {**BROWSER, "Host": "other.example"})).cache_status.startswith("cachewire; hit")
        assert [asked.header("Host") for asked in origin.requests] == ["www.example.org", "other.example"]


async def test_an_origin_that_is_away_at_the_start_is_asked_again_later_and_later(origin: ScriptedOrigin) -> None:
    await origin.stop()
    rounds = Rounds()
    async with edge_before(origin, precache=listed("/a"), sleep=rounds, origin={"retries": 0}) as edge:
        await rounds.over()
        await rounds.another()
        await rounds.another()
        assert edge.app.precacher is not None
        assert edge.app.precacher.progress.failed == 1
        await origin.start()
        await rounds.another()
        assert edge.app.precacher.progress.stored == 1
        assert rounds.asked == [1.0, 2.0, 4.0, 60.0]


async def test_what_was_purged_or_evicted_is_fetched_again_at_the_next_look(origin: ScriptedOrigin) -> None:
    rounds = Rounds()
    async with edge_before(origin, precache=listed("/a"), sleep=rounds) as edge:
        await rounds.over()
        await edge.app.store.remove(lambda _entry: True)
        await rounds.another()
        assert origin.count("/a") == 2
        assert (await edge.get("/a", BROWSER)).cache_status.startswith("cachewire; hit")


async def test_the_limits_of_its_route_do_not_make_it_leave(origin: ScriptedOrigin) -> None:
    expiration = {"max_entries": 2, "max_age": "60s"}
    routes = [{"name": "all", "match": "/**", "strategy": "cache-first", "expiration": expiration}]
    async with edge_before(origin, precache=listed("/kept"), routes=routes, sleep=Rounds()) as edge:
        await edge.precached()
        for number in range(5):
            await edge.get(f"/{number}")
        edge.clock.advance(61)
        await edge.app.store.sweep()
        assert {entry.url.partition(edge.host)[2] for entry in edge.app.store.entries()} == {"/kept"}
        await edge.get("/kept", BROWSER)


async def test_after_a_restart_only_changed_revisions_are_fetched_and_old_ones_removed(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    clock = Clock()
    url = "http://www.example.org"
    before = listed(*({"url": f"/{name}", "revision": "1"} for name in "abc"), public_url=url)
    async with edge_before(origin, cache_dir=tmp_path, clock=clock, precache=before) as edge:
        await edge.precached()
    after = listed({"url": "/a", "revision": "1"}, {"url": "/b", "revision": "2"}, public_url=url)
    async with edge_before(origin, cache_dir=tmp_path, clock=clock, precache=after) as edge:
        await edge.precached()
        assert {entry.url for entry in edge.app.store.entries()} == {f"{url}/a", f"{url}/b"}
    assert [origin.count(f"/{name}") for name in "abc"] == [1, 2, 1]
    async with edge_before(origin, cache_dir=tmp_path, clock=clock, precache=listed(public_url=url)) as edge:
        async with asyncio.timeout(PATIENCE):
            while list(edge.app.store.entries()):
                await asyncio.sleep(0.005)


async def test_ordinary_traffic_may_renew_it_without_its_being_fetched_twice(origin: ScriptedOrigin) -> None:
    rounds = Rounds()
    async with edge_before(origin, precache=listed("/a"), sleep=rounds) as edge:
        await rounds.over()
        edge.clock.advance(3601)
        await edge.get("/a", BROWSER)
        assert origin.count("/a") == 2
        await rounds.another()
        assert origin.count("/a") == 2


@pytest.mark.parametrize("status", [404, 500, 503, 204])
async def test_nothing_but_a_200_takes_the_place_of_what_is_kept(
    origin: ScriptedOrigin, tmp_path: Path, status: int
) -> None:
    clock, url = Clock(), "http://www.example.org"
    origin.on("/a", reply(body=b"good", headers=FRESH), reply(status, headers=FRESH))
    for revision in ("1", "2"):
        precache = listed({"url": "/a", "revision": revision}, public_url=url)
        rounds = Rounds()
        async with edge_before(origin, cache_dir=tmp_path, clock=clock, precache=precache, sleep=rounds) as edge:
            await rounds.over()
            answer = await edge.get("/a", {**BROWSER, "Host": "www.example.org"})
            assert (answer.status, answer.body) == (200, b"good")
            assert edge.app.precacher is not None
            assert edge.app.precacher.progress.stored == (revision == "1")


async def test_what_may_not_be_stored_is_not_and_the_log_says_so(
    origin: ScriptedOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    """RFC 9111 section 5.2.2.5."""
    origin.on("/a", reply(headers={"Cache-Control": "no-store"}))
    rounds = Rounds()
    async with edge_before(origin, precache=listed("/a", "/b"), sleep=rounds) as edge:
        await rounds.over()
        assert [entry.url.rpartition("/")[2] for entry in edge.app.store.entries()] == ["b"]
        await rounds.another()
    told = [record.getMessage() for record in caplog.records if record.name == "cachewire.precache"]
    assert told == ["precache: /a: the origin answered 200 (response-no-store)"]


async def test_a_fallback_in_the_manifest_is_fetched_once_for_all_if_the_origin_tells_no_variants_apart(
    origin: ScriptedOrigin,
) -> None:
    routes = [{"match": "/**", "strategy": "cache-first", "fallback": "/offline.html"}]
    precache = listed({"url": "/offline.html", "revision": "7"})
    rounds = Rounds()
    async with edge_before(origin, routes=routes, precache=precache, sleep=rounds) as edge:
        await rounds.over()
        await rounds.another()
        assert edge.app.precacher is not None
        assert edge.app.precacher.progress.stored == 2
    assert origin.count("/offline.html") == 1


class TestManifestFiles:
    def test_workbox_build_tools_may_write_it(self, tmp_path: Path) -> None:
        path = tmp_path / "manifest.json"
        path.write_text('["/a", {"url": "/b", "revision": "7", "integrity": "x"}, {"url": "/c", "revision": null}]')
        assert read_manifest(path) == [
            PrecacheEntry(url="/a"),
            PrecacheEntry(url="/b", revision="7"),
            PrecacheEntry(url="/c"),
        ]

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("{}", "is not a list"),
            ("[", "cannot be read as JSON"),
            ('[{"revision": "1"}]', "entry 0"),
            ('["/a", 5]', "entry 1"),
            ('["b"]', "neither a path nor a URL"),
            ('["//evil.example/"]', "entry 0"),
        ],
    )
    def test_a_bad_file_is_told_with_its_entry_and_what_would_be_right(
        self, tmp_path: Path, text: str, told: str
    ) -> None:
        path = tmp_path / "manifest.json"
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=told):
            read_manifest(path)

    def test_a_file_that_is_not_there_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"nowhere\.json"):
            read_manifest(tmp_path / "nowhere.json")

    def test_its_path_is_relative_to_the_configuration(self, tmp_path: Path) -> None:
        (tmp_path / "cachewire.yaml").write_text("precache: {manifest: dist/manifest.json}\n")
        config = load(tmp_path / "cachewire.yaml", env={}).config
        assert config.precache.manifest == tmp_path / "dist/manifest.json"

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("precache: {manifest: [{url: b}]}", "precache.manifest[0].url: 'b' is neither a path nor a URL"),
            ("precache: {manifest: [{uri: /b}]}", "precache.manifest[0].uri: unknown key"),
            ("precache: {public_url: 'https://h/x'}", "precache.public_url: 'https://h/x' is not scheme and host"),
            ("routes: [{strategy: cache-first, fallback: x.html}]", "routes[0].fallback.html: 'x.html' is not a path"),
            ("routes: [{strategy: cache-first, fallback: {htm: /x}}]", "Did you mean `html`?"),
            ("routes: [{strategy: cache-first, offline_queue: 5}]", "offline_queue: 5 is not a section"),
            (
                "routes: [{strategy: cache-first, offline_queue: {max_body: 5}}]",
                "offline_queue.max_body: 5 has no unit",
            ),
        ],
    )
    def test_bad_settings_are_told_with_their_key(self, tmp_path: Path, text: str, told: str) -> None:
        (tmp_path / "cachewire.yaml").write_text(text)
        with pytest.raises(ConfigurationError) as caught:
            load(tmp_path / "cachewire.yaml", env={})
        assert told in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "queue"), [("true", True), ("false", False), ("null", False), ("{retention: 1d}", True)]
    )
    def test_offline_queue_is_a_switch_or_a_section(self, tmp_path: Path, text: str, queue: bool) -> None:
        (tmp_path / "cachewire.yaml").write_text(f"routes: [{{strategy: cache-first, offline_queue: {text}}}]")
        (route,) = load(tmp_path / "cachewire.yaml", env={}).config.routes
        assert (route.offline_queue is not None) is queue


async def test_a_bad_manifest_keeps_the_edge_from_starting(origin: ScriptedOrigin, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"url": "/a"}))
    with pytest.raises(ConfigurationError, match="is not a list"):
        async with edge_before(origin, precache={"manifest": str(path)}):
            pass
