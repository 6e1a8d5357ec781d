"""What a 304 or a HEAD changes, everything that follows from the stored fields changes with them."""

from __future__ import annotations

import pytest

from tests.edge import CACHE_FIRST, EdgeUnderTest, edge_before
from tests.origin import Headers, ScriptedOrigin, reply

TAG = ("ETag", '"x"')
SHORT = ("Cache-Control", "max-age=1")
LONG = ("Cache-Control", "max-age=600")


async def updated(
    edge: EdgeUnderTest, origin: ScriptedOrigin, first: Headers, news: Headers, *, by: str = "304", **fields: str
) -> None:
    """Store a response with `first`, let it become stale, and have `news` come with a 304 or with a HEAD's 200."""
    asked = {name.replace("_", "-"): value for name, value in fields.items()}
    origin.on(
        "/a",
        reply(body=b"body", headers=first),
        reply(304, headers=news) if by == "304" else reply(body=b"body", headers=news),
    )
    await edge.get("/a", asked)
    edge.clock.advance(2)
    if by == "304":
        await edge.get("/a", asked)
    else:
        await edge.ask("HEAD", "/a", asked)
    origin.on("/a", reply(body=b"new body", headers=[LONG]))


@pytest.mark.parametrize("by", ["304", "HEAD"])
@pytest.mark.parametrize(
    ("before", "after"), [([], "Accept-Language"), ([("Vary", "X-A")], "Accept-Language"), ([], "Accept-Language, Foo")]
)
async def test_a_vary_that_comes_with_an_update_selects_from_then_on(
    origin: ScriptedOrigin, before: list[tuple[str, str]], after: str, by: str
) -> None:
    """RFC 9111 section 3.2, RFC 9111 section 4.1."""
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        await updated(
            edge, origin, [SHORT, TAG, *before], [LONG, TAG, ("Vary", after)], by=by, **{"Accept-Language": "en"}
        )
        same = await edge.get("/a", {"Accept-Language": "en"})
        assert (same.body, same.cache_status.split("; ")[1]) == (b"body", "hit")
        assert (await edge.get("/a", {"Accept-Language": "de"})).body == b"new body"


@pytest.mark.parametrize("by", ["304", "HEAD"])
@pytest.mark.parametrize("permission", ["public, max-age=1", "s-maxage=1", "max-age=1, must-revalidate"])
async def test_an_update_that_takes_the_permission_away_ends_sharing_what_was_asked_for_with_credentials(
    origin: ScriptedOrigin, permission: str, by: str
) -> None:
    """RFC 9111 section 3.5."""
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        await updated(
            edge, origin, [("Cache-Control", permission), TAG], [LONG, TAG], by=by, Authorization="Bearer secret"
        )
        assert (await edge.get("/a")).body == b"new body"


async def test_what_nobody_asked_for_with_credentials_stays_shared_after_an_update(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.5."""
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        await updated(edge, origin, [("Cache-Control", "public, max-age=1"), TAG], [LONG, TAG])
        assert (await edge.get("/a")).body == b"body"


@pytest.mark.parametrize("by", ["304", "HEAD"])
@pytest.mark.parametrize("name", ["Surrogate-Key", "Cache-Tag"])
async def test_a_purge_goes_by_the_tags_of_the_latest_update(origin: ScriptedOrigin, name: str, by: str) -> None:
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        await updated(edge, origin, [SHORT, TAG, (name, "old")], [LONG, TAG, (name, "new")], by=by)
        assert await edge.app.purger.purge(lambda entry: "old" in entry.tags) == 0
        assert await edge.app.purger.purge(lambda entry: "new" in entry.tags) == 1


async def test_groups_that_come_with_an_update_are_the_ones_that_count(origin: ScriptedOrigin) -> None:
    """RFC 9875 section 2."""
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        await updated(edge, origin, [SHORT, TAG, ("Cache-Groups", '"one"')], [LONG, TAG, ("Cache-Groups", '"two"')])
        origin.on("/w", reply(headers=[("Cache-Group-Invalidation", '"one"')]))
        await edge.ask("POST", "/w", body=b"1")
        assert (await edge.get("/a")).body == b"body"
        origin.on("/w", reply(headers=[("Cache-Group-Invalidation", '"two"')]))
        await edge.ask("POST", "/w", body=b"1")
        assert (await edge.get("/a")).body == b"new body"


async def test_a_content_type_that_comes_with_a_304_replaces_the_stored_one(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.2."""
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        kinds = [[("Content-Type", kind)] for kind in ("text/plain", "text/html")]
        await updated(edge, origin, [SHORT, TAG, *kinds[0]], [LONG, TAG, *kinds[1]])
        assert (await edge.get("/a"))["Content-Type"] == "text/html"


async def test_a_cookie_that_comes_with_a_304_reaches_the_one_who_asked_and_nobody_else(
    origin: ScriptedOrigin,
) -> None:
    """RFC 9111 section 7.3."""
    origin.on("/a", reply(body=b"body", headers=[SHORT, TAG]), reply(304, headers=[LONG, TAG, ("Set-Cookie", "s=1")]))
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        await edge.get("/a")
        edge.clock.advance(2)
        assert (await edge.get("/a"))["Set-Cookie"] == "s=1"
        assert "Set-Cookie" not in await edge.get("/a")


@pytest.mark.parametrize("by", ["304", "HEAD"])
@pytest.mark.parametrize("credentials", ["partition", "bypass", "ignore"])
@pytest.mark.parametrize("control", [[], [("Cache-Control", "public, max-age=600")]], ids=["silent", "public"])
async def test_a_cookie_that_an_update_sets_for_one_user_reaches_no_other(
    origin: ScriptedOrigin, credentials: str, control: list[tuple[str, str]], by: str
) -> None:
    """RFC 9111 section 7.3."""
    routes = [{**CACHE_FIRST[0], "credentials": credentials}]
    origin.on("/a", reply(body=b"body", headers=[("Cache-Control", "public, max-age=2"), TAG]))
    async with edge_before(origin, routes=routes) as edge:
        await edge.get("/a")
        edge.clock.advance(3)
        news = [TAG, *control, ("Set-Cookie", "sid=of-anna")]
        origin.on("/a", reply(304, headers=news) if by == "304" else reply(body=b"body", headers=news))
        anna = await edge.ask("GET" if by == "304" else "HEAD", "/a", {"Cookie": "user=anna"})
        assert anna["Set-Cookie"] == "sid=of-anna"
        origin.on("/a", reply(304, headers=[TAG]))
        for asked in ({"Cookie": "user=bert"}, {}):
            assert "Set-Cookie" not in await edge.get("/a", asked)


async def test_fields_listed_for_the_asker_reach_them_with_a_304_too(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 5.2.2.4."""
    lists = ("Cache-Control", 'max-age=2, no-cache="X-User"')
    origin.on("/a", *(reply(status, headers=[lists, TAG, ("X-User", str(status))]) for status in (200, 304)))
    async with edge_before(origin, routes=CACHE_FIRST) as edge:
        assert (await edge.get("/a"))["X-User"] == "200"
        assert "X-User" not in await edge.get("/a")
        edge.clock.advance(3)
        assert (await edge.get("/a"))["X-User"] == "304"
        assert "X-User" not in await edge.get("/a")
