"""What is stored (RFC 9111 sections 3 to 3.5, 5.2.2)."""

from __future__ import annotations

import pytest

from proxy.policy.dates import format_date
from proxy.policy.messages import Fields, Request, Response, Rules
from proxy.policy.storing import (
    Storing,
    explicitly_shared,
    has_credentials,
    shareable,
    stored_fields,
    storing,
)

NOW = 1_800_000_000.0
COOKIE = ("Cookie", "session=1")
AUTHORIZATION = ("Authorization", "Bearer x")
PARTITION = Rules(credentials="partition")
IGNORE = Rules(credentials="ignore")


def request(*lines: tuple[str, str], method: str = "GET", has_body: bool = False) -> Request:
    return Request(method, "/", "example.org", Fields(lines), has_body=has_body)


def response(*lines: tuple[str, str], status: int = 200) -> Response:
    return Response(status, "", Fields(lines), NOW, NOW)


def control(value: str) -> tuple[str, str]:
    return ("Cache-Control", value)


def decision(asked: Request, answer: Response, rules: Rules = Rules()) -> tuple[bool, str, bool]:  # noqa: B008 - frozen
    made = storing(asked, answer, rules)
    return made.store, made.reason, made.private


class TestTheExchange:
    def test_a_plain_200_is_stored_as_something_to_fall_back_on(self) -> None:
        """RFC 9111 section 3."""
        assert decision(request(), response()) == (True, "fallback", False)

    @pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "BREW"])
    def test_only_the_response_to_get_is_stored(self, method: str) -> None:
        """RFC 9110 section 9.2.3, RFC 9111 section 3."""
        answer = response(control("max-age=60, public"))
        assert decision(request(method=method), answer) == (False, "method", False)

    def test_the_response_to_a_get_with_content_is_never_stored(self) -> None:
        """RFC 9110 section 9.3.1."""
        assert decision(request(has_body=True), response(control("max-age=60"))) == (False, "request-body", False)

    @pytest.mark.parametrize(
        ("status", "reason"), [(100, "not-final"), (103, "not-final"), (206, "partial"), (304, "not-modified")]
    )
    def test_interim_partial_and_not_modified_responses_are_not_stored(self, status: int, reason: str) -> None:
        """RFC 9111 section 3, RFC 9111 section 3.3."""
        assert decision(request(), response(control("max-age=60"), status=status)) == (False, reason, False)


class TestTheStatus:
    @pytest.mark.parametrize("status", [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
    def test_a_heuristically_cacheable_status_needs_nothing_else(self, status: int) -> None:
        """RFC 9110 section 15.1, RFC 9111 section 3."""
        assert storing(request(), response(status=status), Rules()).store

    @pytest.mark.parametrize("status", [201, 202, 299, 302, 303, 307, 400, 403, 418, 499, 500, 502, 503, 599])
    def test_any_other_final_status_needs_a_lifetime(self, status: int) -> None:
        """RFC 9111 section 3."""
        assert decision(request(), response(status=status)) == (False, "status-not-cacheable", False)
        for line in (control("max-age=60"), control("s-maxage=60"), ("Expires", format_date(NOW + 60))):
            assert decision(request(), response(line, status=status)) == (True, "explicit-lifetime", False)

    def test_public_and_a_modification_date_are_a_lifetime(self) -> None:
        """RFC 9111 section 3, RFC 9111 section 4.2.2."""
        answer = response(control("public"), ("Last-Modified", format_date(NOW - 1000)), status=403)
        assert decision(request(), answer) == (True, "heuristic-lifetime", False)

    @pytest.mark.parametrize("line", [control("max-age=0"), ("Expires", "0")])
    def test_an_error_page_that_is_stale_on_arrival_does_not_replace_a_good_answer(self, line: tuple[str, str]) -> None:
        assert decision(request(), response(line, status=503)) == (False, "status-not-cacheable", False)


class TestNoStoreAndVary:
    @pytest.mark.parametrize("value", ["no-store", "NO-STORE, max-age=60", "public, no-store", 'x="a", no-store=1'])
    def test_a_response_with_no_store_is_never_stored(self, value: str) -> None:
        """RFC 9111 section 5.2.2.5."""
        assert decision(request(), response(control(value))) == (False, "response-no-store", False)

    def test_a_no_store_inside_a_quoted_string_is_none(self) -> None:
        """RFC 9110 section 5.6.4."""
        assert storing(request(), response(control('x="no-store"')), Rules()).store

    def test_the_response_to_a_request_with_no_store_is_not_stored(self) -> None:
        """RFC 9111 section 5.2.1.5."""
        asked = request(control("no-store"))
        assert decision(asked, response(control("max-age=60"))) == (False, "request-no-store", False)

    def test_a_route_that_ignores_request_directives_ignores_that_one_too(self) -> None:
        """RFC 9111 section 5.2.1: they are advisory."""
        rules = Rules(honour_request_directives=False)
        assert storing(request(control("no-store")), response(control("max-age=60")), rules).store

    def test_must_understand_outweighs_no_store_for_a_status_that_is_understood(self) -> None:
        """RFC 9111 section 5.2.2.3."""
        value = control("must-understand, no-store, max-age=60")
        assert decision(request(), response(value)) == (True, "explicit-lifetime", False)

    @pytest.mark.parametrize("value", ["must-understand, no-store, max-age=60", "must-understand, max-age=60"])
    def test_must_understand_forbids_a_status_that_is_not_understood(self, value: str) -> None:
        """RFC 9111 section 5.2.2.3."""
        assert decision(request(), response(control(value), status=299)) == (False, "must-understand", False)

    @pytest.mark.parametrize("value", ["*", "Accept, *", " , *"])
    def test_a_response_that_varies_on_everything_is_not_stored(self, value: str) -> None:
        """RFC 9111 section 4.1."""
        assert decision(request(), response(control("max-age=60"), ("Vary", value))) == (False, "vary", False)

    def test_no_cache_is_stored_because_it_can_be_validated(self) -> None:
        """RFC 9111 section 5.2.2.4."""
        assert decision(request(), response(control("no-cache"), ("ETag", '"1"'))) == (True, "validator", False)


class TestWhatMakesItWorthIt:
    def test_the_reason_says_what_gives_the_lifetime(self) -> None:
        """RFC 9111 section 3."""
        assert storing(request(), response(control("max-age=1")), Rules()).reason == "explicit-lifetime"
        modified = response(("Last-Modified", format_date(NOW - 1000)))
        assert storing(request(), modified, Rules()).reason == "heuristic-lifetime"
        assigned = Rules(assign_lifetime=True, max_age=60)
        assert storing(request(), response(), assigned).reason == "assigned-lifetime"

    def test_or_that_there_is_a_validator(self) -> None:
        """RFC 9111 section 4.3.1."""
        assert storing(request(), response(control("max-age=0"), ("ETag", '"1"')), Rules()).reason == "validator"
        new = response(("Last-Modified", format_date(NOW)))
        assert storing(request(), new, Rules()).reason == "validator"


class TestTheRoute:
    def test_only_its_statuses_are_stored(self) -> None:
        rules = Rules(statuses=frozenset({200}))
        assert decision(request(), response(control("max-age=9"), status=404), rules) == (False, "route-status", False)
        assert storing(request(), response(), rules).store

    def test_a_required_field_must_be_there(self) -> None:
        rules = Rules(required_fields=(("X-Cacheable", None),))
        assert decision(request(), response(), rules) == (False, "route-field", False)
        assert storing(request(), response(("x-cacheable", "")), rules).store

    def test_a_required_field_must_have_the_required_value(self) -> None:
        rules = Rules(required_fields=(("X-Cacheable", "yes"),))
        assert decision(request(), response(("X-Cacheable", "no")), rules) == (False, "route-field", False)
        assert storing(request(), response(("X-Cacheable", "yes")), rules).store

    def test_naming_a_status_does_not_make_it_cacheable(self) -> None:
        """RFC 9111 section 3."""
        rules = Rules(statuses=frozenset({500}))
        assert decision(request(), response(status=500), rules) == (False, "status-not-cacheable", False)


class TestPrivate:
    @pytest.mark.parametrize("rules", [Rules(), IGNORE, PARTITION])
    def test_a_private_response_is_not_stored(self, rules: Rules) -> None:
        """RFC 9111 section 5.2.2.7."""
        answer = response(control("private, public, max-age=60"))
        assert decision(request(), answer, rules) == (False, "response-private", False)

    @pytest.mark.parametrize("rules", [Rules(), IGNORE])
    def test_not_for_a_user_who_is_known_either(self, rules: Rules) -> None:
        """RFC 9111 section 5.2.2.7."""
        assert decision(request(COOKIE), response(control("private")), rules) == (False, "response-private", False)

    def test_partitioned_by_credentials_it_is_kept_for_that_user(self) -> None:
        answer = response(control("private, max-age=60"))
        assert decision(request(COOKIE), answer, PARTITION) == (True, "private", True)

    def test_the_qualified_form_keeps_out_only_the_fields_it_lists(self) -> None:
        """RFC 9111 section 5.2.2.7."""
        made = storing(request(), response(control('max-age=60, private="X-User"'), ("X-User", "7")), Rules())
        assert made == Storing(True, "explicit-lifetime", False, Fields([control('max-age=60, private="X-User"')]))

    def test_the_qualified_form_of_what_the_rest_needs_means_everything(self) -> None:
        """RFC 9111 section 5.2.2.7."""
        answer = response(control('max-age=60, private="Content-Encoding"'), ("Content-Encoding", "gzip"))
        assert decision(request(), answer) == (False, "response-private", False)


class TestCredentials:
    @pytest.mark.parametrize("line", [COOKIE, AUTHORIZATION])
    def test_authorization_and_cookie_are_credentials(self, line: tuple[str, str]) -> None:
        assert has_credentials(request(line))
        assert not has_credentials(request(("Accept", "*/*")))

    @pytest.mark.parametrize("line", [COOKIE, AUTHORIZATION])
    def test_bypassed_the_response_to_a_known_user_is_not_stored(self, line: tuple[str, str]) -> None:
        """RFC 9111 section 3.5."""
        assert decision(request(line), response(control("max-age=60"))) == (False, "credentials", False)

    @pytest.mark.parametrize("line", [COOKIE, AUTHORIZATION])
    @pytest.mark.parametrize("value", ["public", "s-maxage=60"])
    def test_unless_the_origin_says_that_everyone_may_have_it(self, line: tuple[str, str], value: str) -> None:
        """RFC 9111 section 3.5."""
        assert storing(request(line), response(control(value)), Rules()).store

    def test_must_revalidate_is_enough_after_authorization_but_not_after_a_cookie(self) -> None:
        """RFC 9111 section 3.5."""
        answer = response(control("must-revalidate, max-age=60"))
        assert storing(request(AUTHORIZATION), answer, Rules()).store
        assert decision(request(COOKIE), answer) == (False, "credentials", False)
        assert decision(request(AUTHORIZATION, COOKIE), answer) == (False, "credentials", False)

    @pytest.mark.parametrize("value", ["max-age=60", "must-revalidate, max-age=60"])
    def test_partitioned_it_belongs_to_the_user(self, value: str) -> None:
        assert decision(request(AUTHORIZATION), response(control(value)), PARTITION) == (True, "private", True)

    @pytest.mark.parametrize("value", ["public, max-age=60", "s-maxage=60"])
    def test_partitioned_what_is_explicitly_shared_stays_shared(self, value: str) -> None:
        answer = response(control(value))
        assert decision(request(COOKIE), answer, PARTITION) == (True, "explicit-lifetime", False)

    def test_partitioned_a_request_without_credentials_is_everyones(self) -> None:
        assert decision(request(), response(), PARTITION) == (True, "fallback", False)

    def test_a_public_asset_may_ignore_them(self) -> None:
        answer = response(control("max-age=60"))
        assert decision(request(COOKIE, AUTHORIZATION), answer, IGNORE) == (True, "explicit-lifetime", False)

    @pytest.mark.parametrize(
        ("value", "shared"),
        [("public", True), ("s-maxage=0", True), ("private, public", False), ("max-age=60", False), ("", False),
         ('public, private="x"', True)],
    )  # fmt: skip
    def test_explicitly_shared_means_public_or_s_maxage_and_not_private(self, value: str, shared: bool) -> None:
        """RFC 9111 section 3.5, RFC 9111 section 5.2.2.9, RFC 9111 section 5.2.2.10."""
        assert explicitly_shared(Fields([control(value)])) is shared

    def test_private_outweighs_must_revalidate(self) -> None:
        """RFC 9111 section 5.2.2.7."""
        assert not shareable(request(AUTHORIZATION), Fields([control("private, must-revalidate")]))


class TestSetCookie:
    LINE = ("Set-Cookie", "session=2")

    @pytest.mark.parametrize("rules", [Rules(), IGNORE, PARTITION])
    @pytest.mark.parametrize("value", ["max-age=60", "s-maxage=60"])
    def test_a_response_that_sets_a_cookie_is_not_stored(self, value: str, rules: Rules) -> None:
        """RFC 9111 section 7.3: a cookie alone need not keep a response out; this is stricter."""
        assert decision(request(), response(self.LINE, control(value)), rules) == (False, "set-cookie", False)

    def test_not_even_in_the_users_own_partition(self) -> None:
        answer = response(self.LINE, control("private, public"))
        assert decision(request(COOKIE), answer, PARTITION) == (False, "set-cookie", False)

    def test_unless_it_is_public_and_then_the_cookie_stays(self) -> None:
        """RFC 9111 section 7.3."""
        made = storing(request(), response(self.LINE, control("public, max-age=60")), Rules())
        assert made.store
        assert made.fields.first("Set-Cookie") == "session=2"

    @pytest.mark.parametrize("directive", ["no-cache", "private"])
    def test_a_qualified_directive_that_lists_it_stores_the_rest(self, directive: str) -> None:
        """RFC 9111 section 5.2.2.4, RFC 9111 section 5.2.2.7."""
        made = storing(request(), response(self.LINE, control(f'max-age=60, {directive}="Set-Cookie"')), Rules())
        assert made.store
        assert "Set-Cookie" not in made.fields


class TestStoredFields:
    def test_unknown_fields_are_kept_in_order_and_repetition(self) -> None:
        """RFC 9111 section 3.1."""
        fields = Fields([("X-New", "1"), ("ETag", '"a"'), ("x-new", "2")])
        assert stored_fields(fields) == fields

    @pytest.mark.parametrize(
        "name", ["Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Trailer", "Proxy-Authenticate",
                 "Proxy-Authentication-Info", "Proxy-Authorization"],
    )  # fmt: skip
    def test_hop_by_hop_and_proxy_fields_are_not(self, name: str) -> None:
        """RFC 9111 section 3.1."""
        assert name not in stored_fields(Fields([(name, "x"), ("ETag", '"a"')]))

    def test_fields_that_connection_lists_are_not(self) -> None:
        """RFC 9111 section 3.1."""
        fields = stored_fields(Fields([("Connection", "X-Hop, close"), ("X-Hop", "1"), ("X-End", "2")]))
        assert fields == Fields([("X-End", "2")])

    def test_cache_control_stays_even_where_it_lists_itself(self) -> None:
        """RFC 9111 section 5.2.2.4."""
        fields = Fields([control('no-cache="Cache-Control, X-User"'), ("X-User", "7")])
        assert stored_fields(fields) == fields.without("X-User")
