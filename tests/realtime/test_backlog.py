from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.backlog import Backlog
from realtime.frames import Outgoing


def text(message: str, *, conflate: str | None = None, volatile: bool = False) -> Outgoing:
    return Outgoing([message], conflate=conflate, volatile=volatile)


def room(*lengths: int) -> int:
    """What texts of these lengths take where they wait."""
    return sum(text("x" * length).cost for length in lengths)


def drained(backlog: Backlog) -> list[Outgoing]:
    return [backlog.take() for _ in range(len(backlog))]


def test_what_waits_leaves_in_the_order_it_came() -> None:
    backlog = Backlog(room(1, 1, 1), {})
    first, second = text("a"), text("b")
    assert backlog.add(first)
    assert backlog.add(second)
    assert backlog.add(first), "the same packet may be sent twice"
    assert drained(backlog) == [first, second, first]
    with pytest.raises(KeyError):
        backlog.take()


def test_a_newer_packet_of_the_same_key_replaces_the_one_that_waits() -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(1000, drops)
    old, other, new = text("1", conflate="price"), text("x"), text("2", conflate="price")
    for outgoing in (old, other, new):
        backlog.add(outgoing)
    assert drained(backlog) == [other, new]
    assert drops == {"conflated": 1}


def test_volatile_packets_make_room_for_what_must_not_be_lost() -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(room(40, 40), drops)
    kept = text("k" * 40)
    backlog.add(text("v" * 40, volatile=True))
    backlog.add(kept)
    last = text("l" * 40)
    assert backlog.add(last)
    assert drained(backlog) == [kept, last]
    assert drops == {"volatile": 1}


def test_a_volatile_packet_that_finds_no_room_is_dropped_itself() -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(room(45), drops)
    kept = text("k" * 40)
    backlog.add(kept)
    assert backlog.add(text("v" * 40, volatile=True))
    assert drained(backlog) == [kept]
    assert drops == {"volatile": 1}


def test_after_volatile_packets_the_oldest_with_a_key_make_room_for_what_must_not_be_lost() -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(room(10, 25, 25), drops)
    volatile, newest = text("v" * 10, volatile=True), text("2" * 20, conflate="b")
    for outgoing in (volatile, text("1" * 20, conflate="a"), newest):
        backlog.add(outgoing)
    last = text("l" * 200)
    assert backlog.add(last)
    assert drained(backlog) == [newest, last]
    assert drops == {"volatile": 1, "conflatable": 1}


def test_a_packet_with_a_key_that_finds_no_room_is_given_up_before_the_session_is() -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(room(45), drops)
    kept = text("k" * 40)
    backlog.add(kept)
    assert backlog.add(text("c" * 40, conflate="a"))
    assert drained(backlog) == [kept]
    assert drops == {"conflatable": 1}


def test_what_must_not_be_lost_and_finds_no_room_is_refused_and_nothing_is_given_up_for_it() -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(room(60, 20), drops)
    kept, volatile = text("k" * 60), text("v" * 20, volatile=True)
    backlog.add(kept)
    backlog.add(volatile)
    assert not backlog.add(text("l" * 60))
    assert drained(backlog) == [kept, volatile]
    assert drops == {}


def test_volatile_packets_that_have_left_make_no_room() -> None:
    backlog = Backlog(room(60, 20), {})
    backlog.add(text("v" * 40, volatile=True))
    backlog.take()
    backlog.add(text("k" * 60))
    assert not backlog.add(text("l" * 60))


packets = st.builds(
    text, st.text("ab", max_size=30), conflate=st.sampled_from([None, None, "x", "y"]), volatile=st.booleans()
)


@given(st.lists(st.one_of(packets, st.none()), max_size=60), st.integers(0, 2000))
def test_the_bound_holds_and_only_what_may_be_is_lost(steps: list[Outgoing | None], bound: int) -> None:
    drops: dict[str, int] = {}
    backlog = Backlog(bound, drops)
    accepted: list[Outgoing] = []
    left: list[Outgoing] = []
    for step in steps:
        if step is not None:
            if backlog.add(step):
                accepted.append(step)
        elif backlog:
            left.append(backlog.take())
        assert backlog.size <= bound
    waiting = drained(backlog)
    assert backlog.size == 0
    left += waiting
    certain = [item for item in accepted if not item.volatile and item.conflate is None]
    assert [item for item in left if not item.volatile and item.conflate is None] == certain, "all, and in order"
    assert len(accepted) - len(left) == sum(drops.values())
    if drops.keys() <= {"conflated"}:
        latest = {item.conflate: item for item in accepted if item.conflate is not None and not item.volatile}
        assert all(any(item.conflate == key for item in left) for key in latest), "something of every key arrives"


@given(st.lists(packets, max_size=40), st.integers(0, 2000))
def test_room_is_made_only_of_what_may_be_lost(items: list[Outgoing], bound: int) -> None:
    backlog = Backlog(bound, {})
    for item in items:
        if not backlog.add(item):
            certain = [other for other in drained(backlog) if not other.volatile and other.conflate is None]
            assert item.conflate is None
            assert sum(other.cost for other in certain) + item.cost > bound
            return


def memory_of(length: int, key: str | None) -> tuple[int, int]:
    """The bytes that a full backlog of such packets counts, and those it really takes."""
    backlog = Backlog(2**19, {})
    tracemalloc.start()
    try:
        while backlog.size < 2**19 - 2 * room(length) and backlog.add(
            text("x" * length, conflate=key and f"{key}{len(backlog)}")
        ):
            pass
        return backlog.size, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("key", [None, "a key of some length for each of them "])
@pytest.mark.parametrize("length", [1, 100, 1000, 10_000])
def test_the_bound_is_one_of_real_memory_however_short_the_packets_are(length: int, key: str | None) -> None:
    counted, real = memory_of(length, key)
    assert counted / 2 < real < 1.25 * counted
