"""The catalogue behind the cache pages: whatever came and went, it is what the store holds, by URL."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.dashboard.catalogue import Catalogue
from proxy.policy.codings import coded_key, coding_of
from proxy.storage.base import Entry
from tests.dashboard.shelf import Shelf, done, stored


class Changing(RuleBasedStateMachine):
    """Entries come, go, and are replaced as a store does it: what came last is last."""

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()
        self.catalogue = Catalogue(self.shelf)
        self.number = 0

    @rule(count=st.integers(1, 300), coded=st.booleans())
    def come(self, count: int, coded: bool) -> None:
        for _ in range(count):
            self.number += 1
            path = f"/{self.number * 7919 % 1000}"
            key = coded_key(f"GET {path}", "br") if coded else f"GET {path} {self.number}"
            self.shelf.add(stored(path, key=key, length=self.number))

    @rule(which=st.integers(0, 10_000), count=st.integers(1, 50))
    def go(self, which: int, count: int) -> None:
        for entry in self.shelf.shelved[which : which + count]:
            self.shelf.shelved.remove(entry)
            self.shelf.changes += 1

    @rule(which=st.integers(0, 10_000))
    def is_replaced(self, which: int) -> None:
        if self.shelf.shelved:
            old = self.shelf.shelved.pop(which % len(self.shelf.shelved))
            self.shelf.add(replace(old))

    @rule(steps=st.integers(0, 5))
    def look_and_give_up(self, steps: int) -> None:
        work = self.catalogue.refresh()
        for _ in range(steps):
            next(work, None)
        work.close()

    @invariant()
    def sums_are_those_of_the_store(self) -> None:
        done(self.catalogue.refresh())
        responses = self._responses()
        assert set(self.catalogue.responses) == set(responses)
        assert [entry.url for entry in self.catalogue.responses] == sorted(entry.url for entry in responses)
        assert self.catalogue.size == sum(entry.length for entry in responses)
        copies = [entry for entry in self.shelf.shelved if coding_of(entry.key)]
        assert self.catalogue.copies_size == sum(entry.length for entry in copies)
        assert self.catalogue.copies == len(self.shelf.shelved) - len(responses)

    def _responses(self) -> list[Entry]:
        return [entry for entry in self.shelf.shelved if not coding_of(entry.key)]


TestChanging = Changing.TestCase


def test_work_on_a_full_store_is_done_in_small_steps() -> None:
    shelf = Shelf()
    for number in range(20_000):
        shelf.shelved.append(stored(f"/{number % 977}/{number}"))
    shelf.changes += 1
    steps = sum(1 for _ in Catalogue(shelf).refresh())
    assert steps > 40
