"""The states of an alert, under a clock that moves when told."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from proxy.operations.alerts import EPISODES, NO_DATA_AFTER, Alerts, Rule, Transition

SLOW = Rule("slow", "time", threshold=0.5, for_=60, resolve_after=30)


class Walk:
    """One rule, looked at once a second."""

    def __init__(self, rule: Rule = SLOW) -> None:
        self.now = 1000.0
        self.alerts = Alerts([rule], self.now)

    def see(self, value: float | None, seconds: int = 1) -> list[tuple[str, float]]:
        """The states it came to while it had this value, and how many seconds after the beginning of that."""
        began = self.now
        came: list[tuple[str, float]] = []
        for _ in range(seconds):
            came += [(each.state, each.at - began) for each in self._look(value)]
        return came

    def _look(self, value: float | None) -> list[Transition]:
        transitions = self.alerts.evaluate({"time": value}, self.now)
        self.now += 1
        return transitions


def test_what_is_bad_for_long_enough_fires() -> None:
    assert Walk().see(0.6, 100) == [("pending", 0), ("firing", 60)]


def test_the_threshold_itself_is_not_bad() -> None:
    assert Walk().see(0.5, 100) == []


def test_one_good_look_ends_what_is_pending() -> None:
    walk = Walk()
    walk.see(0.6, 59)
    assert walk.see(0.4) == [("inactive", 0)]
    assert walk.see(0.6, 61) == [("pending", 0), ("firing", 60)]


def test_without_for_it_fires_at_once() -> None:
    assert Walk(replace(SLOW, for_=0)).see(0.6) == [("firing", 0)]


def test_it_is_resolved_when_it_was_calm_for_long_enough() -> None:
    walk = Walk()
    walk.see(0.6, 61)
    assert walk.see(0.4, 100) == [("resolved", 30)]


def test_a_relapse_makes_calm_begin_anew() -> None:
    walk = Walk()
    walk.see(0.6, 61)
    assert walk.see(0.4, 30) == []
    assert walk.see(0.6) == []
    assert walk.see(0.4, 31) == [("resolved", 30)]


def test_between_release_and_threshold_nothing_moves() -> None:
    walk = Walk(replace(SLOW, release=0.3))
    assert walk.see(0.4, 100) == []
    walk.see(0.6, 61)
    assert walk.see(0.4, 1000) == []
    assert walk.see(0.3, 31) == [("resolved", 30)]


def test_a_rule_may_look_for_what_is_too_low() -> None:
    assert Walk(replace(SLOW, side="below", for_=0)).see(0.4) == [("firing", 0)]


def test_while_nothing_can_be_told_the_time_it_must_last_stands_still() -> None:
    walk = Walk()
    walk.see(0.6, 31)
    assert walk.see(None, 120) == []
    assert walk.see(0.6, 40) == [("firing", 29)]


def test_while_nothing_can_be_told_the_time_of_calm_stands_still() -> None:
    walk = Walk()
    walk.see(0.6, 61)
    walk.see(0.4, 11)
    assert walk.see(None, 120) == []
    assert walk.see(0.4, 40) == [("resolved", 19)]


def test_what_cannot_be_told_for_long_is_resolved_as_no_data() -> None:
    walk = Walk()
    walk.see(0.6, 61)
    assert walk.see(None, 400) == [("resolved", NO_DATA_AFTER)]
    assert [episode.why for episode in walk.alerts.episodes()] == ["no data"]


def test_what_cannot_be_told_for_long_is_not_pending_any_more() -> None:
    walk = Walk()
    walk.see(0.6, 10)
    assert walk.see(None, 400) == [("inactive", NO_DATA_AFTER)]
    assert walk.alerts.episodes() == []


def test_an_alert_that_nobody_watches_any_more_is_resolved_and_says_so() -> None:
    walk = Walk()
    walk.see(0.6, 61)
    walk.alerts.change(replace(SLOW, enabled=False))
    assert walk.see(0.6, 100) == [("resolved", 0)]
    assert walk.alerts.episodes()[0].why == "switched off"


def test_a_changed_rule_counts_from_the_next_look_on() -> None:
    walk = Walk()
    walk.see(0.6, 30)
    walk.alerts.change(replace(SLOW, for_=10))
    assert walk.see(0.6) == [("firing", 0)]
    walk.alerts.change(replace(SLOW, threshold=0.7, resolve_after=5))
    assert walk.see(0.6, 10) == [("resolved", 5)]


def test_an_episode_has_its_times_and_the_worst_value_since_it_was_bad() -> None:
    walk = Walk()
    walk.see(0.9, 30)
    walk.see(0.6, 31)
    walk.see(0.4, 31)
    (episode,) = walk.alerts.episodes()
    assert (episode.began, episode.ended, episode.peak) == (1060, 1091, 0.9)


def test_a_transition_tells_since_when_it_was_bad() -> None:
    alerts = Alerts([replace(SLOW, for_=2)], 0)
    seen = [alerts.evaluate({"time": value}, now) for now, value in enumerate((0.6, 0.8, 0.7))]
    assert seen[2] == [Transition("slow", "firing", 0.7, 0.5, 2, "warning", 0, 0.8)]


def test_a_standing_tells_how_long_it_takes_until_it_fires_or_is_resolved() -> None:
    walk = Walk()
    walk.see(0.6, 21)
    (standing,) = walk.alerts.standings()
    assert (standing.state, standing.since, standing.left) == ("pending", 1000, 40)
    walk.see(0.6, 40)
    walk.see(0.4, 11)
    (standing,) = walk.alerts.standings()
    assert (standing.state, standing.since, standing.left, standing.value) == ("firing", 1060, 20, 0.4)


def test_a_clock_that_is_set_back_fires_nothing_and_breaks_nothing() -> None:
    alerts = Alerts([SLOW], 1000)
    alerts.evaluate({"time": 0.6}, 1000)
    assert alerts.evaluate({"time": 0.6}, 10) == []
    assert [each.state for each in alerts.evaluate({"time": 0.6}, 1060)] == ["firing"]


def test_history_does_not_grow_without_end() -> None:
    walk = Walk(replace(SLOW, for_=0, resolve_after=0))
    for _ in range(EPISODES + 50):
        walk.see(0.6)
        walk.see(0.4)
    assert len(walk.alerts.episodes()) == EPISODES
    assert walk.alerts.episodes()[0].ended == walk.now - 1


@given(st.lists(st.tuples(st.sampled_from([None, 0.1, 0.5, 0.9]), st.integers(0, 90)), max_size=60))
def test_between_two_firings_there_is_a_resolve_and_never_one_before_its_time(
    looks: list[tuple[float | None, int]],
) -> None:
    now, alerts, last, bad_since = 0.0, Alerts([SLOW], 0), "inactive", None
    for value, seconds in looks:
        now += seconds
        bad_since = (now if bad_since is None else bad_since) if value == 0.9 else None if value else bad_since
        for transition in alerts.evaluate({"time": value}, now):
            allowed = {
                "inactive": {"pending"},
                "resolved": {"pending"},
                "pending": {"firing", "inactive"},
                "firing": {"resolved"},
            }
            assert transition.state in allowed[last]
            last = transition.state
            if transition.state == "firing":
                assert bad_since is not None
                assert now - bad_since >= SLOW.for_


class AlertMachine(RuleBasedStateMachine):
    """An alert against a model of its own: the looks since it was last good, and since it was last bad."""

    @initialize(for_=st.integers(0, 5), resolve_after=st.integers(0, 5), release=st.sampled_from([None, 2.0]))
    def begin(self, for_: int, resolve_after: int, release: float | None) -> None:
        self.rule = Rule("x", "v", threshold=5, for_=for_, resolve_after=resolve_after, release=release)
        self.now = 0
        self.alerts = Alerts([self.rule], 0)
        self.fired = 0
        self.resolved = 0
        self.bad_for: int | None = None
        self.calm_for: int | None = None

    @rule(value=st.sampled_from([1.0, 4.0, 5.0, 6.0, 9.0]))
    def look(self, value: float) -> None:
        firing = self.fired > self.resolved
        bad, calm = value > 5, value <= (2 if self.rule.release else 5)
        self.bad_for = None if not bad else 0 if self.bad_for is None else self.bad_for + 1
        self.calm_for = None if not calm else 0 if self.calm_for is None else self.calm_for + 1
        states = [each.state for each in self.alerts.evaluate({"v": value}, self.now)]
        self.now += 1
        if "firing" in states:
            assert not firing
            assert self.bad_for is not None
            assert self.bad_for >= self.rule.for_
            self.fired += 1
        if "resolved" in states:
            assert firing
            assert self.calm_for is not None
            assert self.calm_for >= self.rule.resolve_after
            self.resolved += 1
            self.bad_for = None
        due = not firing and bad and self.bad_for is not None and self.bad_for >= self.rule.for_
        assert not due or "firing" in states

    @precondition(lambda self: self.fired > self.resolved)
    @rule()
    def calm_down(self) -> None:
        for _ in range(int(self.rule.resolve_after) + 1):
            self.look(1.0)
        assert self.fired == self.resolved

    @invariant()
    def it_stands_as_told(self) -> None:
        if hasattr(self, "alerts"):
            (standing,) = self.alerts.standings()
            assert (standing.state == "firing") == (self.fired > self.resolved)
            assert len(self.alerts.episodes()) == self.resolved


TestAlertMachine = AlertMachine.TestCase


@pytest.mark.parametrize("missing", [{}, {"time": None}])
def test_a_reading_that_does_not_exist_fires_nothing(missing: dict[str, float | None]) -> None:
    assert Alerts([replace(SLOW, for_=0)], 0).evaluate(missing, 1) == []
