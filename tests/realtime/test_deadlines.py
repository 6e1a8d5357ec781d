"""Many deadlines behind one timer."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime.deadlines import Deadlines, soonest

keys = st.integers(min_value=0, max_value=5)
times = st.integers(min_value=0, max_value=20)


class AgainstADictionary(RuleBasedStateMachine):
    """The heap does what a dictionary that is searched each time would do."""

    def __init__(self) -> None:
        super().__init__()
        self.deadlines: Deadlines[int] = Deadlines()
        self.model: dict[int, int] = {}

    @rule(key=keys, at=times)
    def set(self, key: int, at: int) -> None:
        self.deadlines.set(key, at)
        self.model[key] = at

    @rule(key=keys)
    def drop(self, key: int) -> None:
        self.deadlines.drop(key)
        self.model.pop(key, None)

    @rule(now=times)
    def due(self, now: int) -> None:
        taken = self.deadlines.due(now)
        assert sorted(taken) == sorted(key for key, at in self.model.items() if at <= now)
        assert [self.model[key] for key in taken] == sorted(self.model[key] for key in taken)
        for key in taken:
            del self.model[key]

    @invariant()
    def agrees(self) -> None:
        assert self.deadlines.earliest == min(self.model.values(), default=None)
        assert len(self.deadlines) == len(self.model)


TestAgainstADictionary = AgainstADictionary.TestCase


def test_equal_deadlines_come_up_in_the_order_in_which_they_were_set() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for key in ("c", "a", "b"):
        deadlines.set(key, 1.0)
    assert deadlines.due(1.0) == ["c", "a", "b"]


def test_a_deadline_that_is_moved_all_the_time_does_not_let_the_heap_grow() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.set("other", 1e9)
    for moment in range(10_000):
        deadlines.set("typing", 10_000 + moment)
    assert len(deadlines._heap) < 100
    assert deadlines.earliest == 19_999


def test_deadlines_that_are_set_and_dropped_leave_nothing_behind() -> None:
    deadlines: Deadlines[int] = Deadlines()
    for key in range(10_000):
        deadlines.set(key, key + 1e6)
        deadlines.drop(key)
    assert len(deadlines._heap) < 100
    assert deadlines.earliest is None


def test_the_soonest_of_several_deadlines_leaves_out_those_that_are_not_set() -> None:
    assert soonest(None, 3.0, 2.0) == 2.0
    assert soonest(None, None) is None
