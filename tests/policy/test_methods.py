"""POST, QUERY and HEAD: what is stored of them, and what it answers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.dates import format_date
from proxy.policy.freshness import age, freshness, validation_required
from proxy.policy.invalidation import invalidates
from proxy.policy.matching import KeyRules, primary_key
from proxy.policy.messages import Fields, Request, Response, Rules, StoredResponse
from proxy.policy.reuse import reuse, stale_permitted
from proxy.policy.storing import storing
from proxy.policy.validation import head_effect

NOW = 1_800_000_000.0
LATER = NOW + 100
FRESH = ("Cache-Control", "max-age=60")
EVERYTHING = KeyRules("all")


def request(method: str, *lines: tuple[str, str], target: str = "/a?b=1", has_body: bool = False) -> Request:
    return Request(method, target, "example.org", Fields(lines), has_body=has_body)


def response(*lines: tuple[str, str], status: int = 200) -> Response:
    return Response(status, "", Fields(lines), NOW, NOW)


def stored(*lines: tuple[str, str], method: str = "GET", status: int = 200, length: int = 7) -> StoredResponse:
    return StoredResponse("key", (), method, "http://example.org/a", status, "", Fields(lines), NOW, NOW, length, 0)


class TestPost:
    """RFC 9110 section 9.3.3."""

    POST = request("POST", has_body=True)

    @pytest.mark.parametrize("reference", ["/a?b=1", "http://EXAMPLE.org:80/%61?b=1", "//example.org/a?b=1", "a?b=1"])
    def test_a_response_that_is_the_targets_own_representation_is_stored_for_get(self, reference: str) -> None:
        """RFC 9110 section 9.3.3."""
        made = storing(self.POST, response(FRESH, ("Content-Location", reference)), Rules())
        assert (made.store, made.reason, made.method) == (True, "explicit-lifetime", "GET")

    @pytest.mark.parametrize("reference", ["/a", "/b", "/a?b=2", "https://example.org/a?b=1", "http://other.org/a?b=1"])
    def test_a_response_about_another_uri_is_not_stored(self, reference: str) -> None:
        """RFC 9110 section 9.3.3."""
        assert storing(self.POST, response(FRESH, ("Content-Location", reference)), Rules()).reason == "method"

    def test_a_response_that_names_no_uri_or_two_is_not_stored(self) -> None:
        """RFC 9110 section 9.3.3."""
        here = ("Content-Location", "/a?b=1")
        assert storing(self.POST, response(FRESH), Rules()).reason == "method"
        assert storing(self.POST, response(FRESH, here, here), Rules()).reason == "method"

    @pytest.mark.parametrize("lines", [(), (("Last-Modified", format_date(NOW - 10**6)),), (("Expires", "0"),)])
    def test_without_an_explicit_lifetime_it_is_not_stored(self, lines: tuple[tuple[str, str], ...]) -> None:
        """RFC 9110 section 9.3.3."""
        answer = response(("Content-Location", "/a?b=1"), *lines)
        assert storing(self.POST, answer, Rules(assign_lifetime=True, max_age=60)).reason == "method"

    @pytest.mark.parametrize("status", [201, 204, 303, 400, 500])
    def test_only_a_200_is_what_a_get_would_get(self, status: int) -> None:
        """RFC 9110 section 9.3.3."""
        assert not storing(self.POST, response(FRESH, ("Content-Location", "/a?b=1"), status=status), Rules()).store

    def test_what_forbids_storing_forbids_it_here_too(self) -> None:
        """RFC 9111 section 3."""
        for control in ("no-store, max-age=60", "private, max-age=60"):
            answer = response(("Cache-Control", control), ("Content-Location", "/a?b=1"))
            assert not storing(self.POST, answer, Rules()).store

    def test_stored_it_answers_get_and_head_but_no_other_post(self) -> None:
        """RFC 9110 section 9.3.3, RFC 9111 section 4."""
        kept = stored(FRESH, method="POST")
        assert reuse(request("GET"), kept, Rules(), NOW).fresh
        assert reuse(request("HEAD"), kept, Rules(), NOW).fresh
        assert reuse(request("POST"), kept, Rules(), NOW).reason == "method"
        assert not stale_permitted(request("POST"), kept, Rules(), LATER, "unreachable").allowed

    @pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "BREW"])
    def test_the_response_to_any_other_method_is_not_stored(self, method: str) -> None:
        """RFC 9110 section 9.2.3."""
        answer = response(FRESH, ("Content-Location", "/a?b=1"))
        assert storing(request(method), answer, Rules(), content_keyed=True).reason == "method"


class TestQuery:
    """RFC 10008 section 2.7."""

    QUERY = request("QUERY", ("Content-Type", "text/x"), has_body=True)

    def test_its_response_is_stored_only_under_a_key_with_its_content(self) -> None:
        """RFC 10008 section 2.7."""
        made = storing(self.QUERY, response(FRESH), Rules(), content_keyed=True)
        assert (made.store, made.method) == (True, "QUERY")
        assert storing(self.QUERY, response(FRESH), Rules()).reason == "method"

    def test_it_answers_other_queries_and_neither_get_nor_head(self) -> None:
        """RFC 10008 section 2.7."""
        kept = stored(FRESH, method="QUERY")
        assert reuse(self.QUERY, kept, Rules(), NOW).fresh
        for method in ("GET", "HEAD", "POST"):
            assert reuse(request(method), kept, Rules(), NOW).reason == "method"
        assert reuse(self.QUERY, stored(FRESH), Rules(), NOW).reason == "method"

    def test_it_is_safe_and_invalidates_nothing(self) -> None:
        """RFC 10008 section 2, RFC 9111 section 4.4."""
        assert not invalidates("QUERY", 200)

    def test_its_key_holds_the_digest_and_how_to_read_the_content(self) -> None:
        """RFC 10008 section 2.7."""
        key = primary_key(self.QUERY, EVERYTHING, content_digest="ab12")
        assert key.startswith("QUERY http://example.org/a?b=1 content=")
        assert json.loads(key.partition(" content=")[2]) == {"digest": "ab12", "content-type": ["text/x"]}

    def test_content_type_encoding_or_language_make_another_key(self) -> None:
        """RFC 10008 section 2.7."""
        lines = [
            (), (("Content-Type", "a/b"),), (("Content-Type", "a/c"),), (("Content-Encoding", "a/b"),),
            (("Content-Language", "de"),), (("Content-Type", "a/b"), ("Content-Encoding", "gzip")),
        ]  # fmt: skip
        keys = {primary_key(request("QUERY", *line), EVERYTHING, content_digest="1") for line in lines}
        assert len(keys) == len(lines)

    @given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
    def test_different_contents_never_share_a_key(self, one: str, a: str, other: str, b: str) -> None:
        """RFC 10008 section 2.7."""
        first = primary_key(request("QUERY", ("Content-Type", a)), EVERYTHING, content_digest="x" + one)
        second = primary_key(request("QUERY", ("Content-Type", b)), EVERYTHING, content_digest="x" + other)
        assert (first == second) == ((one, a) == (other, b))

    def test_no_url_can_imitate_a_content(self) -> None:
        """RFC 10008 section 2.7."""
        real = primary_key(self.QUERY, EVERYTHING, content_digest="1")
        assert primary_key(request("QUERY", target=real.removeprefix("QUERY http://example.org")), EVERYTHING) != real


class TestHead:
    """RFC 9111 section 4.3.5."""

    TAG, DATED = ("ETag", '"1"'), ("Last-Modified", format_date(NOW - 500))

    def head(self, *lines: tuple[str, str], status: int = 200) -> Response:
        return replace(response(*lines, status=status), request_time=LATER, response_time=LATER)

    @pytest.mark.parametrize(
        "lines",
        [
            (),
            (TAG,),
            (DATED,),
            (("Content-Length", "7"),),
            (TAG, DATED, ("Content-Length", "7")),
            (("Last-Modified", format_date(NOW - 500).upper()),),
        ],
    )
    def test_a_200_that_contradicts_nothing_freshens_the_stored_get(self, lines: tuple[tuple[str, str], ...]) -> None:
        """RFC 9111 section 4.3.5."""
        old = stored(self.TAG, self.DATED, ("Content-Length", "7"), ("Cache-Control", "max-age=1"), ("X", "old"))
        new = head_effect(old, self.head(FRESH, ("X", "new"), ("Content-Type", "a/b"), *lines), Rules())
        assert isinstance(new, StoredResponse)
        assert freshness(new, Rules(), LATER).fresh
        assert age(new, LATER) == 0
        assert new.fields.all("X") == ["new"]
        assert new.fields.all("Content-Length") == ["7"]
        assert new.fields.all("Content-Type") == ["a/b"]
        assert new.length == 7

    @pytest.mark.parametrize(
        "line",
        [
            ("ETag", '"2"'),
            ("ETag", 'W/"1"'),
            ("Last-Modified", format_date(NOW)),
            ("Content-Length", "8"),
            ("Content-Length", "x"),
        ],
    )
    def test_a_200_with_another_validator_or_length_invalidates_it(self, line: tuple[str, str]) -> None:
        """RFC 9111 section 4.3.5."""
        assert head_effect(stored(self.TAG, self.DATED), self.head(FRESH, line), Rules()) == "invalidate"

    @pytest.mark.parametrize("line", [TAG, DATED])
    def test_a_validator_that_the_stored_response_lacks_matches_nothing(self, line: tuple[str, str]) -> None:
        """RFC 9111 section 4.3.5."""
        assert head_effect(stored(), self.head(line), Rules()) == "invalidate"

    def test_a_200_makes_a_stored_error_outdated(self) -> None:
        """RFC 9111 section 4.3.5."""
        assert head_effect(stored(FRESH, status=404), self.head(FRESH), Rules()) == "invalidate"

    @pytest.mark.parametrize("status", [204, 206, 304, 404, 500, 503])
    def test_any_other_status_says_nothing(self, status: int) -> None:
        """RFC 9111 section 4.3.5."""
        assert head_effect(stored(self.TAG), self.head(("ETag", '"2"'), status=status), Rules()) is None

    def test_it_says_nothing_of_the_response_to_a_query(self) -> None:
        """RFC 9111 section 4.3.5."""
        assert head_effect(stored(method="QUERY"), self.head(("ETag", '"2"')), Rules()) is None

    def test_a_stored_part_is_compared_by_the_length_of_the_whole(self) -> None:
        """RFC 9111 section 4.3.5."""
        part = stored(self.TAG, ("Content-Range", "bytes 0-6/20"), status=206)
        freshened = head_effect(part, self.head(self.TAG, ("Content-Length", "20")), Rules())
        assert isinstance(freshened, StoredResponse)
        assert freshened.fields.first("Content-Range") == "bytes 0-6/20"
        assert head_effect(part, self.head(self.TAG, ("Content-Length", "7")), Rules()) == "invalidate"

    def test_a_no_store_that_it_brings_ends_reuse(self) -> None:
        """RFC 9111 section 4.3.5, RFC 9111 section 5.2.2.5."""
        new = head_effect(stored(FRESH), self.head(("Cache-Control", "no-store")), Rules())
        assert isinstance(new, StoredResponse)
        assert validation_required(new) == "response-no-store"
