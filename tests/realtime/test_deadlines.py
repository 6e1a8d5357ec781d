from __future__ import annotations

from realtime.deadlines import Deadlines


def test_whoever_is_due_comes_out_in_order_and_only_once() -> None:
    deadlines: Deadlines[str] = Deadlines()
    for number, name in enumerate(["anna", "ben", "cleo"]):
        deadlines.add(name, 10.0 + number)
    assert deadlines.earliest == 10.0
    assert list(deadlines.expired(11.0)) == ["anna", "ben"]
    assert list(deadlines.expired(11.0)) == []
    assert deadlines.earliest == 12.0


def test_noted_again_an_item_moves_to_its_new_moment() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add("anna", 10.0)
    deadlines.add("ben", 11.0)
    deadlines.add("anna", 12.0)
    assert list(deadlines.expired(11.5)) == ["ben"]
    assert len(deadlines) == 1


def test_who_is_forgotten_is_not_due_and_forgetting_twice_is_harmless() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add("anna", 10.0)
    deadlines.discard("anna")
    deadlines.discard("anna")
    assert deadlines.earliest is None
    assert list(deadlines.expired(99.0)) == []


def test_an_item_that_is_noted_again_while_the_due_ones_are_taken_waits_for_the_next_time() -> None:
    deadlines: Deadlines[str] = Deadlines()
    deadlines.add("anna", 10.0)
    taken = []
    for name in deadlines.expired(10.0):
        taken.append(name)
        deadlines.add(name, 20.0)
    assert taken == ["anna"]
