"""Who is away and remembered, and who has to make room."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.absences import EVERYWHERE, Absences
from realtime.addresses import place_of


def remembered(absences: Absences[int], items: range) -> list[int]:
    """Those of `items` that are still known, by forgetting them."""
    found = []
    for item in items:
        before = len(absences)
        absences.discard(item)
        if len(absences) < before:
            found.append(item)
    return found


def test_strangers_who_were_nobody_make_nobody_else_forgotten() -> None:
    absences: Absences[int] = Absences(10, 1.0)
    for honest in range(8):
        absences.add(honest, f"198.51.100.{honest}")
    for stranger in range(8, 1000):
        absences.add(stranger, "203.0.113.9", blank=True)
    assert remembered(absences, range(8)) == list(range(8))
    assert absences.forgotten == {"blank": 990}


def test_one_address_makes_only_its_own_forgotten_even_if_they_were_somebody() -> None:
    absences: Absences[int] = Absences(100, 0.25)
    for honest in range(50):
        absences.add(honest, f"198.51.100.{honest}")
    for stranger in range(50, 1000):
        absences.add(stranger, "203.0.113.9")
    assert remembered(absences, range(50)) == list(range(50))
    assert remembered(absences, range(50, 1000)) == list(range(975, 1000))
    assert absences.forgotten == {"address": 925}


def test_when_there_is_no_room_at_all_the_longest_away_is_forgotten() -> None:
    absences: Absences[int] = Absences(3, 1.0)
    given_up = [absences.add(item, str(item)) for item in range(5)]
    assert given_up == [[], [], [], [0], [1]]
    assert absences.forgotten == {"full": 2}


def test_who_is_there_when_nobody_has_an_address_is_bounded_in_all_alone() -> None:
    absences: Absences[int] = Absences(4, 0.25)
    assert sum(len(absences.add(item)) for item in range(4)) == 0
    assert absences.add(4) == [0]


moves = st.tuples(st.integers(0, 30), st.sampled_from(["a", "b", EVERYWHERE]), st.booleans(), st.booleans())


@given(st.lists(moves, max_size=80), st.integers(1, 8), st.sampled_from([0.25, 0.5, 1.0]))
def test_the_bounds_hold_and_everybody_is_either_remembered_or_was_given_up(
    steps: list[tuple[int, str, bool, bool]], most: int, share: float
) -> None:
    absences: Absences[int] = Absences(most, share)
    known: dict[int, str] = {}
    for item, place, blank, leaves in steps:
        known.pop(item, None)
        if leaves:
            absences.discard(item)
        else:
            known[item] = place
            for forgotten in absences.add(item, place, blank=blank):
                del known[forgotten]
        assert len(absences) == len(known) <= most
        for one in ("a", "b"):
            assert list(known.values()).count(one) <= max(int(most * share), 1)


@pytest.mark.parametrize(
    ("peer", "place"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("127.0.0.1", "127.0.0.1"),
        ("somewhere", "somewhere"),
        ("", ""),
    ],
)
def test_a_place_is_an_address_or_the_network_that_one_host_is_given(peer: str, place: str) -> None:
    assert place_of(peer) == place
