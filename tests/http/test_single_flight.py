"""However many ask for the same at once, the origin is asked once, and nobody harms the others."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, hang_up, head, raw, reply, steps, when

MAX_AGE_60 = {"Cache-Control": "max-age=60"}


async def test_two_hundred_concurrent_requests_ask_the_origin_once(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4, RFC 9211 section 2.6."""
    gate = asyncio.Event()
    origin.on("/a", when(gate, reply(body=b"x" * 5000, headers=MAX_AGE_60)))
    async with edge_before(origin) as edge:
        asking = [asyncio.ensure_future(edge.get("/a")) for _ in range(200)]
        await origin.until_asked("/a")
        while edge.app.ledger.in_flight < 200:
            await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*asking)
        assert {answer.body for answer in answers} == {b"x" * 5000}
        assert origin.count("/a") == 1
        assert sum("collapsed" in answer.cache_status for answer in answers) == 199


async def test_an_answer_that_may_not_be_shared_goes_to_its_asker_alone(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 5.2.2.7."""
    gate = asyncio.Event()
    served = iter(range(100))
    private = reply(body=lambda _: b"for %d" % next(served), headers={"Cache-Control": "private"})
    origin.on("/me", when(gate, private))
    async with edge_before(origin) as edge:
        asking = [asyncio.ensure_future(edge.get("/me")) for _ in range(5)]
        await origin.until_asked("/me")
        while edge.app.ledger.in_flight < 5:
            await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(*asking)
        assert len({answer.body for answer in answers}) == 5
        assert origin.count("/me") == 5


async def test_a_variant_for_others_is_not_given_to_those_who_waited(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.1."""
    gate = asyncio.Event()
    origin.on(
        "/a",
        when(
            gate,
            reply(
                body=lambda asked: (asked.header("Accept-Language") or "").encode(),
                headers={**MAX_AGE_60, "Vary": "Accept-Language"},
            ),
        ),
    )
    async with edge_before(origin) as edge:
        german = asyncio.ensure_future(edge.get("/a", {"Accept-Language": "de"}))
        await origin.until_asked("/a")
        english = asyncio.ensure_future(edge.get("/a", {"Accept-Language": "en"}))
        gate.set()
        assert (await german).body == b"de"
        assert (await english).body == b"en"


async def test_a_leader_that_leaves_does_not_take_the_fetch_with_it(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.on("/a", when(gate, reply(body=b"one", headers=MAX_AGE_60)))
    async with edge_before(origin) as edge:
        leader = await edge.connect()
        await leader.send(edge.request("GET", "/a"))
        await origin.until_asked("/a")
        follower = asyncio.ensure_future(edge.get("/a"))
        while edge.app.ledger.in_flight < 2:
            await asyncio.sleep(0)
        leader.leave()
        gate.set()
        assert (await follower).body == b"one"
        assert origin.count("/a") == 1


async def test_a_client_that_leaves_in_the_middle_of_a_body_harms_nobody(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    gate, half = asyncio.Event(), b"y" * 300_000
    whole = head(200, {**MAX_AGE_60, "Content-Length": str(2 * len(half))})
    origin.on("/big", steps(raw(whole, half), when(gate), raw(half)))
    async with edge_before(origin, cache_dir=tmp_path) as edge:
        leaver = await edge.connect()
        await leaver.send(edge.request("GET", "/big"))
        await leaver.reader.readexactly(1000)
        stayer = asyncio.ensure_future(edge.get("/big"))
        while edge.app.ledger.in_flight < 2:
            await asyncio.sleep(0)
        leaver.leave()
        gate.set()
        answer = await stayer
        assert answer.complete
        assert answer.body == half * 2
        assert origin.count("/big") == 1
        await edge.background_done()
        assert (await edge.get("/big")).cache_status.startswith("cachewire; hit")


async def test_a_failed_fetch_fails_all_who_waited_and_the_next_one_asks_again(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()

    origin.on("/a", when(gate, reply(500, b"broken")), reply(body=b"fine", headers=MAX_AGE_60))
    async with edge_before(origin) as edge:
        first = asyncio.ensure_future(edge.get("/a"))
        await origin.until_asked("/a")
        gate.set()
        assert (await first).status == 500
        assert (await edge.get("/a")).body == b"fine"


async def test_a_body_that_breaks_off_is_never_stored_and_closes_the_client(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.3, RFC 9112 section 8."""
    origin.on(
        "/cut",
        steps(raw(head(200, {**MAX_AGE_60, "Content-Length": "1000"}), b"only this"), hang_up()),
    )
    async with edge_before(origin) as edge:
        answer = await edge.get("/cut")
        assert not answer.complete
        assert list(edge.app.store.entries()) == []


async def test_a_request_that_forbids_storing_is_fetched_alone_and_leaves_nothing(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 5.2.1.5."""
    origin.on("/a", reply(body=b"one", headers=MAX_AGE_60))
    async with edge_before(origin) as edge:
        await edge.get("/a", {"Cache-Control": "no-store"})
        assert list(edge.app.store.entries()) == []


async def test_a_refill_that_began_before_a_purge_does_not_restore_what_was_purged(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.on("/a", when(gate, reply(body=b"old", headers=MAX_AGE_60)), reply(body=b"new", headers=MAX_AGE_60))
    async with edge_before(origin) as edge:
        asking = asyncio.ensure_future(edge.get("/a"))
        await origin.until_asked("/a")
        await edge.app.purger.purge(lambda _: True)
        gate.set()
        assert (await asking).body == b"old"
        assert (await edge.get("/a")).body == b"new"


async def test_an_event_stream_is_neither_stored_nor_shared_and_its_head_does_not_wait(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    stream = head(200, {"Content-Type": "text/event-stream; charset=utf-8", "Transfer-Encoding": "chunked"})
    origin.on("/events", steps(raw(stream), when(gate, raw(b"9\r\ndata: 1\n\n\r\n"))))
    async with edge_before(origin) as edge:
        listeners = [await edge.connect() for _ in range(2)]
        for listener in listeners:
            await listener.send(edge.request("GET", "/events"))
        for listener in listeners:
            assert b"text/event-stream" in await listener.reader.readuntil(b"\r\n\r\n")
        gate.set()
        for listener in listeners:
            assert await listener.reader.readexactly(3 + 9 + 2) == b"9\r\ndata: 1\n\n\r\n"
            listener.leave()
        assert origin.count("/events") == 2
        assert list(edge.app.store.entries()) == []
        await origin.until(lambda: origin.open_connections == 0)


async def test_a_fetch_that_a_purge_overtook_does_not_claim_to_be_stored(origin: ScriptedOrigin) -> None:
    """RFC 9211 section 2.5."""
    gate = asyncio.Event()
    origin.on("/a", when(gate, reply(headers=MAX_AGE_60)))
    async with edge_before(origin) as edge:
        asking = asyncio.ensure_future(edge.get("/a"))
        await origin.until_asked("/a")
        await edge.app.purger.purge(lambda _: True)
        gate.set()
        assert "stored" not in (await asking).cache_status


@pytest.mark.parametrize(
    "lines",
    [
        {"Cache-Control": "no-cache"},
        {"Cache-Control": "max-age=0", "ETag": '"1"'},
        {"Cache-Control": "s-maxage=0, must-revalidate"},
        {"Expires": "0"},
        {"Cache-Control": "max-age=10", "Age": "11"},
    ],
    ids=str,
)
async def test_what_the_origin_calls_good_for_one_use_is_not_given_to_those_who_waited(
    origin: ScriptedOrigin, lines: dict[str, str]
) -> None:
    """RFC 9111 section 4, RFC 9111 section 5.2.2.4."""
    bodies, origins = await two_at_once(origin, lines, {})
    assert (len(bodies), origins) == (2, 2)


async def test_those_who_waited_for_an_answer_that_says_nothing_of_reuse_share_it(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4."""
    bodies, origins = await two_at_once(origin, {}, {})
    assert (len(bodies), origins) == (1, 1)


@pytest.mark.parametrize(
    "wish", [{"Cache-Control": "no-cache"}, {"Cache-Control": "max-age=0"}, {"Pragma": "no-cache"}]
)
async def test_a_reload_does_not_join_a_fetch_that_began_before_it(
    origin: ScriptedOrigin, wish: dict[str, str]
) -> None:
    """RFC 9111 section 5.2.1.4."""
    bodies, origins = await two_at_once(origin, MAX_AGE_60, wish)
    assert (len(bodies), origins) == (2, 2)


async def two_at_once(origin: ScriptedOrigin, lines: dict[str, str], second: dict[str, str]) -> tuple[set[bytes], int]:
    """The bodies that two concurrent requests get, and how often the origin was asked."""
    gate = asyncio.Event()
    served = iter(range(100))
    origin.on("/a", when(gate, reply(body=lambda _: b"%d" % next(served), headers=lines)))
    async with edge_before(origin) as edge:
        first = asyncio.ensure_future(edge.get("/a"))
        await origin.until_asked("/a")
        other = asyncio.ensure_future(edge.get("/a", second))
        while edge.app.ledger.in_flight < 2:
            await asyncio.sleep(0)
        gate.set()
        answers = await asyncio.gather(first, other)
        return {answer.body for answer in answers}, origin.count("/a")
