"""PURE: WebSocket framing (RFC 6455 section 5): what is sent to many, encoded once, and the heads of what comes."""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, Self

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

OVERHEAD: Final = 256
"""Bytes of an Outgoing that waits besides its own: the objects, and its place in a queue (measured)."""

_SHORT = Struct("!BB").pack
_MEDIUM = Struct("!BBH").pack
_LONG = Struct("!BBQ").pack
_FIN = 0x80
_COMPRESSED = 0x40  # RSV1, RFC 7692 section 6
_COMPRESSED_CONTROL = _COMPRESSED | CLOSE  # that bit, and the one that only the opcodes of control frames have
_SEPARATOR = b"\x1e"


class Outgoing:
    """Messages for any number of sessions, encoded once; every session is given the same bytes.

    `conflate`: while it waits for a slow session, a newer one with the same key takes its place.
    `volatile`: it may be dropped for a session that cannot take it.
    Raises UnicodeEncodeError for text that UTF-8 cannot say.
    """

    __slots__ = ("_deflated", "conflate", "count", "frame", "size", "volatile")

    def __init__(self, messages: Sequence[str | bytes], *, conflate: str | None = None, volatile: bool = False) -> None:
        packets = tuple(b"4" + item.encode() if isinstance(item, str) else _Binary(item) for item in messages)
        self._set(packets, conflate, volatile)

    @classmethod
    def control(cls, packet: str) -> Self:
        """One packet of the protocol itself, complete with its type."""
        self = cls.__new__(cls)
        self._set((packet.encode(),), None, False)
        return self

    def _set(self, packets: tuple[bytes, ...], conflate: str | None, volatile: bool) -> None:
        self.conflate = conflate
        self.volatile = volatile
        self.count = len(packets)
        self.frame = b"".join([frame(_opcode(packet), packet) for packet in packets])
        """Each message as one WebSocket frame, one after the other."""
        self.size = len(self.frame)
        self._deflated: bytes | None = None

    @property
    def payload(self) -> bytes:
        """The same packets for long-polling (Engine.IO protocol, "Packet encoding"), made of the frames each time:
        kept beside them they would take as much memory again wherever something waits.
        """
        return joined([_polled(opcode, packet) for opcode, packet in _frames(self.frame)])

    @property
    def cost(self) -> int:
        """Bytes of memory that it takes where it waits, about: what is short takes most of them for being there."""
        return OVERHEAD + self.size + 2 * len(self.conflate or "")

    @property
    def deflated(self) -> bytes:
        """The frames compressed without context, hence the same for every client (RFC 7692 section 7.1.1)."""
        if self._deflated is None:
            self._deflated = b"".join(
                [frame(opcode, _deflate(packet), compressed=True) for opcode, packet in _frames(self.frame)]
            )
        return self._deflated


class Heads:
    """The frame heads in a client's bytes, however they are cut; what they are about is somebody else's business."""

    __slots__ = ("_cut", "_skip", "good")

    def __init__(self) -> None:
        self.good = 0
        """Where in the bytes that were counted last the first head is that may not be; after a -1."""
        self._cut = b""  # a head of which the rest is missing
        self._skip = 0  # bytes of a frame that are still to come

    def count(self, data: bytes) -> int:
        """How many are complete with these bytes; -1 when one may not be: not masked, as a client's must be (RFC 6455
        section 5.1), or of a control frame that says it is compressed (RFC 7692 section 6.1).
        """
        at, before = self._skip, 0
        if self._cut:
            before = len(self._cut)
            data, self._cut = self._cut + data, b""
        end = len(data)
        heads = 0
        while at < end:
            if at + 2 > end:
                self._cut = data[at:]
                at = end
                break
            length = data[at + 1] - 0x80
            if length < 0 or data[at] & _COMPRESSED_CONTROL == _COMPRESSED_CONTROL:
                self.good = max(0, at - before)
                return -1
            if length < 126:
                at += 6 + length
            else:
                start = at + (4 if length == 126 else 10)
                if start > end:
                    self._cut = data[at:]
                    at = end
                    break
                at = start + 4 + int.from_bytes(data[at + 2 : start], "big")
            heads += 1
        self._skip = at - end
        return heads


def frame(opcode: int, data: bytes, *, compressed: bool = False) -> bytes:
    """One unfragmented, unmasked frame."""
    first = _FIN | opcode | (_COMPRESSED if compressed else 0)
    length = len(data)
    if length < 126:
        return _SHORT(first, length) + data
    if length < 65536:
        return _MEDIUM(first, 126, length) + data
    return _LONG(first, 127, length) + data


def close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what fits (RFC 6455 section 5.5)."""
    return frame(CLOSE, code.to_bytes(2, "big") + reason.encode()[:123])


def joined(payloads: Sequence[bytes]) -> bytes:
    """Several encoded packets as one body of long-polling."""
    return _SEPARATOR.join(payloads)


class _Binary(bytes):
    """A binary message; everything else is text."""

    __slots__ = ()


def _opcode(packet: bytes) -> int:
    return BINARY if isinstance(packet, _Binary) else TEXT


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Opcode and data of each of our own frames."""
    at = 0
    while at < len(data):
        length, start = data[at + 1], at + 2
        if length == 126:
            length, start = int.from_bytes(data[at + 2 : at + 4], "big"), at + 4
        elif length == 127:
            length, start = int.from_bytes(data[at + 2 : at + 10], "big"), at + 10
        yield data[at] & 0x0F, data[start : start + length]
        at = start + length


def _polled(opcode: int, packet: bytes) -> bytes:
    return b"b" + b64encode(packet) if opcode == BINARY else packet


def _deflate(packet: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    # RFC 7692 section 7.2.1: the empty block that a flush leaves at the end is removed.
    return (compressor.compress(packet) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
