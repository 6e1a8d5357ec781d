"""One name for a request in everybody's logs: X-Request-Id made or passed on, and the trace passed on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from tests.edge import CACHE_FIRST, edge_before
from tests.origin import ScriptedOrigin, reply

TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok", headers=[("Cache-Control", "max-age=60"), ("X-Request-Id", "origins-own")])
        yield origin


async def test_a_request_without_an_id_is_given_one_that_origin_and_client_get(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        answer = await edge.get("/a")
        assert origin.requests[0].all("X-Request-Id") == [answer["X-Request-Id"]]
        assert (await edge.get("/b"))["X-Request-Id"] != answer["X-Request-Id"]


async def test_an_id_that_the_client_brings_is_passed_on_and_comes_back(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        answer = await edge.get("/a", {"X-Request-Id": "abc-123"})
        assert answer["X-Request-Id"] == "abc-123"
        assert origin.requests[0].all("X-Request-Id") == ["abc-123"]


@pytest.mark.parametrize("bad", ["a b", 'a"b', "x" * 129, "\xe9", ""])
async def test_an_id_that_no_log_could_bear_is_replaced(origin: ScriptedOrigin, bad: str) -> None:
    async with edge_before(origin) as edge:
        answer = await edge.get("/a", {"X-Request-Id": bad})
        assert answer["X-Request-Id"] != bad
        assert origin.requests[0].all("X-Request-Id") == [answer["X-Request-Id"]]


async def test_what_was_stored_for_one_request_is_not_told_under_its_id_to_the_next(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        first = await edge.get("/a", {"X-Request-Id": "first"})
        second = await edge.get("/a", {"X-Request-Id": "second"})
        assert (first["X-Request-Id"], second["X-Request-Id"]) == ("first", "second")
        assert len(origin.requests) == 1
        (entry,) = edge.app.store.entries()
        stored = await edge.app.store.load(entry)
        assert stored is not None
        assert "X-Request-Id" not in stored[0].fields


async def test_the_id_selects_nothing(origin: ScriptedOrigin) -> None:
    """An id in the key would make every request a miss."""
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        for number in range(5):
            await edge.get("/a", {"X-Request-Id": f"r{number}", "traceparent": TRACE})
        assert len(origin.requests) == 1


async def test_the_trace_context_is_passed_on_as_it_came(origin: ScriptedOrigin) -> None:
    """W3C Trace Context section 4.3: who takes no part forwards it unchanged."""
    async with edge_before(origin) as edge:
        await edge.get("/a", {"traceparent": TRACE, "tracestate": "vendor=1,other=2"})
        await edge.get("/b")
        assert origin.requests[0].all("traceparent") == [TRACE]
        assert origin.requests[0].all("tracestate") == ["vendor=1,other=2"]
        assert origin.requests[1].all("traceparent") == []
        assert [outcome.trace_id for outcome in reversed(edge.app.ledger.recent())] == [TRACE.split("-")[1], ""]


async def test_an_error_document_names_the_request_to_search_the_logs_for() -> None:
    async with ScriptedOrigin() as origin, edge_before(origin) as edge:
        await origin.stop()
        answer = await edge.get("/gone")
        assert answer.status == 502
        assert json.loads(answer.body)["request_id"] == answer["X-Request-Id"]


@pytest.mark.parametrize(
    ("sent", "status", "line"),
    [
        (b"GET /a?b HTTP/1.1\r\nHost: x\r\nbad field: 1\r\n\r\n", 400, ("GET", "/a?b")),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n", 414, ("GET", "/" + "x" * 1023)),
        (b"GET /a HTTP/1.1\r\nHost: x\r\n" + b"A: 1\r\n" * 400 + b"\r\n", 431, ("GET", "/a")),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, ("", "")),
        (b"GET /\xc3\xa4\x07 HTTP/1.1\r\nHost: x\r\n\r\n", 400, ("GET", "/\\xc3\\xa4")),
    ],
    ids=["a bad field", "a target too long", "too many fields", "TLS", "a control character"],
)
@pytest.mark.parametrize("pause_after", [0, 9], ids=["at once", "in two parts"])
async def test_what_cannot_be_parsed_has_an_id_and_what_could_be_read_of_it(
    origin: ScriptedOrigin, sent: bytes, status: int, line: tuple[str, str], pause_after: int
) -> None:
    async with edge_before(origin) as edge:
        client = await edge.connect()
        if pause_after:
            await client.send(sent[:pause_after])
            await asyncio.sleep(0.01)  # the parts arrive one by one, or together as in the other case
        await client.send(sent[pause_after:])
        answer = await client.receive()
        client.leave()
        (outcome,) = edge.app.ledger.recent()
        assert (answer.status, outcome.status, outcome.verdict) == (status, status, "refused")
        assert json.loads(answer.body)["request_id"] == answer["X-Request-Id"] == outcome.request_id != ""
        assert (outcome.method, outcome.target) == line
        assert outcome.bytes_out == len(answer.body)


async def test_a_head_that_stays_away_has_an_id_too(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, server={"head_timeout": "20ms"}) as edge:
        client = await edge.connect()
        await client.send(b"POST /a HTTP/1.1\r\nHost:")
        answer = await client.receive()
        (outcome,) = edge.app.ledger.recent()
        assert (answer.status, answer["X-Request-Id"]) == (408, outcome.request_id)
        assert (outcome.method, outcome.target, outcome.reason) == ("POST", "/a", "head-timeout")
        await client.close()


async def test_the_line_of_one_request_is_not_taken_for_that_of_the_next(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        client = await edge.connect()
        await client.send(edge.request("GET", "/fine"))
        assert (await client.receive()).status == 200
        await client.send(b"\x00\x00\r\n\r\n")
        assert (await client.receive()).status == 400
        await client.close()
        assert [outcome.target for outcome in edge.app.ledger.recent()] == ["", "/fine"]


async def test_an_exchange_that_fails_in_the_edge_is_one_outcome_and_its_answer_has_its_id(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> bytes:
        raise RuntimeError("a fault of ours")

    async with edge_before(origin) as edge:
        monkeypatch.setitem(edge.app.server._local, "/api/performance", broken)
        answer = await edge.get("/api/performance")
        (outcome,) = edge.app.ledger.recent()
        assert (answer.status, outcome.status, outcome.reason) == (500, 500, "internal")
        assert answer["X-Request-Id"] == outcome.request_id


async def test_what_the_edge_answers_itself_has_an_id_too(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        assert (await edge.get("/api/performance", {"X-Request-Id": "mine"}))["X-Request-Id"] == "mine"
        assert (await edge.get("/socket.io/?EIO=4&transport=polling", {"X-Request-Id": "live"}))[
            "X-Request-Id"
        ] == "live"
