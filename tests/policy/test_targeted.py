"""CDN-Cache-Control in place of Cache-Control and Expires (RFC 9213)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.dates import format_date
from proxy.policy.directives import parse_directives, response_directives, targeted_directives
from proxy.policy.forwarding import to_client
from proxy.policy.freshness import Lifetime, fresh_until, lifetime, validation_required
from proxy.policy.messages import Fields, Request, Response, Rules, StoredResponse
from proxy.policy.reuse import Cause, reuse, stale_permitted
from proxy.policy.storing import explicitly_shared, stored_fields, storing
from proxy.policy.validation import freshened

NOW = 1_800_000_000.0
GET = Request("GET", "/", "example.org")
FAILURES: tuple[Cause, ...] = ("unreachable", "error-status", "fallback", "revalidating")


def targeted(value: str, *lines: tuple[str, str]) -> Fields:
    return Fields([("CDN-Cache-Control", value), *lines])


def response(fields: Fields) -> Response:
    return Response(200, "OK", fields, NOW, NOW)


def stored(fields: Fields) -> StoredResponse:
    return StoredResponse(
        "GET http://example.org/", (), "GET", "http://example.org/", 200, "OK", fields, NOW, NOW, 0, 0
    )


def seconds(fields: Fields) -> Lifetime:
    return lifetime(stored(fields), Rules())


class TestPrecedence:
    """RFC 9213 section 2.2."""

    def test_it_outranks_cache_control_s_maxage_and_expires(self) -> None:
        """RFC 9213 section 2.2."""
        others = (("Cache-Control", "max-age=1, s-maxage=2"), ("Expires", format_date(NOW + 3)))
        assert seconds(targeted("max-age=600", *others)) == Lifetime(600.0, "max-age")

    def test_beside_it_expires_gives_no_lifetime(self) -> None:
        """RFC 9213 section 2.2."""
        fields = targeted("must-revalidate", ("Expires", format_date(NOW + 60)))
        assert seconds(fields) == Lifetime(0.0, "none")

    def test_it_permits_storing_what_cache_control_forbids(self) -> None:
        """RFC 9213 section 2.2."""
        for value in ("max-age=600", "none"):
            fields = targeted(value, ("Cache-Control", "no-store, private"))
            assert storing(GET, response(fields), Rules()).store

    def test_it_forbids_storing_what_cache_control_permits(self) -> None:
        """RFC 9213 section 2.2."""
        for value, reason in (("no-store", "response-no-store"), ("private", "response-private")):
            fields = targeted(value, ("Cache-Control", "public, max-age=600"))
            assert storing(GET, response(fields), Rules()).reason == reason

    def test_its_no_cache_makes_its_max_age_inoperative(self) -> None:
        """RFC 9213 section 2.2, RFC 9111 section 5.2.2.4."""
        fields = targeted("max-age=600, no-cache", ("Cache-Control", "max-age=600"))
        assert validation_required(stored(fields)) == "response-no-cache"
        assert fresh_until(stored(fields), Rules()) == 0.0

    def test_the_no_cache_and_no_store_of_cache_control_do_not_count_beside_it(self) -> None:
        """RFC 9213 section 2.2."""
        fields = targeted("max-age=600", ("Cache-Control", "no-cache, no-store"))
        assert validation_required(stored(fields)) is None
        assert reuse(GET, stored(fields), Rules(), NOW + 599).fresh
        assert not reuse(GET, stored(fields), Rules(), NOW + 600).fresh

    def test_public_and_s_maxage_share_only_where_they_count(self) -> None:
        """RFC 9213 section 2.2, RFC 9111 section 3.5."""
        assert explicitly_shared(targeted("public"))
        assert explicitly_shared(targeted("s-maxage=1"))
        assert not explicitly_shared(targeted("max-age=1", ("Cache-Control", "public, s-maxage=1")))

    def test_a_304_replaces_it(self) -> None:
        """RFC 9213 section 2.2, RFC 9111 section 4.3.4."""
        before = stored(targeted("max-age=60", ("ETag", '"1"')))
        news = Response(304, "", targeted("max-age=90"), NOW + 100, NOW + 100)
        assert lifetime(freshened(before, news, Rules()), Rules()) == Lifetime(90.0, "max-age")

    def test_it_is_stored_and_sent_on_untouched(self) -> None:
        """RFC 9213 section 3."""
        fields = targeted("max-age=60", ("Cache-Control", "no-store"), ("Connection", "cdn-cache-control"))
        assert stored_fields(fields).all("CDN-Cache-Control") == ["max-age=60"]
        assert to_client(fields).all("CDN-Cache-Control") == ["max-age=60"]
        assert to_client(fields).all("Cache-Control") == ["no-store"]

    def test_its_qualified_forms_name_fields_that_are_not_kept(self) -> None:
        """RFC 9111 section 3.1."""
        fields = targeted('max-age=60, no-cache="x-a, X-B"', ("X-A", "1"), ("x-b", "2"), ("X-C", "3"))
        assert [name for name, _ in stored_fields(fields)] == ["CDN-Cache-Control", "X-C"]


class TestErrors:
    """RFC 9213 section 2.1."""

    @pytest.mark.parametrize(
        "value",
        ["", " ", "max-age=60,", "MAX-AGE=60", "max-age = 60", "max-age=60 s", 'x="', "max-age=", "max-age=é", ",,"],
    )
    def test_a_malformed_or_empty_field_is_ignored(self, value: str) -> None:
        """RFC 9213 section 2.1."""
        assert targeted_directives([value]) is None
        assert seconds(targeted(value, ("Cache-Control", "max-age=7"))) == Lifetime(7.0, "max-age")
        assert seconds(targeted(value, ("Expires", format_date(NOW + 8)), ("Date", format_date(NOW)))).seconds == 8

    def test_several_lines_are_one_dictionary(self) -> None:
        """RFC 9213 section 2.1."""
        fields = Fields([("CDN-Cache-Control", "max-age=60"), ("cdn-cache-control", 'must-revalidate, x="a,b"')])
        directives = response_directives(fields)
        assert directives.seconds("max-age") == 60
        assert "must-revalidate" in directives
        assert directives.argument("x") == "a,b"

    def test_one_malformed_line_spoils_all(self) -> None:
        """RFC 9213 section 2.1."""
        fields = Fields([("CDN-Cache-Control", "max-age=60"), ("CDN-Cache-Control", "&")])
        assert not response_directives(fields).targeted

    def test_of_several_values_the_last_counts(self) -> None:
        """RFC 9213 section 2.1, RFC 9651 section 3.2."""
        assert seconds(targeted("max-age=60, max-age=7")).seconds == 7

    @pytest.mark.parametrize("value", ["60;foo", "60;foo=bar;a=1.5", '60;x="no-store"'])
    def test_parameters_are_ignored(self, value: str) -> None:
        """RFC 9213 section 2.1."""
        assert seconds(targeted(f"max-age={value}")) == Lifetime(60.0, "max-age")

    def test_unknown_directives_of_any_type_are_ignored(self) -> None:
        """RFC 9213 section 2.1."""
        value = 'max-age=60, a, b=1, c="x", d=tok, e=1.5, f=(1 2), g=:AA==:, h=?0, i=@1, j=%"x", *x'
        assert seconds(targeted(value)) == Lifetime(60.0, "max-age")
        assert storing(GET, response(targeted(value)), Rules()).store

    @pytest.mark.parametrize("value", ["60.0", '"60"', "sixty", "?1", "?0", "(60)", ":AA==:", "@60"])
    def test_a_max_age_that_is_no_integer_is_no_lifetime_and_cache_control_stays_ignored(self, value: str) -> None:
        """RFC 9213 section 2.1."""
        fields = targeted(f"max-age={value}", ("Cache-Control", "max-age=60"))
        assert seconds(fields) == Lifetime(0.0, "none")

    @pytest.mark.parametrize(("value", "expected"), [("-1", 0), ("0", 0), ("007", 7), ("999999999999999", 2**31)])
    def test_any_integer_is_read_as_delta_seconds(self, value: str, expected: int) -> None:
        """RFC 9213 section 2.1, RFC 9111 section 1.2.2."""
        assert seconds(targeted(f"max-age={value}")) == Lifetime(float(expected), "max-age")

    def test_an_integer_with_too_many_digits_makes_the_field_malformed(self) -> None:
        """RFC 9213 section 2.1, RFC 9651 section 3.3.1."""
        fields = targeted("max-age=1" + 15 * "0", ("Cache-Control", "max-age=7"))
        assert seconds(fields).seconds == 7

    @pytest.mark.parametrize("name", ["no-store", "no-cache", "private", "must-revalidate", "proxy-revalidate"])
    def test_a_restriction_of_another_type_still_restricts(self, name: str) -> None:
        """RFC 9213 section 2.1."""
        for value in ("=1", "=tok", "=?1", ""):
            directives = response_directives(targeted(f"max-age=60, {name}{value}"))
            assert name in directives
            assert not directives.field_names(name) or name not in ("no-cache", "private")
        assert name not in response_directives(targeted(f"max-age=60, {name}=?0"))

    @pytest.mark.parametrize("name", ["public", "immutable", "must-understand"])
    def test_a_permission_of_another_type_permits_nothing(self, name: str) -> None:
        """RFC 9213 section 2.1."""
        assert name in response_directives(targeted(f"{name}=?1"))
        for value in ("1", "?0", '"x"', "x"):
            assert name not in response_directives(targeted(f"max-age=60, {name}={value}"))

    def test_a_long_field_is_read_like_a_short_one(self) -> None:
        """RFC 9651 section 3.2."""
        assert seconds(targeted("max-age=60" + "".join(f", x{n}" for n in range(200)))).seconds == 60


class TestStaleUse:
    """What forbids stale use does so from the targeted field too (RFC 9111 section 4.2.4)."""

    @pytest.mark.parametrize("cause", FAILURES)
    @pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"])
    def test_no_cause_makes_a_prohibited_stale_response_usable(self, directive: str, cause: Cause) -> None:
        """RFC 9213 section 2.2, RFC 9111 section 4.2.4."""
        value = f"max-age=60, stale-if-error=1000, stale-while-revalidate=1000, {directive}"
        fields = targeted(value, ("Cache-Control", "max-age=60, stale-if-error=1000"))
        permission = stale_permitted(GET, stored(fields), Rules(), NOW + 61, cause, strategy_window=1000)
        assert not permission.allowed
        assert permission.reason in (directive.partition("=")[0], "response-no-cache")

    @pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"])
    def test_a_prohibition_in_cache_control_does_not_count_beside_it(self, directive: str) -> None:
        """RFC 9213 section 2.2, RFC 9111 section 4.2.4."""
        fields = targeted("max-age=60", ("Cache-Control", directive))
        assert stale_permitted(GET, stored(fields), Rules(), NOW + 61, "unreachable").allowed

    @pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=60"])
    def test_max_stale_does_not_outweigh_it(self, directive: str) -> None:
        """RFC 9111 section 4.2.4."""
        asked = replace(GET, fields=Fields([("Cache-Control", "max-stale")]))
        assert not reuse(asked, stored(targeted(f"max-age=60, {directive}")), Rules(), NOW + 61).fresh

    def test_its_windows_are_the_ones_that_count(self) -> None:
        """RFC 9213 section 2.2, RFC 5861 section 4."""
        fields = targeted("max-age=60, stale-if-error=10", ("Cache-Control", "stale-if-error=1000"))
        assert stale_permitted(GET, stored(fields), Rules(), NOW + 70, "error-status").allowed
        assert not stale_permitted(GET, stored(fields), Rules(), NOW + 71, "error-status").allowed


tokens = st.from_regex(r"[a-z*][a-z0-9_*-]{0,9}", fullmatch=True)


@given(st.dictionaries(st.sampled_from(["max-age", "s-maxage", "stale-if-error"]), st.integers(0, 10**15 - 1)))
def test_numbers_mean_the_same_in_both_fields(stated: dict[str, int]) -> None:
    """RFC 9213 section 2.1."""
    value = ", ".join(["x", *(f"{name}={number}" for name, number in stated.items())])
    one, other = targeted_directives([value]), parse_directives([value])

    assert one is not None
    assert {name: one.seconds(name) for name in stated} == {name: other.seconds(name) for name in stated}


@given(st.sampled_from(["no-cache", "private"]), st.lists(tokens, min_size=1, max_size=4))
def test_field_lists_mean_the_same_in_both_fields(name: str, fields: list[str]) -> None:
    """RFC 9213 section 2.1."""
    value = f'{name}="{", ".join(fields)}"'
    one = targeted_directives([value])

    assert one is not None
    assert one.field_names(name) == parse_directives([value]).field_names(name)


@given(st.text(max_size=30))
def test_any_text_is_read_without_an_error_and_the_rest_of_policy_copes(value: str) -> None:
    """RFC 9213 section 2.1."""
    fields = targeted(value, ("Cache-Control", "max-age=7"))

    storing(GET, response(fields), Rules())
    assert reuse(GET, stored(fields), Rules(), NOW).freshness.lifetime >= 0
