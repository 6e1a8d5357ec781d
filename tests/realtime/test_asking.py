"""How far a question has come, and when it is asked again."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from realtime.asking import LAST_ANSWER, LONGEST_BACKOFF, Asked, Attempts


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


class TestWhenItIsAskedAgain:
    @given(
        seconds=st.floats(0.01, 60.0),
        backoff=st.floats(0.01, 5.0),
        jitters=st.lists(st.floats(0.8, 1.2), min_size=1, max_size=20),
        took=st.floats(0.0, 3.0),
    )
    @example(seconds=15.0, backoff=0.25, jitters=[1.0], took=0.0)
    def test_the_last_time_is_shortly_before_the_end_with_time_for_an_answer(
        self, seconds: float, backoff: float, jitters: list[float], took: float
    ) -> None:
        attempts = Attempts(backoff, seconds)
        now, number, before, left = took, 0, seconds, seconds - took
        while (pause := attempts.pause(now, jitters[number % len(jitters)])) is not None:
            before, left = left, seconds - now - pause
            assert 0 <= pause <= max(LONGEST_BACKOFF, backoff) * 1.2
            now += pause + took
            number += 1
        assert now + attempts.rest(now) >= seconds - 1e-9, "nobody is told earlier"
        if took == 0.0:
            assert number >= 1
            assert 0 < left <= LAST_ANSWER
            assert left >= min(LAST_ANSWER, before / 2) * 0.999

    def test_what_was_asked_not_to_be_before_the_end_is_not(self) -> None:
        attempts = Attempts(0.25, 3.0)
        assert attempts.pause(0.0, 1.0, 4.0) is None
        assert attempts.rest(0.0) == 0.0, "there is nothing to wait for"

    def test_the_last_time_is_not_before_it_was_asked_for(self) -> None:
        assert Attempts(10.0, 5.0).pause(0.0, 1.0, 4.5) == 4.5

    def test_without_a_backoff_there_is_one_attempt(self) -> None:
        attempts = Attempts(None, 60.0)
        assert attempts.pause(0.0, 1.0) is None
        assert attempts.rest(0.0) == 0.0
