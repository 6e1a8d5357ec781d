"""Conditional requests both ways (RFC 9111 section 4.3, RFC 9110 section 13)."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.dates import format_date
from proxy.policy.freshness import age, freshness
from proxy.policy.messages import Fields, Request, Response, Rules, StoredResponse
from proxy.policy.reuse import reuse
from proxy.policy.validation import (
    conditional_lines,
    confirms,
    freshened,
    has_validator,
    not_modified,
    not_modified_fields,
)

NOW = 1_800_000_000.0
LATER = NOW + 1000
MODIFIED = ("Last-Modified", format_date(NOW - 5000))


def stored(*lines: tuple[str, str]) -> StoredResponse:
    return StoredResponse(
        key="GET http://example.org/",
        vary=(("accept", None),),
        method="GET",
        url="http://example.org/",
        status=200,
        reason="Fine",
        fields=Fields(lines),
        request_time=NOW,
        response_time=NOW,
        length=7,
        checksum=99,
        route="all",
        tags=("a",),
        stale_since=NOW + 5,
    )


def not_modified_response(*lines: tuple[str, str]) -> Response:
    return Response(304, "Not Modified", Fields(lines), LATER - 1, LATER)


class TestAskingTheOrigin:
    def test_an_entity_tag_goes_into_if_none_match_as_it_came(self) -> None:
        """RFC 9111 section 4.3.1."""
        assert conditional_lines(stored(("ETag", 'W/"a,b"'))) == [("If-None-Match", 'W/"a,b"')]

    def test_a_modification_date_goes_into_if_modified_since_as_it_came(self) -> None:
        """RFC 9111 section 4.3.1."""
        line = ("last-modified", "Sunday, 06-Nov-94 08:49:37 GMT")
        assert conditional_lines(stored(line)) == [("If-Modified-Since", line[1])]

    def test_both_go_together(self) -> None:
        """RFC 9111 section 4.3.1."""
        assert [name for name, _ in conditional_lines(stored(("ETag", '"a"'), MODIFIED))] == [
            "If-None-Match",
            "If-Modified-Since",
        ]

    @pytest.mark.parametrize("lines", [(), (("Last-Modified", "long ago"),), (("ETag", ""),), (("Date", "x"),)])
    def test_without_a_usable_validator_nothing_can_be_asked(self, lines: tuple[tuple[str, str], ...]) -> None:
        """RFC 9111 section 4.3.1."""
        assert not has_validator(stored(*lines))

    def test_either_is_a_validator(self) -> None:
        """RFC 9111 section 4.3.1."""
        assert has_validator(stored(MODIFIED))
        assert has_validator(stored(("ETag", '"a"')))


class TestConfirming:
    @pytest.mark.parametrize(
        ("ours", "theirs", "same"),
        [
            ('"a"', '"a"', True),
            ('"a"', '"b"', False),
            ('W/"a"', '"a"', False),
            ('"a"', 'W/"a"', True),
            ('W/"a"', 'W/"a"', True),
            ('W/"a"', 'W/"b"', False),
        ],
    )
    def test_a_strong_tag_must_match_strongly_and_a_weak_one_weakly(self, ours: str, theirs: str, same: bool) -> None:
        """RFC 9111 section 4.3.4."""
        assert confirms(stored(("ETag", ours)), not_modified_response(("ETag", theirs))) is same

    def test_a_strong_tag_is_not_outweighed_by_an_equal_date(self) -> None:
        """RFC 9111 section 4.3.4."""
        assert not confirms(stored(MODIFIED), not_modified_response(("ETag", '"a"'), MODIFIED))

    def test_beside_a_weak_tag_an_equal_date_is_enough(self) -> None:
        """RFC 9111 section 4.3.4."""
        assert confirms(stored(MODIFIED), not_modified_response(("ETag", 'W/"a"'), MODIFIED))

    def test_dates_are_compared_as_moments(self) -> None:
        """RFC 9111 section 4.3.4."""
        ours = stored(("Last-Modified", "Sunday, 06-Nov-94 08:49:37 GMT"))
        assert confirms(ours, not_modified_response(("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")))
        assert not confirms(ours, not_modified_response(("Last-Modified", "Sun, 06 Nov 1994 08:49:38 GMT")))

    def test_unreadable_dates_are_equal_only_to_themselves(self) -> None:
        """RFC 9111 section 4.3.4."""
        assert confirms(stored(("Last-Modified", "x")), not_modified_response(("Last-Modified", "x")))
        assert not confirms(stored(("Last-Modified", "x")), not_modified_response(("Last-Modified", "y")))
        assert not confirms(stored(("ETag", '"a"')), not_modified_response(MODIFIED))

    def test_a_304_without_validators_answers_the_question_that_was_asked(self) -> None:
        """RFC 9111 section 4.3.4."""
        assert confirms(stored(("ETag", '"a"')), not_modified_response())


class TestFreshening:
    def test_fields_are_replaced_added_and_otherwise_kept(self) -> None:
        """RFC 9111 section 3.2, RFC 9111 section 4.3.4."""
        before = stored(("ETag", '"a"'), ("Cache-Control", "max-age=5"), ("X-Old", "1"))
        after = freshened(
            before,
            not_modified_response(("cache-control", "max-age=60"), ("X-New", "2"), ("Date", format_date(LATER))),
            Rules(),
        )
        assert {name.lower(): value for name, value in after.fields} == {
            "etag": '"a"',
            "cache-control": "max-age=60",
            "x-old": "1",
            "x-new": "2",
            "date": format_date(LATER),
        }

    def test_several_lines_of_a_field_are_replaced_together(self) -> None:
        """RFC 9111 section 3.2."""
        before = stored(("Link", "<a>"), ("Link", "<b>"))
        assert freshened(before, not_modified_response(("Link", "<c>"), ("Link", "<d>")), Rules()).fields.all(
            "Link"
        ) == ["<c>", "<d>"]

    @pytest.mark.parametrize("name", ["Content-Length", "Content-Encoding", "Content-Range"])
    def test_what_describes_the_stored_bytes_is_kept(self, name: str) -> None:
        """RFC 9111 section 3.2."""
        assert freshened(stored((name, "ours")), not_modified_response((name, "theirs")), Rules()).fields.all(name) == [
            "ours"
        ]
        assert name not in freshened(stored(), not_modified_response((name, "theirs")), Rules()).fields

    def test_hop_by_hop_fields_of_the_304_are_not_taken(self) -> None:
        """RFC 9111 section 3.1, RFC 9111 section 3.2."""
        news = not_modified_response(
            ("Connection", "X-Hop"), ("X-Hop", "1"), ("Proxy-Authenticate", "x"), ("Keep-Alive", "timeout=5")
        )
        assert [name for name, _ in freshened(stored(), news, Rules()).fields] == ["Date"]

    def test_fields_that_a_qualified_directive_of_the_304_lists_are_dropped(self) -> None:
        """RFC 9111 section 3.1, RFC 9111 section 5.2.2.7."""
        news = not_modified_response(("Cache-Control", 'private="X-User"'), ("X-User", "7"))
        assert "X-User" not in freshened(stored(("X-User", "6")), news, Rules()).fields

    def test_its_times_are_the_304s_and_a_soft_purge_is_forgotten(self) -> None:
        """RFC 9111 section 4.3.4."""
        after = freshened(stored(("Cache-Control", "max-age=60")), not_modified_response(), Rules())
        assert (after.request_time, after.response_time, after.stale_since) == (LATER - 1, LATER, None)
        assert after.fresh_until == LATER + 59

    def test_everything_about_the_body_stays(self) -> None:
        """RFC 9111 section 4.3.4."""
        before = stored(("ETag", '"a"'))
        after = freshened(before, not_modified_response(), Rules())
        assert after == replace(
            before,
            fields=after.fields,
            request_time=LATER - 1,
            response_time=LATER,
            stale_since=None,
        )

    def test_it_is_fresh_again(self) -> None:
        """RFC 9111 section 4.3.4."""
        before = stored(("Cache-Control", "max-age=60"), ("Date", format_date(NOW)), ("Age", "50"))
        assert not freshness(before, Rules(), LATER).fresh
        after = freshened(before, not_modified_response(), Rules())
        assert freshness(after, Rules(), LATER).fresh
        assert age(after, LATER) == 1  # the delay of the 304; the stored Age and Date spoke of another message

    def test_the_304s_own_age_counts(self) -> None:
        """RFC 9111 section 4.2.3."""
        after = freshened(stored(("Age", "50")), not_modified_response(("Age", "20")), Rules())
        assert age(after, LATER) == 21

    def test_the_routes_rules_give_the_new_lifetime(self) -> None:
        rules = Rules(assign_lifetime=True, expiry=(("image/*", 300),))
        after = freshened(stored(("Content-Type", "image/png")), not_modified_response(), rules)
        assert after.fresh_until == LATER + 299

    def test_a_cookie_in_a_304_does_not_reach_other_users(self) -> None:
        cookie = ("Set-Cookie", "session=2")
        assert "Set-Cookie" not in freshened(stored(), not_modified_response(cookie), Rules()).fields
        public = stored(("Cache-Control", "public"), ("Set-Cookie", "theme=1"))
        assert freshened(public, not_modified_response(cookie), Rules()).fields.all("Set-Cookie") == ["session=2"]

    @pytest.mark.parametrize(
        ("line", "usable"),
        [(("Cache-Control", "no-store"), True), (("Cache-Control", "private"), False), (("Vary", "*"), True)],
    )
    def test_a_304_that_forbids_storing_ends_unvalidated_use(self, line: tuple[str, str], usable: bool) -> None:
        """RFC 9111 section 3.2."""
        after = freshened(stored(("Cache-Control", "max-age=60")), not_modified_response(line), Rules())
        found = reuse(Request("GET", "/", "example.org"), after, Rules(), LATER)
        assert (found.fresh, found.usable) == (False, usable)


def asks(*lines: tuple[str, str], method: str = "GET") -> Request:
    return Request(method, "/", "example.org", Fields(lines))


class TestAnsweringIfNoneMatch:
    @pytest.mark.parametrize(
        "value",
        ['"a"', 'W/"a"', '"x", "a"', '"x","a"', ' , "x" ,, W/"a" , ', "*", " * ", '"x,y", "a", "z"'],
    )
    @pytest.mark.parametrize("etag", ['"a"', 'W/"a"'])
    def test_a_match_by_weak_comparison_is_not_modified(self, value: str, etag: str) -> None:
        """RFC 9110 section 8.8.3.2, RFC 9110 section 13.1.2."""
        assert not_modified(asks(("If-None-Match", value)), Fields([("ETag", etag)]))

    @pytest.mark.parametrize(
        "value", ['"b"', "a", "", '"A"', '"x,a,y"', 'w/"a"', '"a', 'x"a"', '"b" "a"', '"a" x', '"a\\"', "**", '"*"']
    )
    def test_anything_else_is_not(self, value: str) -> None:
        """RFC 9110 section 13.1.2."""
        assert not not_modified(asks(("If-None-Match", value)), Fields([("ETag", '"a"')]))

    def test_several_lines_are_one_list(self) -> None:
        """RFC 9110 section 5.3, RFC 9110 section 13.1.2."""
        asked = asks(("If-None-Match", '"x"'), ("If-None-Match", '"a"'))
        assert not_modified(asked, Fields([("ETag", '"a"')]))

    def test_a_backslash_in_a_tag_escapes_nothing(self) -> None:
        """RFC 9110 section 8.8.3."""
        assert not_modified(asks(("If-None-Match", '"a\\", "b"')), Fields([("ETag", '"a\\"')]))

    def test_an_unquoted_tag_matches_only_itself(self) -> None:
        assert not_modified(asks(("If-None-Match", "abc, d ")), Fields([("ETag", "d")]))
        assert not not_modified(asks(("If-None-Match", "abc")), Fields([("ETag", '"abc"')]))

    def test_a_star_matches_a_response_without_a_tag_and_a_tag_does_not(self) -> None:
        """RFC 9110 section 13.1.2."""
        assert not_modified(asks(("If-None-Match", "*")), Fields())
        assert not not_modified(asks(("If-None-Match", '"a"')), Fields())

    def test_it_goes_before_if_modified_since(self) -> None:
        """RFC 9110 section 13.1.3, RFC 9110 section 13.2.2."""
        fields = Fields([("ETag", '"a"'), MODIFIED])
        since = ("If-Modified-Since", format_date(NOW))
        assert not not_modified(asks(since, ("If-None-Match", '"b"')), fields)
        assert not_modified(asks(("If-Modified-Since", format_date(0)), ("If-None-Match", '"a"')), fields)

    @given(st.lists(st.text(st.sampled_from("ab,W/\\ \t"), max_size=4), min_size=1, max_size=5), st.booleans())
    def test_a_tag_is_found_exactly_when_the_list_has_it(self, opaque: list[str], weak: bool) -> None:
        """RFC 9110 section 13.1.2."""
        value = ", ".join(f'{"W/" if weak else ""}"{tag}"' for tag in opaque)
        for candidate in (*opaque, "a", "b,a"):
            found = not_modified(asks(("If-None-Match", value)), Fields([("ETag", f'"{candidate}"')]))
            assert found is (candidate in opaque)

    @given(st.text(max_size=60))
    def test_no_value_raises(self, value: str) -> None:
        """RFC 9110 section 13.1.2."""
        not_modified(asks(("If-None-Match", value)), Fields([("ETag", '"a"')]))

    def test_a_hostile_list_takes_linear_time(self) -> None:
        fields = Fields([("ETag", '"a"')])
        began = perf_counter()
        for value in ('"' * 262_143, "W/" * 131_072 + '"', " \t" * 131_072 + '"x', '"",' * 87_381 + '"'):
            not_modified(asks(("If-None-Match", value)), fields)
        assert perf_counter() - began < 5


class TestAnsweringIfModifiedSince:
    def test_a_response_not_modified_since_is_a_304(self) -> None:
        """RFC 9110 section 13.1.3, RFC 9111 section 4.3.2."""
        fields = Fields([MODIFIED])
        assert not_modified(asks(("If-Modified-Since", format_date(NOW - 5000))), fields)
        assert not_modified(asks(("If-Modified-Since", format_date(NOW))), fields)
        assert not not_modified(asks(("If-Modified-Since", format_date(NOW - 5001))), fields)

    def test_without_a_modification_date_the_date_counts(self) -> None:
        """RFC 9111 section 4.3.2."""
        fields = Fields([("Date", format_date(NOW))])
        assert not_modified(asks(("If-Modified-Since", format_date(NOW))), fields)
        assert not not_modified(asks(("If-Modified-Since", format_date(NOW - 1))), fields)

    def test_without_any_date_the_time_of_arrival_counts(self) -> None:
        """RFC 9111 section 4.3.2."""
        asked = asks(("If-Modified-Since", format_date(NOW)))
        assert not_modified(asked, Fields(), received=NOW)
        assert not not_modified(asked, Fields(), received=NOW + 1)
        assert not not_modified(asked, Fields())

    def test_an_unreadable_date_on_either_side_is_no_precondition(self) -> None:
        """RFC 9110 section 13.1.3."""
        assert not not_modified(asks(("If-Modified-Since", "yesterday")), Fields([MODIFIED]))
        twice = asks(("If-Modified-Since", format_date(NOW)), ("If-Modified-Since", format_date(NOW)))
        assert not not_modified(twice, Fields([MODIFIED]))
        unreadable = Fields([("Last-Modified", "x"), ("Date", format_date(0))])
        assert not not_modified(asks(("If-Modified-Since", format_date(NOW))), unreadable)

    def test_a_request_without_preconditions_gets_the_whole(self) -> None:
        """RFC 9111 section 4.3.2."""
        assert not not_modified(asks(), Fields([("ETag", '"a"'), MODIFIED]))


@pytest.mark.parametrize("line", [("If-None-Match", '"a"'), ("If-Modified-Since", format_date(NOW))])
class TestWhenPreconditionsCount:
    FIELDS = Fields([("ETag", '"a"'), MODIFIED])

    def test_for_get_and_head(self, line: tuple[str, str]) -> None:
        """RFC 9110 section 13.2.1."""
        assert not_modified(asks(line), self.FIELDS)
        assert not_modified(asks(line, method="HEAD"), self.FIELDS)

    @pytest.mark.parametrize("method", ["POST", "PUT", "QUERY"])
    def test_not_for_other_methods(self, line: tuple[str, str], method: str) -> None:
        """RFC 9110 section 13.2.2."""
        assert not not_modified(asks(line, method=method), self.FIELDS)

    @pytest.mark.parametrize("status", [300, 404, 500])
    def test_not_where_the_answer_is_no_success(self, line: tuple[str, str], status: int) -> None:
        """RFC 9110 section 13.2.1."""
        assert not not_modified(asks(line), self.FIELDS, status=status)


class TestTheFieldsOfA304:
    def test_those_that_a_client_needs_for_its_own_copy_are_there(self) -> None:
        """RFC 9110 section 15.4.5."""
        lines = [
            ("Date", "d"),
            ("ETag", '"a"'),
            ("Cache-Control", "max-age=5"),
            ("Expires", "e"),
            ("Vary", "Accept"),
            ("Content-Location", "/x"),
            ("Access-Control-Allow-Origin", "*"),
        ]
        assert not_modified_fields(Fields(lines)) == Fields(lines)

    @pytest.mark.parametrize(
        "name", ["Content-Type", "content-length", "Content-Encoding", "Content-Language", "Content-Range",
                 "Transfer-Encoding"],
    )  # fmt: skip
    def test_those_that_describe_a_body_are_not(self, name: str) -> None:
        """RFC 9110 section 15.4.5."""
        assert name not in not_modified_fields(Fields([(name, "x")]))

    def test_the_modification_date_is_there_only_without_an_entity_tag(self) -> None:
        """RFC 9110 section 15.4.5."""
        assert "Last-Modified" in not_modified_fields(Fields([MODIFIED]))
        assert "Last-Modified" not in not_modified_fields(Fields([MODIFIED, ("ETag", '"a"')]))
