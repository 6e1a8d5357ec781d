"""Who is in which conversation."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from realtime.presence import Presence, PresenceChange

ONLINE = PresenceChange("c1", "ana", online=True)
OFFLINE = PresenceChange("c1", "ana", online=False)


def test_the_first_session_brings_a_user_online_and_the_last_takes_it_offline() -> None:
    presence = Presence()
    assert presence.joined("c1", "ana", "phone") == ONLINE
    assert presence.joined("c1", "ana", "laptop") is None
    assert presence.left("c1", "ana", "phone") is None
    assert presence.left("c1", "ana", "laptop") == OFFLINE


def test_joining_twice_with_one_session_counts_once() -> None:
    presence = Presence()
    presence.joined("c1", "ana", "phone")
    assert presence.joined("c1", "ana", "phone") is None
    assert presence.left("c1", "ana", "phone") == OFFLINE


def test_leaving_where_one_is_not_tells_nothing() -> None:
    presence = Presence()
    presence.joined("c1", "ana", "phone")
    assert presence.left("c1", "ben", "phone") is None
    assert presence.left("c2", "ana", "phone") is None
    assert presence.left("c1", "ana", "unknown") is None


def test_a_session_that_ends_takes_all_its_users_and_conversations_with_it() -> None:
    presence = Presence()
    for conversation, user in (("c1", "ana"), ("c1", "ben"), ("c2", "ana")):
        presence.joined(conversation, user, "shared")
    presence.joined("c1", "ben", "phone")
    assert presence.lost("shared", now=0.0) == [OFFLINE, PresenceChange("c2", "ana", online=False)]
    assert presence.online("c1") == ["ben"]
    assert len(presence) == 1
    assert presence.lost("shared", now=0.0) == []


def test_a_reconnect_within_the_grace_is_told_to_nobody() -> None:
    presence = Presence(grace=5.0)
    presence.joined("c1", "ana", "before")
    assert presence.lost("before", now=10.0) == []
    assert presence.is_online("c1", "ana")
    assert presence.deadline == 15.0
    assert presence.joined("c1", "ana", "after") is None
    assert presence.deadline is None
    assert presence.due(now=15.0) == []


def test_who_does_not_come_back_within_the_grace_is_offline() -> None:
    presence = Presence(grace=5.0)
    presence.joined("c1", "ana", "phone")
    presence.lost("phone", now=10.0)
    assert presence.due(now=14.9) == []
    assert presence.due(now=15.0) == [OFFLINE]
    assert presence.joined("c1", "ana", "phone") == ONLINE


def test_who_leaves_knowingly_has_no_grace() -> None:
    presence = Presence(grace=5.0)
    presence.joined("c1", "ana", "phone")
    assert presence.left("c1", "ana", "phone") == OFFLINE
    assert presence.deadline is None


places = st.tuples(st.sampled_from(("c1", "c2")), st.sampled_from(("ana", "ben")), st.sampled_from("xyz"))


class AgainstASetOfPlaces(RuleBasedStateMachine):
    """What is told always adds up to who is there, with or without a grace."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.there: set[tuple[str, str, str]] = set()
        self.told: set[tuple[str, str]] = set()

    @initialize(grace=st.sampled_from((0.0, 2.0)))
    def begin(self, grace: float) -> None:
        self.presence = Presence(grace)

    def tell(self, *changes: PresenceChange | None) -> None:
        for change in changes:
            if change is not None:
                place = (change.conversation, change.user)
                assert (place in self.told) is not change.online
                (self.told.add if change.online else self.told.discard)(place)

    @rule(place=places)
    def joined(self, place: tuple[str, str, str]) -> None:
        self.there.add(place)
        self.tell(self.presence.joined(*place))

    @rule(place=places)
    def left(self, place: tuple[str, str, str]) -> None:
        self.there.discard(place)
        self.tell(self.presence.left(*place))

    @rule(session=st.sampled_from("xyz"))
    def lost(self, session: str) -> None:
        self.there = {place for place in self.there if place[2] != session}
        self.tell(*self.presence.lost(session, self.now))

    @rule()
    def a_second_passes(self) -> None:
        self.now += 1
        self.tell(*self.presence.due(self.now))

    @invariant()
    def everybody_who_is_there_was_told_of(self) -> None:
        present = {(conversation, user) for conversation, user, _ in self.there}
        assert present <= self.told
        if not self.presence.grace:
            assert present == self.told
        online = {(c, user) for c, _ in self.presence.conversations() for user in self.presence.online(c)}
        assert online == self.told

    def teardown(self) -> None:
        for session in "xyz":
            self.lost(session)
        self.tell(*self.presence.due(self.now + 2))
        assert not self.told
        assert (len(self.presence), self.presence.deadline) == (0, None)


TestAgainstASetOfPlaces = AgainstASetOfPlaces.TestCase
