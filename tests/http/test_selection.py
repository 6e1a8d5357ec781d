"""Which of several stored responses answers, and which statuses must not stand for a resource."""

from __future__ import annotations

import asyncio

import pytest

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, reply, when

FRESH = ("Cache-Control", "max-age=600")


async def test_of_several_that_match_the_one_with_the_latest_date_answers(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4: the most recent is told by the Date field."""
    origin.on(
        "/a",
        reply(body=b"newer", headers=[FRESH, ("Vary", "Foo"), ("Date", "Fri, 15 Jan 2027 08:00:00 GMT")]),
        reply(body=b"older", headers=[FRESH, ("Vary", "Bar"), ("Date", "Fri, 15 Jan 2027 07:58:00 GMT")]),
    )
    async with edge_before(origin) as edge:
        await edge.get("/a", {"Foo": "1", "Bar": "1"})
        await edge.get("/a", {"Foo": "2", "Bar": "1"})
        assert (await edge.get("/a", {"Foo": "1", "Bar": "1"})).body == b"newer"


@pytest.mark.parametrize(("status", "asked"), [(416, {"Range": "bytes=50-60"}), (417, {"Expect": "100-continue"})])
async def test_a_status_that_judges_one_requests_own_field_answers_nobody_else(
    origin: ScriptedOrigin, status: int, asked: dict[str, str]
) -> None:
    """RFC 9110 section 15.5.17, RFC 9110 section 15.5.18."""
    origin.on("/a", reply(status, headers=[FRESH]), reply(body=b"whole", headers=[FRESH]))
    async with edge_before(origin) as edge:
        assert (await edge.get("/a", asked)).status == status
        assert (await edge.get("/a")).body == b"whole"


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via"])
async def test_a_response_chosen_by_what_the_edge_itself_adds_is_not_shared(origin: ScriptedOrigin, name: str) -> None:
    """RFC 9111 section 4.1: what the origin saw is not what the next client sends."""
    origin.on("/a", reply(headers=[FRESH, ("Vary", name)]))
    async with edge_before(origin) as edge:
        await edge.get("/a")
        await edge.get("/a")
        assert origin.count("/a") == 2


@pytest.mark.parametrize("wanted", ["de", "fr, de", "en, de, fr", "de-DE, de"])
async def test_a_language_wanted_no_less_than_any_other_is_taken_from_the_store(
    origin: ScriptedOrigin, wanted: str
) -> None:
    """RFC 9110 section 12.5.4: the order of languages of one weight says nothing."""
    headers = [FRESH, ("Vary", "Accept-Language"), ("Content-Language", "de")]
    origin.on("/a", reply(body=b"deutsch", headers=headers))
    async with edge_before(origin) as edge:
        await edge.get("/a", {"Accept-Language": "en, de"})
        assert (await edge.get("/a", {"Accept-Language": wanted})).cache_status.startswith("cachewire; hit")


@pytest.mark.parametrize("status", [302, 406])
async def test_the_language_of_a_note_beside_another_status_chooses_nothing(
    origin: ScriptedOrigin, status: int
) -> None:
    """RFC 9111 section 4.1."""
    headers = [FRESH, ("Vary", "Accept-Language"), ("Content-Language", "en"), ("Location", "/fr")]
    origin.on("/a", reply(status, headers=headers))
    async with edge_before(origin) as edge:
        await edge.get("/a", {"Accept-Language": "fr, en"})
        await edge.get("/a", {"Accept-Language": "en"})
        assert origin.count("/a") == 2


async def test_a_slow_older_answer_does_not_replace_what_a_reload_has_brought(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4: the most recent is told by the Date field."""
    gate = asyncio.Event()
    older, newer = (
        reply(body=body, headers=[FRESH, ("Date", f"Fri, 15 Jan 2027 07:59:{second} GMT")])
        for body, second in ((b"older", 50), (b"newer", 55))
    )
    async with edge_before(origin) as edge:
        origin.on("/a", when(gate, older), newer)
        slow = asyncio.ensure_future(edge.get("/a"))
        await origin.until_asked("/a")
        assert (await edge.get("/a", {"Cache-Control": "no-cache"})).body == b"newer"
        gate.set()
        assert (await slow).body == b"older"
        await edge.background_done()
        assert (await edge.get("/a")).body == b"newer"
