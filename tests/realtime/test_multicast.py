"""The same bytes for many connections, over real sockets whose buffers can be full and whose other ends can be gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import given
from hypothesis import strategies as st

from realtime.frames import Outgoing
from realtime.multicast import Multicast
from realtime.stats import RealtimeStats


class Taker:
    """One end of a connection; `left` is what the system did not take of the last bytes."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.far.setblocking(False)
        self.left: bytes | None = None
        self.sent = 0
        self.multicasts: list[Multicast] = []

    @property
    def descriptor(self) -> int:
        return self.near.fileno()

    def stepped_in(self, multicast: Multicast) -> None:
        self.multicasts.append(multicast)

    def stepped_out(self, multicast: Multicast, sent: int) -> None:
        self.multicasts.remove(multicast)
        self.sent += sent

    def left_over(self, data: bytes) -> None:
        self.left = data
        for multicast in list(self.multicasts):
            multicast.dissolve()

    def fill(self) -> None:
        """Let the system take nothing more."""
        for size in (65536, 1):
            try:
                while True:
                    self.near.send(b"." * size)
            except BlockingIOError:
                pass

    def taken(self) -> bytes:
        """What the other end has."""
        data = b""
        try:
            while more := self.far.recv(1 << 20):
                data += more
        except BlockingIOError:
            pass
        return data

    def close(self) -> None:
        self.near.close()
        self.far.close()


@contextmanager
def takers(count: int) -> Iterator[list[Taker]]:
    made = [Taker() for _ in range(count)]
    try:
        yield made
    finally:
        for taker in made:
            taker.close()


def test_everybody_gets_the_same_bytes_and_they_are_counted() -> None:
    stats, hello = RealtimeStats(), Outgoing(["hello", "you"])
    with takers(3) as row:
        multicast = Multicast(row, stats)
        multicast.send(hello)
        multicast.send(hello)
        assert [taker.taken() for taker in row] == [hello.frame * 2] * 3
        assert (stats.packets_out, stats.bytes_out) == (12, 6 * hello.size)


def test_a_row_of_nobody_sends_nothing() -> None:
    stats = RealtimeStats()
    multicast = Multicast([], stats)
    multicast.send(Outgoing(["hello"]))
    assert (multicast.intact, stats.bytes_out) == (True, 0)


def test_whoever_was_in_a_row_knows_when_it_is_dissolved_how_much_it_was_sent() -> None:
    hello = Outgoing(["hello"])
    with takers(2) as row:
        multicast = Multicast(row, RealtimeStats())
        multicast.send(hello)
        multicast.dissolve()
        multicast.dissolve()
        assert not multicast.intact
        assert [(taker.sent, taker.multicasts) for taker in row] == [(hello.size, [])] * 2


def test_what_is_taken_in_part_is_left_over_from_there() -> None:
    long = Outgoing(["x" * 10_000_000])
    with takers(1) as (taker,):
        Multicast([taker], RealtimeStats()).send(long)
        assert taker.left
        assert taker.taken() + taker.left == long.frame


@given(kinds=st.lists(st.sampled_from(("ready", "full", "gone")), max_size=12))
def test_wherever_in_the_row_somebody_takes_nothing_the_others_get_theirs(kinds: list[str]) -> None:
    hello = Outgoing(["hello"])
    with takers(len(kinds)) as row:
        for taker, kind in zip(row, kinds, strict=True):
            if kind == "full":
                taker.fill()
            elif kind == "gone":
                taker.far.close()
        multicast = Multicast(row, RealtimeStats())
        multicast.send(hello)
        ready = [taker for taker, kind in zip(row, kinds, strict=True) if kind == "ready"]
        assert [taker.taken() for taker in ready] == [hello.frame] * len(ready)
        assert [taker.left for taker in row] == [None if kind == "ready" else hello.frame for kind in kinds]
        assert multicast.intact is (len(ready) == len(row))
        if not multicast.intact:
            assert [taker.sent for taker in row] == [hello.size] * len(row)
