"""What belongs to one user reaches nobody else, and unkeyed input never changes a stored response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, Wire, reply, when


def route(credentials: str, strategy: str = "cache-first") -> list[dict[str, Any]]:
    return [
        {
            "name": "all",
            "match": "/**",
            "strategy": strategy,
            "credentials": credentials,
            "expiration": {"max_age": "1h"},
        }
    ]


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=lambda asked: f"for {asked.header('Cookie')}".encode())
        yield origin


ANNA, BERT = {"Cookie": "session=anna"}, {"Cookie": "session=bert"}


async def test_bypass_neither_stores_nor_reuses_for_requests_with_credentials(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, routes=route("bypass")) as edge:
        assert (await edge.get("/a")).body == b"for None"
        assert (await edge.get("/a", ANNA)).body == b"for session=anna"
        assert (await edge.get("/a", BERT)).body == b"for session=bert"
        assert (await edge.get("/a")).body == b"for None"
        assert origin.count("/a") == 3


async def test_partition_keeps_a_copy_for_each_user(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, routes=route("partition")) as edge:
        for user in (ANNA, BERT, {}):
            await edge.get("/a", user)
        await origin.stop()
        assert (await edge.get("/a", ANNA)).body == b"for session=anna"
        assert (await edge.get("/a", BERT)).body == b"for session=bert"
        assert (await edge.get("/a")).body == b"for None"
        assert (await edge.get("/a", {"Cookie": "session=carl"})).status == 502


async def test_partition_stores_even_private_answers_for_their_user_alone(origin: ScriptedOrigin) -> None:
    origin.on(
        "/me", reply(body=lambda asked: str(asked.header("Cookie")).encode(), headers={"Cache-Control": "private"})
    )
    async with edge_before(origin, routes=route("partition")) as edge:
        await edge.get("/me", ANNA)
        await origin.stop()
        assert (await edge.get("/me", ANNA)).body == b"session=anna"
        assert (await edge.get("/me", BERT)).status == 502


async def test_what_the_origin_calls_public_is_shared_by_all_users(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 5.2.2.9."""
    origin.on("/a", reply(body=b"same for all", headers={"Cache-Control": "public, max-age=60"}))
    for credentials in ("bypass", "partition"):
        async with edge_before(origin, routes=route(credentials)) as edge:
            before = origin.count("/a")
            for user in (ANNA, BERT, {}):
                assert (await edge.get("/a", user)).body == b"same for all"
            assert origin.count("/a") == before + 1


async def test_users_who_ask_at_once_do_not_share_a_fetch(origin: ScriptedOrigin) -> None:
    gate = asyncio.Event()
    origin.on("/a", when(gate, reply(body=lambda asked: str(asked.header("Cookie")).encode())))
    for credentials in ("bypass", "partition"):
        gate.clear()
        async with edge_before(origin, routes=route(credentials)) as edge:
            before = origin.count("/a")
            anna, bert = (asyncio.ensure_future(edge.get("/a", user)) for user in (ANNA, BERT))
            await origin.until_asked("/a", before + 2)
            gate.set()
            assert (await anna).body == b"session=anna"
            assert (await bert).body == b"session=bert"


def everything_in(directory: Path) -> bytes:
    return b"".join(file.read_bytes() for file in directory.rglob("*") if file.is_file())


async def test_no_credential_can_be_read_from_the_keys_or_the_disk(origin: ScriptedOrigin, tmp_path: Path) -> None:
    secret = "very-secret-token-0815"
    async with edge_before(origin, routes=route("partition"), cache_dir=tmp_path) as edge:
        origin.on("/a", reply(body=b"mine"))
        await edge.get("/a", {"Authorization": f"Bearer {secret}"})
        assert all(secret not in entry.key for entry in edge.app.store.entries())
    assert secret.encode() not in everything_in(tmp_path)


async def test_an_answer_that_sets_a_cookie_is_not_stored_unless_it_is_public(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 7.3: a cookie alone need not keep a response out; this is stricter."""
    origin.on("/a", reply(headers={"Cache-Control": "max-age=60", "Set-Cookie": "a=b"}))
    origin.on("/b", reply(headers={"Cache-Control": "public, max-age=60", "Set-Cookie": "a=b"}))
    async with edge_before(origin, routes=route("ignore")) as edge:
        for target in ("/a", "/a", "/b", "/b"):
            await edge.get(target)
        assert (origin.count("/a"), origin.count("/b")) == (2, 1)


@pytest.mark.parametrize(
    "name",
    [
        "X-Forwarded-Host",
        "X-Forwarded-Scheme",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-HTTP-Method-Override",
        "Forwarded",
    ],
)
async def test_unkeyed_input_cannot_poison_a_stored_response(origin: ScriptedOrigin, name: str) -> None:
    """RFC 9111 section 7.1."""
    origin.on(
        "/a",
        reply(body=lambda asked: str(asked.all(name)).encode(), headers={"Cache-Control": "max-age=60"}),
    )
    async with edge_before(origin, routes=route("ignore")) as edge:
        answer = await edge.get("/a", {name: "evil.example"})
        assert b"evil" not in answer.body


async def test_a_get_with_a_body_is_passed_through_unstored(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 9.3.1."""
    origin.on("/a", reply(body=lambda asked: asked.body or b"no body", headers={"Cache-Control": "max-age=60"}))
    async with edge_before(origin) as edge:
        assert (await edge.ask("GET", "/a", body=b"evil")).body == b"evil"
        assert (await edge.get("/a")).body == b"no body"


async def test_tracking_parameters_are_forwarded_but_do_not_split_the_cache(origin: ScriptedOrigin) -> None:
    origin.on("/a", reply(body=b"one", headers={"Cache-Control": "max-age=60"}))
    async with edge_before(origin) as edge:
        await edge.get("/a?utm_source=mail&x=1")
        assert (await edge.get("/a?x=1&gclid=123")).cache_status.startswith("cachewire; hit")
        assert origin.requests[0].target == "/a?utm_source=mail&x=1"


async def test_a_response_that_varies_by_a_credential_gives_none_away(origin: ScriptedOrigin, tmp_path: Path) -> None:
    """RFC 9111 section 4.1."""
    headers = {"Cache-Control": "public, max-age=60", "Vary": "Cookie, Authorization"}
    origin.on("/a", reply(body=lambda asked: str(asked.header("Cookie")[-4:]).encode(), headers=headers))  # type: ignore[index]
    secret = {"Cookie": "sid=VARYSECRET5", "Authorization": "Bearer VARYSECRET6"}
    async with edge_before(origin, routes=route("partition"), cache_dir=tmp_path) as edge:
        await edge.get("/a", secret)
        assert (await edge.get("/a", secret)).cache_status.startswith("cachewire; hit")
        assert "uri-miss" not in (await edge.get("/a", {"Cookie": "sid=other"})).cache_status
    assert b"VARYSECRET" not in everything_in(tmp_path)


async def test_partition_hands_no_cookie_of_one_user_to_another_even_if_it_is_public(origin: ScriptedOrigin) -> None:
    async def greet(wire: Wire) -> None:
        cookie = f"for={wire.request.header('Cookie')}"
        await reply(headers={"Cache-Control": "public, max-age=60", "Set-Cookie": cookie})(wire)

    origin.on("/a", greet)
    async with edge_before(origin, routes=route("partition")) as edge:
        for user in (ANNA, BERT, {}):
            assert (await edge.get("/a", user))["Set-Cookie"] == f"for={user.get('Cookie')}"
        assert (await edge.get("/a", ANNA)).cache_status.startswith("cachewire; hit")
        assert (await edge.get("/a", BERT))["Set-Cookie"] == "for=session=bert"


async def test_a_user_for_whom_nothing_shared_will_do_is_a_miss_and_no_bypass(origin: ScriptedOrigin) -> None:
    """RFC 9211 section 2.2."""
    origin.on("/a", reply(headers={"Cache-Control": "max-age=60"}))
    async with edge_before(origin, routes=route("partition")) as edge:
        await edge.get("/a")
        assert "fwd=miss" in (await edge.get("/a", ANNA)).cache_status
