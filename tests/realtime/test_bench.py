"""What the realtime bench believes: how it counts, and what it calls a fault."""

from __future__ import annotations

import asyncio

import pytest

from bench.realtime.churn import Book, Member, Stay, _faults
from bench.realtime.wire import Counter, Counting


class Deaf(asyncio.Transport):
    """A transport that remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_messages_and_pings_are_counted_however_the_bytes_are_cut(size: int) -> None:
    counter, transport = Counter(), Deaf()
    counting = Counting(transport, counter)
    sent = b"".join(b"\x81\x1442" + b"^~^%d:" % number + b"x" * 12 for number in range(9)) + b"\x81\x012"
    for start in range(0, len(sent), size):
        part = sent[start : start + size]
        counting.get_buffer(-1)[: len(part)] = part
        counting.buffer_updated(len(part))
    assert (counter.messages, counter.bytes, len(transport.written)) == (9, len(sent), 1)


def members(*stays: Stay) -> list[Member]:
    """One member for each stay; the last is the one who was left in peace."""
    found = []
    for stay in stays:
        member = Member(0, 0, "c", Book())
        member.stays.append(stay)
        found.append(member)
    return found


BOOK = Book(sent={number: float(number) for number in range(1, 6)}, acknowledged={1, 2, 3, 4, 5})
PEACE = Stay(0.0, [1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("stay", "fault"),
    [
        (Stay(2.5, [3, 4, 5]), None),
        (Stay(0.0, [1, 2], ended=True), None),
        (Stay(0.0, [1, 2, 4, 5]), "1 missed"),
        (Stay(0.0, [1, 2, 3, 3, 4, 5]), "1 doubled"),
        (Stay(0.0, [1, 3, 2, 4, 5]), "no slice"),
        (Stay(0.0, [1, 2, 3]), "lacks the last 2"),
        (Stay(1.5, [4, 5]), "after it had joined"),
        (Stay(0.0, []), "heard nothing"),
        (Stay(0.0, [9]), "not to the one in peace"),
    ],
)
def test_a_fault_is_what_is_lost_doubled_or_out_of_order(stay: Stay, fault: str | None) -> None:
    found = _faults(members(stay, PEACE), BOOK)
    assert found == [] if fault is None else fault in found[0]


def test_an_acknowledged_message_that_nobody_got_is_a_fault() -> None:
    assert "1 acknowledged" in _faults(members(Stay(0.0, [1, 2, 3, 4])), BOOK)[0]
