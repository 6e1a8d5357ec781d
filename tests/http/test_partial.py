"""Parts: 206 responses are stored, answer what lies within them, and add up to a whole (RFC 9111 section 3.3, 3.4)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import Asked, Script, ScriptedOrigin, computed, reply

BODY = b"0123456789abcdefghij"


def ranged(body: bytes = BODY, *, etag: str = '"v1"', max_age: int = 60) -> Script:
    """An origin that knows single ranges and If-Range."""

    def answer(asked: Asked) -> Script:
        headers = {"ETag": etag, "Cache-Control": f"max-age={max_age}"}
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", asked.header("Range") or "")
        if wanted is None or asked.header("If-Range") not in (None, etag):
            return reply(200, body, headers)
        if not wanted[1]:
            start, stop = max(0, len(body) - int(wanted[2])), len(body)
        else:
            start, stop = int(wanted[1]), min(len(body), int(wanted[2] or len(body)) + 1)
        if start >= stop:
            return reply(416, headers={"Content-Range": f"bytes */{len(body)}"})
        return reply(206, body[start:stop], {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"})

    return computed(answer)


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.on("/a", ranged())
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin) as edge:
        yield edge


async def part(edge: EdgeUnderTest, wanted: str, **more: str) -> Any:
    answer = await edge.get("/a", {"Range": f"bytes={wanted}", **more})
    await edge.background_done()
    return answer


async def test_a_stored_part_answers_the_same_range_again(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.3."""
    first = await part(edge, "2-5")
    assert (first.status, first.body, first["Content-Range"]) == (206, b"2345", "bytes 2-5/20")
    again = await part(edge, "2-5")
    assert (again.status, again.body, again["Content-Range"]) == (206, b"2345", "bytes 2-5/20")
    assert again.cache_status.startswith("cachewire; hit")
    assert origin.count() == 1


@pytest.mark.parametrize(("wanted", "body"), [("3-4", b"34"), ("2-2", b"2"), ("5-5", b"5")])
async def test_a_stored_part_answers_what_lies_within_it(edge: EdgeUnderTest, wanted: str, body: bytes) -> None:
    """RFC 9111 section 3.3."""
    await part(edge, "2-5")
    assert (await part(edge, wanted)).body == body


@pytest.mark.parametrize("wanted", ["1-3", "4-6", "0-", "-3"])
async def test_what_reaches_beyond_the_part_is_asked_for(
    edge: EdgeUnderTest, origin: ScriptedOrigin, wanted: str
) -> None:
    """RFC 9111 section 3.3."""
    await part(edge, "2-5")
    await part(edge, wanted)
    assert origin.count() == 2


async def test_a_stored_suffix_answers_the_suffix(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9110 section 14.1.2, RFC 9111 section 3.3."""
    assert (await part(edge, "-5")).body == b"fghij"
    assert (await part(edge, "-3")).body == b"hij"
    assert (await part(edge, "15-")).body == b"fghij"
    assert origin.count() == 1


async def test_a_part_never_answers_a_request_for_the_whole(edge: EdgeUnderTest) -> None:
    """RFC 9111 section 3.3."""
    await part(edge, "2-5")
    assert (await edge.get("/a")).body == BODY


async def test_parts_that_touch_answer_across_their_seam(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.4."""
    await part(edge, "2-5")
    await part(edge, "6-9")
    assert (await part(edge, "4-8")).body == b"45678"
    assert origin.count() == 2


async def test_parts_that_add_up_to_the_whole_answer_everything(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.4."""
    await part(edge, "0-9")
    await part(edge, "10-19")
    whole = await edge.get("/a")
    assert (whole.status, whole.body, whole["Content-Length"]) == (200, BODY, "20")
    assert whole.cache_status.startswith("cachewire; hit")
    assert "Content-Range" not in whole
    assert (await part(edge, "8-11")).body == b"89ab"
    assert origin.count() == 2


async def test_a_request_for_the_whole_asks_only_for_what_is_missing(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9110 section 13.1.5, RFC 9111 section 3.3."""
    await part(edge, "5-9")
    await part(edge, "15-19")
    await part(edge, "0-4")
    whole = await edge.get("/a")
    assert (whole.status, whole.body) == (200, BODY)
    assert "fwd=partial" in whole.cache_status
    assert origin.requests[-1].header("Range") == "bytes=10-14"
    assert origin.requests[-1].header("If-Range") == '"v1"'
    assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")


async def test_a_representation_that_changed_meanwhile_is_never_mixed(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9110 section 15.3.7.3, RFC 9111 section 3.4."""
    await part(edge, "0-9")
    origin.on("/a", ranged(BODY.upper(), etag='"v2"'))
    assert (await edge.get("/a")).body == BODY.upper()
    edge.clock.advance(61)
    origin.on("/a", ranged(BODY, etag='"v3"'))
    await part(edge, "0-4")
    origin.on("/a", ranged(BODY.upper(), etag='"v4"'))
    assert (await part(edge, "5-9")).body == b"56789"
    assert (await edge.get("/a")).body in (BODY, BODY.upper())


async def test_parts_without_a_strong_validator_are_not_put_together(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.4."""
    origin.on("/a", ranged(etag='W/"v1"'))
    async with edge_before(origin) as edge:
        await part(edge, "0-9")
        await part(edge, "10-19")
        await edge.get("/a")
        assert origin.requests[-1].header("Range") is None


async def test_a_stale_part_is_asked_for_again(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.2."""
    await part(edge, "2-5")
    edge.clock.advance(61)
    assert (await part(edge, "2-5")).body == b"2345"
    assert origin.count() == 2


async def test_a_stale_part_is_validated_and_serves_on(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.3.1."""
    await part(edge, "2-5")
    edge.clock.advance(61)
    origin.on("/a", reply(304, headers={"ETag": '"v1"', "Cache-Control": "max-age=60"}))
    again = await part(edge, "3-4")
    assert (again.status, again.body, again["Content-Range"]) == (206, BODY[3:5], "bytes 3-4/20")
    assert (origin.requests[-1].header("If-None-Match"), origin.requests[-1].header("Range")) == ('"v1"', "bytes=3-4")
    assert (await part(edge, "2-5")).cache_status.startswith("cachewire; hit")


async def test_a_stale_part_that_has_changed_is_replaced(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.3.3."""
    await part(edge, "2-5")
    edge.clock.advance(61)
    origin.on("/a", ranged(BODY.upper(), etag='"v2"'))
    assert (await part(edge, "10-12")).body == b"ABC"
    await part(edge, "2-5")
    assert (await part(edge, "2-5"))["ETag"] == '"v2"'


async def test_a_stale_part_answers_when_the_origin_cannot_be_reached(
    edge: EdgeUnderTest, origin: ScriptedOrigin
) -> None:
    """RFC 9111 section 4.2.4."""
    await part(edge, "2-5")
    edge.clock.advance(61)
    await origin.stop()
    answer = await part(edge, "3-5")
    assert (answer.status, answer.body, "ttl=-1" in answer.cache_status) == (206, BODY[3:6], True)
    assert (await part(edge, "3-8")).status == 502


async def test_if_range_with_another_validator_gets_the_whole(edge: EdgeUnderTest) -> None:
    """RFC 9110 section 13.1.5."""
    await part(edge, "2-5")
    assert (await part(edge, "2-5", **{"If-Range": '"v0"'})).body == BODY
    assert (await part(edge, "2-5", **{"If-Range": '"v1"'})).body == b"2345"


async def test_a_purge_takes_the_parts_too(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    await part(edge, "2-5")
    await edge.app.purger.purge(lambda entry: entry.url.endswith("/a"))
    await part(edge, "2-5")
    assert origin.count() == 2


async def test_a_part_that_is_not_what_it_says_is_not_stored(edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.3."""
    lie = {"Content-Range": "bytes 2-9/20", "Cache-Control": "max-age=60", "ETag": '"v1"'}
    origin.on("/a", reply(206, b"2345", lie))
    await part(edge, "2-9")
    assert list(edge.app.store.entries()) == []


ranges = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 22), st.integers(0, 22)).map(lambda t: f"bytes={min(t)}-{max(t)}"),
        st.integers(0, 22).map(lambda n: f"bytes={n}-"),
        st.integers(1, 25).map(lambda n: f"bytes=-{n}"),
        st.just(""),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ranges)
def test_whatever_ranges_are_asked_in_whatever_order_every_byte_is_right(asked: list[str]) -> None:
    """RFC 9110 section 14.2, RFC 9111 section 3.3, RFC 9111 section 3.4."""
    asyncio.run(_ask_all(asked))


async def _ask_all(asked: list[str]) -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        origin.on("/a", ranged())
        for wanted in asked:
            answer = await edge.get("/a", {"Range": wanted} if wanted else {})
            await edge.background_done()
            assert answer.complete
            if answer.status == 206:
                match = re.fullmatch(r"bytes (\d+)-(\d+)/20", answer["Content-Range"])
                assert match is not None
                assert answer.body == BODY[int(match[1]) : int(match[2]) + 1]
                assert wanted
            elif answer.status == 416:
                assert int(wanted.partition("=")[2].partition("-")[0]) >= 20
            else:
                assert (answer.status, answer.body) == (200, BODY)
