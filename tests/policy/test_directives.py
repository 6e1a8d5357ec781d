"""Cache directives (RFC 9111 sections 1.2.2, 4.2.1, 5.2 and 5.4)."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.directives import (
    MOST_SECONDS,
    Directives,
    parse_directives,
    parse_seconds,
    request_directives,
    response_directives,
)
from proxy.policy.messages import Fields, Request, Rules

TOKENS = st.from_regex(r"[a-z][a-z-]{0,8}", fullmatch=True)
QUOTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=12)


def directives(*lines: str) -> Directives:
    return parse_directives(lines)


def test_names_are_matched_without_regard_to_case() -> None:
    """RFC 9111 section 5.2."""
    assert "no-store" in directives("No-STORE")
    assert directives("MAX-AGE=5").seconds("max-age") == 5


def test_several_lines_count_as_one_list() -> None:
    """RFC 9110 section 5.3, RFC 9111 section 5.2."""
    found = directives("public", "max-age=60, no-cache")
    assert list(found) == ["public", "max-age", "no-cache"]


def test_unknown_directives_are_kept_and_harm_nobody() -> None:
    """RFC 9111 section 5.2.3."""
    assert directives("community=UCI, max-age=60").argument("community") == "UCI"


def test_an_absent_directive_has_neither_argument_nor_seconds() -> None:
    """RFC 9111 section 5.2."""
    found = directives("public")
    assert "max-age" not in found
    assert found.argument("max-age") is None
    assert found.seconds("max-age") is None


def test_a_quoted_argument_means_the_same_as_a_token() -> None:
    """RFC 9111 section 5.2."""
    assert directives('max-age="3600"').seconds("max-age") == 3600
    assert directives(r'max-age="3\600"').seconds("max-age") == 3600


def test_a_directive_inside_a_quoted_string_is_text() -> None:
    """RFC 9110 section 5.6.4."""
    found = directives(r'extension="max-age=100, no-store, \"public\"", max-age=1')
    assert "no-store" not in found
    assert found.argument("extension") == 'max-age=100, no-store, "public"'
    assert found.seconds("max-age") == 1


def test_a_quote_that_never_closes_hides_nothing() -> None:
    """RFC 9110 section 5.6.4."""
    assert "no-store" in directives('extension="abc, no-store')
    assert "private" in directives(r'extension="abc\", private')


def test_a_quoted_string_ends_with_its_line() -> None:
    """RFC 9110 section 5.6.4."""
    assert "no-store" in directives('extension="abc', 'no-store, x="')


@pytest.mark.parametrize(
    "value",
    ["max-age", "max-age=", 'max-age=""', "max-age=-5", "max-age=+5", "max-age=1.5", "max-age=1e3", "max-age='3600'",
     "max-age=5s", "max-age= 5", "max-age =5", "max-age=5 6", 'max-age="5"6', "max-age=0x10", "max-age=\u00b2"],
)  # fmt: skip
def test_a_malformed_number_of_seconds_counts_as_zero(value: str) -> None:
    """RFC 9111 section 4.2.1."""
    assert directives(value).seconds("max-age") == 0


@pytest.mark.parametrize(("value", "seconds"), [("0", 0), ("007", 7), ("2147483648", MOST_SECONDS)])
def test_seconds_are_decimal_digits(value: str, seconds: int) -> None:
    """RFC 9111 section 1.2.2."""
    assert directives(f"max-age={value}").seconds("max-age") == seconds


@pytest.mark.parametrize("value", ["2147483649", "99999999999", "9" * 10_000])
def test_a_number_too_large_is_capped_rather_than_refused(value: str) -> None:
    """RFC 9111 section 1.2.2."""
    assert directives(f"max-age={value}").seconds("max-age") == MOST_SECONDS


def test_of_several_values_for_one_directive_the_first_counts() -> None:
    """RFC 9111 section 4.2.1."""
    assert directives("max-age=10, max-age=3600").seconds("max-age") == 10
    assert directives("max-age=3600", "max-age=10").seconds("max-age") == 3600
    assert directives("max-age=abc, max-age=10").seconds("max-age") == 0


def test_the_qualified_form_lists_field_names() -> None:
    """RFC 9111 section 5.2.2.4, RFC 9111 section 5.2.2.7."""
    found = directives('no-cache="Set-Cookie, X-User", private=Authorization')
    assert found.field_names("no-cache") == ("set-cookie", "x-user")
    assert found.field_names("private") == ("authorization",)
    assert not found.unqualified("no-cache")


def test_several_qualified_forms_add_up() -> None:
    """RFC 9111 section 5.2.2.7."""
    assert directives('private="a", private="b, a"').field_names("private") == ("a", "b")


@pytest.mark.parametrize(
    "value",
    ["private", "private=", 'private=""', 'private="a b"', 'private="a,,b"', "private=a/b", 'private="a", private'],
)
def test_an_unqualified_or_unreadable_form_binds_the_whole_response(value: str) -> None:
    """RFC 9111 section 5.2.2.7."""
    assert directives(value).field_names("private") == ()
    assert directives(value).unqualified("private")


def test_empty_members_are_ignored() -> None:
    """RFC 9110 section 5.6.1.2."""
    assert list(directives(", ,public,, ", "", "=5")) == ["public"]


def test_directives_show_themselves_in_failures() -> None:
    assert repr(directives("max-age=5, public")) == "Directives({'max-age': ('5',), 'public': (None,)})"


@given(st.lists(st.tuples(TOKENS, st.none() | QUOTABLE), max_size=6))
def test_any_list_that_is_written_properly_is_read_back(members: list[tuple[str, str | None]]) -> None:
    """RFC 9111 section 5.2."""
    written = [
        name if text is None else '{}="{}"'.format(name, text.replace("\\", r"\\").replace('"', r"\""))
        for name, text in members
    ]
    found = parse_directives([", ".join(written)])
    first = dict(reversed(members))
    assert {name: found.argument(name) for name in found} == first


@given(st.lists(st.text(max_size=30), max_size=3))
def test_any_text_is_read_without_an_error_and_every_question_has_an_answer(lines: list[str]) -> None:
    """RFC 9111 section 5.2."""
    found = parse_directives(lines)
    for name in found:
        assert 0 <= (found.seconds(name) or 0) <= MOST_SECONDS
        assert found.unqualified(name) is (found.field_names(name) == ())


@given(st.text(st.sampled_from("\\,=a "), max_size=12))
def test_no_noise_behind_an_open_quote_hides_a_directive(noise: str) -> None:
    """RFC 9110 section 5.6.4."""
    assert "no-store" in directives(f'x="{noise},no-store')


@given(st.integers(min_value=0, max_value=2**40))
def test_every_number_of_seconds_is_read_up_to_the_bound(number: int) -> None:
    """RFC 9111 section 1.2.2."""
    assert parse_seconds(str(number)) == min(number, MOST_SECONDS)


def test_hostile_quoting_takes_linear_time() -> None:
    # A quadratic reading of 256 KiB needs minutes; the bound is three orders of magnitude away from both.
    began = perf_counter()
    directives('\\"' * 131_072, '"' * 262_143, 'a="' + "\\" * 262_144)
    assert perf_counter() - began < 5


def test_a_response_speaks_through_all_its_cache_control_lines() -> None:
    """RFC 9110 section 5.3, RFC 9111 section 5.2."""
    fields = Fields([("cache-control", "public"), ("Cache-Control", "s-maxage=9")])
    assert response_directives(fields).seconds("s-maxage") == 9


def request(*lines: tuple[str, str]) -> Request:
    return Request("GET", "/", "example.org", Fields(lines))


def test_pragma_no_cache_counts_where_cache_control_is_absent() -> None:
    """RFC 9111 section 5.4."""
    assert "no-cache" in request_directives(request(("Pragma", "x=1, No-Cache")), Rules())
    assert list(request_directives(request(("Pragma", "no-store")), Rules())) == []


def test_cache_control_silences_pragma() -> None:
    """RFC 9111 section 5.4."""
    both = request(("Pragma", "no-cache"), ("Cache-Control", "max-stale"))
    assert list(request_directives(both, Rules())) == ["max-stale"]


def test_a_route_can_ignore_what_clients_wish() -> None:
    """RFC 9111 section 5.2.1: they are advisory."""
    deaf = Rules(honour_request_directives=False)
    assert list(request_directives(request(("Cache-Control", "no-store")), deaf)) == []
    assert list(request_directives(request(("Pragma", "no-cache")), deaf)) == []
