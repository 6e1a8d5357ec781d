"""Sessions, profiles and likes: what is private says so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

Client = TestClient[Any, Any]
Fetch = Callable[..., Awaitable[Any]]


async def test_a_login_makes_a_session_and_a_logout_ends_it(origin: Client, fetch: Fetch) -> None:
    assert (await fetch("/api/auth/session"))["user"] is None
    async with origin.post("/api/auth/login", json={"user": "u7"}) as response:
        cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("session=u7;")
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert (await fetch("/api/auth/session"))["user"]["id"] == "u7"
    await fetch("/api/auth/logout", method="POST")
    assert (await fetch("/api/auth/session"))["user"] is None


async def test_a_session_of_nobody_is_no_session(fetch: Fetch) -> None:
    for value in ("u51", "root", "u1x"):
        assert (await fetch("/api/auth/session", headers={"Cookie": f"session={value}"}))["user"] is None


async def test_a_login_as_nobody_is_refused(fetch: Fetch) -> None:
    assert "no user u51" in (await fetch("/api/auth/login", 400, method="POST", json={"user": "u51"}))["detail"]
    assert "such as u7" in (await fetch("/api/auth/login", 400, method="POST", json={"user": 7}))["detail"]


async def test_a_login_form_of_another_site_is_refused(fetch: Fetch) -> None:
    problem = await fetch("/api/auth/login", 415, method="POST", data='{"user": "u7"}')
    assert "application/json" in problem["detail"]


@pytest.mark.parametrize("body", ["", "{", "[1]", "null", "[" * 100_000, '{"user": "u7"'])
async def test_a_body_that_is_no_json_object_is_a_bad_request(fetch: Fetch, body: str) -> None:
    headers = {"Content-Type": "application/json"}
    await fetch("/api/auth/login", 400, method="POST", data=body, headers=headers)


async def test_what_belongs_to_one_user_is_private(origin: Client) -> None:
    paths = ("/api/auth/session", "/api/likes?user=u3", "/api/chat/conversations?user=u3", "/api/chat/messages/c3")
    for path in paths:
        async with origin.get(path) as response:
            assert response.status == 200
            assert "private" in response.headers["Cache-Control"]


async def test_many_profiles_cost_one_query(fetch: Fetch) -> None:
    answer = await fetch("/api/profiles?ids=u9,u2,u2,u50,u99")
    assert [profile["id"] for profile in answer["profiles"]] == ["u2", "u9", "u50"]
    assert answer["missing"] == ["u99"]
    assert (await fetch("/demo/stats"))["sql_queries"] == 1


async def test_without_ids_everybody_is_listed(fetch: Fetch) -> None:
    profiles = (await fetch("/api/profiles"))["profiles"]
    assert [profile["id"] for profile in profiles] == [f"u{number}" for number in range(1, 51)]
    assert len({profile["username"] for profile in profiles}) == 50


async def test_ids_that_are_none_are_a_bad_request(fetch: Fetch) -> None:
    assert "such as u7" in (await fetch("/api/profiles?ids=u1,,u2", 400))["detail"]
    too_many = ",".join(f"u{number}" for number in range(1, 102))
    assert "at most 100" in (await fetch(f"/api/profiles?ids={too_many}", 400))["detail"]


async def test_a_profile_can_be_kept_for_five_minutes_and_validated(origin: Client) -> None:
    async with origin.get("/api/profiles/u7") as response:
        assert response.headers["Cache-Control"] == "public, max-age=300"
        tag = response.headers["ETag"]
    async with origin.get("/api/profiles/u7", headers={"If-None-Match": tag}) as response:
        assert response.status == 304


async def test_an_unknown_profile_is_a_404(fetch: Fetch) -> None:
    await fetch("/api/profiles/u51", 404)


async def test_whose_likes_must_be_known(fetch: Fetch) -> None:
    assert "Log in" in (await fetch("/api/likes", 401))["detail"]


async def test_a_session_does_not_see_the_likes_of_others(origin: Client, fetch: Fetch) -> None:
    await fetch("/api/auth/login", method="POST", json={"user": "u7"})
    assert (await fetch("/api/likes"))["user"] == "u7"
    assert "cannot act for u8" in (await fetch("/api/likes?user=u8", 403))["detail"]
