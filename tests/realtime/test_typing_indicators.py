"""Who is typing where. The debounce is 300 ms, an indicator stops by itself after 3 s."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime.typing_indicators import TypingChange, TypingIndicators

TYPES = TypingChange("c1", "ana", typing=True)
STOPPED = TypingChange("c1", "ana", typing=False)


@pytest.fixture
def indicators() -> TypingIndicators:
    return TypingIndicators()


def test_a_first_start_is_told_at_once(indicators: TypingIndicators) -> None:
    assert indicators.start("c1", "ana", now=1.0) == TYPES
    assert indicators.typing("c1", "ana")


def test_a_start_that_is_repeated_within_the_debounce_tells_nothing(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    assert [indicators.start("c1", "ana", now) for now in (1.1, 1.2, 1.29)] == [None, None, None]
    assert indicators.due(now=1.3) == []
    assert indicators.start("c1", "ana", now=1.31) == TYPES


def test_users_and_conversations_are_debounced_each_for_itself(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    assert indicators.start("c1", "ben", now=1.0) == TypingChange("c1", "ben", typing=True)
    assert indicators.start("c2", "ana", now=1.0) == TypingChange("c2", "ana", typing=True)


def test_typing_stops_by_itself_three_seconds_after_the_last_start(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    indicators.start("c1", "ana", now=1.25)
    assert indicators.deadline == 4.25
    assert indicators.due(now=4.2) == []
    assert indicators.due(now=4.25) == [STOPPED]
    assert len(indicators) == 0


def test_a_stop_is_told_at_once_and_only_once(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    assert indicators.stop("c1", "ana", now=1.1) == STOPPED
    assert indicators.stop("c1", "ana", now=1.1) is None
    assert indicators.due(now=9.0) == []


def test_a_stop_of_somebody_who_does_not_type_tells_nothing(indicators: TypingIndicators) -> None:
    assert indicators.stop("c1", "ana", now=1.0) is None


def test_a_start_soon_after_a_stop_is_told_when_the_debounce_ends(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    indicators.stop("c1", "ana", now=1.1)
    assert indicators.start("c1", "ana", now=1.2) is None
    assert indicators.deadline == pytest.approx(1.3)
    assert indicators.due(now=1.3) == [TYPES]
    assert indicators.due(now=4.2) == [STOPPED]


def test_a_start_that_was_never_told_needs_no_stop(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    indicators.stop("c1", "ana", now=1.1)
    indicators.start("c1", "ana", now=1.2)
    assert indicators.stop("c1", "ana", now=1.25) is None
    assert indicators.due(now=9.0) == []
    assert len(indicators) == 0


def test_a_user_that_has_gone_stops_everywhere(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    indicators.start("c2", "ana", now=1.0)
    indicators.start("c1", "ben", now=1.0)
    assert indicators.gone("ana", now=1.1) == [STOPPED, TypingChange("c2", "ana", typing=False)]
    assert indicators.typing("c1", "ben")


def test_a_user_types_as_long_as_it_does_in_one_session(indicators: TypingIndicators) -> None:
    assert indicators.start("c1", "ana", 1.0, "desk") == TYPES
    assert indicators.start("c1", "ana", 2.0, "phone") == TYPES
    assert indicators.stop("c1", "ana", 2.1, "phone") is None
    assert indicators.deadline == 4.0, "the desk's own"
    assert indicators.due(now=4.0) == [STOPPED]
    assert len(indicators) == 0


def test_a_session_that_never_typed_stops_nothing(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", 1.0, "desk")
    assert indicators.stop("c1", "ana", 1.1, "phone") is None
    assert indicators.stop("c1", "ana", 1.2, "desk") == STOPPED


def test_typing_that_is_over_in_the_others_does_not_outlast_the_last_session(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", 1.0, "desk")
    indicators.start("c1", "ana", 3.0, "phone")
    assert indicators.stop("c1", "ana", 4.5, "phone") == STOPPED


def test_a_stop_after_the_debounce_leaves_nothing_behind(indicators: TypingIndicators) -> None:
    indicators.start("c1", "ana", now=1.0)
    indicators.stop("c1", "ana", now=2.0)
    assert (len(indicators), indicators.deadline) == (0, None)


def test_a_new_debounce_applies_from_the_next_start_that_is_told(indicators: TypingIndicators) -> None:
    indicators.debounce = 0.1
    indicators.start("c1", "ana", now=1.0)
    assert indicators.start("c1", "ana", now=1.2) == TYPES


pairs = st.tuples(st.sampled_from(("c1", "c2")), st.sampled_from(("ana", "ben")))
sessions = st.sampled_from(("desk", "phone"))


class Listeners(RuleBasedStateMachine):
    """What the other members believe is right, soon enough, and they are not told too often.

    Times are whole: the debounce is 3, an indicator stops after 30.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.indicators = TypingIndicators(debounce=3, stop_after=30)
        self.believed: set[tuple[str, str]] = set()
        self.last_start: dict[tuple[str, str], dict[str, int]] = {}
        self.last_told: dict[tuple[str, str], int] = {}

    def tell(self, *changes: TypingChange | None) -> None:
        for change in changes:
            if change is None:
                continue
            pair = (change.conversation, change.user)
            if change.typing:
                assert self.now - self.last_told.get(pair, -100) >= 3
                self.last_told[pair] = self.now
                self.believed.add(pair)
            else:
                self.believed.remove(pair)  # nobody is told of a stop without a start

    @rule(pair=pairs, session=sessions)
    def start(self, pair: tuple[str, str], session: str) -> None:
        self.last_start.setdefault(pair, {})[session] = self.now
        self.tell(self.indicators.start(*pair, self.now, session))

    @rule(pair=pairs, session=sessions)
    def stop(self, pair: tuple[str, str], session: str) -> None:
        self.last_start.get(pair, {}).pop(session, None)
        self.tell(self.indicators.stop(*pair, self.now, session))
        assert pair not in self.believed or self.last_start[pair]

    @rule(user=st.sampled_from(("ana", "ben")))
    def gone(self, user: str) -> None:
        self.last_start = {pair: starts for pair, starts in self.last_start.items() if pair[1] != user}
        self.tell(*self.indicators.gone(user, self.now))
        assert not any(pair[1] == user for pair in self.believed)

    @rule(moments=st.sampled_from((1, 2, 3, 29, 40)))
    def time_passes(self, moments: int) -> None:
        until = self.now + moments
        while (deadline := self.indicators.deadline) is not None and deadline <= until:
            self.now = int(deadline)
            self.tell(*self.indicators.due(self.now))
        self.now = until

    @invariant()
    def the_belief_is_right(self) -> None:
        typing = {pair for pair, starts in self.last_start.items() if self.now < max(starts.values(), default=-30) + 30}
        assert self.believed <= typing
        assert {pair for pair in typing if self.now >= self.last_told.get(pair, -100) + 3} <= self.believed

    def teardown(self) -> None:
        self.time_passes(40)
        assert (len(self.indicators), self.indicators.deadline) == (0, None)


TestListeners = Listeners.TestCase
