"""The catalogue behind the cache pages: whatever came and went, it is what the store holds, by URL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import ClassVar
from unittest import mock

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.dashboard import catalogue
from proxy.dashboard.catalogue import Catalogue
from proxy.policy.codings import coded_key, coding_of
from proxy.storage.base import Entry
from tests.dashboard.shelf import Shelf, done, stored


class Changing(RuleBasedStateMachine):
    """Entries come, go, and are replaced as a store does it: what came last is last."""

    def __init__(self) -> None:
        super().__init__()
        self._small = mock.patch.object(catalogue, "STEP", 7)  # so that few entries take many steps
        self._small.start()
        self.shelf = Shelf()
        self.catalogue = Catalogue(self.shelf)
        self.number = 0

    def teardown(self) -> None:
        self._small.stop()

    @rule(count=st.integers(1, 60), coded=st.booleans())
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

    @rule(steps=st.integers(0, 40))
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


class Watched(Entry):
    """An entry that counts how often any of them is looked at."""

    __slots__ = ()
    looks: ClassVar[int] = 0

    def __getattribute__(self, name: str) -> object:
        Watched.looks += 1
        return super().__getattribute__(name)

    def __hash__(self) -> int:
        Watched.looks += 1
        return super().__hash__()


def busiest_step(work: Iterator[None]) -> int:
    """How many looks at entries the longest step takes."""
    most = 0
    while True:
        Watched.looks = 0
        ended = next(work, work) is work
        most = max(most, Watched.looks)
        if ended:
            return most


@pytest.mark.parametrize("came", [1, 900, 20_000])
def test_no_step_of_a_look_at_a_full_store_goes_through_many_entries(came: int) -> None:
    shelf = Shelf()

    def fill(numbers: range) -> None:
        for number in numbers:
            # In turns, as traffic comes: no kind may end up in one heap.
            path = ("/api/reports/{}", "/api/reports?page={}", "/photos/{}.jpg", "/u/{}/profile")[number % 4]
            shelf.shelved.append(Watched(**asdict(stored(path.format(number)))))
        shelf.changes += 1

    full = Catalogue(shelf)
    fill(range(10_000))
    assert 0 < busiest_step(full.refresh()) < 6_000
    fill(range(10_000, 10_000 + came))
    assert 0 < busiest_step(full.refresh()) < 20_000
    del shelf.shelved[7:9]
    shelf.changes += 1
    assert 0 < busiest_step(full.refresh()) < 6_000
    assert len(full.responses) == 10_000 + came - 2
