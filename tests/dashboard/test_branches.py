"""The tree of stored responses: what stands below what, and that every sum is that of the list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from proxy.storage.base import Entry
from tests.dashboard.shelf import NOW, SHELF, done, stored
from webui.branches import MOST_CHILDREN, cache_tree
from webui.cache_shown import Branch, CacheList, CacheRow, CacheTree, Tally
from webui.listing import cache_list
from webui.query import TREE_SORTS, CacheQuery

hosts = st.sampled_from(["http://a.example", "http://b.example:8080", "https://a.example"])
segments = st.text("ab-0é", max_size=2)
paths = st.lists(segments, max_size=4).map(lambda parts: "/" + "/".join(parts))
urls = st.builds(
    lambda host, path, query: host + path + query, hosts, paths, st.sampled_from(["", "?", "?a/b", "?a?b"])
)
responses = st.builds(
    lambda url, length, hits, fresh: stored("/", url=url, length=length, hits=hits, fresh_until=NOW + fresh),
    urls,
    st.integers(0, 9),
    st.integers(0, 9),
    st.sampled_from([-1, 0, 1]),
)


def _tree(entries: list[Entry], **query: Any) -> CacheTree:
    ordered = sorted(entries, key=lambda entry: entry.url)
    work = cache_tree(ordered, CacheQuery(**query), now=NOW, shelf=SHELF, row=lambda entry: cast("CacheRow", entry))
    return done(work)


def _listed(entries: list[Entry], query: CacheQuery) -> CacheList:
    shelf = replace(SHELF, stored=len(entries), size=sum(entry.length for entry in entries))
    return done(cache_list(entries, query, now=NOW, shelf=shelf, row=lambda entry: cast("CacheRow", entry)))


def _sum(tallies: list[Tally]) -> Tally:
    return Tally(
        sum(tally.count for tally in tallies),
        sum(tally.size for tally in tallies),
        sum(tally.fresh for tally in tallies),
        sum(tally.hits for tally in tallies),
    )


def _naive(entries: list[Entry], prefix: str) -> Tally:
    found = [entry for entry in entries if entry.url.startswith(prefix)]
    return Tally(
        len(found),
        sum(entry.length for entry in found),
        sum(entry.fresh_until > NOW for entry in found),
        sum(entry.hits for entry in found),
    )


def _children(tree: CacheTree, parent: int) -> list[Branch]:
    below: list[Branch] = []
    for branch in tree.branches[parent + 1 :]:
        if branch.depth <= tree.branches[parent].depth:
            break
        below.append(branch)
    return [branch for branch in below if branch.depth == tree.branches[parent].depth + 1]


@given(st.lists(responses, max_size=30), st.sampled_from(list(TREE_SORTS)), st.booleans(), st.data())
def test_every_place_holds_what_its_children_hold_and_the_whole_what_the_list_does(
    entries: list[Entry], sort: str, descending: bool, data: st.DataObject
) -> None:
    at = data.draw(st.sampled_from([entry.url for entry in entries] or [""]))
    tree = _tree(entries, sort=sort, descending=descending, at=at)
    listed = _listed(entries, CacheQuery(view="list"))
    assert (tree.whole.count, tree.whole.size) == (listed.total, listed.size)
    assert tree.whole == _sum([branch.tally for branch in tree.branches if branch.depth == 0])
    for place, branch in enumerate(tree.branches):
        if branch.kind in ("host", "folder", "queries"):
            assert branch.tally == _naive(entries, branch.prefix)
        if branch.open:
            assert branch.tally == _sum([child.tally for child in _children(tree, place)])


@given(st.lists(responses, min_size=1, max_size=20))
def test_every_response_is_found_by_going_down_to_it(entries: list[Entry]) -> None:
    for entry in entries:
        branches = _tree(entries, at=entry.url).branches
        assert [branch for branch in branches if branch.kind == "response" and branch.prefix == entry.url]


@given(st.lists(responses, max_size=20), st.sampled_from(["", "a", "b"]), st.sampled_from(["", "fresh", "stale"]))
def test_a_filter_leaves_the_same_in_the_tree_as_in_the_list(entries: list[Entry], text: str, state: str) -> None:
    query = CacheQuery(text=text, state=state, view="tree")
    listed = _listed(entries, replace(query, view="list"))
    whole = _tree(entries, text=text, state=state, view="tree").whole
    assert (whole.count, whole.size) == (listed.total, listed.size)


def _lines(tree: CacheTree) -> list[tuple[int, str, str]]:
    return [(branch.depth, branch.kind, branch.label) for branch in tree.branches]


def test_paths_queries_and_responses_stand_below_their_host() -> None:
    entries = [stored(path) for path in ("/api/a?p=1", "/api/a?p=2", "/api/a", "/api/b/1", "/api/b/2", "/x")]
    assert _lines(_tree(entries, at="/api/b/")) == [
        (0, "host", "http://127.0.0.1:8080/"),
        (1, "folder", "api/"),
        (2, "queries", "a?"),
        (2, "folder", "b/"),
        (3, "response", "1"),
        (3, "response", "2"),
        (2, "response", "a"),
        (1, "response", "x"),
    ]


def test_a_way_without_a_fork_is_open_and_one_that_leads_to_one_response_only_is_that_response() -> None:
    entries = [stored("/photos/2026/1.jpg"), stored("/photos/2026/2.jpg")]
    assert _lines(_tree(entries))[-2:] == [(3, "response", "1.jpg"), (3, "response", "2.jpg")]
    assert _lines(_tree([*entries, stored("/very/deep/down.css")]))[-1] == (1, "response", "very/deep/down.css")


def test_several_responses_of_one_url_are_one_line_that_leads_to_the_first() -> None:
    entries = [stored("/a", key="GET /a", vary=(("accept-language", name),)) for name in ("de", "en")]
    line = _tree([*entries, stored("/b")]).branches[1]
    assert (line.label, line.tally.count, line.row) == ("a", 2, None)
    assert line.first


def test_of_many_children_the_first_are_listed_and_the_rest_is_counted() -> None:
    entries = [stored(f"/{i:03}", length=i) for i in range(120)]
    tree = _tree(entries, sort="size")
    assert [branch.label for branch in tree.branches[1:3]] == ["119", "118"]
    more = tree.branches[-1]
    assert (more.kind, more.hidden, more.tally.count) == ("more", 120 - MOST_CHILDREN, 120 - MOST_CHILDREN)
    assert more.tally.size == sum(range(120 - MOST_CHILDREN))


def test_a_place_that_is_open_is_listed_whatever_the_order() -> None:
    entries = [stored(f"/{name:03}/{page}") for name in range(60) for page in range(3)] + [
        stored("/zzz/1", length=0)
    ] * 2
    assert "zzz/" in [branch.label for branch in _tree(entries, at="/zzz/").branches if branch.open]


def test_levels_without_end_end() -> None:
    entries = [stored("/x" * 500 + end) for end in ("/1", "/2")]
    assert _tree(entries).whole.count == 2
