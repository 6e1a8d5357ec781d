"""Validators, compression and byte ranges."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from demo.answers import accepts_gzip, file_answer, is_unchanged

Client = TestClient[Any, Any]
BODY = bytes(range(256)) * 4
MODIFIED = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
MODIFIED_FIELD = "Mon, 04 May 2026 03:02:01 GMT"


def answer(method: str = "GET", **fields: str) -> tuple[int, bytes, dict[str, str]]:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    response = file_answer(make_mocked_request(method, "/f", headers), BODY, "image/jpeg", MODIFIED)
    body = response.body if isinstance(response.body, bytes) else b""
    return response.status, body, dict(response.headers)


TAG = answer()[2]["ETag"]


@pytest.mark.parametrize(
    ("field", "accepted"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0, br", False),
        ("gzip;q=0, *", False),
        ("x-gzipped", False),
    ],
)
def test_gzip_is_used_only_when_accepted(field: str, accepted: bool) -> None:
    assert accepts_gzip(field) is accepted


async def test_a_compressed_answer_holds_the_same_document(origin: Client) -> None:
    async with origin.get("/api/reports", headers={"Accept-Encoding": "identity"}) as response:
        assert "Content-Encoding" not in response.headers
        plain, tag = await response.read(), response.headers["ETag"]
    async with origin.get("/api/reports", headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.headers["ETag"] == tag
        assert tag.startswith("W/"), "one tag for two encodings must be weak"
        # The client unpacks what it reads; the length is that of what travelled.
        assert await response.read() == plain
        assert int(response.headers["Content-Length"]) < len(plain) / 2


async def test_a_head_has_the_fields_of_a_get_and_no_body(origin: Client) -> None:
    for path in ("/api/reports", "/uploads/r200-1.jpg", "/"):
        async with origin.get(path) as get, origin.head(path) as head:
            assert await head.read() == b""
            ignored = {"Date"}
            assert {k: v for k, v in head.headers.items() if k not in ignored} == {
                k: v for k, v in get.headers.items() if k not in ignored
            }


@pytest.mark.parametrize("field", ['"a"', 'W/"a"', '"x", W/"a"', "*", '"x","a"'])
def test_if_none_match_compares_weakly_over_the_whole_list(field: str) -> None:
    request = make_mocked_request("GET", "/", {"If-None-Match": field})
    assert is_unchanged(request, 'W/"a"')
    assert is_unchanged(request, '"a"')


@pytest.mark.parametrize("field", ["", "a", '"b"', '"aa"', '"x, a"'])
def test_if_none_match_with_other_tags_does_not_match(field: str) -> None:
    assert not is_unchanged(make_mocked_request("GET", "/", {"If-None-Match": field}), '"a"')


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=10-19", slice(10, 20)),
        ("bytes=1000-", slice(1000, None)),
        ("bytes=1000-999999", slice(1000, None)),
        ("bytes=-24", slice(1000, None)),
        ("bytes=-9999", slice(0, None)),
    ],
)
def test_a_byte_range_is_answered_with_that_part(field: str, part: slice) -> None:
    status, body, fields = answer(Range=field)
    assert (status, body) == (206, BODY[part])
    start = part.start
    assert fields["Content-Range"] == f"bytes {start}-{start + len(body) - 1}/1024"


@pytest.mark.parametrize("field", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end_is_not_satisfiable(field: str) -> None:
    status, body, fields = answer(Range=field)
    assert (status, body, fields["Content-Range"]) == (416, b"", "bytes */1024")


@pytest.mark.parametrize("field", ["bytes=", "bytes=-", "bytes=9-3", "bytes=0-1,4-5", "items=0-1", "bytes=٠-١"])
def test_a_range_that_is_not_understood_gets_the_whole_file(field: str) -> None:
    assert answer(Range=field)[:2] == (200, BODY)


@given(st.text(max_size=30), st.text(max_size=20))
def test_no_range_field_breaks_the_answer(field: str, condition: str) -> None:
    safe = {"Range": field.replace("\r", "").replace("\n", ""), "If_Range": condition}
    assert answer(**safe)[0] in (200, 206, 416)


@given(st.integers(0, 2000), st.integers(0, 2000))
def test_any_range_is_that_slice_of_the_file(first: int, last: int) -> None:
    status, body, _ = answer(Range=f"bytes={first}-{last}")
    if last < first:
        assert (status, body) == (200, BODY)
    elif first >= len(BODY):
        assert status == 416
    else:
        assert (status, body) == (206, BODY[first : last + 1])


def test_if_range_with_the_current_validator_gives_the_part() -> None:
    assert answer(Range="bytes=0-9", If_Range=TAG)[0] == 206
    assert answer(Range="bytes=0-9", If_Range=MODIFIED_FIELD)[0] == 206


def test_if_range_with_another_validator_gives_the_whole() -> None:
    for validator in ('"old"', f"W/{TAG}", "Mon, 04 May 2026 03:02:02 GMT", "yesterday"):
        assert answer(Range="bytes=0-9", If_Range=validator)[0] == 200


def test_a_file_is_validated_by_tag_or_by_date() -> None:
    assert answer(If_None_Match=TAG)[:2] == (304, b"")
    assert answer(If_Modified_Since=MODIFIED_FIELD)[0] == 304
    assert answer(If_Modified_Since="Mon, 04 May 2026 03:02:00 GMT")[0] == 200
    assert answer(If_Modified_Since="not a date")[0] == 200


def test_the_tag_outranks_the_date() -> None:
    assert answer(If_None_Match='"old"', If_Modified_Since=MODIFIED_FIELD)[0] == 200


def test_a_304_of_a_file_carries_its_validators() -> None:
    fields = answer(If_None_Match=TAG)[2]
    assert fields["ETag"] == TAG
    assert fields["Last-Modified"] == MODIFIED_FIELD
