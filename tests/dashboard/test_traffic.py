"""Traffic, routes, explanations and history of a real edge, as pages without script and as JSON."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl, quote

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.outcome import Outcome
from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin, reply
from webui.routes_shown import SORTS, RoutesQuery
from webui.traffic_shown import LIMITS, ONLY, STATUSES, VERDICTS, TrafficQuery

ROUTES = [
    {"name": "api", "match": "/api/**", "strategy": "network-first", "expiration": {"max_age": "1h"}},
    {"name": "private", "match": "/private/**", "strategy": "network-only"},
    {"name": "all", "match": "/**", "strategy": "cache-first", "expiration": {"max_entries": 50, "max_age": "7d"}},
]


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin, routes=ROUTES) as edge:
        yield edge


async def ask(edge: EdgeUnderTest, path: str, expected: int = 200) -> str:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        text = await answer.text()
        assert answer.status == expected, text
        return text


async def ask_json(edge: EdgeUnderTest, path: str, expected: int = 200) -> Any:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert answer.status == expected, await answer.text()
        return await answer.json(content_type=None)


class TestTraffic:
    async def test_every_exchange_stands_there_with_its_reason_in_plain_words(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a")
        await edge.get("/a")
        await edge.get("/private/b")
        page = await ask(edge, "/traffic")
        for words in (
            "Nothing was stored for this URL yet.",
            "It was stored and still fresh, so the origin was not asked.",
            "This route goes to the origin and stores nothing (network-only).",
        ):
            assert words in page
        exchanges = (await ask_json(edge, "/api/traffic"))["exchanges"]
        assert [each["target"] for each in exchanges] == ["/private/b", "/a", "/a"]
        assert [each["verdict"] for each in exchanges] == ["bypass", "hit", "miss"]

    async def test_an_origin_that_is_away_reads_as_such(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        await edge.get("/api/a")
        await origin.stop()
        edge.clock.advance(61)
        await edge.get("/api/a")
        await edge.get("/api/never-seen")
        stale, error = (await ask_json(edge, "/api/traffic?limit=50"))["exchanges"][1::-1]
        assert stale["verdict"] == "stale"
        assert stale["why"].endswith("What was stored stood in for it.")
        assert error["verdict"] == "error"
        assert error["why"].endswith("Nothing stored could stand in for it.")
        only = await ask_json(edge, "/api/traffic?only=errors")
        assert [each["target"] for each in only["exchanges"]] == ["/api/never-seen"]

    @pytest.mark.parametrize(
        ("filters", "expected"),
        [
            ("verdict=hit", ["/a"]),
            ("route=private", ["/private/b"]),
            ("q=PRIVATE", ["/private/b"]),
            ("only=misses", ["/private/b", "/a"]),
            ("status=4xx", []),
            ("method=get&status=2xx", ["/private/b", "/a", "/a"]),
            ("slower=600000", []),
        ],
    )
    async def test_filters_stand_in_the_address(self, edge: EdgeUnderTest, filters: str, expected: list[str]) -> None:
        for path in ("/a", "/a", "/private/b"):
            await edge.get(path)
        exchanges = (await ask_json(edge, f"/api/traffic?{filters}"))["exchanges"]
        assert [each["target"] for each in exchanges] == expected
        page = await ask(edge, f"/traffic?{filters}")
        assert ("None of the last 3 exchanges matches" in page) == (not expected)

    async def test_one_exchange_opens_in_detail_and_is_forgotten_in_time(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a")
        number = (await ask_json(edge, "/api/traffic"))["exchanges"][0]["number"]
        page = await ask(edge, f"/traffic?show={number}")
        assert "Explain what this URL would get now" in page
        assert "uri-miss" in page
        assert "That exchange is forgotten" in await ask(edge, f"/traffic?show={number + 5}")

    async def test_an_exchange_is_found_by_its_request_id(self, edge: EdgeUnderTest) -> None:
        for number in (1, 2):
            await edge.get("/a", {"X-Request-Id": f"from-elsewhere-{number}"})
        (exchange,) = (await ask_json(edge, "/api/traffic?q=elsewhere-2"))["exchanges"]
        assert exchange["request_id"] == "from-elsewhere-2"
        assert "from-elsewhere-2" in await ask(edge, f"/traffic?show={exchange['number']}")

    async def test_secrets_are_neither_shown_nor_found(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a?access_token=swordfish&page=1")
        for path in ("/traffic", "/traffic?show=1", "/traffic/explain?of=1", "/api/traffic", "/"):
            assert "swordfish" not in await ask(edge, path), path
        assert (await ask_json(edge, "/api/traffic?q=swordf"))["found"] == 0

    async def test_markup_in_a_url_is_shown_as_text(self, edge: EdgeUnderTest) -> None:
        client = await edge.connect()
        await client.send(b"GET /<script>alert(1)</script>\"' HTTP/1.1\r\nHost: " + edge.host.encode() + b"\r\n\r\n")
        await client.receive()
        await client.close()
        hostile = quote("/<script>alert(1)</script>\"'")
        for path in ("/traffic", "/traffic?show=1", "/", f"/traffic/explain?url={hostile}", f"/traffic?q={hostile}"):
            page = await ask(edge, path)
            assert "<script>alert" not in page, path
            assert "&lt;script&gt;" in page, path

    @pytest.mark.parametrize(
        ("filters", "said"),
        [
            ("verdict=maybe", "verdict must be one of hit"),
            ("status=200", "status must be one of 1xx"),
            ("slower=-1", "slower must be a whole number"),
            ("only=some", "only must be one of errors, misses"),
            ("limit=1000000", "limit must be one of 50, 100"),
            (f"q={'x' * 501}", "q must not be longer than 500"),
        ],
    )
    async def test_a_wrong_filter_says_what_would_be_right(self, edge: EdgeUnderTest, filters: str, said: str) -> None:
        assert said in await ask(edge, f"/traffic?{filters}", 400)
        problem = await ask_json(edge, f"/api/traffic?{filters}", 400)
        assert (problem["title"], problem["status"]) == ("bad-filter", 400)
        assert said in problem["detail"]

    async def test_a_full_page_is_quick_and_light(self, edge: EdgeUnderTest) -> None:
        ledger = edge.app.ledger
        outcome = Outcome(
            "GET", "/api/" + "long/" * 40, "192.0.2.1", 0.0, "api", "network-first", "miss", "set-cookie", 200
        )
        for number in range(1200):
            ledger.record(replace(outcome, target=f"{outcome.target}{number}", origin_duration=0.1))
        for path in ("/traffic?limit=100", "/traffic", "/", "/routes"):
            took = []
            for _ in range(4):  # the first compiles the template
                began = time.process_time()
                page = await ask(edge, path)
                took.append(time.process_time() - began)
            assert min(took) < 0.2, path
            assert len(page.encode()) < 200_000, path


class TestExplain:
    async def test_a_url_is_explained_in_sentences(self, edge: EdgeUnderTest) -> None:
        page = await ask(edge, "/traffic/explain?url=/a")
        assert "is taken by route" in page
        assert "the origin is asked" in page
        await edge.get("/a")
        assert "from the store" in await ask(edge, "/traffic/explain?url=/a")

    async def test_headers_count(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a")
        page = await ask(edge, f"/traffic/explain?url=/a&headers={quote('Cache-Control: no-cache')}")
        assert "asks the origin" in page

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("url=ftp://x/", "is not a URL; write http://host/path"),
            (f"url=/a&headers={quote('nonsense')}", "is not a header; write it as in Accept-Language: de"),
            (f"url=/{'x' * 4001}", "longer than 4,000 characters"),
            ("of=99", "That exchange is forgotten already"),
        ],
    )
    async def test_a_wrong_question_says_what_would_be_right(self, edge: EdgeUnderTest, query: str, said: str) -> None:
        assert said in await ask(edge, f"/traffic/explain?{query}")

    async def test_asking_changes_nothing(self, edge: EdgeUnderTest, origin: ScriptedOrigin) -> None:
        await ask(edge, "/traffic/explain?url=/a")
        assert origin.requests == []


class TestRoutes:
    async def test_each_route_shows_its_rule_and_what_became_of_its_requests(self, edge: EdgeUnderTest) -> None:
        for path in ("/a", "/a", "/a", "/private/b"):
            await edge.get(path)
        rows = {row["name"]: row for row in (await ask_json(edge, "/api/routes"))["routes"]}
        assert list(rows) == ["api", "private", "all"]
        assert rows["all"]["verdicts"] == {"miss": 1, "hit": 2}
        assert rows["all"]["hit_ratio"] == pytest.approx(2 / 3)
        assert rows["all"]["byte_hit_ratio"] == pytest.approx(2 / 3)
        assert (rows["all"]["stored"], rows["all"]["stored_bytes"]) == (1, 3)
        assert rows["private"]["hit_ratio"] == 0
        assert rows["api"]["requests"] == 0
        page = await ask(edge, "/routes")
        assert "uses nothing older than 7d; keeps at most 50 responses" in page
        assert "hit 66.7 %" in page
        assert "none yet" in page

    async def test_routes_are_sorted_by_the_address(self, edge: EdgeUnderTest) -> None:
        for path in ("/private/b", "/private/b", "/a"):
            await edge.get(path)
        names = [row["name"] for row in (await ask_json(edge, "/api/routes?sort=requests"))["routes"]]
        assert names == ["private", "all", "api"]
        assert 'aria-sort="descending"' in await ask(edge, "/routes?sort=requests")
        assert "sort must be one of order" in await ask(edge, "/routes?sort=colour", 400)

    async def test_what_the_edge_answers_itself_comes_last(self, edge: EdgeUnderTest) -> None:
        await edge.get("/api/performance")
        rows = (await ask_json(edge, "/api/routes"))["routes"]
        assert rows[-1]["name"] == "(edge)"
        assert rows[-1]["rule"] == "answered by the edge itself"


class TestHistory:
    async def test_it_comes_in_columns_of_one_length(self, edge: EdgeUnderTest) -> None:
        await edge.get("/a")
        history = await ask_json(edge, "/api/history?seconds=300&step=10")
        assert history["step"] == 10
        lengths = {len(column) for column in history["series"].values()}
        assert lengths == {30}
        assert {"time", "requests", "hit_ratio", "p95", "messages", "sessions", "stored"} <= history["series"].keys()

    @pytest.mark.parametrize("query", ["seconds=0", "seconds=901", "seconds=x", "step=7", "step=-5", "step=1e1"])
    async def test_a_wrong_question_is_a_problem_document(self, edge: EdgeUnderTest, query: str) -> None:
        problem = await ask_json(edge, f"/api/history?{query}", 400)
        assert problem["status"] == 400


queries = st.builds(
    TrafficQuery,
    text=st.text(max_size=40).map(str.strip),
    verdict=st.sampled_from(["", *VERDICTS]),
    route=st.text(max_size=20).map(str.strip),
    status=st.sampled_from(["", *STATUSES]),
    method=st.sampled_from(["", "GET", "POST"]),
    slower=st.integers(0, 600_000),
    only=st.sampled_from(["", *ONLY]),
    limit=st.sampled_from(LIMITS),
    show=st.integers(0, 2**53),
)


@given(queries)
def test_a_query_survives_its_address(query: TrafficQuery) -> None:
    assert TrafficQuery.parse(dict(parse_qsl(query.url_query))) == query


@given(st.dictionaries(st.sampled_from(["q", "verdict", "status", "slower", "show", "limit", "only"]), st.text()))
def test_any_address_is_a_query_or_says_what_is_wrong(parameters: dict[str, str]) -> None:
    try:
        query = TrafficQuery.parse(parameters)
    except ValueError as wrong:
        said = str(wrong)
    else:
        said = "must" if query.path.startswith("/traffic") else ""
    assert "must" in said


@given(st.sampled_from(sorted(SORTS)), st.booleans())
def test_an_order_survives_its_address(sort: str, descending: bool) -> None:
    query = RoutesQuery(sort, descending)
    assert RoutesQuery.parse(dict(parse_qsl(query.path.partition("?")[2]))) == query
