"""The cache list's question in the URL, and the page it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.storage.base import Entry
from tests.dashboard.shelf import NOW, SHELF, done, stored
from webui.cache_shown import CacheList, CacheRow
from webui.listing import cache_list, entry_id
from webui.query import SORTS, STATES, TIERS, VIEWS, CacheQuery

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.strip)


@st.composite
def queries(draw: st.DrawFn) -> CacheQuery:
    """Any query that an address can say: an order is one of its view's."""
    view, text = draw(st.sampled_from(["", *VIEWS])), draw(words)
    sorts = CacheQuery(view=view, text=text).sorts
    sort = draw(st.sampled_from(list(sorts)))
    return CacheQuery(
        text=text,
        state=draw(st.sampled_from(["", *STATES])),
        route=draw(words),
        tag=draw(words),
        kind=draw(words.map(str.lower).map(str.strip)),
        status=draw(st.sampled_from([0]) | st.integers(100, 599)),
        tier=draw(st.sampled_from(["", *TIERS])),
        larger=draw(st.integers(0, 2**29)),
        older=draw(st.integers(0, 2**29)),
        at=draw(words),
        view=view,
        sort=sort if sort != next(iter(sorts)) else "",
        descending=draw(st.booleans()),
        page=draw(st.integers(1, 1_000_000)),
        limit=draw(st.integers(1, 1000)),
    )


@given(queries())
def test_a_query_written_into_a_url_is_read_back_the_same(query: CacheQuery) -> None:
    assert CacheQuery.parse(dict(parse_qsl(query.url_query))) == query


def test_the_default_query_needs_no_parameters() -> None:
    assert CacheQuery().path == "/cache"


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"sort": "colour"}, "sort must be one of stored, url"),
        ({"state": "rotten"}, "state must be fresh or stale"),
        ({"order": "up"}, "order must be asc or desc"),
        ({"page": "0"}, "page must be a whole number from 1"),
        ({"page": "9" * 30}, "page must be a whole number from 1"),
        ({"page": "٣"}, "page must be a whole number from 1"),
        ({"q": "x" * 501}, "q must not be longer than 500"),
        ({"status": "20"}, "status must be a whole number from 100 to 599"),
        ({"tier": "tape"}, "tier must be memory or disk"),
        ({"view": "map"}, "view must be list or tree"),
        ({"larger": "1 elephant"}, "larger must be a size, as in 512, 64KiB or 10MB"),
        ({"older": "yesterday"}, "older must be a span of time, as in 90s, 5m, 2h or 7d"),
        ({"limit": "1001"}, "limit must be a whole number from 1 to 1000"),
    ],
)
def test_a_wrong_parameter_is_told_with_what_would_be_right(parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CacheQuery.parse(parameters)


def test_sorting_by_the_same_column_again_turns_the_order_round() -> None:
    by_size = CacheQuery(view="list", page=3).sorted_by("size")
    assert (by_size.sort, by_size.descending, by_size.page) == ("size", True, 1)
    assert by_size.sorted_by("size").descending is False


async def _listed(edge: EdgeUnderView, **parameters: Any) -> CacheList:
    return await edge.cache.listed(CacheQuery.parse({"view": "list", **parameters}))


def _paths(listed: CacheList) -> list[str]:
    return [row.target for row in listed.rows]


@pytest.mark.parametrize("text", ["REPORTS", "application/js", "Api", "r17"])
async def test_text_is_sought_in_url_route_type_and_tags_whatever_its_case(edge: EdgeUnderView, text: str) -> None:
    edge.store("/reports", tags=("R17",))
    edge.store("/other.css", route="assets", content_type="text/css")
    assert _paths(await _listed(edge, q=text)) == ["/reports"]


async def test_fresh_and_stale_are_told_apart_by_the_moment_freshness_ends(edge: EdgeUnderView) -> None:
    edge.store("/fresh")
    edge.store("/stale", fresh_until=1.0)
    assert _paths(await _listed(edge, state="fresh")) == ["/fresh"]
    stale = await _listed(edge, state="stale")
    assert _paths(stale) == ["/stale"]
    assert stale.rows[0].fresh_for < 0
    assert (stale.total, stale.size, stale.shelf.stored, stale.shelf.size) == (1, 1000, 2, 2000)


async def test_each_order_and_its_reverse(edge: EdgeUnderView) -> None:
    edge.store("/a", length=1, hits=9, stored_at=30.0, fresh_until=300.0, status=404)
    edge.store("/b", length=2, hits=8, stored_at=20.0, fresh_until=200.0, status=301)
    edge.store("/c", length=3, hits=7, stored_at=10.0, fresh_until=100.0, status=200)
    forward = {"url", "hits", "stored"}
    for sort in SORTS:
        expected = ["/a", "/b", "/c"] if sort in forward else ["/c", "/b", "/a"]
        assert _paths(await _listed(edge, sort=sort)) == expected, sort
        order = "asc" if SORTS[sort] else "desc"
        assert _paths(await _listed(edge, sort=sort, order=order)) == expected[::-1], sort


@given(st.data())
def test_every_filter_leaves_what_it_says_and_nothing_else(data: st.DataObject) -> None:
    entry = stored(
        "/Api/x?b=1",
        tags=data.draw(st.sampled_from([(), ("a",), ("a", "b")])),
        length=data.draw(st.integers(0, 3)),
        stored_at=NOW - data.draw(st.integers(0, 3)),
        status=data.draw(st.sampled_from([200, 404])),
        in_memory=data.draw(st.booleans()),
        on_disk=data.draw(st.booleans()),
        content_type=data.draw(st.sampled_from(["", "Image/png", "text/html; charset=utf-8"])),
    )
    tag = data.draw(st.sampled_from(["", "a", "b"]))
    larger, older = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    status, tier = data.draw(st.sampled_from([0, 200, 404])), data.draw(st.sampled_from(["", *TIERS]))
    kind, at = (
        data.draw(st.sampled_from(["", "image/", "text/html"])),
        data.draw(st.sampled_from(["", "/Api/", "/api/"])),
    )
    query = CacheQuery(tag=tag, larger=larger, older=older, status=status, tier=tier, kind=kind, at=at)
    expected = (
        (not tag or tag in entry.tags)
        and (not larger or entry.length > larger)
        and (not older or NOW - entry.stored_at > older)
        and (not status or entry.status == status)
        and (not tier or (entry.in_memory if tier == "memory" else entry.on_disk))
        and (not kind or entry.content_type.lower().startswith(kind))
        and at != "/api/"
    )
    assert query.accepts(entry, NOW) == expected


def test_a_query_says_in_words_what_it_means() -> None:
    query = CacheQuery(state="stale", route="api", larger=2**20, older=7200)
    assert query.words == "what is stale and is of route api and is larger than 1MiB and was stored more than 2h ago"
    assert CacheQuery().words == "everything stored"


def test_a_text_is_found_in_a_list_and_no_text_is_a_tree_unless_the_address_says_otherwise() -> None:
    assert CacheQuery().tree
    assert not CacheQuery(text="a").tree
    assert CacheQuery(text="a", view="tree").tree
    assert not CacheQuery(view="list").tree


def test_an_order_of_the_tree_is_forgotten_where_a_search_turns_it_into_a_list() -> None:
    query = CacheQuery.parse({"sort": "count", "order": "asc", "q": "a"})
    assert (query.by, query.descending) == ("stored", True)


async def test_pages_follow_each_other_without_gap_or_repetition(edge: EdgeUnderView) -> None:
    for i in range(120):
        edge.store(f"/{i:03}", stored_at=5.0)
    pages = [_paths(await _listed(edge, sort="url", page=str(page))) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [path for page in pages for path in page] == [f"/{i:03}" for i in range(120)]


async def test_a_page_beyond_the_last_is_the_last(edge: EdgeUnderView) -> None:
    for i in range(51):
        edge.store(f"/{i}")
    listed = await _listed(edge, page="99")
    assert (listed.query.page, listed.pages, len(listed.rows)) == (2, 2, 1)


async def test_the_id_tells_variants_apart_and_shows_nothing_of_the_key(edge: EdgeUnderView) -> None:
    first = edge.store("/a", key="GET /a user=secret-hmac", vary=(("accept-language", "de"),))
    second = edge.store("/a", key="GET /a user=secret-hmac", vary=(("accept-language", None),))
    assert entry_id(first) != entry_id(second)
    assert "secret" not in entry_id(first)
    assert {row.variants for row in (await _listed(edge)).rows} == {2}


async def test_a_row_splits_its_url_for_the_eye(edge: EdgeUnderView) -> None:
    edge.store("/a?b=//c")
    row = (await _listed(edge)).rows[0]
    assert (row.authority, row.target) == ("http://127.0.0.1:8080", "/a?b=//c")


async def test_rows_are_made_for_what_is_shown_only(edge: EdgeUnderView) -> None:
    asked: list[Entry] = []

    def row(entry: Entry) -> CacheRow:
        asked.append(entry)
        return cast("CacheRow", entry)

    for i in range(500):
        edge.store(f"/{i}")
    done(cache_list(edge.entries, CacheQuery(view="list"), now=NOW, shelf=SHELF, row=row))
    assert len(asked) == 50
