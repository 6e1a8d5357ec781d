"""The statistics tell the truth, and chaos does what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientConnectionError
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from demo.glob import path_pattern
from demo.problems import Problem

Client = TestClient[Any, Any]
Fetch = Callable[..., Awaitable[Any]]


async def chaos(origin: Client, **behaviour: Any) -> None:
    async with origin.post("/demo/chaos", json=behaviour) as response:
        assert response.status == 200, await response.text()


async def test_requests_are_counted_by_route_and_failures_count_too(origin: Client, fetch: Fetch) -> None:
    await fetch("/api/reports/r1")
    await fetch("/api/reports/r2")
    await fetch("/api/reports/r999", 404)
    await fetch("/nowhere", 404)
    await fetch("/api/reports", 405, method="PUT")
    stats = await fetch("/demo/stats")
    assert stats["by_path"] == {"(no route)": 2, "/api/reports/{id}": 3}
    assert stats["requests"] == 5


async def test_looking_at_the_statistics_and_chaos_is_not_counted(fetch: Fetch) -> None:
    await fetch("/demo/chaos")
    await fetch("/demo/stats")
    stats = await fetch("/demo/stats")
    assert (stats["requests"], stats["sql_queries"]) == (0, 0)


async def test_every_statement_of_a_write_is_counted(fetch: Fetch) -> None:
    messages = [{"sender_id": "u1", "content": "hi"} for _ in range(10)]
    body = {"conversation_id": "c1", "messages": messages}
    await fetch("/api/chat/messages/batch", 201, method="POST", json=body)
    # Participants, ten inserts, the conversation's revision, and the messages read back.
    assert (await fetch("/demo/stats"))["sql_queries"] == 13


async def test_a_reset_starts_the_count_anew(fetch: Fetch) -> None:
    await fetch("/api/reports")
    answer = await fetch("/demo/stats/reset", method="POST")
    assert (answer["requests"], answer["sql_queries"], answer["by_path"]) == (0, 0, {})


async def test_errors_answers_503_and_asks_the_database_nothing(origin: Client, fetch: Fetch) -> None:
    await chaos(origin, mode="errors")
    problem = await fetch("/api/reports", 503)
    assert problem["status"] == 503
    await fetch("/", 503)
    stats = await fetch("/demo/stats")
    assert (stats["requests"], stats["sql_queries"]) == (2, 0)


async def test_down_closes_the_connection_without_an_answer(origin: Client, fetch: Fetch) -> None:
    await chaos(origin, mode="down")
    for path in ("/api/reports", "/", "/uploads/r1-1.jpg"):
        with pytest.raises(ClientConnectionError):
            await origin.get(path)
    assert (await fetch("/demo/stats"))["requests"] == 3
    await chaos(origin, mode="ok")
    assert (await fetch("/api/reports"))["total"] == 200


async def test_down_sends_not_one_byte(origin: Client) -> None:
    await chaos(origin, mode="down")
    reader, writer = await asyncio.open_connection(origin.host, origin.port)
    writer.write(b"GET /api/reports HTTP/1.1\r\nHost: demo\r\n\r\n")
    try:
        received = await reader.read()
    except ConnectionResetError:
        received = b""
    assert received == b""
    writer.close()


async def test_slow_waits_before_it_answers(origin: Client, fetch: Fetch) -> None:
    await chaos(origin, mode="slow", delay=0.3)
    loop = asyncio.get_running_loop()
    started = loop.time()
    assert (await fetch("/api/reports"))["total"] == 200
    assert loop.time() - started >= 0.3


async def test_chaos_takes_what_curl_sends_without_a_content_type_of_its_own(origin: Client, fetch: Fetch) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with origin.post("/demo/chaos", data='{"mode": "errors"}', headers=form) as response:
        assert response.status == 200
    assert (await fetch("/demo/chaos"))["mode"] == "errors"


async def test_chaos_strikes_only_what_matches(origin: Client, fetch: Fetch) -> None:
    await chaos(origin, mode="errors", match="/api/reports/*")
    await fetch("/api/reports/r1", 503)
    await fetch("/api/reports")
    await fetch("/api/reports/r1/likes", 401, method="POST")


async def test_the_current_behaviour_can_be_asked_for(origin: Client, fetch: Fetch) -> None:
    assert (await fetch("/demo/chaos"))["mode"] == "ok"
    await chaos(origin, mode="slow", delay=2, match="/api/**")
    assert await fetch("/demo/chaos") == {"mode": "slow", "delay": 2.0, "match": "/api/**"}


@pytest.mark.parametrize(
    ("behaviour", "advice"),
    [
        ({}, "ok, slow, errors, down"),
        ({"mode": "dead"}, "ok, slow, errors, down"),
        ({"mode": ["ok"]}, "ok, slow, errors, down"),
        ({"mode": "slow", "delay": -1}, "from 0 to 300"),
        ({"mode": "slow", "delay": "5"}, "from 0 to 300"),
        ({"mode": "slow", "delay": True}, "from 0 to 300"),
        ({"mode": "slow", "delay": float("nan")}, "from 0 to 300"),
        ({"mode": "down", "match": "api"}, "starts with a slash"),
        ({"mode": "down", "match": 5}, "path glob"),
        ({"mode": "down", "match": "/*a" * 9}, "wildcards"),
        ({"mode": "ok", "speed": 1}, "mode, delay and match"),
    ],
)
async def test_unclear_chaos_is_a_bad_request_and_changes_nothing(
    fetch: Fetch, behaviour: dict[str, Any], advice: str
) -> None:
    problem = await fetch("/demo/chaos", 400, method="POST", json=behaviour)
    assert advice in problem["detail"]
    assert (await fetch("/demo/chaos"))["mode"] == "ok"


async def test_an_unforeseen_error_is_a_500_that_tells_nothing(
    origin: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr("demo.reports._page", broken)
    async with origin.get("/api/reports") as response:
        assert response.status == 500
        assert "secret" not in await response.text()
    assert "secret detail" in caplog.text


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("/**", "/", True),
        ("/**", "/api/reports/r1", True),
        ("/api/*", "/api/reports", True),
        ("/api/*", "/api/reports/r1", False),
        ("/api/**/likes", "/api/reports/r1/likes", True),
        ("/a.c", "/abc", False),
        ("/uploads/*.jpg", "/uploads/r1-1.jpg", True),
    ],
)
def test_a_star_stays_within_a_segment_and_two_go_across(glob: str, path: str, matches: bool) -> None:
    assert (path_pattern(glob).fullmatch(path) is not None) is matches


@given(st.text(max_size=40))
def test_a_glob_without_stars_matches_itself_only(text: str) -> None:
    literal = "/" + text.replace("*", "")
    pattern = path_pattern(literal)
    assert pattern.fullmatch(literal)
    assert not pattern.fullmatch(literal + "x")


def test_a_glob_of_too_many_wildcards_is_refused_before_it_costs_anything() -> None:
    with pytest.raises(Problem, match="wildcards"):
        path_pattern("/" + "*a" * 20)
