"""Who was refused lately: counted, dated, and never more of it than fits."""

from __future__ import annotations

from realtime.refused import MOST_PLACES, Newcomers, RefusedLately


def test_refusals_are_counted_by_reason_and_place() -> None:
    newcomers = Newcomers()
    for now in range(3):
        newcomers.note("address", "10.0.0.1", now)
    newcomers.note("full", "10.0.0.2", 3)
    assert newcomers.lately(4) == RefusedLately({"address": 3, "full": 1}, 2, False, "10.0.0.1")


def test_what_is_a_minute_old_does_not_count() -> None:
    newcomers = Newcomers()
    newcomers.note("full", "10.0.0.2", 0)
    newcomers.note("address", "10.0.0.1", 40)
    assert newcomers.lately(59).by_reason == {"full": 1, "address": 1}
    assert newcomers.lately(61).by_reason == {"address": 1}
    assert newcomers.lately(1000) == RefusedLately()


def test_a_flood_from_everywhere_is_counted_and_its_places_are_not_all_remembered() -> None:
    newcomers = Newcomers()
    for number in range(MOST_PLACES + 7):
        newcomers.note("full", f"10.0.{number // 256}.{number % 256}", 0)
    lately = newcomers.lately(1)
    assert (lately.by_reason, lately.places, lately.more) == ({"full": MOST_PLACES + 7}, MOST_PLACES, True)
