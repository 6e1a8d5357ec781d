"""The reports: filters, paging, details, search, and what may be cached of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from demo.vocabulary import CATEGORIES

Client = TestClient[Any, Any]
Fetch = Callable[..., Awaitable[Any]]


async def test_the_list_begins_with_the_youngest_report(fetch: Fetch) -> None:
    page = await fetch("/api/reports")
    assert [report["id"] for report in page["reports"]] == [f"r{number}" for number in range(200, 188, -1)]
    assert (page["total"], page["pages"], page["page"], page["per_page"]) == (200, 17, 1, 12)


async def test_the_pages_together_hold_every_report_once(fetch: Fetch) -> None:
    pages = [await fetch(f"/api/reports?per_page=70&page={number}") for number in (1, 2, 3)]
    ids = [report["id"] for page in pages for report in page["reports"]]
    assert len(ids) == len(set(ids)) == 200


async def test_a_page_beyond_the_last_is_empty(fetch: Fetch) -> None:
    assert (await fetch("/api/reports?page=900"))["reports"] == []


async def test_filters_narrow_the_list_and_its_total(fetch: Fetch) -> None:
    page = await fetch("/api/reports?category=pothole&status=open&per_page=100")
    assert 0 < page["total"] == len(page["reports"]) < 200
    assert {(report["category"], report["status"]) for report in page["reports"]} == {("pothole", "open")}


async def test_every_report_has_exactly_one_of_the_categories(fetch: Fetch) -> None:
    totals = [(await fetch(f"/api/reports?category={category}"))["total"] for category in CATEGORIES]
    assert min(totals) > 0
    assert sum(totals) == 200


async def test_reports_of_a_user_are_by_that_user(fetch: Fetch) -> None:
    page = await fetch("/api/reports?user=u17&per_page=100")
    assert {report["author"]["id"] for report in page["reports"]} == {"u17"}


@pytest.mark.parametrize(
    ("query", "advice"),
    [
        ("category=potholes", "use one of: pothole"),
        ("status=closed", "use one of: open, in-progress, resolved"),
        ("user=seven", "such as u7"),
        ("page=0", "from 1"),
        ("page=-1", "from 1"),
        ("page=1e3", "from 1"),
        ("page=٣", "from 1"),
        ("per_page=101", "from 1 to 100"),
        ("page=1&page=2", "give it once"),
    ],
)
async def test_a_bad_parameter_is_a_problem_that_says_what_would_be_right(
    origin: Client, query: str, advice: str
) -> None:
    async with origin.get(f"/api/reports?{query}") as response:
        assert response.status == 400
        assert response.content_type == "application/problem+json"
        assert advice in (await response.json(content_type=None))["detail"]


async def test_the_counts_on_a_card_are_those_of_its_details(fetch: Fetch) -> None:
    for card in (await fetch("/api/reports?per_page=20"))["reports"]:
        report = await fetch(f"/api/reports/{card['id']}")
        assert card["comment_count"] == len(report["comments"])
        assert card["like_count"] == len(report["liked_by"])
        assert card == {key: report[key] for key in card}


@pytest.mark.parametrize("report", ["r0", "r201", "r01", "200", "r1'--", "r99999999999999999999"])
async def test_a_report_that_does_not_exist_is_a_404(origin: Client, report: str) -> None:
    async with origin.get(f"/api/reports/{report}") as response:
        assert response.status == 404
        assert response.content_type == "application/problem+json"


async def test_public_answers_may_be_shared_and_reused_when_the_origin_fails(origin: Client) -> None:
    for path in ("/api/reports", "/api/reports/r7"):
        async with origin.get(path) as response:
            control = response.headers["Cache-Control"]
            assert "public" in control
            assert "stale-if-error" in control
            assert not {"no-store", "no-cache", "private", "must-revalidate", "s-maxage"} & set(control.split(", "))
            assert response.headers["Vary"] == "Accept-Encoding"


async def test_the_list_is_the_same_for_everyone(origin: Client) -> None:
    async with origin.get("/api/reports") as response:
        guest = await response.read()
    async with origin.post("/api/auth/login", json={"user": "u7"}) as response:
        assert response.status == 200
    async with origin.get("/api/reports") as response:
        assert await response.read() == guest


async def test_an_unchanged_list_costs_one_query(origin: Client, fetch: Fetch) -> None:
    async with origin.get("/api/reports") as response:
        tag = response.headers["ETag"]
    full = (await fetch("/demo/stats"))["sql_queries"]
    await fetch("/demo/stats/reset", method="POST")
    async with origin.get("/api/reports", headers={"If-None-Match": f'"other", {tag}'}) as response:
        assert response.status == 304
        assert response.headers["ETag"] == tag
        assert await response.read() == b""
    assert (await fetch("/demo/stats"))["sql_queries"] == 1 < full


async def test_a_comment_changes_the_tag_of_its_report_and_of_the_list_only(origin: Client) -> None:
    paths = ("/api/reports", "/api/reports/r5", "/api/reports/r6")

    async def tags() -> list[str]:
        found = []
        for path in paths:
            async with origin.get(path) as response:
                found.append(response.headers["ETag"])
        return found

    before = await tags()
    async with origin.post("/api/reports/r5/comments", json={"text": "Gone now.", "author_id": "u2"}) as response:
        assert response.status == 201
    changed = [one != other for one, other in zip(before, await tags(), strict=True)]
    assert changed == [True, True, False]


async def test_search_finds_words_in_titles_texts_and_places(fetch: Fetch) -> None:
    for words in ("Lime Street", "pothole", "HARBOUR"):
        found = await fetch("/api/search", params={"q": words})
        assert found["reports"]
        for report in found["reports"]:
            assert words.lower() in f"{report['title']} {report['text']} {report['place']}".lower()


async def test_search_takes_wildcards_literally(fetch: Fetch) -> None:
    assert (await fetch("/api/search", params={"q": "%%"}))["reports"] == []
    assert (await fetch("/api/search", params={"q": "__"}))["reports"] == []


async def test_a_search_for_one_letter_is_a_bad_request(fetch: Fetch) -> None:
    assert "2 to 100 characters" in (await fetch("/api/search?q=x", 400))["detail"]


async def test_the_search_says_nothing_about_caching(origin: Client) -> None:
    async with origin.get("/api/search?q=lamp") as response:
        fields = ("Cache-Control", "ETag", "Last-Modified", "Expires")
        assert [name for name in fields if name in response.headers] == []
