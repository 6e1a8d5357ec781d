"""The cache list's question in the URL, and the page it gets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.storage.base import Entry
from webui.listing import cache_list, entry_id
from webui.query import SORTS, STATES, CacheQuery
from webui.snapshot import CacheList

if TYPE_CHECKING:
    from tests.dashboard.conftest import EdgeUnderView

queries = st.builds(
    CacheQuery,
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.strip),
    state=st.sampled_from(["", *STATES]),
    sort=st.sampled_from(list(SORTS)),
    descending=st.booleans(),
    page=st.integers(1, 1_000_000),
)


@given(queries)
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
    ],
)
def test_a_wrong_parameter_is_told_with_what_would_be_right(parameters: dict[str, str], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        CacheQuery.parse(parameters)


def test_sorting_by_the_same_column_again_turns_the_order_round() -> None:
    by_size = CacheQuery(page=3).sorted_by("size")
    assert (by_size.sort, by_size.descending, by_size.page) == ("size", True, 1)
    assert by_size.sorted_by("size").descending is False


def _listed(edge: EdgeUnderView, **parameters: Any) -> CacheList:
    return edge.cache(CacheQuery.parse(parameters))


def _paths(listed: CacheList) -> list[str]:
    return [row.target for row in listed.rows]


@pytest.mark.parametrize("text", ["REPORTS", "application/js", "Api", "r17"])
def test_text_is_sought_in_url_route_type_and_tags_whatever_its_case(edge: EdgeUnderView, text: str) -> None:
    edge.store("/reports", tags=("R17",))
    edge.store("/other.css", route="assets", content_type="text/css")
    assert _paths(_listed(edge, q=text)) == ["/reports"]


def test_fresh_and_stale_are_told_apart_by_the_moment_freshness_ends(edge: EdgeUnderView) -> None:
    edge.store("/fresh")
    edge.store("/stale", fresh_until=1.0)
    assert _paths(_listed(edge, state="fresh")) == ["/fresh"]
    stale = _listed(edge, state="stale")
    assert _paths(stale) == ["/stale"]
    assert stale.rows[0].fresh_for < 0
    assert (stale.total, stale.stored, stale.size) == (1, 2, 2000)


def test_each_order_and_its_reverse(edge: EdgeUnderView) -> None:
    edge.store("/a", length=1, hits=9, stored_at=30.0, fresh_until=300.0, status=404)
    edge.store("/b", length=2, hits=8, stored_at=20.0, fresh_until=200.0, status=301)
    edge.store("/c", length=3, hits=7, stored_at=10.0, fresh_until=100.0, status=200)
    forward = {"url", "hits", "stored"}
    for sort in SORTS:
        expected = ["/a", "/b", "/c"] if sort in forward else ["/c", "/b", "/a"]
        assert _paths(_listed(edge, sort=sort)) == expected, sort
        order = "asc" if SORTS[sort] else "desc"
        assert _paths(_listed(edge, sort=sort, order=order)) == expected[::-1], sort


def test_pages_follow_each_other_without_gap_or_repetition(edge: EdgeUnderView) -> None:
    for i in range(120):
        edge.store(f"/{i:03}", stored_at=5.0)
    pages = [_paths(_listed(edge, sort="url", page=str(page))) for page in (1, 2, 3)]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [path for page in pages for path in page] == [f"/{i:03}" for i in range(120)]


def test_a_page_beyond_the_last_is_the_last(edge: EdgeUnderView) -> None:
    for i in range(51):
        edge.store(f"/{i}")
    listed = _listed(edge, page="99")
    assert (listed.query.page, listed.pages, len(listed.rows)) == (2, 2, 1)


def test_the_id_tells_variants_apart_and_shows_nothing_of_the_key(edge: EdgeUnderView) -> None:
    first = edge.store("/a", key="GET /a user=secret-hmac", vary=(("accept-language", "de"),))
    second = edge.store("/a", key="GET /a user=secret-hmac", vary=(("accept-language", None),))
    assert entry_id(first) != entry_id(second)
    assert "secret" not in entry_id(first)
    assert {row.variants for row in _listed(edge).rows} == {2}


def test_a_row_splits_its_url_for_the_eye(edge: EdgeUnderView) -> None:
    edge.store("/a?b=//c")
    row = _listed(edge).rows[0]
    assert (row.authority, row.target) == ("http://127.0.0.1:8080", "/a?b=//c")


def test_variants_are_counted_for_the_rows_shown_only(edge: EdgeUnderView) -> None:
    entries: list[Entry] = [edge.store(f"/{i}") for i in range(500)]
    asked: list[str] = []

    def variants(key: str) -> int:
        asked.append(key)
        return 1

    cache_list(entries, CacheQuery(), now=0.0, variants=variants, public_url="")
    assert len(asked) == 50
