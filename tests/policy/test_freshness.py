"""Age and freshness lifetime (RFC 9111 section 4.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.policy.dates import format_date
from proxy.policy.freshness import (
    HEURISTICALLY_CACHEABLE,
    Freshness,
    Lifetime,
    age,
    fresh_until,
    freshness,
    lifetime,
    validation_required,
)
from proxy.policy.messages import Fields, Response, Rules, StoredResponse

NOW = 1_800_000_000.0
DAY = 86_400.0


def stored(
    *lines: tuple[str, str],
    status: int = 200,
    date: float | None = NOW,
    delay: float = 0.0,
    stale_since: float | None = None,
) -> StoredResponse:
    """A response that arrived at NOW, `delay` seconds after its request."""
    dated = lines if date is None else (("Date", format_date(date)), *lines)
    return StoredResponse(
        key="GET http://example.org/",
        vary=(),
        method="GET",
        url="http://example.org/",
        status=status,
        reason="OK",
        fields=Fields(dated),
        request_time=NOW - delay,
        response_time=NOW,
        length=0,
        checksum=0,
        stale_since=stale_since,
    )


class TestAge:
    def test_without_an_age_field_it_is_the_time_since_arrival(self) -> None:
        """RFC 9111 section 4.2.3."""
        assert age(stored(), NOW + 30) == 30

    def test_the_age_field_and_the_delay_of_the_response_add_up(self) -> None:
        """RFC 9111 section 4.2.3."""
        assert age(stored(("Age", "100"), delay=7), NOW + 30) == 137

    def test_a_date_in_the_past_makes_it_older_even_without_an_age_field(self) -> None:
        """RFC 9111 section 4.2.3."""
        assert age(stored(date=NOW - 600), NOW) == 600

    def test_the_larger_of_apparent_age_and_corrected_age_value_counts(self) -> None:
        """RFC 9111 section 4.2.3."""
        assert age(stored(("Age", "700"), date=NOW - 600, delay=5), NOW) == 705
        assert age(stored(("Age", "7"), date=NOW - 600, delay=5), NOW) == 600

    def test_a_date_in_the_future_makes_it_no_younger(self) -> None:
        """RFC 9111 section 4.2.3."""
        assert age(stored(date=NOW + 600), NOW + 1) == 1

    @pytest.mark.parametrize("date", ["", "yesterday", "0"])
    def test_an_unreadable_date_is_the_time_of_arrival(self, date: str) -> None:
        """RFC 9110 section 6.6.1, RFC 9111 section 4.2.3."""
        assert age(stored(("Date", date), date=None), NOW + 1) == 1

    def test_a_clock_set_back_makes_it_no_younger(self) -> None:
        """RFC 9111 section 4.2.3."""
        assert age(stored(("Age", "10"), delay=-50), NOW - 500) == 10

    @pytest.mark.parametrize("value", ["abc", "-7200", "+5", "7200.0", "1e3", '"5"', "5 6", "", "\u00b2", "0x10"])
    def test_a_malformed_age_is_ignored(self, value: str) -> None:
        """RFC 9111 section 5.1."""
        assert age(stored(("Age", value)), NOW) == 0

    def test_of_an_age_list_the_first_member_counts(self) -> None:
        """RFC 9111 section 5.1."""
        assert age(stored(("Age", "0, 7200")), NOW) == 0
        assert age(stored(("Age", "7200, 0")), NOW) == 7200
        assert age(stored(("Age", "7200"), ("Age", "0")), NOW) == 7200
        assert age(stored(("Age", "abc, 7200")), NOW) == 0

    @pytest.mark.parametrize("value", ["2147483648", "99999999999", "9" * 5_000])
    def test_an_absurd_age_is_capped(self, value: str) -> None:
        """RFC 9111 section 1.2.2."""
        assert age(stored(("Age", value)), NOW) == 2**31

    @given(
        value=st.integers(0, 10**6),
        date=st.integers(-(10**6), 10**6),
        delay=st.integers(0, 1000),
        resident=st.integers(0, 10**6),
    )
    def test_it_is_the_formula_of_the_rfc(self, value: int, date: int, delay: int, resident: int) -> None:
        """RFC 9111 section 4.2.3."""
        answer = stored(("Age", str(value)), date=NOW + date, delay=delay)
        apparent = -date if date < 0 else 0
        corrected = value + delay
        assert age(answer, NOW + resident) == max(apparent, corrected) + resident


class TestExplicitLifetime:
    def test_s_maxage_outranks_max_age_and_expires(self) -> None:
        """RFC 9111 section 4.2.1."""
        answer = stored(("Expires", format_date(NOW + 5)), ("Cache-Control", "max-age=60, s-maxage=600"))
        assert lifetime(answer, Rules()) == Lifetime(600, "s-maxage")

    def test_max_age_outranks_expires(self) -> None:
        """RFC 9111 section 4.2.1, RFC 9111 section 5.3."""
        answer = stored(("Expires", format_date(NOW + 5)), ("Cache-Control", "max-age=60"))
        assert lifetime(answer, Rules()) == Lifetime(60, "max-age")

    def test_expires_counts_from_date(self) -> None:
        """RFC 9111 section 4.2.1."""
        answer = stored(("Expires", format_date(NOW + 500)), date=NOW + 400)
        assert lifetime(answer, Rules()) == Lifetime(100, "expires")

    def test_expires_counts_from_arrival_where_date_is_missing(self) -> None:
        """RFC 9110 section 6.6.1, RFC 9111 section 4.2.1."""
        assert lifetime(stored(("Expires", format_date(NOW + 500)), date=None), Rules()) == Lifetime(500, "expires")

    @pytest.mark.parametrize("value", ["0", "-1", "", "never", "Sun, 06 Nov 2050 08:49:37 UTC", format_date(NOW - 1)])
    def test_an_expires_that_is_past_or_invalid_means_already_expired(self, value: str) -> None:
        """RFC 9111 section 5.3."""
        assert lifetime(stored(("Expires", value)), Rules(assign_lifetime=True, max_age=DAY)) == Lifetime(0, "expires")

    def test_an_expires_in_an_obsolete_form_or_odd_case_counts(self) -> None:
        """RFC 9110 section 5.6.7, RFC 9111 section 4.2."""
        odd = stored(("Expires", "THU, 18 AUG 2050 02:01:18 gmt"))
        asctime = stored(("Expires", "Thu Aug 18 02:01:18 2050"))
        rfc850 = stored(("Expires", "Thursday, 18-Aug-50 02:01:18 GMT"))
        assert lifetime(odd, Rules()) == lifetime(asctime, Rules()) == lifetime(rfc850, Rules())
        assert lifetime(odd, Rules()).seconds > 20 * 365 * DAY

    @pytest.mark.parametrize(
        "value", ["Thu, 01 Jan 1970 00:00:00 GMT", "Thu Jan  1 00:00:00 1970", "Thursday, 01-Jan-70 00:00:00 GMT"]
    )
    def test_an_expires_at_the_epoch_lies_in_the_past_rfc_9111_section_5_3(self, value: str) -> None:
        """RFC 9111 section 5.3."""
        assert lifetime(stored(("Expires", value)), Rules()) == Lifetime(0, "expires")

    def test_a_wrong_day_name_does_not_spoil_an_expires_rfc_9110_section_5_6_7(self) -> None:
        """RFC 9110 section 5.6.7."""
        right, wrong = format_date(NOW + 60), format_date(NOW + 60 + DAY)[:3] + format_date(NOW + 60)[3:]
        assert right != wrong
        assert lifetime(stored(("Expires", wrong)), Rules()).seconds == 60

    def test_expires_counts_from_arrival_where_date_is_unreadable_rfc_9110_section_6_6_1(self) -> None:
        """RFC 9110 section 6.6.1."""
        answer = stored(("Date", "Fri, 15 Jan 2027 08:00:00 UTC"), ("Expires", format_date(NOW + 60)), date=None)
        assert lifetime(answer, Rules()) == Lifetime(60, "expires")

    @pytest.mark.parametrize(
        "control", ['max-age="60"', "MAX-AGE=60", "Max-Age=0060", "x=1,,max-age=60,", 'MAX-AGE="060"']
    )
    def test_an_odd_but_valid_max_age_counts_rfc_9111_section_5_2(self, control: str) -> None:
        """RFC 9111 section 5.2."""
        assert lifetime(stored(("Cache-Control", control)), Rules()) == Lifetime(60, "max-age")

    @pytest.mark.parametrize("argument", ["1.0", "-1", " 60", "60 ", "'60'", "1e2", "", "60;x"])
    def test_an_invalid_s_maxage_means_stale_whatever_max_age_says_rfc_9111_section_4_2_1(self, argument: str) -> None:
        """RFC 9111 section 4.2.1."""
        answer = stored(("Cache-Control", f"s-maxage={argument}x, max-age=60"))
        assert lifetime(answer, Rules()) == Lifetime(0, "s-maxage")

    def test_a_quoted_directive_in_an_extension_is_no_lifetime_rfc_9111_section_5_2(self) -> None:
        """RFC 9111 section 5.2."""
        answer = stored(("Cache-Control", 'x="max-age=60", y="s-maxage=60"'), ("Expires", format_date(NOW + 7)))
        assert lifetime(answer, Rules()) == Lifetime(7, "expires")

    def test_of_several_expires_lines_the_first_counts(self) -> None:
        """RFC 9111 section 4.2.1."""
        answer = stored(("Expires", format_date(NOW + 5)), ("Expires", format_date(NOW + DAY)))
        assert lifetime(answer, Rules()).seconds == 5

    def test_a_malformed_max_age_means_stale_whatever_expires_says(self) -> None:
        """RFC 9111 section 4.2.1."""
        answer = stored(("Cache-Control", "max-age=1 day"), ("Expires", format_date(NOW + DAY)))
        assert lifetime(answer, Rules()) == Lifetime(0, "max-age")

    def test_it_applies_to_any_status(self) -> None:
        """RFC 9111 section 3."""
        assert lifetime(stored(("Cache-Control", "max-age=60"), status=599), Rules()) == Lifetime(60, "max-age")

    def test_only_what_the_origin_states_is_explicit(self) -> None:
        """RFC 9111 section 4.2."""
        assert [Lifetime(1, source).explicit for source in ("s-maxage", "max-age", "expires")] == [True] * 3
        assert not Lifetime(1, "route").explicit


class TestAssignedLifetime:
    RULES = Rules(assign_lifetime=True, max_age=30 * DAY, expiry=(("image/*", DAY), ("*/css", 90 * DAY)))

    def test_the_first_matching_content_type_gives_it(self) -> None:
        assert lifetime(stored(("Content-Type", "IMAGE/png; q=1")), self.RULES) == Lifetime(DAY, "content-type")

    def test_it_is_bounded_by_the_routes_max_age(self) -> None:
        assert lifetime(stored(("Content-Type", "text/css")), self.RULES) == Lifetime(30 * DAY, "content-type")

    def test_a_content_type_alone_needs_no_max_age(self) -> None:
        rules = replace(self.RULES, max_age=None)
        assert lifetime(stored(("Content-Type", "text/css")), rules) == Lifetime(90 * DAY, "content-type")
        assert lifetime(stored(("Content-Type", "text/html")), rules) == Lifetime(0, "none")

    @pytest.mark.parametrize("lines", [(), (("Content-Type", "font/woff2"),)])
    def test_else_the_routes_max_age_is_the_lifetime(self, lines: tuple[tuple[str, str], ...]) -> None:
        assert lifetime(stored(*lines), self.RULES) == Lifetime(30 * DAY, "route")

    @pytest.mark.parametrize("control", ["max-age=5", "s-maxage=5", "max-age=5, no-cache"])
    def test_the_origins_explicit_lifetime_wins(self, control: str) -> None:
        """RFC 9111 section 4.2.2."""
        assert lifetime(stored(("Cache-Control", control)), self.RULES).seconds == 5

    def test_no_cache_gets_none(self) -> None:
        assert lifetime(stored(("Cache-Control", "no-cache")), self.RULES) == Lifetime(0, "none")

    def test_a_no_cache_for_some_fields_leaves_it(self) -> None:
        assert lifetime(stored(("Cache-Control", 'no-cache="x"')), self.RULES).source == "route"

    @pytest.mark.parametrize("status", [302, 404, 410, 500, 501])
    def test_redirections_that_are_temporary_and_errors_get_none(self, status: int) -> None:
        assert lifetime(stored(status=status), self.RULES) == Lifetime(0, "none")

    def test_a_status_that_the_route_names_gets_it(self) -> None:
        rules = replace(self.RULES, statuses=frozenset({404}))
        assert lifetime(stored(status=404), rules).source == "route"
        assert lifetime(stored(status=200), rules).source == "none"

    def test_only_the_cache_first_strategy_assigns(self) -> None:
        assert lifetime(stored(), replace(self.RULES, assign_lifetime=False)) == Lifetime(0, "none")


class TestHeuristicLifetime:
    def test_it_is_a_tenth_of_the_time_since_the_last_modification(self) -> None:
        """RFC 9111 section 4.2.2."""
        assert lifetime(stored(("Last-Modified", format_date(NOW - 1000))), Rules()) == Lifetime(100, "heuristic")

    def test_it_counts_from_date(self) -> None:
        """RFC 9111 section 4.2.2."""
        answer = stored(("Last-Modified", format_date(NOW - 1000)), date=NOW - 500)
        assert lifetime(answer, Rules()).seconds == 50

    def test_it_is_at_most_a_week(self) -> None:
        """RFC 9111 section 4.2.2."""
        assert lifetime(stored(("Last-Modified", format_date(NOW - 900 * DAY))), Rules()).seconds == 7 * DAY

    @pytest.mark.parametrize("status", [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501])
    def test_every_heuristically_cacheable_status_gets_it(self, status: int) -> None:
        """RFC 9110 section 15.1, RFC 9111 section 4.2.2."""
        assert status in HEURISTICALLY_CACHEABLE
        assert lifetime(stored(("Last-Modified", format_date(NOW - DAY)), status=status), Rules()).source == "heuristic"

    @pytest.mark.parametrize("status", [201, 202, 302, 303, 307, 400, 403, 500, 503])
    def test_other_statuses_get_it_only_when_public(self, status: int) -> None:
        """RFC 9111 section 4.2.2."""
        modified = ("Last-Modified", format_date(NOW - DAY))
        assert lifetime(stored(modified, status=status), Rules()).source == "none"
        assert lifetime(stored(modified, ("Cache-Control", "public"), status=status), Rules()).source == "heuristic"

    @pytest.mark.parametrize("value", ["", "rubbish", "0"])
    def test_an_unreadable_last_modified_gives_none(self, value: str) -> None:
        """RFC 9111 section 4.2.2."""
        assert lifetime(stored(("Last-Modified", value)), Rules()) == Lifetime(0, "none")

    def test_a_last_modified_in_the_future_gives_zero(self) -> None:
        """RFC 9111 section 4.2.2."""
        assert lifetime(stored(("Last-Modified", format_date(NOW + DAY))), Rules()).seconds == 0

    def test_it_can_be_switched_off(self) -> None:
        answer = stored(("Last-Modified", format_date(NOW - DAY)))
        assert lifetime(answer, Rules(origin_freshness_only=True)) == Lifetime(0, "none")

    def test_the_assigned_lifetime_goes_before_it(self) -> None:
        answer = stored(("Last-Modified", format_date(NOW - DAY)))
        assert lifetime(answer, Rules(assign_lifetime=True, max_age=60)) == Lifetime(60, "route")


class TestFreshness:
    ANSWER = stored(("Cache-Control", "max-age=60"), ("Age", "10"))

    def test_it_ends_when_the_age_reaches_the_lifetime(self) -> None:
        """RFC 9111 section 4.2."""
        assert freshness(self.ANSWER, Rules(), NOW + 49.5).fresh
        assert not freshness(self.ANSWER, Rules(), NOW + 50).fresh

    def test_ttl_turns_negative_and_staleness_counts_on(self) -> None:
        """RFC 9211 section 2.4."""
        early, late = freshness(self.ANSWER, Rules(), NOW), freshness(self.ANSWER, Rules(), NOW + 80)
        assert (early.ttl, early.staleness) == (50, 0)
        assert (late.ttl, late.staleness) == (-30, 30)

    def test_a_response_without_any_freshness_is_stale_at_once(self) -> None:
        """RFC 9111 section 4.2."""
        assert freshness(stored(), Rules(), NOW) == Freshness(0, "none", 0)
        assert not freshness(stored(), Rules(), NOW).fresh

    def test_the_routes_max_age_bounds_what_the_origin_states_from_its_arrival_on(self) -> None:
        rules = Rules(max_age=5, assign_lifetime=True)
        assert freshness(self.ANSWER, rules, NOW + 4).fresh
        assert not freshness(self.ANSWER, rules, NOW + 5).fresh
        assert fresh_until(self.ANSWER, rules) == NOW + 5

    def test_a_larger_max_age_of_the_route_lengthens_nothing_that_the_origin_states(self) -> None:
        assert freshness(self.ANSWER, Rules(max_age=5000), NOW) == freshness(self.ANSWER, Rules(), NOW)

    def test_a_soft_purge_ends_it(self) -> None:
        purged = replace(self.ANSWER, stale_since=NOW + 20)
        assert freshness(purged, Rules(), NOW + 19).fresh
        after = freshness(purged, Rules(), NOW + 25)
        assert (after.fresh, after.soft_purged, after.staleness) == (False, True, 5)

    def test_a_soft_purge_of_what_was_stale_already_changes_nothing(self) -> None:
        purged = replace(self.ANSWER, stale_since=NOW + 70)
        assert freshness(purged, Rules(), NOW + 80) == freshness(self.ANSWER, Rules(), NOW + 80)


class TestFreshUntil:
    def test_it_is_the_moment_the_age_reaches_the_lifetime(self) -> None:
        """RFC 9111 section 4.2."""
        assert fresh_until(stored(("Cache-Control", "max-age=60"), ("Age", "10"), delay=5), Rules()) == NOW + 45

    def test_a_soft_purge_brings_it_forward(self) -> None:
        assert fresh_until(stored(("Cache-Control", "max-age=60"), stale_since=NOW + 9), Rules()) == NOW + 9

    @pytest.mark.parametrize("control", ["max-age=0", "max-age=60, no-cache", 'max-age=60, no-cache="Date"', "public"])
    def test_what_may_never_be_used_unasked_has_none(self, control: str) -> None:
        """RFC 9111 section 4.2, RFC 9111 section 5.2.2.4."""
        assert fresh_until(stored(("Cache-Control", control)), Rules()) == 0

    def test_a_response_that_is_not_stored_yet_has_one_too(self) -> None:
        """RFC 9111 section 4.2."""
        fields = Fields([("Cache-Control", "max-age=60")])
        assert fresh_until(Response(200, "OK", fields, NOW, NOW), Rules()) == NOW + 60

    @given(
        seconds=st.integers(0, 300),
        value=st.integers(0, 300),
        date=st.integers(-300, 300),
        resident=st.integers(-50, 600),
        purge=st.none() | st.integers(0, 300),
    )
    def test_it_agrees_with_freshness_at_every_moment(
        self, seconds: int, value: int, date: int, resident: int, purge: int | None
    ) -> None:
        """RFC 9111 section 4.2."""
        assume(purge is None or resident >= 0)
        answer = stored(
            ("Cache-Control", f"max-age={seconds}"),
            ("Age", str(value)),
            date=NOW + date,
            stale_since=None if purge is None else NOW + purge,
        )
        moment = NOW + resident
        assert freshness(answer, Rules(), moment).fresh is (moment < fresh_until(answer, Rules()))


class TestValidationRequired:
    def test_an_ordinary_response_needs_none(self) -> None:
        """RFC 9111 section 4."""
        assert validation_required(stored(("Cache-Control", "max-age=5"), ("Vary", "Accept"))) is None

    def test_no_cache_does(self) -> None:
        """RFC 9111 section 5.2.2.4."""
        assert validation_required(stored(("Cache-Control", "No-Cache, max-age=5"))) == "response-no-cache"

    def test_a_qualified_no_cache_does_only_while_the_field_is_there(self) -> None:
        """RFC 9111 section 5.2.2.4."""
        control = ("Cache-Control", 'no-cache="X-User"')
        assert validation_required(stored(control)) is None
        assert validation_required(stored(control, ("x-user", "7"))) == "response-no-cache"

    def test_no_store_that_came_with_a_304_does(self) -> None:
        """RFC 9111 section 3.2, RFC 9111 section 5.2.2.5."""
        assert validation_required(stored(("Cache-Control", "no-store"))) == "response-no-store"

    def test_no_store_beside_must_understand_does_not(self) -> None:
        """RFC 9111 section 5.2.2.3."""
        assert validation_required(stored(("Cache-Control", "no-store, must-understand"))) is None

    def test_a_vary_star_that_came_with_a_304_does(self) -> None:
        """RFC 9111 section 3.2, RFC 9111 section 4.1."""
        assert validation_required(stored(("Vary", "Accept, *"))) == "response-vary"
