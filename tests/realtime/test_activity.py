"""How lively conversations are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime.activity import Activities, Activity


def test_batches_and_their_messages_are_counted() -> None:
    activity = Activity(0.0)
    for now, messages in ((1.0, 1), (2.0, 4), (3.0, 4)):
        activity.note(messages, now)
    assert (activity.batches, activity.messages, activity.fill, activity.last) == (3, 9, 3.0, 3.0)


def test_the_rate_is_of_about_the_last_minute() -> None:
    activity = Activity(0.0)
    activity.note(60, 30.0)
    assert activity.rate(59.0) == 1.0
    assert activity.rate(60.0) == 1.0
    assert activity.rate(90.0) == 0.5
    assert activity.rate(120.0) == 0.0
    activity.note(30, 150.0)
    assert activity.rate(150.0) == 0.5
    activity.note(60, 180.0)
    assert activity.rate(210.0) == 1.25


@given(st.lists(st.tuples(st.floats(0, 200), st.integers(1, 50))), st.floats(0, 200))
def test_a_rate_never_exceeds_what_two_minutes_had(steps: list[tuple[float, int]], after: float) -> None:
    activity, now, said = Activity(0.0), 0.0, []
    for wait, messages in steps:
        now += wait
        activity.note(messages, now)
        said.append((now, messages))
    now += after
    assert 0 <= activity.rate(now) * 60 <= sum(messages for at, messages in said if at > now - 120) + 1e-6


def test_of_too_many_conversations_those_longest_silent_are_forgotten() -> None:
    activities = Activities(most=10)
    for number in range(10):
        activities.note(str(number), 1, float(number))
    activities.note("0", 1, 99.0)
    activities.note("new", 1, 100.0)
    assert activities.find("0") is not None
    assert activities.find("1") is None
    assert len(activities) <= 10


def test_a_conversation_that_was_never_heard_of_has_none() -> None:
    assert Activities().find("7") is None
