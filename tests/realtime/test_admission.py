"""Who may begin a session, who gives way, and what is left to those who come again after a flood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.admission import DISTRUST, GRACE, LEAST, Admission
from realtime.limits import Rate
from realtime.settings import EngineSettings


def admission(**settings: object) -> Admission[int]:
    return Admission(EngineSettings(**{"handshakes": Rate(1e6, 1e6), **settings}))  # type: ignore[arg-type]


class Door:
    """An admission and those it let in, each a number; they come from places, and some of them enter."""

    def __init__(self, **settings: object) -> None:
        self.admission = admission(**settings)
        self.place: dict[int, str] = {}
        self.gave_way: list[int] = []
        self._numbers = 0

    def comes(self, place: str, now: float, *, enters: bool = False) -> str | None:
        """Why it is refused."""
        if self.admission.wait(place, now) != 0:
            return "handshakes"
        refused = self.admission.refusal(place, now)
        if refused is not None:
            return refused
        while (silent := self.admission.in_the_way(place, now)) is not None:
            self.gave_way.append(silent)
            self.leaves(silent)
        self._numbers += 1
        self.place[self._numbers] = place
        self.admission.begun(self._numbers, place, now)
        if enters:
            self.admission.entered(self._numbers, place)
        return None

    def leaves(self, session: int) -> None:
        self.admission.ended(session, self.place.pop(session))


def test_silent_newcomers_of_one_address_give_way_to_each_other_and_to_nobody_else() -> None:
    door = Door(entering=10)
    assert door.comes("honest", 0.0) is None
    for number in range(100):
        assert door.comes("stranger", 10.0 + number) is None
    assert door.comes("another", 200.0) is None
    assert 1 not in door.gave_way
    assert list(door.place.values()).count("stranger") == 5


def test_however_many_are_silent_the_one_silent_for_longest_gives_way() -> None:
    door = Door(entering=10)
    for number in range(11):
        assert door.comes(f"stranger {number}", float(number)) is None
    assert door.gave_way == [1]


def test_who_has_just_come_has_time_to_speak_and_the_newcomer_is_told_to_come_later() -> None:
    door = Door(entering=4)
    assert [door.comes("one", 0.0) for _ in range(3)] == [None, None, "address"]
    assert [door.comes(place, 0.0) for place in ("two", "three", "four")] == [None, None, "full"]
    assert door.comes("four", GRACE) is None


def test_one_address_does_not_take_all_sessions_even_if_it_enters_with_them() -> None:
    door = Door(max_sessions=10)
    assert [door.comes("stranger", 0.0, enters=True) for _ in range(6)] == [None] * 5 + ["address"]
    assert [door.comes(f"honest {number}", 0.0, enters=True) for number in range(6)] == [None] * 5 + ["full"]
    assert door.gave_way == []


def test_where_all_sessions_are_taken_the_silent_one_gives_way() -> None:
    door = Door(max_sessions=4, address_share=1.0)
    assert [door.comes(f"place {number}", 0.0, enters=number != 2) for number in range(4)] == [None] * 4
    assert door.comes("newcomer", 5.0) is None
    assert door.gave_way == [3]


def test_handshakes_of_one_address_are_bounded_by_the_second() -> None:
    door = Door(handshakes=Rate(10.0, 20.0))
    assert [door.comes("stranger", 0.0) for _ in range(21)] == [None] * 20 + ["handshakes"]
    assert door.comes("honest", 0.0) is None
    assert door.comes("stranger", 0.21) is None


def test_coming_again_after_a_flood_is_not_worth_another_burst() -> None:
    it = admission()
    assert it.burst("stranger", 0.0) == 1.0
    it.flooded("stranger", 0.0)
    assert [it.burst("stranger", 0.0) for _ in range(3)] == [LEAST] * 3
    assert it.burst("honest", 0.0) == 1.0


def test_trust_comes_back_with_time_and_is_shared_by_all_of_an_address() -> None:
    it = admission()
    it.flooded("office", 0.0)
    assert it.burst("office", DISTRUST / 2) == pytest.approx(0.5)
    assert it.burst("office", DISTRUST / 2) == LEAST, "the first has had what there was"
    assert it.burst("office", 2 * DISTRUST) == 1.0


steps = st.tuples(st.sampled_from("abc"), st.booleans(), st.floats(0, 1.5), st.booleans())


@given(st.lists(steps, max_size=60), st.integers(1, 6), st.integers(1, 6))
def test_the_bounds_hold_and_only_the_silent_ever_give_way(
    moves: list[tuple[str, bool, float, bool]], max_sessions: int, entering: int
) -> None:
    door, now, inside = Door(max_sessions=max_sessions, entering=entering), 0.0, set[int]()
    for place, enters, pause, leaves in moves:
        now += pause
        before = set(door.place)
        door.comes(place, now, enters=enters)
        if enters:
            inside |= set(door.place) - before
        if leaves and door.place:
            door.leaves(next(iter(door.place)))
        assert len(door.place) <= max_sessions
        assert len(door.place.keys() - inside) <= entering
        assert not inside & set(door.gave_way)
