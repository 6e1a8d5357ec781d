"""The timeline page and its JSON: what is listed, filtered, paged and escaped; and the last events for other pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from pytest_aiohttp import AiohttpClient

from proxy.dashboard.timeline import TimelineSource
from proxy.operations.timeline import MOST, Timeline
from proxy.purging import note_purge
from tests.dashboard.shelf import NOW
from webui.auth import security
from webui.frame import Frame
from webui.pages import timeline as timeline_page
from webui.timeline_shown import KINDS, TimelineQuery

if TYPE_CHECKING:
    from aiohttp.test_utils import TestClient

    Client = TestClient[web.Request, web.Application]


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(lambda: NOW)


@pytest.fixture
async def client(timeline: Timeline, aiohttp_client: AiohttpClient) -> Client:
    app = web.Application(middlewares=security(None))
    frame = Frame(app)
    timeline_page.setup(frame, TimelineSource(timeline, lambda: NOW + 65))

    async def elsewhere(request: web.Request) -> web.Response:
        return frame.render(request, "timeline_short.html", page="overview")

    app.router.add_get("/elsewhere", elsewhere)
    return await aiohttp_client(app)


async def text(client: Client, path: str = "/timeline", status: int = 200) -> str:
    answer = await client.get(path)
    assert answer.status == status
    return await answer.text()


async def test_keys_of_the_configuration_are_written_as_in_the_file(client: Client, timeline: Timeline) -> None:
    figures = {"cache.network_timeout_limit": "1s", "stored_responses": 3}
    timeline.add("tuning", "operator (session)", "the preset was switched", **figures)
    page = await text(client)
    assert "cache.network_timeout_limit <b>1s</b>" in page
    assert "stored responses <b>3</b>" in page


async def test_an_event_says_when_what_who_and_how_much(client: Client, timeline: Timeline) -> None:
    timeline.add("purge", "operator (session)", "what matches q=reports was purged", purged=12345, share=0.25)
    page = await text(client)
    assert "what matches q=reports was purged" in page
    assert "operator (session)" in page
    assert "purged <b>12,345</b>" in page
    assert "share <b>0.25</b>" in page
    assert '<time datetime="2027-01-15T08:00:00Z"' in page
    assert "1 min ago" in page


async def test_the_newest_event_comes_first_and_what_the_edge_did_by_itself_says_so(
    client: Client, timeline: Timeline
) -> None:
    timeline.add("process", "automatic", "the first of all")
    timeline.add("tuning", "token", "the second of all")
    page = await text(client)
    assert page.index("the second of all") < page.index("the first of all")
    assert "the edge itself" in page


async def test_the_address_says_which_kind_and_by_whom(client: Client, timeline: Timeline) -> None:
    timeline.add("purge", "operator", "an operators purge")
    timeline.add("purge", "automatic", "a purge by itself")
    timeline.add("alert", "automatic", "an alert fires")
    page = await text(client, "/timeline?kind=purge&by=people")
    assert "an operators purge" in page
    assert "a purge by itself" not in page
    assert "an alert fires" not in page
    assert '<option value="purge" selected>' in page
    answer = await (await client.get("/api/timeline?by=automatic")).json()
    assert [event["text"] for event in answer["events"]] == ["an alert fires", "a purge by itself"]
    assert answer["counts"] == {**dict.fromkeys(KINDS, 0), "purge": 2, "alert": 1}


async def test_older_events_are_on_pages_that_stay_where_they_are(client: Client, timeline: Timeline) -> None:
    for number in range(1, 251):
        timeline.add("config", "operator", f"event no. {number};")
    first = await text(client)
    assert "event no. 151;" in first
    assert "event no. 150;" not in first
    assert 'href="/timeline?before=151" rel="next"' in first
    timeline.add("config", "operator", "a new one")
    second = await text(client, "/timeline?before=151")
    assert "event no. 150;" in second
    assert "event no. 151;" not in second
    last = await text(client, "/timeline?before=51")
    assert 'rel="next"' not in last
    assert 'href="/timeline" rel="prev"' in last


async def test_what_is_kept_and_shown_is_bounded(client: Client, timeline: Timeline) -> None:
    for _ in range(MOST + 10):
        timeline.add("outbox", "operator", "x" * 10_000, figure="y" * 10_000)
    page = await text(client)
    assert f"the last {MOST:,} are kept here" in page
    assert len(page) < 200 * 1024
    answer = await (await client.get(f"/api/timeline?limit={MOST}")).json()
    assert len(answer["events"]) == MOST
    assert len(answer["events"][0]["text"]) == 500


async def test_markup_in_an_event_is_text(client: Client, timeline: Timeline) -> None:
    hostile = "<script>alert(1)</script>"
    timeline.add("realtime", hostile, hostile, **{"<b>figure": hostile})
    for path in ("/timeline", "/elsewhere"):
        page = await text(client, path)
        assert "<script>alert" not in page
        assert "&lt;script&gt;" in page
    assert "&lt;b&gt;figure" in await text(client)


async def test_nothing_at_all_and_nothing_of_this_kind_are_told_apart(client: Client, timeline: Timeline) -> None:
    assert "Nothing was done yet." in await text(client)
    assert "Nothing was done yet." in await text(client, "/elsewhere")
    timeline.add("purge", "operator", "a purge")
    assert "None of the 1 events kept is of this kind." in await text(client, "/timeline?kind=alert")


async def test_the_last_five_can_stand_on_any_page(client: Client, timeline: Timeline) -> None:
    for number in range(7):
        timeline.add("process", "automatic", f"event {number};")
    page = await text(client, "/elsewhere")
    assert [f"event {number};" in page for number in range(7)] == [False] * 2 + [True] * 5


@pytest.mark.parametrize("query", ["kind=sport", "by=me", "before=x", "before=-1", "before=" + "9" * 99])
async def test_an_address_that_is_wrong_is_told_what_would_be_right(client: Client, query: str) -> None:
    assert "The address is not right" in await text(client, f"/timeline?{query}", 400)
    answer = await client.get(f"/api/timeline?{query}")
    assert (answer.status, answer.content_type) == (400, "application/problem+json")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "x", "", "1e3"])
async def test_a_limit_that_is_wrong_is_refused(client: Client, limit: str) -> None:
    assert (await client.get(f"/api/timeline?limit={limit}")).status == 400


async def test_figures_that_cannot_be_read_are_a_fault_of_the_page(
    client: Client, timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timeline, "events", None)
    assert "The figures could not be read" in await text(client, "/timeline", 500)


@given(st.sampled_from(["", *KINDS]), st.sampled_from(["", "people", "automatic"]), st.integers(0, 10**12))
def test_an_address_leads_back_to_its_question(kind: str, by: str, before: int) -> None:
    from urllib.parse import parse_qsl, urlsplit

    query = TimelineQuery(kind, by, before)
    assert TimelineQuery.parse(dict(parse_qsl(urlsplit(query.path).query))) == query


async def test_readings_are_written_as_on_the_page_tuning(client: Client, timeline: Timeline) -> None:
    figures = {"memory": 0.0035, "outbox_oldest": 161.0, "origin_down": 1.0, "memory_tier": 55815.0, "p95": 0.0123}
    timeline.add("tuning", "automatic", "origin-down fires: stale is given sooner", **figures)
    page = await text(client)
    for written in (
        "memory <b>0.4 %</b>",
        "oldest write <b>2 min</b>",
        "origin down <b>yes</b>",
        "memory tier <b>54.5 KiB</b>",
        "p95 <b>12 ms</b>",
    ):
        assert written in page


async def test_what_was_marked_stale_is_not_counted_as_purged(client: Client, timeline: Timeline) -> None:
    note_purge(timeline, "token", "what is tagged t", 3, soft=True)
    page = await text(client)
    assert "what is tagged t was marked stale" in page
    assert "marked stale <b>3</b>" in page


async def test_the_edge_itself_has_one_name_everywhere(client: Client, timeline: Timeline) -> None:
    timeline.add("process", "automatic", "the first of all")
    short = await text(client, "/elsewhere")
    assert "by the edge itself" in short
    assert "automatic" not in short
