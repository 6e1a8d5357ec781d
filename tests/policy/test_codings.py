"""Who gets which coded copies of which responses, and under which names (RFC 9110 sections 8.8.3.3 and 12.5.3)."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.policy.codings import (
    LARGEST,
    accepted_codings,
    coded_fields,
    coded_key,
    coded_tag,
    coding_of,
    compressible,
    held_tag,
    holds_plain,
    source_key,
    source_name,
    varied,
    with_source_tags,
)
from proxy.policy.messages import Fields, Request, StoredResponse

OFFERED = ("zstd", "br", "gzip")
DIGEST = "0123456789abcdef"
LATER, MODIFIED = "Thu, 02 Jan 2025 00:00:00 GMT", "Wed, 01 Jan 2025 00:00:00 GMT"


def asking(*lines: tuple[str, str], method: str = "GET") -> Request:
    return Request(method, "/a", "example.org", Fields(lines))


def stored(*lines: tuple[str, str]) -> StoredResponse:
    return StoredResponse("GET http://h/a", (), "GET", "http://h/a", 200, "OK", Fields(lines), 0.0, 0.0, 1000, 7)


# Accept-Encoding (RFC 9110 section 12.5.3)


@pytest.mark.parametrize(
    ("value", "accepted"),
    [
        ("gzip", ("gzip",)),
        ("gzip, deflate, br, zstd", ("zstd", "br", "gzip")),
        ("GZip", ("gzip",)),
        ("x-gzip", ("gzip",)),
        ("br;q=0.5, gzip", ("gzip", "br")),
        ("br ; q=0.5 , gzip ;Q=0.6", ("gzip", "br")),
        ("*", ("zstd", "br", "gzip")),
        ("*;q=0.1, zstd;q=0", ("br", "gzip")),
        ("gzip;q=0", ()),
        ("gzip;q=0.000", ()),
        ("identity", ()),
        ("identity, gzip;q=0.5", ()),
        ("identity;q=0.5, gzip;q=0.5", ("gzip",)),
        ("identity;q=0", ()),
        ("identity;q=0, *;q=0", ()),
        ("", ()),
        (",,", ()),
        ("deflate", ()),
    ],
)
def test_weights_decide_then_the_order_in_which_codings_are_offered(value: str, accepted: tuple[str, ...]) -> None:
    """RFC 9110 section 12.4.2, RFC 9110 section 12.5.3."""
    assert accepted_codings(asking(("Accept-Encoding", value)), OFFERED) == accepted


def test_a_client_without_accept_encoding_is_given_no_coding() -> None:
    """RFC 9110 section 12.5.3: every coding would be acceptable then, the plain one surely is."""
    assert accepted_codings(asking(), OFFERED) == ()


def test_the_lines_of_accept_encoding_count_as_one() -> None:
    """RFC 9110 section 5.3, RFC 9110 section 12.5.3."""
    assert accepted_codings(asking(("Accept-Encoding", "br"), ("Accept-Encoding", "gzip")), OFFERED) == ("br", "gzip")


@pytest.mark.parametrize(
    "value", ["gzip;q=1.5", "gzip;q=", "gzip;q", "gzip;", "gzip;q=-1", "gzip;level=9", "gzip q=1", "gzip;q=1;q=1"]
)
def test_a_malformed_member_never_makes_its_coding_acceptable(value: str) -> None:
    """RFC 9110 section 12.4.2."""
    assert accepted_codings(asking(("Accept-Encoding", f"{value}, br")), OFFERED) == ("br",)
    assert "gzip" not in accepted_codings(asking(("Accept-Encoding", value)), OFFERED)


def test_of_two_weights_for_one_coding_the_smaller_counts() -> None:
    assert accepted_codings(asking(("Accept-Encoding", "gzip, gzip;q=0")), OFFERED) == ()
    assert accepted_codings(asking(("Accept-Encoding", "gzip;q=0.1, br;q=0.5, gzip")), OFFERED) == ("br", "gzip")


def test_a_request_for_no_transform_is_given_no_coding() -> None:
    """RFC 9111 section 5.2.1.6."""
    assert accepted_codings(asking(("Accept-Encoding", "gzip"), ("Cache-Control", "No-Transform")), OFFERED) == ()


CODINGS = st.sampled_from(["gzip", "br", "zstd", "identity", "*", "deflate"])
WEIGHTS = st.sampled_from(["", ";q=0", ";q=1", ";q=0.5", "; q=0.25", " ;q=0.001", ";q=1.000", ";q=2", ";q", ";x=1"])


def slow_oracle(members: list[tuple[str, str]]) -> list[str]:
    """By repeatedly taking the best that is left, in exact arithmetic."""

    def weight(suffix: str) -> Decimal:
        text = suffix.strip().removeprefix(";").strip()
        if not suffix:
            return Decimal(1)
        name, _, number = text.partition("=")
        return Decimal(number) if name == "q" and number and Decimal(number) <= 1 else Decimal(0)

    def of(coding: str, otherwise: Decimal) -> Decimal:
        said = [weight(suffix) for name, suffix in members if name == coding]
        return min(said) if said else otherwise

    star = of("*", Decimal(0))
    plain = of("identity", Decimal(0))
    left = [c for c in OFFERED if of(c, star) > 0 and of(c, star) >= plain]
    order = []
    while left:
        best = max(left, key=lambda c: (of(c, star), -OFFERED.index(c)))
        left.remove(best)
        order.append(best)
    return order


@given(st.lists(st.tuples(CODINGS, WEIGHTS), min_size=1, max_size=8))
@example([("*", ";q=0.5"), ("identity", ""), ("br", "")])
def test_acceptance_agrees_with_a_slow_oracle(members: list[tuple[str, str]]) -> None:
    """RFC 9110 section 12.5.3."""
    value = ", ".join(name + suffix for name, suffix in members)
    assert list(accepted_codings(asking(("Accept-Encoding", value)), OFFERED)) == slow_oracle(members)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=400))
def test_any_accept_encoding_is_read_without_an_error(value: str) -> None:
    """RFC 9110 section 12.5.3."""
    assert set(accepted_codings(asking(("Accept-Encoding", value)), OFFERED)) <= set(OFFERED)


# What may be coded

TEXT = Fields([("Content-Type", "text/html; charset=utf-8")])


@pytest.mark.parametrize(
    "content_type",
    ["text/css", "TEXT/HTML", "application/json ;v=1", "application/problem+json", "image/svg+xml", "application/wasm"],
)
def test_text_in_the_widest_sense_is_compressible(content_type: str) -> None:
    assert compressible(200, Fields([("Content-Type", content_type)]), 512, 512)


@pytest.mark.parametrize(
    "content_type", ["", "image/png", "video/mp4", "font/woff2", "application/zip", "text/event-stream", "textual/x"]
)
def test_what_is_no_text_or_never_ends_is_not(content_type: str) -> None:
    assert not compressible(200, Fields([("Content-Type", content_type)]), 5000, 512)


@pytest.mark.parametrize(
    "line",
    [
        ("Content-Encoding", "gzip"),
        ("Content-Encoding", "identity"),
        ("Content-Range", "bytes 0-999/1000"),
        ("Cache-Control", "max-age=60, No-Transform"),
        ("Content-Digest", "sha-256=:AA==:"),
        ("Repr-Digest", "sha-256=:AA==:"),
        ("Digest", "sha-256=AA"),
        ("Content-MD5", "AA"),
        ("Signature-Input", 'sig=("content-length")'),
    ],
)
def test_what_is_coded_or_bound_to_its_bytes_is_left_as_it_is(line: tuple[str, str]) -> None:
    """RFC 9110 section 7.7: digests (RFC 9530) and signatures (RFC 9421) would break."""
    assert not compressible(200, TEXT.plus(line), 5000, 512)


def test_no_transform_binds_even_where_another_field_is_targeted_at_caches() -> None:
    """RFC 9111 section 5.2.2.6."""
    fields = TEXT.plus(("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-transform"))
    assert not compressible(200, fields, 5000, 512)


@pytest.mark.parametrize("status", [201, 203, 204, 206, 304, 404])
def test_only_200_is_compressible(status: int) -> None:
    assert not compressible(status, TEXT, 5000, 512)


def test_too_small_too_large_or_of_unknown_length_is_not_compressible() -> None:
    assert [compressible(200, TEXT, n, 512) for n in (511, 512, LARGEST, LARGEST + 1, None)] == [
        False,
        True,
        True,
        False,
        False,
    ]


# The fields of a copy


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["Accept-Encoding"]),
        ([("Vary", "Cookie"), ("vary", "Origin")], ["Cookie, Origin, Accept-Encoding"]),
        ([("Vary", "Cookie, accept-encoding")], ["Cookie, accept-encoding"]),
        ([("Vary", "*")], ["*"]),
    ],
)
def test_vary_gains_accept_encoding_once(before: list[tuple[str, str]], after: list[str]) -> None:
    """RFC 9110 section 12.5.5."""
    assert varied(Fields(before)).all("Vary") == after


@pytest.mark.parametrize(
    ("etag", "tag"),
    [
        ('"x"', f'"x-br-{DIGEST}"'),
        ('""', f'"-br-{DIGEST}"'),
        ('W/"x"', f'W/"x-br-{DIGEST}"'),
        (None, f'W/"br-{DIGEST}"'),
        ("unquoted", f'W/"br-{DIGEST}"'),
    ],
)
def test_a_copy_has_a_tag_of_its_own_that_is_strong_only_where_its_sources_is(etag: str | None, tag: str) -> None:
    """RFC 9110 section 8.8.3.3."""
    assert coded_tag(etag, "br", DIGEST) == tag


def test_a_copy_has_its_coding_and_tag_and_keeps_the_other_fields() -> None:
    """RFC 9110 section 8.8.3.3."""
    fields = Fields([("Content-Type", "text/css"), ("Content-Length", "9"), ("ETag", '"x"'), ("Last-Modified", "then")])
    assert coded_fields(fields, "br", DIGEST) == Fields(
        [
            ("Content-Type", "text/css"),
            ("Last-Modified", "then"),
            ("Vary", "Accept-Encoding"),
            ("Content-Encoding", "br"),
            ("ETag", f'"x-br-{DIGEST}"'),
        ]
    )


# What the client holds


@pytest.mark.parametrize("held", ['"x"', 'W/"x"', '"y", "x"', "*"])
def test_who_holds_the_plain_representation_goes_on_with_it(held: str) -> None:
    """RFC 9110 section 13.1.2."""
    assert holds_plain(asking(("If-None-Match", held)), stored(("ETag", '"x"')))


def test_a_date_alone_is_compared_with_the_plain_representation() -> None:
    """RFC 9110 section 13.1.3."""
    request = asking(("If-Modified-Since", LATER))
    assert holds_plain(request, stored(("Last-Modified", MODIFIED)))


def test_a_part_of_the_plain_representation_is_continued_with_it() -> None:
    """RFC 9110 section 13.1.5."""
    source = stored(("ETag", '"x"'), ("Last-Modified", MODIFIED), ("Date", LATER))
    ranged = ("Range", "bytes=10-")
    assert holds_plain(asking(ranged, ("If-Range", '"x"')), source)
    assert holds_plain(asking(ranged, ("If-Range", MODIFIED)), source)
    assert not holds_plain(asking(ranged, ("If-Range", f'"x-br-{DIGEST}"')), source)
    assert not holds_plain(asking(ranged, ("If-Range", '"x"'), method="HEAD"), source)


@pytest.mark.parametrize(("etag", "plain"), [('"x"', False), ('W/"x"', True), (None, True), ("x", True)])
def test_ranges_are_of_a_copy_only_if_a_strong_tag_tells_it_apart(etag: str | None, plain: bool) -> None:
    """RFC 9110 section 8.8.1, RFC 9110 section 14.2."""
    source = stored() if etag is None else stored(("ETag", etag))
    assert holds_plain(asking(("Range", "bytes=0-9")), source) is plain


def test_a_tag_that_a_copy_had_still_validates_when_the_copy_is_gone() -> None:
    """RFC 9110 section 13.1.2."""
    copy = f'"x-br-{DIGEST}"'
    request = asking(("If-None-Match", f'"other", {copy}'))
    assert held_tag(request, stored(("ETag", '"x"')), ("gzip", "br")) == copy
    assert held_tag(request, stored(("ETag", 'W/"x"')), ("br",)) == f"W/{copy}"
    assert held_tag(asking(("If-None-Match", f"W/{copy}")), stored(("ETag", '"x"')), ("br",)) == copy


@pytest.mark.parametrize(
    ("etag", "named", "codings"),
    [
        ('"y"', f'"x-br-{DIGEST}"', OFFERED),
        ('"x"', f'"x-br-{DIGEST}"', ("gzip",)),
        ('"x"', f'"x-br-{DIGEST}"', ()),
        ('"x"', '"x-br-0123"', OFFERED),
        ('"x"', f'"x-br-{DIGEST}" rubbish', OFFERED),
        ('"."', f'"x-br-{DIGEST}"', OFFERED),
        (None, f'"x-br-{DIGEST}"', OFFERED),
    ],
)
def test_no_other_tag_does(etag: str | None, named: str, codings: tuple[str, ...]) -> None:
    """RFC 9110 section 13.1.2."""
    source = stored() if etag is None else stored(("ETag", etag))
    assert held_tag(asking(("If-None-Match", named)), source, codings) is None


def test_without_if_none_match_no_tag_is_held() -> None:
    """RFC 9110 section 13.1.2."""
    assert held_tag(asking(), stored(("ETag", '"x"')), OFFERED) is None


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (f'"x-br-{DIGEST}"', f'"x-br-{DIGEST}", "x"'),
        (f'"a", "x-zstd-{DIGEST}", "x-gzip-{DIGEST}"', f'"a", "x-zstd-{DIGEST}", "x-gzip-{DIGEST}", "x"'),
        (f'W/"x-br-{DIGEST}"', f'W/"x-br-{DIGEST}"'),
        ('"x"', '"x"'),
        ("*", "*"),
    ],
)
def test_if_match_also_names_what_a_copy_was_made_of(condition: str, told: str) -> None:
    """RFC 9110 section 13.1.1: the origin only knows the tags that it said itself."""
    assert with_source_tags(Fields([("If-Match", condition)])).all("If-Match") == [told]


def test_a_request_without_if_match_goes_on_unchanged() -> None:
    """RFC 9110 section 13.1.1."""
    fields = Fields([("If-None-Match", f'"x-br-{DIGEST}"')])
    assert with_source_tags(fields) is fields


@given(st.text(st.characters(codec="latin-1", categories=["L", "N", "P", "S"], exclude_characters='"'), max_size=20))
def test_every_tag_that_is_made_can_be_traced_back(name: str) -> None:
    """RFC 9110 section 8.8.3.3."""
    etag = f'"{name}"'
    copy = coded_tag(etag, "zstd", DIGEST)
    assert with_source_tags(Fields([("If-Match", copy)])).first("If-Match") == f"{copy}, {etag}"
    assert held_tag(asking(("If-None-Match", copy)), stored(("ETag", etag)), OFFERED) == copy


# Names in the store


def test_another_body_or_validator_is_another_source() -> None:
    source = stored(("ETag", '"x"'), ("Last-Modified", MODIFIED))
    others = [
        replace(source, checksum=8),
        replace(source, length=1001),
        replace(source, fields=Fields([("ETag", '"y"'), ("Last-Modified", MODIFIED)])),
        replace(source, fields=Fields([("ETag", '"x"'), ("Last-Modified", LATER)])),
    ]
    assert len({source_name(each) for each in (source, *others)}) == 5


def test_a_validation_alone_leaves_the_source_what_it_was() -> None:
    """RFC 9111 section 4.3.4."""
    source = stored(("ETag", '"x"'), ("Age", "1"))
    assert source_name(replace(source, response_time=9.0, fields=Fields([("ETag", '"x"')]))) == source_name(source)


def test_a_copys_key_tells_its_coding_and_its_source() -> None:
    key = coded_key("GET http://h/a", "br")
    assert (source_key(key), coding_of(key)) == ("GET http://h/a", "br")
    assert (source_key("GET http://h/a"), coding_of("GET http://h/a")) == ("GET http://h/a", "")
