"""Equivalent field values, and which stored variant a ranking prefers (RFC 9110 section 12, RFC 9111 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.matching import choose, normalised, selects, vary_of
from proxy.policy.messages import Fields, Request, Vary
from proxy.policy.negotiation import equivalent, favourites


def get(*lines: tuple[str, str]) -> Request:
    return Request("GET", "/", "example.org", Fields(lines))


def variant(asked: tuple[str, str], *answered: tuple[str, str]) -> Vary:
    vary = vary_of(get(asked), Fields([("Vary", asked[0]), *answered]))
    assert vary is not None
    return vary


class TestNeedlessRefusals:
    """RFC 9110 section 12.5.3."""

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("gzip, br;q=0", "gzip"),
            ("br;q=0.0, gzip;q=0.5, zstd;q=0.000", "gzip;q=0.5"),
            ("gzip, *;q=0, br;q=0", "gzip, *;q=0"),
            ("gzip, *;q=0, identity;q=0", "*;q=0, gzip"),
            ("gzip;q=1", "gzip;q=1.000"),
        ],
    )
    def test_a_refusal_of_what_is_refused_anyway_makes_no_difference(self, one: str, other: str) -> None:
        """RFC 9110 section 12.5.3."""
        assert equivalent("accept-encoding", one) == equivalent("accept-encoding", other)

    @pytest.mark.parametrize(
        ("name", "one", "other"),
        [
            ("accept-encoding", "gzip, identity;q=0", "gzip"),
            ("accept-encoding", "gzip, *;q=0", "gzip"),
            ("accept-encoding", "*, br;q=0", "*"),
            ("accept-encoding", "gzip, *;q=0.1, br;q=0", "gzip, *;q=0.1"),
            ("accept-encoding", "gzip, gzip;q=0", "gzip"),
            ("accept-encoding", "br;q=0", ""),
            ("accept-language", "en, de;q=0", "en"),
            ("accept", "text/html, text/plain;q=0", "text/html"),
        ],
    )
    def test_a_refusal_that_says_something_is_kept(self, name: str, one: str, other: str) -> None:
        """RFC 9110 section 12.5.3."""
        assert equivalent(name, one) != equivalent(name, other)


codings = st.sampled_from(["gzip", "br", "identity", "*", "x-gzip"])
weights = st.sampled_from([0, 0.5, 1])
lists = st.lists(st.tuples(codings, weights), min_size=1, max_size=4, unique_by=lambda m: m[0].removeprefix("x-"))


def written(members: list[tuple[str, float]]) -> str:
    return ", ".join(f"{coding};q={weight}" for coding, weight in members)


def acceptability(members: list[tuple[str, float]]) -> dict[str, float | None]:
    """The weight of each coding by RFC 9110 section 12.5.3, literally; None: acceptable, with no weight said."""
    stated = {coding.removeprefix("x-"): weight for coding, weight in members}
    found: dict[str, float | None] = {}
    for coding in ("gzip", "br", "zstd", "identity"):
        if coding in stated:
            found[coding] = stated[coding]
        elif "*" in stated:
            found[coding] = stated["*"]
        else:
            found[coding] = None if coding == "identity" else 0
    return found


@given(lists, lists)
def test_codings_with_one_normal_form_accept_the_same_and_rank_it_alike(
    one: list[tuple[str, float]], other: list[tuple[str, float]]
) -> None:
    """RFC 9110 section 12.5.3."""
    if equivalent("accept-encoding", written(one)) == equivalent("accept-encoding", written(other)):
        assert acceptability(one) == acceptability(other)


@given(lists)
def test_the_favourites_are_the_heaviest_members(members: list[tuple[str, float]]) -> None:
    """RFC 9110 section 12.4.2, RFC 9110 section 12.5.3."""
    heaviest = max(weight for _, weight in members)
    first = {coding.removeprefix("x-") for coding, weight in members if weight == heaviest}
    expected = first if heaviest > 0 and "*" not in first else set()

    assert favourites("accept-encoding", written(members)) == expected


class TestSelection:
    """RFC 9111 section 4.1: a known mechanism for ranking preference may choose among stored responses."""

    GERMAN = variant(("Accept-Language", "de, en;q=0.5"), ("Content-Language", "de"))
    GZIPPED = variant(("Accept-Encoding", "gzip, br"), ("Content-Encoding", "GZIP"))

    @pytest.mark.parametrize(
        "value", ["de", "DE", "de;q=0.9, en;q=0.8", "fr;q=0.1, de", "de, *;q=0.1", "de;q=0.3", "de, en", "fr, de"]
    )
    def test_a_request_that_prefers_what_is_stored_gets_it(self, value: str) -> None:
        """RFC 9110 section 12.5.4, RFC 9111 section 4.1."""
        assert selects(self.GERMAN, get(("Accept-Language", value)))

    @pytest.mark.parametrize(
        "value",
        [
            "en",
            "en, fr;q=0.5",
            "de-AT",
            "*",
            "de, *",
            "de;q=0.5, en",
            "de;q=0",
            "de, de;q=0.1",
            "de, x;q=2",
            "",
            'de, "',
        ],
    )
    def test_anything_less_certain_asks_the_origin(self, value: str) -> None:
        """RFC 9111 section 4.1."""
        assert not selects(self.GERMAN, get(("Accept-Language", value)))

    def test_a_request_without_the_field_is_not_served_a_choice_it_did_not_make(self) -> None:
        """RFC 9111 section 4.1."""
        assert not selects(self.GERMAN, get())
        assert not selects(self.GZIPPED, get())

    @pytest.mark.parametrize("value", ["gzip", "x-gzip", "gzip, br;q=0.9", "gzip;q=0.5, identity;q=0.1, *;q=0"])
    def test_a_coding_is_selected_like_a_language(self, value: str) -> None:
        """RFC 9110 section 12.5.3, RFC 9111 section 4.1."""
        assert selects(self.GZIPPED, get(("Accept-Encoding", value)))
        assert selects(self.GZIPPED, get(("Accept-Encoding", "br, gzip")))
        assert not selects(self.GZIPPED, get(("Accept-Encoding", "br, gzip;q=0.5")))

    def test_the_request_that_led_to_a_response_selects_it_whatever_the_origin_chose(self) -> None:
        """RFC 9111 section 4.1."""
        unwanted = variant(("Accept-Language", "fr"), ("Content-Language", "en"))
        assert selects(unwanted, get(("Accept-Language", "fr")))
        assert selects(unwanted, get(("Accept-Language", "en")))

    @pytest.mark.parametrize("language", ["de, en", "", "de en", "ü"])
    def test_a_response_in_several_languages_is_no_exact_match_for_one(self, language: str) -> None:
        """RFC 9110 section 8.5, RFC 9111 section 4.1."""
        vary = variant(("Accept-Language", "de, en;q=0.5"), ("Content-Language", language))
        assert [name for name, _ in vary] == ["accept-language"]
        assert not selects(vary, get(("Accept-Language", "de")))

    def test_all_other_fields_that_vary_must_still_match(self) -> None:
        """RFC 9111 section 4.1."""
        fields = Fields([("Vary", "Accept-Language, Foo"), ("Content-Language", "de")])
        vary = vary_of(get(("Accept-Language", "de, en;q=0.1"), ("Foo", "1")), fields)
        assert vary is not None
        assert selects(vary, get(("Accept-Language", "de"), ("Foo", "1")))
        assert not selects(vary, get(("Accept-Language", "de"), ("Foo", "2")))

    def test_what_the_response_states_counts_only_where_it_varies_by_it(self) -> None:
        """RFC 9111 section 4.1."""
        assert vary_of(get(), Fields([("Vary", "Foo"), ("Content-Language", "de")])) == (("foo", None),)

    def test_no_request_field_can_imitate_what_a_response_states(self) -> None:
        """RFC 9111 section 4.1."""
        assert not selects(self.GERMAN, get(("Accept-Language", "en"), (":content-language", "en")))


@dataclass
class Variant:
    vary: Vary
    date: float


def test_of_several_that_match_the_most_recent_is_chosen_rfc_9111_section_4_1() -> None:
    """RFC 9111 section 4.1."""
    entries = [Variant((), 2.0), Variant((("foo", "1"),), 9.0), Variant((("foo", None),), 5.0), Variant((), 5.0)]

    assert choose(entries, get(), recency=lambda entry: (entry.date,)) is entries[2]
    assert choose(entries, get(("Foo", "1")), recency=lambda entry: (entry.date,)) is entries[1]
    assert choose(entries[1:2], get(), recency=lambda entry: (entry.date,)) is None


names = st.sampled_from(["foo", "bar", "accept"])
messages = st.dictionaries(names, st.lists(st.sampled_from(["a", "b", "a,b", ""]), min_size=1, max_size=2))


@given(messages, messages, st.lists(names, max_size=3))
def test_without_negotiation_a_variant_matches_exactly_when_every_named_field_does(
    one: dict[str, list[str]], other: dict[str, list[str]], varying: list[str]
) -> None:
    """RFC 9111 section 4.1."""

    def members(message: dict[str, list[str]], name: str) -> list[str] | None:
        values = message.get(name)
        split = None if values is None else ",".join(values).split(",")
        return split if name != "accept" or split is None else sorted({member for member in split if member})

    first, second = (get(*((n, v) for n, values in m.items() for v in values)) for m in (one, other))
    vary = vary_of(first, Fields([("Vary", " , ".join(varying).upper())]))

    assert vary is not None
    assert selects(vary, second) == all(members(one, name) == members(other, name) for name in varying)


def test_a_field_that_is_no_list_keeps_its_spaces() -> None:
    """RFC 9111 section 4.1."""
    assert normalised("user-agent", get(("User-Agent", "a ,  b"))) == "a ,  b"
