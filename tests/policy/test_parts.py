"""Parts of a representation: taken, judged and put together (RFC 9110 sections 14 and 15.3.7, RFC 9111 3.3, 3.4)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.policy.dates import format_date
from proxy.policy.messages import Fields, Request, Response, Rules, StoredResponse
from proxy.policy.parts import (
    Part,
    answerable,
    combinable,
    combined,
    combined_fields,
    complete_length,
    missing,
    parse_content_range,
    received_part,
    satisfies,
)
from proxy.policy.ranges import ByteRange, content_range
from proxy.policy.reuse import reuse, stale_permitted
from proxy.policy.storing import storing

NOW = 1_800_000_000.0
FRESH = ("Cache-Control", "max-age=60")
PARTIAL = Rules(partial=True)


def get(*lines: tuple[str, str], method: str = "GET") -> Request:
    return Request(method, "/", "example.org", Fields(lines))


def response(*lines: tuple[str, str], status: int = 206) -> Response:
    return Response(status, "", Fields(lines), NOW, NOW)


def stored(*lines: tuple[str, str], status: int = 206, length: int = 5) -> StoredResponse:
    fields = Fields((FRESH, ("Date", format_date(NOW)), *lines))
    return StoredResponse(
        "GET http://example.org/", (), "GET", "http://example.org/", status, "", fields, NOW, NOW, length, 0
    )


class TestContentRange:
    """RFC 9110 section 14.4."""

    @pytest.mark.parametrize(
        ("value", "part"),
        [
            ("bytes 0-4/10", Part(0, 5, 10)),
            ("BYTES 9-9/10", Part(9, 10, 10)),
            ("bytes 5-9/*", Part(5, 10)),
            ("bytes 000-004/0010", Part(0, 5, 10)),
        ],
    )
    def test_a_range_that_is_possible_is_read(self, value: str, part: Part) -> None:
        """RFC 9110 section 14.4."""
        assert parse_content_range(value) == part

    @pytest.mark.parametrize(
        "value",
        [
            "", "bytes", "bytes */10", "bytes 0-4", "bytes 0-4/", "bytes 4-0/10", "bytes 0-10/10", "bytes 0-0/0",
            "bytes=0-4/10", "bytes  0-4/10", "bytes 0 - 4/10", "bytes -4/10", "bytes 0-/10", "items 0-4/10",
            "bytes 0-4/10, bytes 5-9/10", "bytes +0-4/10", "bytes 0-4/10 ", "bytes 0-4/1e1", "bytes ٠-٤/١٠",
            "bytes 0-4/" + "9" * 5000,
        ],
    )  # fmt: skip
    def test_anything_else_names_no_part(self, value: str) -> None:
        """RFC 9110 section 14.4."""
        assert parse_content_range(value) is None

    @given(st.integers(0, 50), st.integers(1, 50), st.integers(0, 50))
    def test_what_is_written_is_read_back(self, start: int, length: int, rest: int) -> None:
        """RFC 9110 section 14.4."""
        total = start + length + rest
        assert parse_content_range(content_range(ByteRange(start, start + length), total)) == Part(
            start, start + length, total
        )

    @given(st.text("bytes 0123456789-/*", max_size=30))
    def test_no_text_raises_or_gives_an_impossible_part(self, value: str) -> None:
        """RFC 9110 section 14.4."""
        part = parse_content_range(value)
        assert part is None or 0 <= part.start < part.stop <= (part.total or part.stop)


class TestStoring:
    """RFC 9111 section 3.3: a partial response is stored only by a cache that understands Range and Content-Range."""

    RANGE = ("Range", "bytes=0-4")
    NAMED = ("Content-Range", "bytes 0-4/10")

    def test_a_206_is_stored_where_the_store_takes_parts(self) -> None:
        """RFC 9111 section 3.3."""
        assert storing(get(self.RANGE), response(FRESH, self.NAMED), PARTIAL).store
        assert storing(get(self.RANGE), response(FRESH, self.NAMED), Rules()).reason == "partial"

    @pytest.mark.parametrize("asked", ["bytes=5-", "bytes=-5", "Bytes= 0-4 ", "bytes=0-0"])
    def test_the_origin_may_send_another_single_range_than_the_one_asked_for(self, asked: str) -> None:
        """RFC 9110 section 14.4, RFC 9110 section 15.3.7."""
        assert received_part(get(("Range", asked)), response(self.NAMED)) == Part(0, 5, 10)

    @pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "items=0-4", "bytes=", "bytes=x", "bytes=-"])
    def test_a_206_to_anything_but_one_range_of_bytes_is_not_stored(self, asked: str) -> None:
        """RFC 9111 section 3.3."""
        assert storing(get(("Range", asked)), response(FRESH, self.NAMED), PARTIAL).reason == "partial"

    def test_a_206_that_nobody_asked_for_is_not_stored(self) -> None:
        """RFC 9110 section 15.3.7, RFC 9111 section 3.3."""
        assert storing(get(), response(FRESH, self.NAMED), PARTIAL).reason == "partial"
        assert storing(get(self.RANGE, self.RANGE), response(FRESH, self.NAMED), PARTIAL).reason == "partial"

    @pytest.mark.parametrize(
        "lines",
        [
            (),
            (("Content-Range", "bytes 0-4/3"),),
            (("Content-Range", "bytes */10"),),
            (NAMED, NAMED),
            (NAMED, ("Content-Length", "4")),
            (NAMED, ("Content-Length", "5"), ("Content-Length", "4")),
            (("Content-Type", "multipart/byteranges; boundary=x"),),
        ],
    )
    def test_a_206_whose_place_is_in_doubt_is_not_stored(self, lines: tuple[tuple[str, str], ...]) -> None:
        """RFC 9110 section 14.4, RFC 9110 section 15.3.7.1."""
        assert storing(get(self.RANGE), response(FRESH, *lines), PARTIAL).reason == "partial"

    def test_a_content_length_that_agrees_does_no_harm(self) -> None:
        """RFC 9110 section 8.6."""
        assert storing(get(self.RANGE), response(FRESH, self.NAMED, ("Content-Length", "5")), PARTIAL).store

    def test_the_rest_of_section_3_holds_for_parts_too(self) -> None:
        """RFC 9111 section 3."""
        for control in ("no-store", "private"):
            answer = response(("Cache-Control", control), self.NAMED)
            assert not storing(get(self.RANGE), answer, PARTIAL).store

    def test_must_understand_is_no_obstacle_because_parts_are_understood(self) -> None:
        """RFC 9111 section 5.2.2.3."""
        answer = response(("Cache-Control", "must-understand, no-store, max-age=60"), self.NAMED)
        assert storing(get(self.RANGE), answer, PARTIAL).store


class TestAnswering:
    """RFC 9111 section 3.3: only ranges that lie wholly within what is stored."""

    PART = stored(("Content-Range", "bytes 5-9/20"), ("ETag", '"1"'), ("Last-Modified", format_date(NOW - 60)))

    @pytest.mark.parametrize("asked", ["bytes=5-9", "bytes=6-6", "bytes=5-6, 8-9"])
    def test_a_range_within_the_part_is_answered(self, asked: str) -> None:
        """RFC 9111 section 3.3."""
        assert reuse(get(("Range", asked)), self.PART, PARTIAL, NOW).fresh

    @pytest.mark.parametrize(
        "asked", ["bytes=4-9", "bytes=5-10", "bytes=-5", "bytes=5-", "bytes=20-", "bytes=x", "x=5-9"]
    )
    def test_any_other_range_is_not(self, asked: str) -> None:
        """RFC 9111 section 3.3."""
        made = reuse(get(("Range", asked)), self.PART, PARTIAL, NOW)
        assert (made.fresh, made.usable, made.reason) == (False, False, "partial")

    def test_a_request_for_the_whole_is_never_answered_with_a_part_not_even_after_a_failure(self) -> None:
        """RFC 9111 section 3.3."""
        assert not reuse(get(), self.PART, PARTIAL, NOW).usable
        assert stale_permitted(get(), self.PART, PARTIAL, NOW + 100, "unreachable").reason == "partial"
        assert not answerable(get(("Range", "bytes=5-9"), method="HEAD"), self.PART)

    def test_if_range_that_names_another_representation_asks_for_the_whole(self) -> None:
        """RFC 9110 section 13.1.5."""
        asked = ("Range", "bytes=5-9")
        assert answerable(get(asked, ("If-Range", '"1"')), self.PART)
        assert not answerable(get(asked, ("If-Range", '"2"')), self.PART)

    def test_a_part_of_an_unknown_total_or_place_answers_nothing(self) -> None:
        """RFC 9110 section 14.4."""
        asked = get(("Range", "bytes=5-9"))
        assert not answerable(asked, stored(("Content-Range", "bytes 5-9/*")))
        assert not answerable(asked, stored())

    def test_the_suffix_is_answered_by_the_part_that_ends_there(self) -> None:
        """RFC 9110 section 14.1.2, RFC 9111 section 3.3."""
        assert answerable(get(("Range", "bytes=-5")), stored(("Content-Range", "bytes 5-9/10")))


class TestBelongingTogether:
    """RFC 9110 section 15.3.7.3 and RFC 9111 section 3.4: the same strong validator."""

    @pytest.mark.parametrize(
        ("one", "other", "together"),
        [
            ('"1"', '"1"', True),
            ('"1"', '"2"', False),
            ('W/"1"', 'W/"1"', False),
            ('W/"1"', '"1"', False),
            ("1", "1", False),
            ('"1"', None, False),
            (None, '"1"', False),
            (None, None, False),
        ],
    )
    def test_by_entity_tag(self, one: str | None, other: str | None, together: bool) -> None:
        """RFC 9110 section 15.3.7.3, RFC 9111 section 3.4."""
        first, second = (() if tag is None else (("ETag", tag),) for tag in (one, other))
        assert combinable(stored(*first), response(*second)) is together

    @pytest.mark.parametrize(("old", "together"), [(60, True), (1, True), (0, False)])
    def test_by_modification_date_only_where_it_is_strong(self, old: int, together: bool) -> None:
        """RFC 9110 section 8.8.2.2, RFC 9110 section 15.3.7.3."""
        lines = (("Last-Modified", format_date(NOW - old)), ("Date", format_date(NOW)))
        assert combinable(stored(lines[0]), response(*lines)) is together
        assert not combinable(stored(lines[0]), response(lines[0]))
        assert not combinable(stored(lines[0]), response(("Last-Modified", format_date(NOW - 61)), lines[1]))

    def test_not_when_an_entity_tag_contradicts_the_date(self) -> None:
        """RFC 9110 section 15.3.7.3, RFC 9111 section 3.4."""
        lines = (("Last-Modified", format_date(NOW - 60)), ("Date", format_date(NOW)))
        assert not combinable(stored(lines[0], ("ETag", '"1"')), response(*lines))

    def test_not_when_the_totals_differ(self) -> None:
        """RFC 9111 section 3.4."""
        tag = ("ETag", '"1"')
        part = stored(tag, ("Content-Range", "bytes 0-4/10"))
        assert combinable(part, response(tag, ("Content-Range", "bytes 5-9/10")))
        assert combinable(part, response(tag, ("Content-Range", "bytes 5-9/*")))
        assert not combinable(part, response(tag, ("Content-Range", "bytes 5-9/11")))
        assert combinable(part, response(tag, ("Content-Length", "10"), status=200))
        assert not combinable(part, response(tag, ("Content-Length", "11"), status=200))

    def test_the_complete_length_is_what_the_response_says_or_the_store_counted(self) -> None:
        """RFC 9110 section 14.4."""
        assert complete_length(stored(status=200, length=7)) == 7
        assert complete_length(stored(("Content-Range", "bytes 0-4/10"))) == 10
        assert complete_length(response()) is None
        assert complete_length(response(("Content-Length", "12"), status=200)) == 12
        assert complete_length(response(("Content-Length", "12"), ("Content-Length", "13"), status=200)) is None
        assert complete_length(response(("Content-Length", "+12"), status=200)) is None


class TestPuttingTogether:
    def test_parts_that_touch_become_one_and_the_total_is_shared(self) -> None:
        """RFC 9110 section 15.3.7.3, RFC 9111 section 3.4."""
        assert combined([Part(5, 9), Part(0, 5, 20), Part(12, 14)]) == (Part(0, 9, 20), Part(12, 14, 20))
        assert combined([]) == ()

    def test_parts_of_different_totals_are_refused(self) -> None:
        """RFC 9111 section 3.4."""
        with pytest.raises(ValueError, match="combine only combinable"):
            combined([Part(0, 1, 5), Part(1, 2, 6)])

    def test_a_part_from_first_to_last_is_the_whole(self) -> None:
        """RFC 9111 section 3.4."""
        assert Part(0, 5, 5).whole
        assert not Part(0, 5).whole
        assert not Part(0, 4, 5).whole
        assert not Part(1, 5, 5).whole

    def test_the_new_fields_replace_the_stored_ones_but_for_what_describes_the_bytes_rfc_9111_section_3_4(self) -> None:
        """RFC 9111 section 3.4."""
        old = Fields([("X", "1"), ("Age", "5"), ("Content-Type", "a/b"), ("Content-Range", "bytes 0-4/10")])
        new = Fields([("X", "2"), ("Content-Type", "c/d"), ("Content-Range", "bytes 5-6/10"), ("Content-Length", "2")])
        both = combined_fields(old, new, Part(0, 7, 10))
        assert both == Fields([("Content-Type", "a/b"), ("X", "2"), ("Content-Range", "bytes 0-6/10")])
        assert combined_fields(old, new, Part(0, 7)).first("Content-Range") == "bytes 0-6/*"
        assert "Content-Range" not in combined_fields(old, new, Part(0, 10, 10))


SIZE = 12
spans = st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)).map(lambda s: (min(s), max(s[0] + 1, s[1])))
part_lists = st.lists(st.builds(lambda s: Part(s[0], s[1], SIZE), spans), max_size=5)


def held(parts: list[Part] | tuple[Part, ...]) -> set[int]:
    return {at for part in parts for at in range(part.start, part.stop)}


@given(part_lists)
def test_combining_keeps_exactly_the_bytes_and_leaves_a_gap_between_all_parts(parts: list[Part]) -> None:
    """RFC 9110 section 15.3.7.3, RFC 9111 section 3.4."""
    together = combined(parts)

    assert held(together) == held(parts)
    assert all(one.stop < other.start for one, other in pairwise(together))


@given(part_lists, spans)
def test_a_range_is_satisfied_exactly_when_every_byte_of_it_is_held(parts: list[Part], span: tuple[int, int]) -> None:
    """RFC 9111 section 3.3."""
    assert satisfies(parts, ByteRange(*span)) == (set(range(*span)) <= held(parts))


@given(part_lists, spans, st.integers(1, SIZE) | st.none())
def test_what_is_missing_is_the_shortest_range_that_completes(
    parts: list[Part], span: tuple[int, int], total: int | None
) -> None:
    """RFC 9111 section 3.3."""
    assume(total is None or all(part.stop <= total for part in parts))
    parts = [replace(part, total=total) for part in parts]
    lacking = sorted(at for at in set(range(*span)) - held(parts) if total is None or at < total)

    found = missing(parts, ByteRange(*span), total)

    assert found == (ByteRange(lacking[0], lacking[-1] + 1) if lacking else None)


@given(st.binary(min_size=1, max_size=SIZE), st.lists(spans, min_size=1, max_size=5))
def test_bytes_put_where_their_parts_say_are_the_bytes_of_the_whole(whole: bytes, cuts: list[tuple[int, int]]) -> None:
    """RFC 9111 section 3.4."""
    total = len(whole)
    parts = [Part(start, min(stop, total), total) for start, stop in cuts if start < total]
    assume(parts)
    assembled = bytearray(total)
    for part in parts:
        named = parse_content_range(content_range(ByteRange(part.start, part.stop), total))
        assert named is not None
        assembled[named.start : named.stop] = whole[part.start : part.stop]
    gap = missing(parts, ByteRange(0, total), total)
    if gap is not None:
        assembled[gap.start : gap.stop] = whole[gap.start : gap.stop]
        parts.append(Part(gap.start, gap.stop, total))

    assert bytes(assembled) == whole
    assert combined(parts) == (Part(0, total, total),)
