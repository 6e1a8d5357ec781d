from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.frames import BINARY, CLOSE, TEXT, Heads, Outgoing, close_frame, frame
from tests.engine import masked

messages = st.lists(st.one_of(st.binary(max_size=300), st.text(st.characters(codec="utf-8"), max_size=300)))


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """First byte and data of each frame, by the letter of RFC 6455 section 5.2."""
    while data:
        first, length, start = data[0], data[1], 2
        assert length < 128, "a server does not mask"
        if length == 126:
            length, start = int.from_bytes(data[2:4], "big"), 4
            assert length >= 126, "the shortest form has to be used"
        elif length == 127:
            length, start = int.from_bytes(data[2:10], "big"), 10
            assert length >= 65536, "the shortest form has to be used"
        yield first, data[start : start + length]
        data = data[start + length :]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 100_000])
def test_a_frame_of_any_size_says_its_length(size: int) -> None:
    assert list(frames(frame(BINARY, b"x" * size))) == [(0x80 | BINARY, b"x" * size)]


@given(messages)
def test_every_message_is_one_frame_text_with_its_type_and_binary_as_it_is(items: list[str | bytes]) -> None:
    expected = [
        (0x80 | TEXT, b"4" + item.encode()) if isinstance(item, str) else (0x80 | BINARY, item) for item in items
    ]
    outgoing = Outgoing(items)
    assert list(frames(outgoing.frame)) == expected
    assert outgoing.size == len(outgoing.frame)
    assert outgoing.count == len(items)


@given(messages)
def test_compressed_frames_inflate_to_the_same_each_by_itself(items: list[str | bytes]) -> None:
    outgoing = Outgoing(items)
    plain = [(first | 0x40, data) for first, data in frames(outgoing.frame)]
    inflated = [
        (first, zlib.decompressobj(-15).decompress(data + b"\x00\x00\xff\xff"))
        for first, data in frames(outgoing.deflated)
    ]
    assert inflated == plain


def test_everybody_is_given_the_same_bytes() -> None:
    outgoing = Outgoing(["a" * 1000])
    assert outgoing.frame is outgoing.frame
    assert outgoing.deflated is outgoing.deflated
    assert len(outgoing.deflated) < 50


def test_packets_of_the_protocol_itself_keep_their_type() -> None:
    ping = Outgoing.control("2")
    assert ping.frame == b"\x81\x012"
    assert ping.payload == b"2"


def test_text_that_utf_8_cannot_say_is_refused_where_it_is_made() -> None:
    with pytest.raises(UnicodeEncodeError):
        Outgoing(["\ud800"])


def test_a_close_frame_has_its_code_and_fits_a_control_frame() -> None:
    assert list(frames(close_frame(1012, "drain"))) == [(0x80 | CLOSE, b"\x03\xf4drain")]
    ((_, data),) = frames(close_frame(1000, "x" * 500))
    assert len(data) == 125


client_frames = st.builds(masked, st.binary(max_size=300), fin=st.booleans(), opcode=st.sampled_from([0, 1, 2, 9]))
long_frames = st.builds(lambda size: masked(b"x" * size), st.sampled_from([125, 126, 65_535, 65_536]))
cuts = st.lists(st.integers(0, 70_000), max_size=8)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in at)})
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.one_of(client_frames, long_frames), max_size=12), cuts)
def test_every_frame_of_a_client_is_counted_once_however_its_bytes_are_cut(sent: list[bytes], at: list[int]) -> None:
    heads = Heads()
    assert sum(heads.count(piece) for piece in pieces(b"".join(sent), at)) == len(sent)


@given(st.lists(client_frames, max_size=5), st.binary(max_size=200), cuts)
def test_a_frame_that_is_not_masked_is_found_wherever_it_comes(sent: list[bytes], data: bytes, at: list[int]) -> None:
    heads, before = Heads(), b"".join(sent)
    read = 0
    for piece in pieces(before + frame(BINARY, data), at):
        if heads.count(piece) < 0:
            assert read + heads.good in (len(before), len(before) + 1)  # its first byte alone says nothing yet
            return
        read += len(piece)
    raise AssertionError("it was not found")


@given(messages)
def test_what_long_polling_is_given_is_made_of_the_same_frames(items: list[str | bytes]) -> None:
    expected = [b"4" + item.encode() if isinstance(item, str) else b"b" + b64encode(item) for item in items]
    assert Outgoing(items).payload == b"\x1e".join(expected)


@pytest.mark.parametrize("size", [124, 125, 126, 65_534, 65_535, 65_536])
def test_long_polling_gets_what_is_long_whole(size: int) -> None:
    assert Outgoing(["x" * size, "y"]).payload == b"4" + b"x" * size + b"\x1e4y"
