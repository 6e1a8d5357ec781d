"""The response parser: whatever the segments, the meaning is the same; whatever the bytes, it never raises."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxy.origin_parser import ResponseParser
from tests.origin import chunked, head

METHODS = st.sampled_from(["GET", "HEAD", "POST"])


def parsed(method: str, segments: list[bytes]) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser(max_head=4096)
    parser.begin(method)
    for segment in segments:
        parser.feed(segment)
    return parser, b"".join(parser.collect())


def split(whole: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    return [whole[a:b] for a, b in pairwise(places)]


def messages() -> st.SearchStrategy[tuple[bytes, bytes]]:
    """A whole response to GET and the body it carries."""

    def known(body: bytes) -> tuple[bytes, bytes]:
        return head(200, {"Content-Length": str(len(body)), "X-A": "b"}) + body, body

    def by_chunks(parts: list[bytes]) -> tuple[bytes, bytes]:
        return head(200, {"Transfer-Encoding": "chunked"}) + chunked(parts, {"X-T": "1"}), b"".join(parts)

    return st.one_of(st.binary(max_size=200).map(known), st.lists(st.binary(max_size=40), max_size=6).map(by_chunks))


@given(messages(), st.lists(st.integers(min_value=0), max_size=8), st.integers(0, 3))
def test_segments_do_not_change_the_meaning(message: tuple[bytes, bytes], cuts: list[int], interims: int) -> None:
    """RFC 9112 section 6.3, RFC 9112 section 7.1."""
    whole, expected = message
    parser, body = parsed("GET", split(head(103, {"Link": "</a>"}) * interims + whole, cuts))
    assert (body, parser.error, parser.complete, parser.excess) == (expected, None, True, False)
    assert [interim.status for interim in parser.interims] == [103] * interims
    assert parser.keeps_alive


@given(messages(), st.integers(min_value=1))
def test_a_message_cut_anywhere_is_never_complete(message: tuple[bytes, bytes], cut: int) -> None:
    """RFC 9112 section 8."""
    whole, expected = message
    parser, body = parsed("GET", [whole[: -1 - cut % (len(whole) - 1)]])
    parser.end_of_stream()
    assert not parser.complete
    assert not parser.keeps_alive
    assert expected.startswith(body)


@given(METHODS, messages(), st.binary(min_size=1, max_size=60), st.lists(st.integers(min_value=0), max_size=4))
def test_what_follows_the_end_never_becomes_body_and_spoils_the_connection(
    method: str, message: tuple[bytes, bytes], rest: bytes, cuts: list[int]
) -> None:
    """RFC 9112 section 6.3, RFC 9112 section 9.2."""
    whole, expected = message
    parser, body = parsed(method, split(whole + rest, cuts))
    if method == "HEAD":
        assert (body, parser.complete) == (b"", True)
    else:
        assert (body, parser.complete) == (expected, True)
        # Empty lines before a status line are skipped by the parser (RFC 9112 section 2.2).
        assert parser.excess or not rest.strip(b"\r\n")


@given(METHODS, st.lists(st.binary(max_size=80), max_size=6))
def test_arbitrary_bytes_never_raise(method: str, segments: list[bytes]) -> None:
    parser, body = parsed(method, segments)
    parser.end_of_stream()
    assert parser.head is not None or body == b""


@given(METHODS, st.lists(st.sampled_from([
    b"HTTP/1.1 ", b"HTTP/1.0 ", b"HTTP/2.0 ", b"200", b"101", b"204", b" OK", b"\r\n", b"\n", b"Content-Length: ", b"0",
    b"5", b"Transfer-Encoding: ", b"chunked", b"Connection: Upgrade", b"Upgrade: x", b"hello", b":", b" ", b"\0",
]), max_size=24))  # fmt: skip
def test_pieces_of_http_in_any_order_never_raise(method: str, pieces: list[bytes]) -> None:
    parser, _ = parsed(method, [b"".join(pieces)])
    if parser.head is not None:
        assert 200 <= parser.head.status <= 999
        assert parser.head.version in ("1.0", "1.1")
        assert parser.length is None or parser.length >= 0


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_a_parser_serves_the_next_exchange_after_a_complete_one(first: int, second: int) -> None:
    """RFC 9112 section 9.3."""
    parser = ResponseParser(max_head=4096)
    for method, size in (("GET", first), ("HEAD", second), ("GET", second)):
        parser.begin(method)
        parser.feed(head(200, {"Content-Length": str(size)}) + (b"x" * size if method == "GET" else b""))
        assert parser.keeps_alive
        assert len(b"".join(parser.collect())) == (size if method == "GET" else 0)
        assert len(parser.take_trailers()) == 0
