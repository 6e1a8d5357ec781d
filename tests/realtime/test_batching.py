"""When a conversation's batch leaves. Times are seconds, the window is 50 ms unless a test says otherwise."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime.batching import BUSY, UNHEARD, Mode, Window, Windows

MODES: tuple[Mode, ...] = ("adaptive", "fixed")


def _window(mode: Mode = "adaptive", max_messages: int = 10, max_bytes: int = 1000) -> Window[str]:
    return Window(mode, 0.05, max_messages, max_bytes)


def test_the_first_message_of_a_quiet_conversation_leaves_at_once() -> None:
    assert _window().add("a", 1, now=7.0) == ["a"]


def test_what_arrives_in_the_window_leaves_together_at_its_end() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    assert window.done(now=0.001) is None
    assert window.add("b", 1, now=0.01) is None
    assert window.add("c", 1, now=0.04) is None
    assert window.deadline == 0.05
    assert window.due(now=0.049) is None
    assert window.due(now=0.05) == ["b", "c"]


def test_a_busy_conversation_leaves_once_per_window() -> None:
    window: Window[int] = Window("adaptive", delay=50, max_messages=100)  # milliseconds, to have exact sums
    left = []
    for now in range(500):
        for batch in (window.due(now), window.add(now, 1, now)):
            if batch is not None:
                left.append((now, len(batch)))
                assert window.done(now) is None
    assert left == [(0, 1), (50, 49), *[(now, 50) for now in range(100, 500, 50)]]


def test_a_window_that_ends_empty_makes_the_conversation_quiet_again() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    window.done(now=0.01)
    assert not window.quiet
    assert window.due(now=0.05) is None
    assert window.quiet
    assert window.deadline is None
    assert window.add("b", 1, now=0.06) == ["b"]


def test_nobody_needs_to_call_at_the_end_of_an_empty_window() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    window.done(now=0.01)
    assert window.add("b", 1, now=9.0) == ["b"]


def test_fixed_makes_the_first_message_wait_for_the_whole_window() -> None:
    window = _window("fixed")
    assert window.add("a", 1, now=1.0) is None
    assert window.add("b", 1, now=1.04) is None
    assert window.due(now=1.05) == ["a", "b"]
    window.done(now=1.06)
    assert window.quiet
    assert window.add("c", 1, now=1.07) is None
    assert window.deadline == pytest.approx(1.12)


def test_the_most_messages_end_a_window_early() -> None:
    window = _window("fixed", max_messages=3)
    assert [window.add(item, 1, now=0.0) for item in "abc"] == [None, None, ["a", "b", "c"]]


def test_the_most_bytes_end_a_window_early() -> None:
    window = _window("fixed", max_bytes=100)
    assert window.add("a", 60, now=0.0) is None
    assert window.add("b", 40, now=0.0) == ["a", "b"]


def test_a_message_that_does_not_fit_waits_for_the_next_batch_within_the_same_promise() -> None:
    window = _window("fixed", max_bytes=100)
    window.add("a", 60, now=0.0)
    assert window.add("b", 50, now=0.02) == ["a"]
    assert window.done(now=0.03) is None
    assert window.due(now=0.05) == ["b"]


def test_a_message_larger_than_a_batch_leaves_alone() -> None:
    window = _window("fixed", max_bytes=100)
    window.add("a", 1, now=0.0)
    assert window.add("huge", 5000, now=0.0) == ["a"]
    assert window.add("c", 1, now=0.0) is None
    assert window.done(now=0.0) == ["huge"]


@pytest.mark.parametrize("mode", MODES)
def test_while_a_batch_is_being_sent_messages_collect_and_no_timer_is_wanted(mode: Mode) -> None:
    window = _window(mode, max_messages=2)
    window.add("a", 1, now=0.0)
    window.flush(now=0.0)
    assert window.sending
    assert [window.add(item, 1, now=0.3) for item in "bcd"] == [None, None, None]
    assert window.deadline is None
    assert window.due(now=0.4) is None
    assert window.done(now=0.4) == ["b", "c"]
    assert window.done(now=0.5) == ["d"]


def test_after_a_slow_batch_the_window_counts_from_the_first_that_collected() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    window.add("b", 1, now=0.19)
    assert window.done(now=0.2) is None
    assert window.deadline == pytest.approx(0.24)
    assert window.due(now=0.24) == ["b"]


def test_what_waited_longer_than_its_window_leaves_as_soon_as_the_batch_before_is_done() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    window.add("b", 1, now=0.1)
    assert window.done(now=0.2) == ["b"]


def test_a_flush_ends_the_window_for_everything_that_is_collected() -> None:
    window = _window("fixed")
    window.add("a", 1, now=0.0)
    window.add("b", 1, now=0.0)
    assert window.flush(now=0.001) == ["a", "b"]


def test_a_flush_during_sending_takes_effect_when_the_batch_before_is_done() -> None:
    window = _window("fixed")
    window.add("a", 1, now=0.0)
    window.flush(now=0.0)
    window.add("b", 1, now=0.01)
    assert window.flush(now=0.02) is None
    window.add("c", 1, now=0.03)
    assert window.done(now=0.03) == ["b", "c"]


def test_a_flush_of_nothing_does_nothing() -> None:
    window = _window()
    assert window.flush(now=0.0) is None
    assert window.quiet


def test_two_batches_of_one_conversation_cannot_overlap_by_mistake() -> None:
    with pytest.raises(RuntimeError):
        _window().done(now=0.0)


def test_new_limits_and_delays_apply_from_the_next_window_on() -> None:
    window = _window("fixed")
    window.add("a", 1, now=0.0)
    window.delay, window.max_messages = 0.1, 2
    assert window.deadline == 0.05
    assert window.add("b", 1, now=0.01) == ["a", "b"]
    window.done(now=0.02)
    window.add("c", 1, now=0.02)
    assert window.deadline == pytest.approx(0.12)


@pytest.mark.parametrize("mode", MODES)
def test_without_a_delay_every_message_leaves_at_once(mode: Mode) -> None:
    window: Window[str] = Window(mode, 0.0, 10, 1000)
    for item in "abc":
        assert window.add(item, 1, now=3.0) == [item]
        assert window.done(now=3.0) is None


def _busy(messages: int = BUSY, delay: float = 0.05) -> Window[int]:
    """A window that is open until 0.05 + delay, in a conversation of which so many messages left together at 0.05."""
    window: Window[int] = Window("adaptive", 0.05)
    window.add(0, 1, now=0.0)
    window.done(now=0.0)
    for number in range(messages):
        window.add(number, 1, now=0.01)
    window.delay = delay
    assert len(window.due(now=0.05) or ()) == messages
    window.done(now=0.05)
    return window


def test_in_a_quiet_conversation_everybody_is_heard_at_once() -> None:
    assert _window().unheard_until(now=0.0) is None
    assert _busy(BUSY - 1).unheard_until(now=0.06) is None


def test_in_a_busy_one_whoever_speaks_need_not_be_heard_until_the_window_ends() -> None:
    window = _busy()
    assert window.unheard_until(now=0.08) == window.deadline
    assert window.unheard_until(now=0.099) is None  # that would cost more than it spares
    assert window.unheard_until(now=0.1) is None
    assert window.unheard_until(now=0.11) is None


def test_a_long_window_is_listened_to_in_between() -> None:
    long = _busy(delay=1.4 * UNHEARD)
    assert long.unheard_until(now=0.05) == pytest.approx(0.05 + 0.4 * UNHEARD)
    assert long.unheard_until(now=0.05 + 0.4 * UNHEARD) == long.deadline
    hardly_longer = _busy(delay=1.01 * UNHEARD)
    assert hardly_longer.unheard_until(now=0.05) == hardly_longer.deadline  # not two rests


def test_the_time_that_it_takes_to_give_a_batch_to_everybody_is_no_part_of_the_window() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    assert window.done(now=0.02, sharing=0.02) is None
    assert window.deadline == pytest.approx(0.07)
    assert window.add("b", 1, now=0.06) is None
    assert window.due(now=0.07) == ["b"]


def test_but_what_has_come_meanwhile_keeps_the_end_it_was_promised() -> None:
    window = _window()
    window.add("a", 1, now=0.0)
    window.add("b", 1, now=0.01)
    assert window.done(now=0.02, sharing=0.02) is None
    assert window.deadline == pytest.approx(0.05)


def test_in_a_busy_conversation_those_who_are_heard_too_late_together_leave_together() -> None:
    window = _busy()
    assert [window.add(number, 1, now=0.11) for number in range(5)] == [None] * 5
    assert window.deadline == pytest.approx(0.1)
    assert window.due(now=0.11) == list(range(5))


def test_while_a_batch_is_being_sent_everybody_is_heard() -> None:
    window = _busy()
    window.add(0, 1, now=0.06)
    window.flush(now=0.06)
    assert window.unheard_until(now=0.06) is None


class Hall:
    """Speakers before the windows of one conversation; those who rest are heard when their rest is over."""

    def __init__(self, mode: Mode, delay: float, sending: float, *, rests: bool) -> None:
        self.windows: Windows[int] = Windows(mode, delay, max_messages=10_000)
        self.left: dict[int, float] = {}
        self.longest = 0.0
        self.moments: set[float] = set()
        """When somebody was heard."""
        self._rests = rests
        self._sending = sending
        self._steps: list[tuple[float, int, Callable[[float], None]]] = []
        self._unheard: dict[int, list[int]] = {}
        self._speaker: dict[int, int] = {}
        self._number = 0

    def run(self, said: list[tuple[float, int]]) -> dict[int, float]:
        """When each of these messages, by time and speaker, has left."""
        for message, (at, speaker) in enumerate(said):
            self._speaker[message] = speaker
            self._at(at, partial(self._say, message))
        while self._steps or self.windows.deadline is not None:
            deadline = self.windows.deadline
            # What is heard at the very end of a window is in it.
            if deadline is not None and (not self._steps or deadline < self._steps[0][0]):
                for _, batch in self.windows.due(deadline):
                    self._leave(batch, deadline)
            else:
                now, _, step = heapq.heappop(self._steps)
                step(now)
        return self.left

    def _at(self, when: float, step: Callable[[float], None]) -> None:
        self._number += 1
        heapq.heappush(self._steps, (when, self._number, step))

    def _say(self, message: int, now: float) -> None:
        waiting = self._unheard.get(self._speaker[message])
        if waiting is None:
            self._hear(message, now)
        else:
            waiting.append(message)

    def _hear(self, message: int, now: float) -> None:
        self.moments.add(now)
        batch = self.windows.add("hall", message, 1, now)
        if batch is not None:
            self._leave(batch, now)
        self._rest(self._speaker[message], now)

    def _rest(self, speaker: int, now: float) -> None:
        until = self.windows.unheard_until("hall", now) if self._rests else None
        if until is not None and speaker not in self._unheard:
            self.longest = max(self.longest, until - now)
            self._unheard[speaker] = []
            self._at(until, lambda now: self._wake(speaker, now))

    def _wake(self, speaker: int, now: float) -> None:
        for message in self._unheard.pop(speaker):
            self._say(message, now)

    def _leave(self, batch: list[int], now: float) -> None:
        for message in batch:
            self.left[message] = now
        self._at(now + self._sending, lambda now: self._done(batch, now))

    def _done(self, batch: list[int], now: float) -> None:
        following = self.windows.done("hall", now)
        if following is not None:
            self._leave(following, now)
            return
        for speaker in {self._speaker[message] for message in batch}:
            self._rest(speaker, now)


@given(
    said=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3)), min_size=20, max_size=120).map(sorted),
    mode=st.sampled_from(MODES),
    delay=st.sampled_from((0.0, 0.004, 0.01, 0.05, 0.1, 0.25)),
    sending=st.sampled_from((0.0, 0.007, 0.06)),
)
def test_what_is_said_in_a_window_leaves_no_later_for_being_left_unheard(
    said: list[tuple[int, int]], mode: Mode, delay: float, sending: float
) -> None:
    times = [(milliseconds / 1000, speaker) for milliseconds, speaker in said]
    patient = Hall(mode, delay, sending, rests=True)
    left = patient.run(times)
    at_once = Hall(mode, delay, sending, rests=False).run(times)
    assert {message: pytest.approx(at) for message, at in at_once.items()} == left
    assert patient.longest < 1.2 * UNHEARD


def test_in_a_busy_conversation_speakers_are_heard_together() -> None:
    hall = Hall("adaptive", 0.05, 0.0, rests=True)
    assert len(hall.run([(number / 500, number % 10) for number in range(500)])) == 500
    assert len(hall.moments) < 100


def test_what_is_sent_in_one_go_to_a_quiet_conversation_leaves_in_one_go() -> None:
    window = _window(max_messages=4)
    assert window.add_all([(item, 1) for item in "abcdef"], now=0.0) == ["a", "b", "c", "d"]
    assert window.deadline is None
    assert window.done(now=0.001) == ["e", "f"]


def test_what_comes_in_one_go_and_has_to_wait_opens_the_window_of_its_conversation() -> None:
    windows: Windows[str] = Windows("fixed", delay=0.05)
    assert windows.add_all("hall", [("a", 1), ("b", 1)], now=1.0) is None
    assert windows.deadline == pytest.approx(1.05)
    assert windows.due(now=1.05) == [("hall", ["a", "b"])]


class NaiveModel:
    """The window said over again without a state: everything follows from a list of who waits since when."""

    def __init__(self, window: Window[int]) -> None:
        self.settings = window
        self.waiting: list[tuple[int, int]] = []
        self.end = float("-inf")
        self.sending = False

    def add_all(self, items: list[tuple[int, int]], now: float) -> list[int] | None:
        if not self.waiting and now >= self.end:
            waits = self.sending or self.settings.mode == "fixed"
            self.end = now + (self.settings.delay if waits else 0)
        self.waiting += items
        return self.leaving(now)

    def leaving(self, now: float) -> list[int] | None:
        full = len(self.waiting) >= self.settings.max_messages or self.bytes >= self.settings.max_bytes
        if self.sending or not self.waiting or not (full or now >= self.end):
            return None
        batch = [self.waiting.pop(0)]
        while self.waiting and len(batch) < self.settings.max_messages:
            if sum(size for _, size in batch) + self.waiting[0][1] > self.settings.max_bytes:
                break
            batch.append(self.waiting.pop(0))
        self.sending = True
        if not self.waiting:
            self.end = now + self.settings.delay if self.settings.mode == "adaptive" else float("-inf")
        return [item for item, _ in batch]

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.waiting)


class AgainstTheModel(RuleBasedStateMachine):
    """A window does what the naive model does, and nothing is lost, doubled, reordered or late."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.came: list[tuple[float, int]] = []
        self.left: list[int] = []
        self.left_at = 0.0

    @initialize(mode=st.sampled_from(MODES))
    def begin(self, mode: Mode) -> None:
        self.window: Window[int] = Window(mode, 0.5, 4, 100)
        self.model = NaiveModel(self.window)
        self.longest = 0.5

    def both(
        self, real: Callable[[float], list[int] | None], model: Callable[[float], list[int] | None] | None = None
    ) -> None:
        batch = real(self.now)
        assert batch == (model or self.model.leaving)(self.now)
        if batch is not None:
            assert batch
            assert len(batch) <= self.window.max_messages
            assert len(batch) == 1 or sum(self.came[item][1] for item in batch) <= self.window.max_bytes
            self.left.extend(batch)
            self.left_at = self.now

    @rule(sizes=st.lists(st.integers(min_value=0, max_value=120), min_size=1, max_size=7))
    def add(self, sizes: list[int]) -> None:
        items = list(enumerate(sizes, len(self.came)))
        self.came += [(self.now, size) for size in sizes]
        self.both(
            lambda now: self.window.add_all(items, now) if len(items) > 1 else self.window.add(*items[0], now),
            lambda now: self.model.add_all(items, now),
        )

    @rule(eighths=st.integers(min_value=1, max_value=10))
    def time_passes(self, eighths: int) -> None:
        """The timer of the holder keeps its promise: it calls at the deadline, not before and not after."""
        until = self.now + eighths / 8
        while (deadline := self.window.deadline) is not None and deadline <= until:
            self.now = max(self.now, deadline)
            self.both(self.window.due)
        self.now = until

    @rule()
    def a_timer_comes_early(self) -> None:
        self.both(self.window.due)

    @precondition(lambda self: self.model.sending)
    @rule(eighths=st.integers(min_value=0, max_value=4))
    def done(self, eighths: int = 0) -> None:
        sharing = min(eighths / 8, self.now - self.left_at)
        self.model.sending = False
        if not self.model.waiting:
            self.model.end += sharing
        self.both(lambda now: self.window.done(now, sharing))

    @rule()
    def flush(self) -> None:
        if self.model.waiting:
            self.model.end = self.now
        self.both(self.window.flush)

    @rule(delay=st.sampled_from((0.0, 0.125, 0.5, 1.0)), most=st.integers(1, 5), mode=st.sampled_from(MODES))
    def change_settings(self, delay: float, most: int, mode: Mode) -> None:
        self.window.delay, self.window.max_messages, self.window.mode = delay, most, mode
        self.longest = max(self.longest, delay)

    @invariant()
    def what_left_and_what_waits_is_all_that_came_in_order(self) -> None:
        waiting = [item for item, _ in self.model.waiting]
        assert self.left + waiting == list(range(len(self.came)))
        assert len(self.window) == len(waiting)
        assert self.window.size == sum(self.came[item][1] for item in waiting)

    @invariant()
    def nobody_waits_for_a_window_longer_than_its_delay(self) -> None:
        if self.model.waiting and not self.window.sending:
            deadline = self.window.deadline
            assert deadline is not None
            assert deadline <= self.came[self.model.waiting[0][0]][0] + self.longest

    def teardown(self) -> None:
        """Whatever happened, everything leaves once the batches before are done."""
        if not self.came:
            return
        self.flush()
        while self.model.sending:
            self.done()
            self.flush()
        assert self.left == list(range(len(self.came)))


TestAgainstTheModel = AgainstTheModel.TestCase


def test_one_deadline_serves_all_conversations() -> None:
    windows: Windows[str] = Windows("fixed", 0.05)
    windows.add("first", "a", 1, now=0.0)
    windows.add("second", "b", 1, now=0.01)
    assert windows.deadline == 0.05
    assert windows.due(now=0.05) == [("first", ["a"])]
    assert windows.deadline == pytest.approx(0.06)


def test_conversations_do_not_wait_for_each_other() -> None:
    windows: Windows[str] = Windows()
    assert windows.add("slow", "a", 1, now=0.0) == ["a"]
    assert windows.add("other", "b", 1, now=0.0) == ["b"]
    windows.add("slow", "c", 1, now=0.01)
    windows.add("other", "d", 1, now=0.01)
    windows.done("other", now=0.02)
    assert windows.due(now=0.05) == [("other", ["d"])]
    assert windows.done("slow", now=0.9) == ["c"]


def test_a_conversation_that_became_quiet_is_forgotten() -> None:
    windows: Windows[str] = Windows()
    for number in range(100):
        windows.add(f"conversation {number}", "a", 1, now=0.0)
        windows.done(f"conversation {number}", now=0.01)
    assert len(windows) == 100
    assert windows.due(now=0.05) == []
    assert (len(windows), windows.deadline) == (0, None)


def test_a_flush_of_a_quiet_conversation_does_nothing() -> None:
    windows: Windows[str] = Windows()
    assert windows.flush("unknown", now=0.0) is None
    assert "unknown" not in windows
    with pytest.raises(RuntimeError):
        windows.done("unknown", now=0.0)


def test_a_flush_of_one_conversation_leaves_the_others_alone() -> None:
    windows: Windows[str] = Windows("fixed")
    windows.add("left", "a", 1, now=0.0)
    windows.add("other", "b", 1, now=0.0)
    assert windows.flush("left", now=0.01) == ["a"]
    assert windows["left"].sending
    assert len(windows["other"]) == 1


def test_new_settings_reach_conversations_that_are_in_use_and_those_to_come() -> None:
    windows: Windows[str] = Windows("fixed", 0.05)
    windows.add("in use", "a", 1, now=0.0)
    windows.change("adaptive", 0.1, 2, 1000)
    assert windows.add("in use", "b", 1, now=0.01) == ["a", "b"]
    assert windows.add("new", "c", 1, now=0.01) == ["c"]
    assert windows["new"].max_messages == 2
