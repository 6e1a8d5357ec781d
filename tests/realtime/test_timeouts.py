from __future__ import annotations

from realtime.timeouts import Timeouts


def test_whoever_is_due_comes_out_in_order_and_only_once() -> None:
    timeouts: Timeouts[str] = Timeouts()
    for number, name in enumerate(["anna", "ben", "cleo"]):
        timeouts.add(name, 10.0 + number)
    assert timeouts.earliest == 10.0
    assert list(timeouts.expired(11.0)) == ["anna", "ben"]
    assert list(timeouts.expired(11.0)) == []
    assert timeouts.earliest == 12.0


def test_noted_again_an_item_moves_to_its_new_moment() -> None:
    timeouts: Timeouts[str] = Timeouts()
    timeouts.add("anna", 10.0)
    timeouts.add("ben", 11.0)
    timeouts.add("anna", 12.0)
    assert list(timeouts.expired(11.5)) == ["ben"]
    assert len(timeouts) == 1


def test_who_is_forgotten_is_not_due_and_forgetting_twice_is_harmless() -> None:
    timeouts: Timeouts[str] = Timeouts()
    timeouts.add("anna", 10.0)
    timeouts.discard("anna")
    timeouts.discard("anna")
    assert timeouts.earliest is None
    assert list(timeouts.expired(99.0)) == []


def test_an_item_that_is_noted_again_while_the_due_ones_are_taken_waits_for_the_next_time() -> None:
    timeouts: Timeouts[str] = Timeouts()
    timeouts.add("anna", 10.0)
    taken = []
    for name in timeouts.expired(10.0):
        taken.append(name)
        timeouts.add(name, 20.0)
    assert taken == ["anna"]
