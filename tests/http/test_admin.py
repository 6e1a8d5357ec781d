"""The admin listener of a running edge: purge, explain, health, metrics, and nothing for strangers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import aiohttp
import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, etagged, reply

FRESH = {"Cache-Control": "max-age=60"}


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"one", headers=FRESH)
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin) as edge:
        yield edge


async def purge(edge: EdgeUnderTest, expected: int = 200, **document: Any) -> Any:
    url = f"http://{edge.app.admin_address}/api/cache/purge"
    async with aiohttp.ClientSession() as session, session.post(url, json=document) as response:
        assert response.status == expected
        return await response.json(content_type=None)


async def explain(edge: EdgeUnderTest, url: str, *headers: str) -> Any:
    where = f"http://{edge.app.admin_address}/api/explain"
    parameters = [("url", url), *(("header", header) for header in headers)]
    async with aiohttp.ClientSession() as session, session.get(where, params=parameters) as response:
        return await response.json(content_type=None)


async def paths(edge: EdgeUnderTest) -> set[str]:
    return {entry.url.partition(edge.host)[2] for entry in edge.app.store.entries()}


class TestPurge:
    async def test_one_url_goes_whatever_its_host(self, edge: EdgeUnderTest) -> None:
        for target in ("/a", "/a?b", "/c"):
            await edge.get(target)
        assert (await purge(edge, url="/a"))["count"] == 1
        assert await paths(edge) == {"/a?b", "/c"}
        assert (await purge(edge, url=f"http://{edge.host}/c"))["count"] == 1
        assert (await purge(edge, url="http://other.example/a?b"))["count"] == 0

    async def test_a_url_is_found_without_the_parameters_its_key_leaves_out(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a?utm_source=x&b=1")
        assert (await purge(edge, url="/a?b=1&gclid=2"))["count"] == 1

    async def test_a_url_is_found_under_the_variance_its_response_states(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        origin.on("/s", reply(headers={**FRESH, "No-Vary-Search": 'params=("x")'}))
        await edge.get("/s?x=1&a=1")
        assert (await purge(edge, url=f"http://{edge.host}/s?x=2&a=1"))["count"] == 1

    async def test_a_prefix_a_glob_a_route_and_everything(self, edge: EdgeUnderTest) -> None:
        for target in ("/x/1", "/x/2", "/y/1.png", "/y/2.png", "/z"):
            await edge.get(target)
        assert (await purge(edge, prefix="/x/"))["count"] == 2
        assert (await purge(edge, glob="/y/*.png"))["count"] == 2
        assert (await purge(edge, route="no such route"))["count"] == 0
        assert (await purge(edge, route="all"))["count"] == 1
        assert (await purge(edge, everything=True))["count"] == 0

    async def test_a_prefix_or_glob_is_escaped_as_urls_are(self, edge: EdgeUnderTest) -> None:
        """RFC 3986 section 6.2.2."""
        for target in ("/caf%c3%a9/1", "/caf%C3%A9/2", "/~x/1"):
            await edge.get(target)
        assert (await purge(edge, prefix="/café/", dry_run=True))["count"] == 2
        assert (await purge(edge, glob="/café/*"))["count"] == 2
        assert (await purge(edge, prefix="/%7Ex"))["count"] == 1

    async def test_a_tag_by_either_of_its_fields(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        origin.on("/a", reply(headers={**FRESH, "Surrogate-Key": "red blue"}))
        origin.on("/b", reply(headers={**FRESH, "Cache-Tag": "red, green"}))
        for target in ("/a", "/b"):
            await edge.get(target)
        assert (await purge(edge, tag="green"))["count"] == 1
        assert (await purge(edge, tag="red"))["count"] == 1

    async def test_a_dry_run_counts_and_leaves_everything(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a")
        assert (await purge(edge, everything=True, dry_run=True))["count"] == 1
        assert await paths(edge) == {"/a"}

    async def test_a_soft_purge_leaves_a_stale_response_that_validates(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        origin.on("/a", etagged('"v1"', b"one", FRESH))
        await edge.get("/a")
        assert (await purge(edge, url="/a", soft=True))["count"] == 1
        assert "fwd=stale; fwd-status=304" in (await edge.get("/a")).cache_status

    @pytest.mark.parametrize(
        "document",
        [
            {},
            {"url": ""},
            {"url": 1},
            {"url": "/a", "tag": "b"},
            {"uri": "/a"},
            {"url": "/a", "soft": "yes"},
            {"url": "a"},
        ],
    )
    async def test_a_purge_that_is_not_clear_is_refused_and_says_what_would_be(
        self, edge: EdgeUnderTest, document: dict[str, Any]
    ) -> None:
        assert "detail" in await purge(edge, 400, **document)


class TestExplain:
    async def test_what_it_foretells_is_what_happens(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        origin.on("/a", etagged('"v1"', b"one", FRESH))
        assert "asks the origin" in " ".join((await explain(edge, "/a"))["lines"])
        await edge.get("/a")
        told = await explain(edge, "/a")
        assert told["fresh"]
        assert "the origin is not asked" in told["lines"][-1]
        assert told["next"] == "hit"
        assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")
        edge.clock.advance(61)
        assert "whether it has changed" in (await explain(edge, "/a"))["lines"][-1]
        assert "fwd-status=304" in (await edge.get("/a")).cache_status

    async def test_the_variant_is_chosen_by_the_headers_that_are_asked_about(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        origin.on("/a", reply(headers={**FRESH, "Vary": "Accept-Language"}))
        await edge.get("/a", {"Accept-Language": "de"})
        assert (await explain(edge, "/a", "Accept-Language: de"))["stored"]
        told = await explain(edge, "/a", "Accept-Language: en")
        assert not told["stored"]
        assert "Vary" in " ".join(told["lines"])

    async def test_it_says_why_nothing_is_stored(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        origin.on("/no", reply(headers={"Cache-Control": "no-store"}))
        origin.on("/part", reply(206, b"01", {**FRESH, "ETag": '"v"', "Content-Range": "bytes 0-1/9"}))
        await edge.get("/no")
        await edge.get("/part", {"Range": "bytes=0-1"})
        assert "response-no-store" in " ".join((await explain(edge, "/no"))["lines"])
        assert "bytes 0-1 are stored" in " ".join((await explain(edge, "/part"))["lines"])
        assert "dot segments" in " ".join((await explain(edge, "/a/../b"))["lines"])
        assert "carries credentials" in " ".join((await explain(edge, "/new", "Cookie: a=b"))["lines"])

    async def test_it_says_when_a_stored_one_may_not_stand_in(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        origin.on("/a", reply(headers={"Cache-Control": "max-age=1, must-revalidate"}))
        await edge.get("/a")
        edge.clock.advance(5)
        assert "may not stand in" in (await explain(edge, "/a"))["lines"][-1]

    async def test_rubbish_is_refused_with_what_would_be_right(self, edge: EdgeUnderTest) -> None:
        assert "begins with /" in (await explain(edge, "nonsense"))["detail"]
        assert "Accept-Language" in (await explain(edge, "/a", "no colon"))["detail"]


async def test_health_readiness_metrics_and_performance_answer(edge: EdgeUnderTest) -> None:
    await edge.get("/a")
    await edge.get("/a")
    base = f"http://{edge.app.admin_address}"
    async with aiohttp.ClientSession() as session:
        for path, expected in {
            "/healthz": "ok",
            "/readyz": "ready",
            "/metrics": 'status="200",strategy="cache-first",verdict="hit"} 1.0',
            "/api/performance": "averageResponseTime",
        }.items():
            async with session.get(base + path) as response:
                assert response.status == 200
                assert expected in await response.text()


async def test_another_sites_page_can_neither_purge_nor_reach_the_listener_by_name(edge: EdgeUnderTest) -> None:
    base = f"http://{edge.app.admin_address}"
    async with aiohttp.ClientSession() as session:
        foreign = {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"}
        async with session.post(f"{base}/api/cache/purge", json={"everything": True}, headers=foreign) as response:
            assert response.status == 403
        async with session.get(base, headers={"Host": "evil.example"}) as response:
            assert response.status in (403, 421)


async def test_a_token_is_asked_for_when_one_is_set(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, admin={"listen": "127.0.0.1:0", "token": "s3cret-token"}) as edge:
        base = f"http://{edge.app.admin_address}"
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{base}/metrics") as response:
                assert response.status == 401
            async with session.get(f"{base}/metrics", headers={"Authorization": "Bearer s3cret-token"}) as response:
                assert response.status == 200


async def test_secrets_in_query_strings_are_hidden_from_the_pages(edge: EdgeUnderTest) -> None:
    await edge.get("/a?access_token=hunter2&page=3")
    base = f"http://{edge.app.admin_address}"
    async with aiohttp.ClientSession() as session:
        for page in ("/", "/cache"):
            async with session.get(base + page) as response:
                text = await response.text()
                assert "page=3" in text
                assert "hunter2" not in text


class TestRefusals:
    @pytest.mark.parametrize(
        "path",
        [
            "/api/cache/purge",
            "/api/realtime/publish",
            "/api/realtime/revoke",
            "/api/tuning/preset",
            "/api/alerts/response-time",
        ],
    )
    async def test_a_body_that_is_too_large_is_refused_with_a_problem_document_everywhere(
        self, edge: EdgeUnderTest, path: str
    ) -> None:
        problem = await refusal(edge, "POST", path, data=BytesIO(b" " * (2**20 + 1)))
        assert (problem["status"], problem["title"]) == (413, "body-too-large")
        assert "1,048,576 bytes" in problem["detail"]

    @pytest.mark.parametrize(
        ("method", "path", "status", "reason"),
        [("GET", "/api/nothing", 404, "not-found"), ("DELETE", "/api/realtime/publish", 405, "method-not-allowed")],
    )
    async def test_an_address_or_method_that_is_none_is_refused_with_a_problem_document(
        self, edge: EdgeUnderTest, method: str, path: str, status: int, reason: str
    ) -> None:
        problem = await refusal(edge, method, path)
        assert (problem["status"], problem["title"]) == (status, reason)
        assert problem["detail"].endswith(".")

    async def test_a_page_of_another_site_is_refused_with_a_problem_document(self, edge: EdgeUnderTest) -> None:
        headers = {"Sec-Fetch-Site": "cross-site"}
        problem = await refusal(edge, "POST", "/api/cache/purge", headers=headers, json={"everything": True})
        assert (problem["status"], problem["title"]) == (403, "forbidden")
        assert problem["detail"] == "Changes are accepted from this dashboard's own pages only."


async def refusal(edge: EdgeUnderTest, method: str, path: str, **options: Any) -> Any:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, **options) as response:
        assert response.content_type == "application/problem+json", await response.text()
        document = await response.json(content_type=None)
        assert document["status"] == response.status
        return document
