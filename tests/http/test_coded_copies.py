"""Copies are made once, in the background, and live and die with what they were made of."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import brotli
import pytest

import proxy.compression
from proxy.answer import Answer
from proxy.compression import CODERS
from proxy.dashboard.cache import CacheSource
from proxy.operations.timeline import Timeline
from proxy.policy.codings import coding_of
from proxy.policy.messages import Fields, Request
from proxy.purge import parse_purge
from proxy.storage.tiers import Tiers
from tests.coding import DECODE, HEADERS, OTHER, TEXT, compressed, wanting
from tests.edge import PATIENCE, edge_before
from tests.origin import ScriptedOrigin, reply
from webui.listing import entry_id


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.on("/a", reply(body=TEXT, headers={**HEADERS, "ETag": '"x"'}))
        yield origin


async def test_each_coding_is_made_once_however_many_ask(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def counted(content: bytes) -> bytes:
        made.append("br")
        return CODERS["br"](content)

    monkeypatch.setattr(proxy.compression, "CODERS", {"br": counted})
    async with edge_before(origin) as edge:
        await edge.get("/a")
        await asyncio.gather(*(edge.get("/a", wanting("br")) for _ in range(20)))
        await edge.background_done()
        answers = await asyncio.gather(*(edge.get("/a", wanting("br")) for _ in range(20)))
        await edge.background_done()
        assert made == ["br"]
        assert {answer["Content-Encoding"] for answer in answers} == {"br"}


async def test_what_does_not_become_smaller_is_served_plain_and_tried_once(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bytes] = []

    def counted(content: bytes) -> bytes:
        tried.append(content)
        return CODERS["br"](content)

    monkeypatch.setattr(proxy.compression, "CODERS", {"br": counted})
    noise = random.Random(1).randbytes(4000)
    origin.on("/noise", reply(body=noise, headers=HEADERS))
    async with edge_before(origin) as edge:
        await compressed(edge, "/noise")
        answer = await compressed(edge, "/noise")
        assert (answer.body, "Content-Encoding" in answer) == (noise, False)
        assert tried == [noise]


@pytest.mark.parametrize("purge", ["url", "tag", "route", "prefix", "glob", "everything"])
async def test_a_purge_removes_the_copy_with_its_source(origin: ScriptedOrigin, purge: str) -> None:
    origin.on("/p", reply(body=TEXT, headers={**HEADERS, "Cache-Tag": "reports"}))
    words: dict[str, Any] = {
        "url": "/p", "tag": "reports", "route": "all", "prefix": "/p", "glob": "/*", "everything": True,
    }  # fmt: skip
    async with edge_before(origin) as edge:
        await compressed(edge, "/p")
        assert len(list(edge.app.store.entries())) == 2
        covers = parse_purge({purge: words[purge]}, edge.app._listed).covers
        assert await edge.app.purger.purge(covers, dry_run=True) == 1  # copies are no responses of their own
        assert await edge.app.purger.purge(covers) == 1
        assert list(edge.app.store.entries()) == []


async def test_a_write_invalidates_the_copy_with_its_source(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.4."""
    async with edge_before(origin) as edge:
        await compressed(edge)
        await edge.ask("POST", "/a", body=b"news")
        assert list(edge.app.store.entries()) == []


async def test_a_changed_source_never_leaves_as_the_old_copy(origin: ScriptedOrigin) -> None:
    origin.on("/c", reply(body=TEXT, headers=HEADERS), reply(body=OTHER, headers=HEADERS))
    async with edge_before(origin) as edge:
        old = await compressed(edge, "/c")
        edge.clock.advance(61)
        changed = await edge.get("/c", wanting("br"))
        first = await edge.get("/c", wanting("br"))
        assert (changed.body, first.body) == (OTHER, OTHER)
        await edge.background_done()
        new = await edge.get("/c", wanting("br"))
        assert brotli.decompress(new.body) == OTHER
        assert new["ETag"] != old["ETag"]
        assert len(list(edge.app.store.entries())) == 2


async def test_a_copy_begun_before_a_purge_is_not_kept(origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    async with edge_before(origin) as edge:
        loop = asyncio.get_running_loop()
        begun, purged = asyncio.Event(), asyncio.Event()

        def slow(content: bytes) -> bytes:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(purged.wait(), loop).result(10)
            return CODERS["br"](content)

        monkeypatch.setattr(proxy.compression, "CODERS", {"br": slow})
        await edge.get("/a")
        await edge.get("/a", wanting("br"))
        await begun.wait()
        await edge.app.purger.purge(lambda _: True)
        purged.set()
        await edge.background_done()
        assert list(edge.app.store.entries()) == []


async def test_copies_wait_in_a_bounded_queue(origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy.compression, "MOST_WAITING", 2)
    origin.default = reply(body=TEXT, headers=HEADERS)
    async with edge_before(origin) as edge:
        release = asyncio.Event()
        loop = asyncio.get_running_loop()

        def slow(content: bytes) -> bytes:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
            return CODERS["br"](content)

        monkeypatch.setattr(proxy.compression, "CODERS", {"br": slow})
        for number in range(4):
            await edge.get(f"/{number}")
        for number in range(4):
            await edge.get(f"/{number}", wanting("br"))
        release.set()
        await edge.background_done()
        codings = [(await edge.get(f"/{number}", wanting("br"))).headers for number in range(4)]
        assert [("Content-Encoding", "br") in lines for lines in codings] == [True, True, False, False]


async def test_a_restart_keeps_the_copies(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with edge_before(origin, cache_dir=tmp_path) as edge:
        before = await compressed(edge, Host="app.example")
    async with edge_before(origin, cache_dir=tmp_path) as edge:
        after = await edge.get("/a", wanting("br", Host="app.example"))
        assert (after["Content-Encoding"], after.body, after["ETag"]) == ("br", before.body, before["ETag"])
        assert origin.count("/a") == 1


async def test_large_text_that_lives_on_disk_is_coded_as_well(origin: ScriptedOrigin, tmp_path: Path) -> None:
    large = TEXT * 100
    origin.on("/large", reply(body=large, headers=HEADERS))
    async with edge_before(origin, cache_dir=tmp_path, cache={"memory_object": "4KiB"}) as edge:
        answer = await compressed(edge, "/large", "gzip")
        assert answer["Content-Encoding"] == "gzip"
        assert DECODE["gzip"](answer.body) == large


async def test_copies_do_not_use_up_a_routes_entries(origin: ScriptedOrigin) -> None:
    origin.default = reply(body=TEXT, headers=HEADERS)
    routes = [{"name": "all", "match": "/**", "strategy": "cache-first", "expiration": {"max_entries": 2}}]
    async with edge_before(origin, routes=routes) as edge:
        for target in ("/1", "/2"):
            for coding in ("br", "gzip"):
                await compressed(edge, target, coding)
        assert len(list(edge.app.store.entries())) == 6
        await compressed(edge, "/3")
        sources = [entry.url[-2:] for entry in edge.app.store.entries() if not coding_of(entry.key)]
        assert sorted(sources) == ["/2", "/3"]


async def test_the_dashboards_purge_of_one_response_takes_its_copies_along(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        await compressed(edge)
        app = edge.app
        timeline = Timeline(edge.clock)
        stored = CacheSource(app.store, app.purger, timeline, now=edge.clock, public_url=lambda: "")
        (source,) = (entry for entry in app.store.entries() if not entry.tags)
        assert await stored.purge_entry(entry_id(source), by="operator") == 1


async def test_a_source_that_changes_before_its_turn_gives_no_copy(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    origin.on("/c", reply(body=TEXT, headers=HEADERS), reply(body=OTHER, headers=HEADERS))
    async with edge_before(origin) as edge:
        release, loop = asyncio.Event(), asyncio.get_running_loop()

        def slow(content: bytes) -> bytes:
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result(10)
            return CODERS["br"](content)

        monkeypatch.setattr(proxy.compression, "CODERS", {"br": slow})
        for target in ("/a", "/c", "/gone"):
            origin.on("/gone", reply(body=TEXT, headers=HEADERS))
            await edge.get(target)
            await edge.get(target, wanting("br"))
        edge.clock.advance(61)
        assert (await edge.get("/c")).body == OTHER
        await edge.ask("DELETE", "/gone")
        release.set()
        await edge.background_done()
        assert [entry.url[-2:] for entry in edge.app.store.entries() if coding_of(entry.key)] == ["/a"]


async def test_a_copy_that_the_store_does_not_take_costs_nothing(origin: ScriptedOrigin) -> None:
    """Without a disk, and with memory for hardly more than the response itself."""
    async with edge_before(origin, cache={"memory": "12KiB", "memory_object": "12KiB"}) as edge:
        for _ in range(4):
            answer = await edge.get("/a", wanting("br"))
            await edge.background_done()
            plain = brotli.decompress(answer.body) if "Content-Encoding" in answer else answer.body
            assert plain == TEXT


def damage(directory: Path, body: bytes) -> None:
    (file,) = (path for path in directory.rglob("*") if path.is_file() and path.read_bytes() == body)
    file.write_bytes(body[:-1] + b"?")


async def test_a_source_that_is_damaged_on_disk_gives_no_copy(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.on("/large", reply(body=TEXT * 100, headers={**HEADERS, "ETag": '"x"'}))
    async with edge_before(origin, cache_dir=tmp_path, cache={"memory_object": "4KiB"}) as edge:
        await edge.get("/large")
        await edge.background_done()
        damage(tmp_path, TEXT * 100)
        assert (await edge.get("/large", wanting("br", Range="bytes=0-9"))).status == 206
        await edge.background_done()
        assert list(edge.app.store.entries()) == []


async def test_a_copy_beyond_what_the_store_takes_is_not_kept(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Tiers.spool
    monkeypatch.setattr(Tiers, "spool", lambda self, expected: None if expected == 700 else spool(self, expected))
    monkeypatch.setattr(proxy.compression, "CODERS", {"br": lambda content: content[:700]})
    async with edge_before(origin) as edge:
        assert (await compressed(edge)).body == TEXT
        assert len(list(edge.app.store.entries())) == 1


async def test_a_client_that_leaves_meanwhile_leaves_nothing_open(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with edge_before(origin) as edge:
        await compressed(edge)
        closed: list[object] = []
        (source,) = (entry for entry in edge.app.store.entries() if not coding_of(entry.key))
        loaded = await edge.app.store.load(source)
        assert loaded is not None
        stored, body = loaded

        async def close() -> None:
            closed.append(body)

        monkeypatch.setattr(Tiers, "load", _cancelled)
        watched = SimpleNamespace(chunks=body.chunks, close=close)
        answer = Answer(200, "OK", stored.fields, watched, stored.length, "hit", "fresh", stored=stored, whole=True)
        compression = proxy.compression.Compression(edge.app.store, edge.app.background, ("br",), 512)
        with pytest.raises(asyncio.CancelledError):
            await compression.negotiated(Request("GET", "/a", "h", Fields([("Accept-Encoding", "br")])), answer)
        assert closed == [body]


async def _cancelled(*_: object) -> None:
    raise asyncio.CancelledError


async def test_shutting_down_does_not_wait_for_copies(origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch) -> None:
    origin.default = reply(body=TEXT, headers=HEADERS)
    made: list[int] = []
    async with edge_before(origin, server={"drain_timeout": "60s"}) as edge:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()
        release = threading.Event()

        def slow(content: bytes) -> bytes:
            made.append(len(content))
            loop.call_soon_threadsafe(begun.set)
            release.wait(30)
            return CODERS["br"](content)

        monkeypatch.setattr(proxy.compression, "CODERS", {"br": slow})
        for target in ("/1", "/2"):
            await edge.get(target)
            await edge.get(target, wanting("br"))
        await begun.wait()
        try:
            async with asyncio.timeout(PATIENCE):
                await edge.app.drain()
        finally:
            release.set()
    assert made == [len(TEXT)]
