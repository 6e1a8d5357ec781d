"""Query parameters that do not matter (draft-ietf-httpbis-no-vary-search)."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.policy.matching import KeyRules, primary_key
from proxy.policy.messages import Fields, Request
from proxy.policy.no_vary_search import (
    DEFAULT,
    NoVarySearch,
    canonical_query,
    equivalent_queries,
    parse_no_vary_search,
)

EVERYTHING = KeyRules("all")


def variance(*values: str) -> NoVarySearch:
    return parse_no_vary_search(Fields(("No-Vary-Search", value) for value in values))


def key(target: str, stated: NoVarySearch = DEFAULT, rules: KeyRules = EVERYTHING) -> str:
    return primary_key(Request("GET", target, "example.org"), rules, no_vary_search=stated)


class TestTheField:
    """Section 5 of the draft."""

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("key-order", NoVarySearch(key_order=False)),
            ("key-order=?1", NoVarySearch(key_order=False)),
            ("params", NoVarySearch(None)),
            ("params=?1", NoVarySearch(None)),
            ('params=("a" "b")', NoVarySearch(frozenset({"a", "b"}))),
            ('params, except=("x")', NoVarySearch(None, frozenset({"x"}))),
            ('params, key-order, except=("x")', NoVarySearch(None, frozenset({"x"}), key_order=False)),
            ('params=("a";p=1);q, unknown=7', NoVarySearch(frozenset({"a"}))),
            ('params=("%C3%A9+%E6%B0%97")', NoVarySearch(frozenset({"é 気"}))),
        ],
    )
    def test_it_names_what_does_not_matter(self, value: str, expected: NoVarySearch) -> None:
        """draft-ietf-httpbis-no-vary-search section 5."""
        assert variance(value) == expected
        assert not variance(value).is_default

    @pytest.mark.parametrize(
        "value",
        [
            "", "unknown-key", 'key-order="not a boolean"', "key-order=1", 'params="neither"', "params=(not-a-string)",
            'params=("a" 1)', 'params=("a"), except=("x")', "params=(), except=()", 'params=?0, except=("x")',
            "params, except=(not-a-string)", 'params, except="none"', "params, except=?1", 'except=("x")', "except=()",
            "params=?0", "params=()", "key-order=?0", "params,", "PARAMS", 'params=("a', "params=1",
            'key-order=1, params=("a")',
        ],
    )  # fmt: skip
    def test_anything_but_a_clear_statement_is_none(self, value: str) -> None:
        """draft-ietf-httpbis-no-vary-search section 5."""
        assert variance(value) == DEFAULT
        assert variance(value).is_default

    def test_several_lines_are_one_dictionary(self) -> None:
        """draft-ietf-httpbis-no-vary-search section 5, RFC 9651 section 4.2."""
        assert variance('params=("a")', "key-order") == NoVarySearch(frozenset({"a"}), key_order=False)

    def test_an_absent_field_leaves_everything_to_matter(self) -> None:
        """draft-ietf-httpbis-no-vary-search section 5."""
        assert parse_no_vary_search(Fields()) is DEFAULT


class TestComparing:
    """Section 6 of the draft, with its examples."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (None, ""), ("a=x", "%61=%78"), ("a=é", "a=%C3%A9"), ("a=%f6", "a=%ef%bf%bd"), ("a=x&&&&", "a=x"),
            ("a=", "a"), ("a=%20", "a=+"), ("b=1&a=2", "a=2&b=1"), ("a=%", "a=%25"),
        ],
    )  # fmt: skip
    def test_with_any_variance_queries_are_read_as_forms(self, one: str | None, other: str) -> None:
        """draft-ietf-httpbis-no-vary-search section 6."""
        # In a browser é is UTF-8 before it is compared; as octets of a request target it is that too.
        one = None if one is None else one.encode().decode("latin-1")
        assert equivalent_queries(one, other, variance("key-order"))

    @pytest.mark.parametrize(("one", "other"), [(None, ""), ("a=b&&&c", "a=b&c="), ("a", "a="), ("%61", "a")])
    def test_by_default_they_are_compared_byte_for_byte(self, one: str | None, other: str) -> None:
        """draft-ietf-httpbis-no-vary-search section 6."""
        assert not equivalent_queries(one, other, DEFAULT)
        assert equivalent_queries(one, one, DEFAULT)

    @pytest.mark.parametrize(
        ("value", "one", "other", "same"),
        [
            ('params=("a")', "a=1&b=2", "b=2&a=3", True),
            ('params=("a")', "b=2&b=3", "b=3&b=2", False),
            ("params", "a=1", "", True),
            ('params, except=("id")', "id=1&x=2", "y=3&id=1", True),
            ('params, except=("id")', "id=1", "id=2", False),
            ("key-order", "a=1&a=2", "a=2&a=1", False),
            ("key-order", "a=1&b=2&a=3", "a=1&a=3&b=2", True),
            ('params=("a")', "b=1&c=2", "c=2&b=1", False),
            ("key-order", "a=1;b=2", "a=1&b=2", False),
            ("key-order", "a=b%26c", "a=b&c", False),
        ],
    )
    def test_only_what_matters_distinguishes(self, value: str, one: str, other: str, same: bool) -> None:
        """draft-ietf-httpbis-no-vary-search section 6."""
        assert equivalent_queries(one, other, variance(value)) is same


def as_the_draft_says(one: str, other: str, stated: NoVarySearch) -> bool:
    """Section 6, step by step, over the standard library's form parser."""
    if stated == DEFAULT:
        return one == other
    a, b = (parse_qsl(query, keep_blank_values=True) for query in (one, other))
    if stated.ignored is not None:
        a, b = ([pair for pair in pairs if pair[0] not in stated.ignored] for pairs in (a, b))
    else:
        a, b = ([pair for pair in pairs if pair[0] in stated.varying] for pairs in (a, b))
    if not stated.key_order:
        a, b = (sorted(pairs, key=lambda pair: pair[0]) for pairs in (a, b))
    return a == b


queries = st.lists(st.sampled_from(["a", "a=1", "a=", "b=1", "b=2", "%61=1", "c=+", "c=%20", "", "%ff", "="])).map(
    "&".join
)
sets = st.frozensets(st.sampled_from(["a", "b", "c", " "]))
variances = st.builds(NoVarySearch, sets, st.just(frozenset()), st.booleans()) | st.builds(
    NoVarySearch, st.none(), sets, st.booleans()
)


@given(queries, queries, variances)
@example("a=1&b=1", "b=1&a=1", NoVarySearch(key_order=False))
def test_comparing_is_the_drafts_algorithm(one: str, other: str, stated: NoVarySearch) -> None:
    """draft-ietf-httpbis-no-vary-search section 6."""
    assert equivalent_queries(one, other, stated) == as_the_draft_says(one, other, stated)


@given(st.text(max_size=30), variances)
def test_a_canonical_query_is_its_own_canonical_form(query: str, stated: NoVarySearch) -> None:
    """draft-ietf-httpbis-no-vary-search section 6."""
    once = canonical_query(query, stated)

    assert canonical_query(once, stated) == once


@given(queries, queries, variances, variances)
def test_a_key_is_shared_exactly_by_equivalent_urls_with_one_variance(
    one: str, other: str, first: NoVarySearch, second: NoVarySearch
) -> None:
    """draft-ietf-httpbis-no-vary-search section 6."""
    shared = key(f"/p?{one}", first) == key(f"/p?{other}", second)

    assert shared == (first == second and equivalent_queries(normal(one), normal(other), first))


def normal(query: str) -> str:
    """What every key does to a query before its variance is asked (RFC 3986 section 6.2.2)."""
    return key(f"/p?{query}", DEFAULT).partition("?")[2]


def test_the_default_variance_changes_no_key() -> None:
    """draft-ietf-httpbis-no-vary-search section 6."""
    assert key("/p?b=%2f&a", DEFAULT) == "GET http://example.org/p?b=%2F&a"


def test_a_key_says_what_it_left_out() -> None:
    stated = variance('params=("x y" "a")')

    assert key("/p?a=1&b=2", stated) == 'GET http://example.org/p?b=2 no-vary-search=["params",["a","x\\u0020y"],true]'
    assert key("/p", stated) == key("/p?a=1", stated)


def test_parameters_that_the_route_drops_are_dropped_first() -> None:
    assert key("/p?utm_a=1&b=2", variance("key-order"), KeyRules("except", ("utm_*",))).startswith(
        "GET http://example.org/p?b=2 no-vary-search="
    )


def test_no_url_can_imitate_a_variance() -> None:
    real = key("/p?b=2", variance('params=("a")'))

    assert key(real.removeprefix("GET http://example.org")) != real
