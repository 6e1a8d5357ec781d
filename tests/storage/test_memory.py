from __future__ import annotations

import gc
import random
import tracemalloc
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.storage.index import Index, RouteLimits
from proxy.storage.memory import MemoryTier, memory_weight
from proxy.storage.record import decode_head, encode_head, entry_of
from tests.storage.samples import KIB, head

WEIGHT = memory_weight(head("http://shop/0000"), 1000)


@settings(deadline=None, max_examples=25)
@given(frequent=st.integers(5, 60), scan=st.integers(200, 1500), seed=st.integers(0, 2**16))
def test_a_scan_of_one_hit_wonders_does_not_evict_what_is_used_often(frequent: int, scan: int, seed: int) -> None:
    tier = MemoryTier(100 * WEIGHT, 4000)
    order = random.Random(seed)

    def ask(record: int, key: str) -> None:
        if tier.find(record) is None:
            tier.admit(record, head(key), bytes(1000))

    for _ in range(6):  # the working set earns its place: asked for again and again, among others
        for record in order.sample(range(frequent), frequent):
            ask(record, f"http://shop/{record:04}")
    for record in range(10_000, 10_000 + scan):
        ask(record, f"http://scan/{record}")
    kept = sum(record in tier for record in range(frequent))
    assert kept >= 0.9 * frequent, f"{kept} of {frequent} survived"


def test_what_comes_back_while_it_is_remembered_enters_the_main_queue() -> None:
    tier = MemoryTier(10 * WEIGHT, 4000)
    tier.admit(1, head("http://shop/back"), bytes(1000))
    for record in range(2, 12):  # the filling pushes the first one out
        tier.admit(record, head(f"http://shop/{record:04}"), bytes(1000))
    assert 1 not in tier
    tier.admit(100, head("http://shop/back"), bytes(1000))
    for record in range(200, 300):
        tier.admit(record, head(f"http://scan/{record}"), bytes(1000))
    assert 100 in tier


def test_a_new_version_of_a_response_inherits_its_place_in_the_main_queue() -> None:
    tier = MemoryTier(10 * WEIGHT, 4000)
    tier.admit(1, head("http://shop/hot"), bytes(1000))
    for record in range(2, 12):
        tier.find(1)
        tier.admit(record, head(f"http://shop/{record:04}"), bytes(1000))
    tier.discard(1, superseded=True)
    tier.admit(50, head("http://shop/hot"), bytes(1000))
    for record in range(200, 300):
        tier.admit(record, head(f"http://scan/{record}"), bytes(1000))
    assert 50 in tier


def test_a_body_over_the_object_limit_never_enters() -> None:
    tier = MemoryTier(1000 * KIB, 10 * KIB)
    assert tier.admit(1, head(), bytes(10 * KIB + 1)) == (False, [])
    assert tier.admit(2, head(), bytes(10 * KIB)) == (True, [])


def test_a_response_larger_than_the_tier_is_refused_and_evicts_nobody() -> None:
    tier = MemoryTier(10 * KIB, 100 * KIB)
    tier.admit(1, head(), b"x")
    assert tier.admit(2, head("http://shop/b"), bytes(20 * KIB)) == (False, [])
    assert 1 in tier


def test_a_freshened_head_keeps_its_body_and_its_new_weight_counts() -> None:
    tier = MemoryTier(100 * KIB, 10 * KIB)
    tier.admit(1, head(), b"body")
    longer = head("http://shop/" + "a" * 1000)
    tier.replace_head(1, longer)
    resident = tier.find(1)
    assert resident is not None
    assert (resident.stored, resident.body) == (longer, b"body")
    assert tier.bytes_held == memory_weight(longer, 4)


def test_the_estimated_weight_is_what_the_interpreter_really_allocates() -> None:
    """Within a quarter, index included, for heads that came through a parser and share no strings."""
    count = 2000
    records = [encode_head(head(f"http://shop/{number:08}")) for number in range(count)]
    tier = MemoryTier(2**30, 2**20)
    index = Index(max_entries=count, max_variants=4, max_bytes=2**30, disk=2**30, limits=lambda _: RouteLimits())
    gc.collect()
    tracemalloc.start()
    try:
        for number, record in enumerate(records):
            stored = decode_head(record)
            tier.admit(number, stored, bytes(500))
            index.insert(entry_of(stored, number, 0.0), 1000)
        gc.collect()
        allocated, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.75 < allocated / tier.bytes_held < 1.25


class MemoryAccounting(RuleBasedStateMachine):
    """Whatever happens, the tier's sum is the sum of its residents' weights and within its bound."""

    def __init__(self) -> None:
        super().__init__()
        self.capacity = 20 * WEIGHT
        self.tier = MemoryTier(self.capacity, 8000)
        self.alive: dict[int, int] = {}
        self.next = 0

    @rule(key=st.integers(0, 40), size=st.integers(0, 9000))
    def admit(self, key: int, size: int) -> None:
        self.next += 1
        stored = head(f"http://shop/{key:04}")
        kept, evicted = self.tier.admit(self.next, stored, bytes(size))
        assert max(Counter(evicted).values(), default=1) == 1
        for record in evicted:
            del self.alive[record]  # evicted once, and only what was resident
        if kept:
            self.alive[self.next] = memory_weight(stored, size)
        assert kept == (size <= 8000)

    @rule(data=st.data())
    def use(self, data: st.DataObject) -> None:
        if self.alive:
            assert self.tier.find(data.draw(st.sampled_from(sorted(self.alive)))) is not None

    @rule(data=st.data(), superseded=st.booleans())
    def discard(self, data: st.DataObject, superseded: bool) -> None:
        if self.alive:
            record = data.draw(st.sampled_from(sorted(self.alive)))
            self.tier.discard(record, superseded=superseded)
            del self.alive[record]
            assert record not in self.tier

    @rule(data=st.data(), padding=st.integers(0, 3000))
    def replace_head(self, data: st.DataObject, padding: int) -> None:
        if self.alive:
            record = data.draw(st.sampled_from(sorted(self.alive)))
            resident = self.tier.peek(record)
            assert resident is not None
            stored = head("http://shop/" + "x" * padding)
            self.alive[record] = memory_weight(stored, len(resident.body))
            for gone in self.tier.replace_head(record, stored):
                del self.alive[gone]

    @invariant()
    def sums_match(self) -> None:
        assert self.tier.bytes_held == sum(self.alive.values()) <= self.capacity
        assert len(self.tier) == len(self.alive)
        assert all(record in self.tier for record in self.alive)


TestMemoryAccounting = MemoryAccounting.TestCase
TestMemoryAccounting.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_a_tier_that_shrinks_keeps_what_is_used_often_and_one_that_grows_takes_more() -> None:
    tier = MemoryTier(10 * WEIGHT, 4000)
    for record in range(10):
        tier.admit(record, head(f"http://shop/{record:04}"), bytes(1000))
    for record in (2, 3):
        tier.find(record)
        tier.find(record)
    evicted = tier.resize(2 * WEIGHT)
    assert len(tier) == 2
    assert {2, 3}.isdisjoint(evicted)
    assert sorted(evicted) == [0, 1, 4, 5, 6, 7, 8, 9]
    assert tier.capacity == 2 * WEIGHT
    assert tier.resize(0) == [2, 3]
    assert tier.admit(20, head("http://shop/0020"), bytes(1000)) == (False, [])
    tier.resize(10 * WEIGHT)
    assert tier.admit(20, head("http://shop/0020"), bytes(1000)) == (True, [])


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 4000)), max_size=60), st.integers(0, 40))
def test_whatever_it_holds_a_tier_comes_down_to_its_size(asked: list[tuple[int, int]], share: int) -> None:
    tier = MemoryTier(20 * WEIGHT, 4000)
    held = set()
    for record, size in asked:
        if tier.find(record) is None:
            kept, evicted = tier.admit(record, head(f"http://shop/{record:04}"), bytes(size))
            held |= {record} if kept else set()
            held -= set(evicted)
    held -= set(tier.resize(share * WEIGHT))
    assert tier.bytes_held <= share * WEIGHT
    assert {record for record in range(31) if record in tier} == held
    assert tier._ghost_bytes <= max(0, share * WEIGHT - int(share * WEIGHT * 0.1))
