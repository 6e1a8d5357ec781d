"""Channels: who subscribes, and which updates leave together. The debounce is 100 ms, the longest wait 300 ms."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime.channels import LONGEST, Channels, Mode, Release, Update


def _mode_of(channel: str) -> Mode:
    return "conflate" if channel.startswith("reports") else "append"


def _update(number: int, key: str | None = None) -> Update:
    return Update("changed", {"n": number}, key)


def test_the_first_subscriber_opens_a_channel_and_the_last_closes_it() -> None:
    channels = Channels(_mode_of)
    assert [channels.subscribe("reports", session) for session in ("a", "b", "a")] == [True, False, False]
    assert channels.subscribers("reports") == 2
    assert [channels.unsubscribe("reports", session) for session in ("a", "a", "b")] == [False, False, True]
    assert list(channels.channels()) == []


def test_subscribing_twice_as_the_only_one_opens_the_channel_once() -> None:
    channels = Channels(_mode_of)
    assert channels.subscribe("reports", "a")
    assert not channels.subscribe("reports", "a")


def test_a_session_that_ends_takes_its_subscriptions_with_it() -> None:
    channels = Channels(_mode_of)
    for channel in ("reports", "news", "notes"):
        channels.subscribe(channel, "a")
    channels.subscribe("news", "b")
    assert channels.subscriptions("a") == {"reports", "news", "notes"}
    assert channels.gone("a") == ["notes", "reports"]
    assert channels.gone("a") == []
    assert dict(channels.channels()) == {"news": 1}


def test_append_lets_every_update_leave_at_once_even_with_the_same_key() -> None:
    channels = Channels(_mode_of)
    for number in range(3):
        assert channels.publish("news", _update(number, "k"), now=0.0) == Release("news", [_update(number, "k")])
    assert channels.deadline is None


def test_a_channel_that_no_longer_conflates_lets_what_waits_leave_with_the_next_update() -> None:
    modes: dict[str, Mode] = {"reports": "conflate"}
    channels = Channels(lambda channel: modes[channel])
    channels.publish("reports", _update(0, "k"), now=0.0)
    modes["reports"] = "append"
    assert channels.publish("reports", _update(1, "k"), now=0.01) == Release(
        "reports", [_update(0, "k"), _update(1, "k")]
    )
    assert channels.deadline is None


def test_what_conflates_is_the_key_whatever_the_events_are_called() -> None:
    channels = Channels(_mode_of)
    for event in ("created", "liked"):
        channels.publish("reports", Update(event, 1, "r9"), now=0.0)
    assert channels.due(now=0.1) == [Release("reports", [Update("liked", 1, "r9")])]


def test_conflate_keeps_the_latest_update_of_each_key() -> None:
    channels = Channels(_mode_of)
    for number, key in enumerate("aba"):
        channels.publish("reports", _update(number, key), now=0.0)
    assert channels.due(now=0.1) == [Release("reports", [_update(1, "b"), _update(2, "a")])]
    assert channels.conflated == 1


def test_updates_without_a_key_are_never_conflated() -> None:
    channels = Channels(_mode_of)
    for number in range(3):
        channels.publish("reports", _update(number), now=0.0)
    assert channels.due(now=0.1) == [Release("reports", [_update(number) for number in range(3)])]


def test_an_update_leaves_when_its_channel_has_been_calm_for_the_debounce() -> None:
    channels = Channels(_mode_of)
    channels.publish("reports", _update(0, "a"), now=0.0)
    channels.publish("reports", _update(1, "a"), now=0.0625)
    assert channels.deadline == 0.1625
    assert channels.due(now=0.15) == []
    assert channels.due(now=0.1625) == [Release("reports", [_update(1, "a")])]
    assert channels.deadline is None


def test_a_channel_that_is_never_calm_still_speaks_every_few_debounces() -> None:
    channels = Channels(_mode_of, debounce=100)  # milliseconds, to have exact sums
    left: list[tuple[int, int]] = []
    for now in range(0, 1000, 10):
        left.extend((now, len(release.updates)) for release in channels.due(now))
        assert channels.publish("reports", _update(now, "a"), now) is None
    assert left == [(300, 1), (600, 1), (900, 1)]


def test_channels_do_not_wait_for_each_other() -> None:
    channels = Channels(_mode_of)
    channels.publish("reports", _update(0), now=0.0)
    channels.publish("reports/1", _update(1), now=0.05)
    assert [release.channel for release in channels.due(now=0.1)] == ["reports"]
    assert [release.channel for release in channels.due(now=0.2)] == ["reports/1"]


def test_too_many_updates_do_not_wait_for_the_end() -> None:
    channels = Channels(_mode_of, most=2)
    channels.publish("reports", _update(0), now=0.0)
    assert channels.publish("reports", _update(1), now=0.0) == Release("reports", [_update(0), _update(1)])
    assert channels.deadline is None


def test_without_a_debounce_every_update_leaves_at_once() -> None:
    channels = Channels(_mode_of, debounce=0)
    assert channels.publish("reports", _update(0), now=5.0) == Release("reports", [_update(0)])


def test_a_flush_lets_everything_leave() -> None:
    channels = Channels(_mode_of)
    channels.publish("reports", _update(0), now=0.0)
    channels.publish("reports/1", _update(1), now=0.0)
    assert channels.flush() == [Release("reports", [_update(0)]), Release("reports/1", [_update(1)])]
    assert (channels.flush(), channels.deadline) == ([], None)


names = st.sampled_from(("reports", "reports/1", "news"))


class AgainstALog(RuleBasedStateMachine):
    """What leaves is what was published, in order, late by no more than is promised, conflated where it may be."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.channels = Channels(_mode_of, debounce=4, most=6)
        self.waiting: dict[str, list[tuple[int, Update]]] = {}
        self.number = 0

    def released(self, *releases: Release | None) -> None:
        for release in releases:
            if release is None:
                continue
            published = [update for _, update in self.waiting.pop(release.channel)]
            if _mode_of(release.channel) == "conflate":
                published = [
                    update
                    for index, update in enumerate(published)
                    if update.key is None or update.key not in [later.key for later in published[index + 1 :]]
                ]
            assert release.updates == published

    @rule(channel=names, key=st.sampled_from((None, "a", "b", "c")))
    def publish(self, channel: str, key: str | None) -> None:
        self.number += 1
        update = _update(self.number, key)
        self.waiting.setdefault(channel, []).append((self.now, update))
        self.released(self.channels.publish(channel, update, self.now))

    @rule(moments=st.integers(min_value=1, max_value=6))
    def time_passes(self, moments: int) -> None:
        for _ in range(moments):
            self.now += 1
            self.released(*self.channels.due(self.now))

    @rule()
    def flush(self) -> None:
        self.released(*self.channels.flush())
        assert not self.waiting

    @invariant()
    def nothing_waits_longer_than_it_must(self) -> None:
        assert "news" not in self.waiting
        for published in self.waiting.values():
            first, last = published[0][0], published[-1][0]
            assert self.now < min(first + LONGEST * 4, last + 4)
        assert (self.channels.deadline is None) is (not self.waiting)


TestAgainstALog = AgainstALog.TestCase
