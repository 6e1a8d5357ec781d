from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.policy.codings import coded_key
from proxy.storage.base import Entry
from proxy.storage.index import Index, RouteLimits
from tests.storage.samples import entry

GZIP = (("accept-encoding", "gzip"),)
BROTLI = (("accept-encoding", "br"),)
PLAIN = (("accept-encoding", None),)


def index(
    *,
    max_entries: int = 100,
    max_variants: int = 4,
    max_bytes: int = 2**20,
    disk: int = 10_000,
    limits: dict[str, RouteLimits] | None = None,
) -> Index:
    by_route = limits or {}
    return Index(
        max_entries=max_entries,
        max_variants=max_variants,
        max_bytes=max_bytes,
        disk=disk,
        limits=lambda route: by_route.get(route, RouteLimits()),
    )


def test_variants_come_newest_first() -> None:
    it = index()
    old, new = entry(1, vary=GZIP), entry(2, vary=BROTLI)
    it.insert(old)
    it.insert(new)
    assert list(it.variants("http://shop/a")) == [new, old]


def test_a_response_with_the_same_key_and_vary_replaces_the_one_before() -> None:
    it = index()
    old, new = entry(1, vary=GZIP), entry(2, vary=GZIP)
    it.insert(old)
    assert it.insert(new) == [old]
    assert list(it.variants("http://shop/a")) == [new]


def test_the_variant_used_longest_ago_leaves_when_a_key_has_too_many() -> None:
    it = index(max_variants=2)
    used, idle = entry(1, vary=GZIP), entry(2, vary=BROTLI)
    it.insert(used)
    it.insert(idle)
    it.touch(used, 1_000_100.0)
    assert it.insert(entry(3, vary=PLAIN)) == [idle]


def test_the_entry_used_longest_ago_leaves_a_full_route() -> None:
    it = index(limits={"images": RouteLimits(max_entries=2)})
    first, second = entry(1, "http://shop/1", route="images"), entry(2, "http://shop/2", route="images")
    it.insert(first)
    it.insert(entry(9, "http://shop/9", route="api"))
    it.insert(second)
    it.touch(first, 1_000_100.0)
    assert it.insert(entry(3, "http://shop/3", route="images")) == [second]


def test_coded_copies_leave_a_full_route_in_an_order_of_their_own() -> None:
    it = index(limits={"images": RouteLimits(max_entries=1)})
    source = entry(1, "http://shop/1", route="images")
    copies = [entry(2 + n, coded_key("http://shop/1", c), route="images") for n, c in enumerate(("br", "gzip"))]
    assert [it.insert(each) for each in (source, *copies)] == [[], [], []]
    assert it.insert(entry(4, coded_key("http://shop/4", "br"), route="images")) == [copies[0]]
    assert it.insert(entry(5, "http://shop/4", route="images")) == [source]
    assert it.discard(copies[1])
    assert len(it) == 2


def test_the_entry_used_longest_ago_of_all_routes_leaves_a_full_index() -> None:
    it = index(max_entries=3)
    entries = [
        entry(number, f"http://shop/{number}", route=f"r{number}", last_used=1_000_000.0 + number)
        for number in range(1, 5)
    ]
    for one in entries[:3]:
        assert it.insert(one) == []
    it.touch(entries[0], 1_000_100.0)
    assert it.insert(entries[3]) == [entries[1]]


def test_entries_leave_in_the_order_of_use_until_the_disk_bytes_fit() -> None:
    it = index(disk=1000)
    small, large, off_disk = (entry(number, f"http://shop/{number}") for number in (1, 2, 3))
    it.insert(small, 300)
    it.insert(large, 600)
    it.insert(off_disk)
    assert it.insert(entry(4, "http://shop/4"), 800) == [small, large]
    assert it.disk_bytes == 800
    assert it.current(3) is off_disk


def test_use_never_prolongs_the_age_of_an_entry() -> None:
    it = index(limits={"images": RouteLimits(max_age=60)})
    old, young = entry(1, "http://shop/1", route="images"), entry(2, "http://shop/2", route="images", at=1_000_050.0)
    for one in (old, young, entry(3, "http://shop/3", route="unbounded")):
        it.insert(one)
    it.touch(old, 1_000_060.0)
    assert it.expired(1_000_060.0) == []
    assert it.expired(1_000_061.0) == [old]


def test_entries_are_found_by_url_and_by_tag() -> None:
    it = index()
    private, public = entry(1, vary=GZIP, tags=("user", "report-1")), entry(2, vary=BROTLI, tags=("report-1",))
    it.insert(private)
    it.insert(public)
    assert it.tagged("report-1") == [private, public]
    assert it.tagged("user") == [private]
    assert it.with_url("http://shop/a") == [private, public]
    it.discard(private)
    assert it.tagged("user") == []
    assert it.tagged("report-1") == [public]


def test_an_entry_that_was_replaced_is_not_discarded_in_place_of_its_successor() -> None:
    it = index()
    old, new = entry(1), entry(1)
    it.insert(old)
    it.replace(old, new)
    assert not it.discard(old)
    assert it.current(1) is new


def test_long_keys_and_many_tags_make_room_by_what_they_take_in_memory() -> None:
    it = index(max_bytes=60_000)
    for number in range(50):
        it.insert(replace(entry(number), key=f"GET http://a/{number}?{'x' * 8000}"))
    assert len(it) < 8
    assert it.index_bytes <= 60_000
    for other in list(it.entries()):
        it.discard(other)
    assert it.index_bytes == 0


class IndexAccounting(RuleBasedStateMachine):
    """Whatever happens, all the index's views hold the same entries, and no bound is exceeded."""

    def __init__(self) -> None:
        super().__init__()
        self.index = index(
            max_entries=12, max_variants=2, disk=5000, limits={"a": RouteLimits(max_entries=5, max_age=50)}
        )
        self.alive: dict[Entry, int] = {}
        self.now = 1_000_000.0
        self.next = 0

    def _left(self, displaced: list[Entry]) -> None:
        for gone in displaced:
            del self.alive[gone]

    @rule(
        key=st.integers(0, 8),
        vary=st.sampled_from([(), GZIP, BROTLI]),
        route=st.sampled_from("abc"),
        size=st.integers(0, 6000),
        tags=st.sets(st.sampled_from(["x", "y"])),
    )
    def insert(self, key: int, vary: tuple[tuple[str, str], ...], route: str, size: int, tags: set[str]) -> None:
        self.next += 1
        self.now += 1
        new = entry(self.next, f"http://shop/{key}", vary=vary, route=route, tags=tuple(tags), at=self.now)
        new.last_used = self.now
        self.alive[new] = size
        self._left(self.index.insert(new, size))
        assert (new in self.alive) == (size <= 5000)

    @rule(data=st.data())
    def touch(self, data: st.DataObject) -> None:
        if self.alive:
            self.now += 1
            used = data.draw(st.sampled_from(list(self.alive)))
            self.index.touch(used, self.now)
            assert used.last_used == self.now

    @rule(data=st.data())
    def replace(self, data: st.DataObject) -> None:
        if self.alive:
            old = data.draw(st.sampled_from(list(self.alive)))
            new = entry(old.record, old.key, vary=old.vary, route=old.route, tags=old.tags, at=self.now)
            new.last_used = self.now
            self.alive[new] = self.alive.pop(old)
            self._left(self.index.replace(old, new))

    @rule(data=st.data())
    def lose_the_disk_copy(self, data: st.DataObject) -> None:
        if self.alive:
            one = data.draw(st.sampled_from(list(self.alive)))
            self.index.left_disk(one)
            self.alive[one] = 0

    @rule()
    def sweep(self) -> None:
        for gone in self.index.expired(self.now):
            self.index.discard(gone)
            del self.alive[gone]
        assert all(self.now - one.stored_at <= 50 for one in self.alive if one.route == "a")

    @invariant()
    def every_view_agrees(self) -> None:
        it = self.index
        assert set(it.entries()) == set(self.alive)
        assert it.disk_bytes == sum(self.alive.values()) <= 5000
        assert it.disk_entries == sum(size > 0 for size in self.alive.values())
        assert len(it) <= 12
        assert sum(one.route == "a" for one in self.alive) <= 5
        assert {one for key in it.keys() for one in it.variants(key)} == set(self.alive)  # noqa: SIM118 - a method
        assert all(len(it.variants(key)) <= 2 for key in it.keys())  # noqa: SIM118
        for tag in "xy":
            assert set(it.tagged(tag)) == {one for one in self.alive if tag in one.tags}
        assert {one for key in range(9) for one in it.with_url(f"http://shop/{key}")} == set(self.alive)


TestIndexAccounting = IndexAccounting.TestCase
TestIndexAccounting.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
