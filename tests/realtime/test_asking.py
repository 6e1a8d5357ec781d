"""How far a question has come."""

from __future__ import annotations

from realtime.asking import Asked


class TestWhetherItMayHaveBeenHeard:
    def test_an_attempt_of_which_nothing_is_known_may_have_been(self) -> None:
        asked = Asked()
        assert not asked.unconfirmed
        asked.begin()
        assert asked.unconfirmed

    def test_one_that_reached_nobody_changes_nothing(self) -> None:
        asked = Asked()
        for _ in range(2):
            asked.begin()
            asked.in_vain()
            assert not asked.unconfirmed
        asked.begin()
        asked.in_vain()
        asked.sent()
        assert asked.unconfirmed, "it has left after all"
        asked.begin()
        asked.in_vain()
        assert asked.unconfirmed, "the one before is as open as ever"

    def test_a_no_settles_them_all(self) -> None:
        asked = Asked()
        asked.begin()
        asked.begin()
        asked.refused()
        assert not asked.unconfirmed
