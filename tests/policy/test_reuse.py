"""When a stored response answers: fresh (RFC 9111 sections 4, 5.2) and stale (section 4.2.4, RFC 5861)."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.messages import Fields, Request, Rules, StoredResponse
from proxy.policy.reuse import Cause, Permission, Reuse, reuse, stale_permitted

NOW = 1_800_000_000.0
COOKIE = ("Cookie", "session=1")
AUTHORIZATION = ("Authorization", "Bearer x")
CAUSES: tuple[Cause, ...] = get_args(Cause)
FAILURES: tuple[Cause, ...] = ("unreachable", "error-status", "fallback")


def request(*lines: tuple[str, str], control: str | None = None) -> Request:
    stated = () if control is None else (("Cache-Control", control),)
    return Request("GET", "/", "example.org", Fields((*lines, *stated)))


def stored(
    control: str | None = "max-age=60", *lines: tuple[str, str], stale_since: float | None = None
) -> StoredResponse:
    """A response that arrived at NOW."""
    stated = () if control is None else (("Cache-Control", control),)
    return StoredResponse(
        key="GET http://example.org/",
        vary=(),
        method="GET",
        url="http://example.org/",
        status=200,
        reason="OK",
        fields=Fields((*stated, *lines)),
        request_time=NOW,
        response_time=NOW,
        length=0,
        checksum=0,
        stale_since=stale_since,
    )


def verdict(asked: Request, answer: StoredResponse, after: float, rules: Rules | None = None) -> tuple[bool, bool, str]:
    found = reuse(asked, answer, rules or Rules(), NOW + after)
    return found.fresh, found.usable, found.reason


class TestFreshReuse:
    def test_while_fresh_the_origin_is_not_asked(self) -> None:
        """RFC 9111 section 4, RFC 9111 section 4.2."""
        found = reuse(request(), stored(), Rules(), NOW + 59)
        assert found == Reuse(True, True, "fresh", found.freshness)
        assert found.freshness.ttl == 1

    def test_once_stale_it_is_asked(self) -> None:
        """RFC 9111 section 4, RFC 9111 section 4.2."""
        assert verdict(request(), stored(), 60) == (False, True, "stale")

    def test_a_response_without_any_freshness_says_so(self) -> None:
        """RFC 9111 section 4.2."""
        assert verdict(request(), stored(None), 0) == (False, True, "no-freshness")

    def test_a_soft_purge_says_so(self) -> None:
        purged = stored(stale_since=NOW + 10)
        assert verdict(request(), purged, 9) == (True, True, "fresh")
        assert verdict(request(), purged, 10) == (False, True, "soft-purged")

    def test_no_cache_is_validated_each_time(self) -> None:
        """RFC 9111 section 5.2.2.4."""
        assert verdict(request(), stored("max-age=60, no-cache"), 0) == (False, True, "response-no-cache")

    def test_a_qualified_no_cache_does_not_hold_back_the_rest(self) -> None:
        """RFC 9111 section 5.2.2.4."""
        control = 'max-age=60, no-cache="Set-Cookie"'
        assert verdict(request(), stored(control), 0) == (True, True, "fresh")
        assert verdict(request(), stored(control, ("Set-Cookie", "a=b")), 0) == (False, True, "response-no-cache")


class TestRequestDirectives:
    def test_no_cache_asks_the_origin(self) -> None:
        """RFC 9111 section 5.2.1.4."""
        assert verdict(request(control="no-cache"), stored(), 0) == (False, True, "request-no-cache")

    def test_pragma_no_cache_does_where_cache_control_is_absent(self) -> None:
        """RFC 9111 section 5.4."""
        pragma = ("Pragma", "no-cache")
        assert verdict(request(pragma), stored(), 0) == (False, True, "request-no-cache")
        assert verdict(request(pragma, control="max-stale"), stored(), 0) == (True, True, "fresh")

    def test_no_store_does_not_keep_from_what_is_already_stored(self) -> None:
        """RFC 9111 section 5.2.1.5."""
        assert verdict(request(control="no-store"), stored(), 0) == (True, True, "fresh")

    def test_max_age_bounds_the_age(self) -> None:
        """RFC 9111 section 5.2.1.1."""
        assert verdict(request(control="max-age=10"), stored(), 10) == (True, True, "fresh")
        assert verdict(request(control="max-age=10"), stored(), 10.5) == (False, True, "request-max-age")
        assert verdict(request(control="max-age=0"), stored(), 0.5) == (False, True, "request-max-age")

    def test_a_malformed_max_age_counts_as_zero(self) -> None:
        """RFC 9111 section 5.2.1.1."""
        assert verdict(request(control="max-age=soon"), stored(), 1) == (False, True, "request-max-age")

    def test_an_immutable_response_survives_a_reload_while_fresh(self) -> None:
        """RFC 8246 section 2."""
        immutable = stored("max-age=60, immutable")
        assert verdict(request(control="max-age=0"), immutable, 30) == (True, True, "fresh")
        assert verdict(request(control="max-age=0"), immutable, 60) == (False, True, "request-max-age")
        assert verdict(request(control="max-age=5"), immutable, 30) == (False, True, "request-max-age")
        assert verdict(request(control="no-cache"), immutable, 30) == (False, True, "request-no-cache")

    def test_min_fresh_demands_a_remaining_lifetime(self) -> None:
        """RFC 9111 section 5.2.1.3."""
        assert verdict(request(control="min-fresh=10"), stored(), 50) == (True, True, "fresh")
        assert verdict(request(control="min-fresh=10"), stored(), 51) == (False, True, "request-min-fresh")
        assert verdict(request(control="min-fresh=10"), stored(), 61) == (False, True, "stale")

    def test_max_stale_accepts_what_is_stale(self) -> None:
        """RFC 9111 section 5.2.1.2."""
        assert verdict(request(control="max-stale"), stored(), 5000) == (True, True, "request-max-stale")
        assert verdict(request(control="max-stale=10"), stored(), 70) == (True, True, "request-max-stale")
        assert verdict(request(control="max-stale=10"), stored(), 71) == (False, True, "stale")
        assert verdict(request(control="max-stale=lots"), stored(), 71) == (False, True, "stale")

    def test_max_stale_does_not_outweigh_the_other_wishes(self) -> None:
        """RFC 9111 section 5.2.1.1, RFC 9111 section 5.2.1.3."""
        assert verdict(request(control="max-stale, max-age=10"), stored(), 70) == (False, True, "request-max-age")
        assert verdict(request(control="max-stale, min-fresh=1"), stored(), 70) == (False, True, "stale")

    @pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
    def test_max_stale_does_not_outweigh_what_the_origin_forbids(self, directive: str) -> None:
        """RFC 9111 section 4.2.4, RFC 9111 section 5.2.2.2, RFC 9111 section 5.2.2.8, RFC 9111 section 5.2.2.10."""
        assert verdict(request(control="max-stale"), stored(f"max-age=60, {directive}"), 61) == (False, True, "stale")

    def test_max_stale_does_not_outweigh_a_soft_purge_or_the_routes_max_age(self) -> None:
        wish = request(control="max-stale")
        assert verdict(wish, stored(stale_since=NOW), 5) == (False, True, "soft-purged")
        assert verdict(wish, stored(), 100, Rules(max_age=99)) == (False, True, "stale")

    @pytest.mark.parametrize("wish", ["no-cache", "max-age=0", "min-fresh=100"])
    def test_a_route_can_ignore_them(self, wish: str) -> None:
        """RFC 9111 section 5.2.1: they are advisory."""
        rules = Rules(honour_request_directives=False)
        assert verdict(request(control=wish), stored(), 30, rules) == (True, True, "fresh")
        assert verdict(request(control="max-stale"), stored(), 70, rules) == (False, True, "stale")

    @given(limit=st.integers(0, 100), margin=st.integers(0, 100), now=st.integers(0, 100))
    def test_a_fresh_answer_satisfies_every_number_in_the_request(self, limit: int, margin: int, now: int) -> None:
        """RFC 9111 section 5.2.1.1, RFC 9111 section 5.2.1.3."""
        asked = request(control=f"max-age={limit}, min-fresh={margin}")
        assert reuse(asked, stored(), Rules(), NOW + now).fresh is (now < 60 and now <= limit and now + margin <= 60)


class TestCredentials:
    @pytest.mark.parametrize("line", [COOKIE, AUTHORIZATION])
    @pytest.mark.parametrize("mode", ["bypass", "partition"])
    def test_a_known_user_does_not_get_what_was_stored_for_everyone(self, line: tuple[str, str], mode: str) -> None:
        """RFC 9111 section 3.5."""
        assert verdict(request(line), stored(), 0, Rules(credentials=mode)) == (False, False, "credentials")

    @pytest.mark.parametrize("control", ["public, max-age=60", "s-maxage=60"])
    @pytest.mark.parametrize("mode", ["bypass", "partition"])
    def test_unless_the_origin_shares_it_explicitly(self, control: str, mode: str) -> None:
        """RFC 9111 section 3.5."""
        found = verdict(request(COOKIE, AUTHORIZATION), stored(control), 0, Rules(credentials=mode))
        assert found == (True, True, "fresh")

    def test_must_revalidate_is_enough_for_authorization_but_not_for_a_cookie(self) -> None:
        """RFC 9111 section 3.5."""
        answer = stored("max-age=60, must-revalidate")
        assert verdict(request(AUTHORIZATION), answer, 0) == (True, True, "fresh")
        assert verdict(request(COOKIE), answer, 0) == (False, False, "credentials")

    def test_a_user_gets_their_own_copy(self) -> None:
        found = reuse(request(COOKIE), stored("private, max-age=60"), Rules(credentials="partition"), NOW, own=True)
        assert (found.fresh, found.usable) == (True, True)

    @pytest.mark.parametrize("mode", ["bypass", "partition", "ignore"])
    def test_nobody_gets_what_is_private_to_somebody_else(self, mode: str) -> None:
        """RFC 9111 section 5.2.2.7."""
        rules = Rules(credentials=mode)
        assert verdict(request(), stored("private, max-age=60"), 0, rules) == (False, False, "response-private")
        assert verdict(request(COOKIE), stored("private, public"), 0, rules) == (False, False, "response-private")

    def test_a_private_field_that_was_stored_all_the_same_is_not_leaked(self) -> None:
        """RFC 9111 section 5.2.2.7."""
        control = 'max-age=60, private="X-User"'
        assert verdict(request(), stored(control, ("X-User", "7")), 0) == (False, False, "response-private")
        assert verdict(request(), stored(control), 0) == (True, True, "fresh")

    def test_a_public_asset_may_ignore_them(self) -> None:
        assert verdict(request(COOKIE), stored(), 0, Rules(credentials="ignore")) == (True, True, "fresh")

    @pytest.mark.parametrize("cause", CAUSES)
    def test_no_failure_makes_somebody_elses_copy_usable(self, cause: Cause) -> None:
        permission = stale_permitted(request(COOKIE), stored(), Rules(), NOW + 61, cause, strategy_window=inf)
        assert permission == Permission(False, "credentials")

    def test_a_failure_leaves_a_user_their_own_copy(self) -> None:
        rules = Rules(credentials="partition")
        answer = stored("private, max-age=60")
        assert stale_permitted(request(COOKIE), answer, rules, NOW + 61, "unreachable", own=True).allowed


def permitted(
    answer: StoredResponse,
    after: float,
    cause: Cause,
    *,
    control: str | None = None,
    rules: Rules | None = None,
    strategy_window: float | None = None,
) -> tuple[bool, str]:
    permission = stale_permitted(
        request(control=control), answer, rules or Rules(), NOW + after, cause, strategy_window=strategy_window
    )
    return permission.allowed, permission.reason


class TestStaleProhibited:
    @pytest.mark.parametrize("cause", CAUSES)
    @pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage"])
    def test_the_origin_can_forbid_stale_use_altogether(self, cause: Cause, directive: str) -> None:
        """RFC 9111 section 4.2.4, RFC 9111 section 5.2.2.2, RFC 9111 section 5.2.2.8, RFC 9111 section 5.2.2.10."""
        value = "s-maxage=60" if directive == "s-maxage" else f"max-age=60, {directive}"
        answer = stored(f"{value}, stale-if-error=600, stale-while-revalidate=600")
        rules = Rules(stale_if_error=600)
        assert permitted(answer, 61, cause, rules=rules, strategy_window=inf) == (False, directive)

    @pytest.mark.parametrize("cause", FAILURES)
    @pytest.mark.parametrize("directive", ["must-revalidate", "proxy-revalidate", "s-maxage=60"])
    def test_but_what_is_still_fresh_is_not_stale(self, cause: Cause, directive: str) -> None:
        """RFC 9111 section 5.2.2.2."""
        assert permitted(stored(f"max-age=60, {directive}"), 59, cause, control="no-cache") == (True, "fresh")

    @pytest.mark.parametrize("cause", CAUSES)
    def test_no_cache_forbids_use_even_while_fresh(self, cause: Cause) -> None:
        """RFC 9111 section 4.2.4, RFC 9111 section 5.2.2.4."""
        answer = stored("max-age=60, no-cache, stale-if-error=600")
        assert permitted(answer, 1, cause, strategy_window=inf) == (False, "response-no-cache")

    @pytest.mark.parametrize("cause", CAUSES)
    def test_the_routes_max_age_bounds_every_stale_use(self, cause: Cause) -> None:
        answer = stored("max-age=60, stale-if-error=6000, stale-while-revalidate=6000")
        rules = Rules(max_age=600)
        assert permitted(answer, 600, cause, rules=rules)[0]
        assert permitted(answer, 601, cause, rules=rules) == (False, "max-age")

    def test_it_bounds_even_what_the_origin_declares_fresh(self) -> None:
        assert permitted(stored("max-age=6000"), 601, "unreachable", rules=Rules(max_age=600)) == (False, "max-age")


class TestStaleAfterFailure:
    def test_an_unreachable_origin_permits_it(self) -> None:
        """RFC 9111 section 4.2.4."""
        assert permitted(stored(), 10**6, "unreachable") == (True, "unreachable")

    def test_an_error_status_alone_does_not(self) -> None:
        """RFC 5861 section 4."""
        assert permitted(stored(), 61, "error-status") == (False, "no-stale-if-error")

    @pytest.mark.parametrize("cause", ["unreachable", "error-status"])
    def test_a_window_permits_and_bounds_both(self, cause: Cause) -> None:
        """RFC 5861 section 4."""
        answer = stored("max-age=60, stale-if-error=100")
        assert permitted(answer, 160, cause) == (True, "stale-if-error")
        assert permitted(answer, 161, cause) == (False, "stale-if-error-over")

    @pytest.mark.parametrize("cause", ["unreachable", "error-status"])
    def test_the_request_and_the_route_have_a_window_too_and_the_largest_counts(self, cause: Cause) -> None:
        """RFC 5861 section 4."""
        answer = stored("max-age=60, stale-if-error=100")
        assert permitted(answer, 360, cause, control="stale-if-error=300") == (True, "stale-if-error")
        assert permitted(answer, 360, cause, rules=Rules(stale_if_error=300)) == (True, "stale-if-error")
        assert permitted(stored(), 160, cause, rules=Rules(stale_if_error=0)) == (False, "stale-if-error-over")

    def test_a_malformed_window_is_an_empty_one(self) -> None:
        """RFC 5861 section 4."""
        assert permitted(stored("max-age=60, stale-if-error=x"), 61, "unreachable") == (False, "stale-if-error-over")

    def test_the_window_of_a_soft_purged_response_begins_with_the_purge(self) -> None:
        answer = stored("max-age=60, stale-if-error=10", stale_since=NOW + 20)
        assert permitted(answer, 30, "unreachable") == (True, "stale-if-error")
        assert permitted(answer, 31, "unreachable") == (False, "stale-if-error-over")

    def test_network_first_falls_back_whatever_the_window(self) -> None:
        assert permitted(stored("stale-if-error=1"), 10**6, "fallback") == (True, "fallback")
        assert permitted(stored(None), 5, "fallback") == (True, "fallback")

    @pytest.mark.parametrize("wish", ["no-cache", "max-age=0", "max-age=10", "min-fresh=5"])
    @pytest.mark.parametrize("cause", ["unreachable", "fallback"])
    def test_a_reload_of_a_page_survives_a_dead_origin(self, wish: str, cause: Cause) -> None:
        """RFC 9111 section 5.2.1: they are wishes."""
        assert permitted(stored(), 100, cause, control=wish) == (True, cause)

    @pytest.mark.parametrize("cause", ["unreachable", "fallback"])
    def test_a_stated_limit_on_staleness_holds(self, cause: Cause) -> None:
        """RFC 9111 section 5.2.1.2."""
        assert permitted(stored(), 70, cause, control="max-stale=10") == (True, cause)
        assert permitted(stored(), 71, cause, control="max-stale=10") == (False, "request-max-stale")
        assert permitted(stored(), 71, cause, control="max-stale") == (True, cause)

    def test_unless_the_requests_own_stale_if_error_reaches_further(self) -> None:
        """RFC 5861 section 4."""
        assert permitted(stored(), 90, "unreachable", control="max-stale=10, stale-if-error=30") == (
            True,
            "stale-if-error",
        )

    def test_a_route_can_ignore_the_requests_window(self) -> None:
        """RFC 9111 section 5.2.1."""
        rules = Rules(honour_request_directives=False)
        assert permitted(stored(), 61, "error-status", control="stale-if-error=300", rules=rules) == (
            False,
            "no-stale-if-error",
        )


class TestStaleWhileRevalidating:
    ANSWER = stored("max-age=60, stale-while-revalidate=30")

    def test_it_is_permitted_within_the_window(self) -> None:
        """RFC 5861 section 3."""
        assert permitted(self.ANSWER, 90, "revalidating") == (True, "stale-while-revalidate")
        assert permitted(self.ANSWER, 91, "revalidating") == (False, "stale-while-revalidate-over")

    def test_it_is_not_without_one(self) -> None:
        """RFC 5861 section 3."""
        assert permitted(stored(), 61, "revalidating") == (False, "no-stale-while-revalidate")

    def test_the_strategy_has_a_window_of_its_own_since_arrival(self) -> None:
        assert permitted(stored(), 500, "revalidating", strategy_window=500) == (True, "strategy-window")
        assert permitted(stored(), 501, "revalidating", strategy_window=500) == (False, "stale-while-revalidate-over")
        assert permitted(self.ANSWER, 10**6, "revalidating", strategy_window=inf) == (True, "strategy-window")

    def test_what_is_fresh_needs_no_window(self) -> None:
        """RFC 9111 section 4.2."""
        assert permitted(stored(), 59, "revalidating") == (True, "fresh")

    @pytest.mark.parametrize(
        ("wish", "reason"),
        [
            ("no-cache", "request-no-cache"),
            ("max-age=0", "request-max-age"),
            ("max-age=1000", "request-max-age"),
            ("min-fresh=0", "request-min-fresh"),
            ("max-stale=5", "request-max-stale"),
        ],
    )
    def test_a_wish_for_something_newer_goes_to_the_origin_first(self, wish: str, reason: str) -> None:
        """RFC 9111 section 5.2.1."""
        assert permitted(self.ANSWER, 70, "revalidating", control=wish) == (False, reason)

    def test_a_request_that_accepts_the_staleness_gets_it(self) -> None:
        """RFC 9111 section 5.2.1.2."""
        answer = permitted(self.ANSWER, 70, "revalidating", control="max-age=100, max-stale=10")
        assert answer == (True, "stale-while-revalidate")

    def test_a_soft_purged_response_is_refreshed_in_the_background(self) -> None:
        purged = replace(self.ANSWER, stale_since=NOW + 10)
        assert permitted(purged, 40, "revalidating") == (True, "stale-while-revalidate")
        assert permitted(purged, 41, "revalidating") == (False, "stale-while-revalidate-over")


@given(
    control=st.lists(
        st.sampled_from(["max-age=60", "public", "no-cache", "must-revalidate", "s-maxage=9", "stale-if-error=50",
                         "stale-while-revalidate=50", "private", "immutable"]), max_size=4, unique=True),
    wishes=st.lists(st.sampled_from(["no-cache", "max-age=0", "max-stale", "min-fresh=5", "max-stale=5"]), max_size=2),
    lines=st.lists(st.sampled_from([COOKIE, AUTHORIZATION]), max_size=2, unique=True),
    after=st.integers(0, 200),
    cause=st.sampled_from(CAUSES),
)  # fmt: skip
def test_what_is_unusable_is_never_permitted_and_what_is_fresh_always(
    control: list[str], wishes: list[str], lines: list[tuple[str, str]], after: int, cause: Cause
) -> None:
    """RFC 9111 section 4, RFC 9111 section 4.2.4."""
    asked = request(*lines, control=", ".join(wishes) or None)
    answer = stored(", ".join(control) or None)
    found = reuse(asked, answer, Rules(), NOW + after)
    permission = stale_permitted(asked, answer, Rules(), NOW + after, cause, strategy_window=inf)
    assert found.usable or not permission.allowed
    assert permission.allowed or not (found.fresh and found.reason == "fresh")
