"""Byte ranges, against an oracle that looks at every byte."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.dates import parse_date
from proxy.policy.messages import Fields, Request
from proxy.policy.ranges import (
    MOST_RANGES,
    ByteRange,
    Unsatisfiable,
    content_range,
    multipart_end,
    multipart_head,
    multipart_length,
    parse_range,
    range_applies,
)


@pytest.mark.parametrize(
    ("value", "parts"),
    [
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-99", [(0, 100)]),
        ("bytes=0-100", [(0, 100)]),
        ("bytes=99-", [(99, 100)]),
        ("bytes=-1", [(99, 100)]),
        ("bytes=-100", [(0, 100)]),
        ("bytes=-101", [(0, 100)]),
        ("bytes=-" + "9" * 5000, [(0, 100)]),
        ("bytes=0-" + "9" * 5000, [(0, 100)]),
        ("Bytes=007-8", [(7, 9)]),
        ("bytes=0-1,3-4", [(0, 2), (3, 5)]),
        ("bytes=0-1,2-3", [(0, 2), (2, 4)]),
        ("bytes=5-6, 0-1 ,,-1", [(5, 7), (0, 2), (99, 100)]),
        ("bytes=0-1,200-300", [(0, 2)]),
        ("bytes=0-1,-0", [(0, 2)]),
    ],
)
def test_a_range_is_clipped_to_the_representation(value: str, parts: list[tuple[int, int]]) -> None:
    """RFC 9110 section 14.1.2."""
    assert parse_range(value, 100) == tuple(ByteRange(*part) for part in parts)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=,",
        "bytes=-",
        "bytes=1",
        "bytes=2-1",
        "bytes=0-1,2-1",
        "bytes=a-b",
        "bytes=1--2",
        "bytes=+1-2",
        "bytes= =1-2",
        "bytes =0-1",
        "bytes=0 - 1",
        "bytes=\u0661-2",
        "lines=0-1",
        "0-1",
        "bytes=0-1\n",
    ],
)
def test_a_malformed_range_or_an_unknown_unit_is_ignored(value: str) -> None:
    """RFC 9110 section 14.1.1, RFC 9110 section 14.2."""
    assert parse_range(value, 100) is None


@pytest.mark.parametrize(
    "value", ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=100-,-0", "bytes=" + "9" * 99 + "-"]
)
def test_a_range_without_a_single_byte_is_unsatisfiable(value: str) -> None:
    """RFC 9110 section 14.1.2, RFC 9110 section 15.5.17."""
    assert parse_range(value, 100) == Unsatisfiable(100)


def test_an_empty_representation_has_no_bytes_but_satisfies_a_suffix_as_a_whole() -> None:
    """RFC 9110 section 14.1.2."""
    assert parse_range("bytes=0-", 0) == Unsatisfiable(0)
    assert parse_range("bytes=-0", 0) == Unsatisfiable(0)
    assert parse_range("bytes=-5", 0) is None


def test_overlapping_and_too_many_ranges_are_ignored() -> None:
    """RFC 9110 section 14.2, RFC 9110 section 17.15."""
    assert parse_range("bytes=0-5,5-9", 100) is None
    assert parse_range("bytes=50-,0-9,-10", 100) is None
    assert parse_range("bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(MOST_RANGES + 1)), 100) is None
    assert parse_range("bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(MOST_RANGES)), 100) is not None


specs = st.one_of(
    st.tuples(st.integers(0, 12), st.integers(0, 12)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
    st.integers(0, 12).map(lambda first: f"{first}-"),
    st.integers(0, 12).map(lambda count: f"-{count}"),
)


def bytes_of(spec: str, length: int) -> list[int]:
    """The positions a range names, one by one."""
    first, _, last = spec.partition("-")
    if not first:
        return [at for at in range(length) if length - at <= int(last)]
    return [at for at in range(length) if int(first) <= at and (not last or at <= int(last))]


@given(st.lists(specs, min_size=1, max_size=4), st.integers(1, 10))
def test_ranges_are_exactly_the_bytes_an_oracle_counts(asked: list[str], length: int) -> None:
    """RFC 9110 section 14.1.2."""
    wanted = [positions for spec in asked if (positions := bytes_of(spec, length))]
    result = parse_range("bytes=" + ", ".join(asked), length)

    flat = [at for positions in wanted for at in positions]
    if not wanted:
        assert result == Unsatisfiable(length)
    elif len(set(flat)) < len(flat):
        assert result is None
    else:
        assert isinstance(result, tuple)
        assert [list(range(part.start, part.stop)) for part in result] == wanted


@given(st.text(max_size=40) | st.text("bytes=0123456789-, ", max_size=40).map("bytes=".__add__), st.integers(0, 100))
def test_no_text_makes_a_range_outside_the_representation(value: str, length: int) -> None:
    """RFC 9110 section 14.1.2."""
    result = parse_range(value, length)

    if isinstance(result, tuple):
        assert result
        assert all(0 <= part.start < part.stop <= length for part in result)


def test_content_range_names_first_last_and_length() -> None:
    """RFC 9110 section 14.4."""
    assert content_range(ByteRange(0, 1), 100) == "bytes 0-0/100"
    assert content_range(ByteRange(0, 100), 100) == "bytes 0-99/100"
    assert content_range(None, 100) == "bytes */100"


DATE = "Tue, 02 Jan 2024 00:00:00 GMT"
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
NOW = parse_date(DATE)


def asked(*conditions: str) -> Request:
    return Request("GET", "/", "a", Fields([("If-Range", condition) for condition in conditions]))


def test_without_if_range_the_range_counts() -> None:
    """RFC 9110 section 13.1.5."""
    assert range_applies(asked(), Fields(), None)


@pytest.mark.parametrize(
    ("condition", "etag", "applies"),
    [
        ('"a"', '"a"', True),
        ('"a"', '"b"', False),
        ('W/"a"', 'W/"a"', False),
        ('"a"', 'W/"a"', False),
        ('W/"a"', '"a"', False),
        ('"a', '"a', False),
        ('"a", "b"', '"a", "b"', False),
        ("a", "a", False),
    ],
)
def test_an_entity_tag_in_if_range_is_compared_strongly(condition: str, etag: str, applies: bool) -> None:
    """RFC 9110 section 8.8.3.2, RFC 9110 section 13.1.5."""
    assert range_applies(asked(condition), Fields([("ETag", etag)]), NOW) is applies


def test_an_entity_tag_does_not_match_a_response_without_one() -> None:
    """RFC 9110 section 13.1.5."""
    assert not range_applies(asked('"a"'), Fields([("Last-Modified", MODIFIED)]), NOW)


def test_a_date_in_if_range_must_be_the_very_last_modified() -> None:
    """RFC 9110 section 13.1.5."""
    stored = Fields([("Last-Modified", MODIFIED)])

    assert range_applies(asked(MODIFIED), stored, NOW)
    assert not range_applies(asked(DATE), stored, NOW)
    assert not range_applies(asked(MODIFIED), Fields(), NOW)


def test_a_last_modified_of_the_same_second_as_date_is_no_strong_validator() -> None:
    """RFC 9110 section 8.8.2.2, RFC 9110 section 13.1.5."""
    stored = Fields([("Last-Modified", MODIFIED)])
    moment = parse_date(MODIFIED)
    assert moment is not None

    assert not range_applies(asked(MODIFIED), stored, moment)
    assert range_applies(asked(MODIFIED), stored, moment + 1)
    assert not range_applies(asked(MODIFIED), stored, None)


def test_a_last_modified_that_is_no_date_never_matches() -> None:
    """RFC 9110 section 13.1.5."""
    assert not range_applies(asked("yesterday"), Fields([("Last-Modified", "yesterday")]), NOW)


def test_two_if_range_lines_never_match() -> None:
    """RFC 9110 section 13.1.5."""
    assert not range_applies(asked('"a"', '"a"'), Fields([("ETag", '"a"')]), NOW)


@pytest.mark.parametrize("content_type", ["text/plain", None])
def test_a_multipart_body_is_read_back_part_by_part_and_is_as_long_as_announced(content_type: str | None) -> None:
    """RFC 9110 section 14.6, RFC 9110 section 15.3.7.2."""
    whole = bytes(range(97, 123))
    parts = [ByteRange(0, 3), ByteRange(10, 11), ByteRange(20, 26)]
    body = b"".join(
        multipart_head("XYZ", content_type, part, len(whole)) + whole[part.start : part.stop] for part in parts
    ) + multipart_end("XYZ")
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: multipart/byteranges; boundary=XYZ\r\n\r\n" + body)

    assert multipart_length("XYZ", content_type, parts, len(whole)) == len(body)
    assert not message.defects
    assert [part.get_payload() for part in message.iter_parts()] == ["abc", "k", "uvwxyz"]
    assert [part["Content-Range"] for part in message.iter_parts()] == [
        "bytes 0-2/26",
        "bytes 10-10/26",
        "bytes 20-25/26",
    ]
    assert [part["Content-Type"] for part in message.iter_parts()] == [content_type] * 3
