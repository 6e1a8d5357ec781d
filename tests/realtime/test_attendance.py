"""Presence as it is told."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime.attendance import GATHER, MOST_NAMED, Attendance

conversations = st.sampled_from(["7", "8"])
users = st.sampled_from(["u1", "u2", "u3"])
sessions = st.sampled_from(["s1", "s2", "s3"])


class WhatMembersKnow(RuleBasedStateMachine):
    """Members who go by what they are told know in the end who is there, and are told nothing that changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.attendance = Attendance(2.0)
        self.there: set[tuple[str, str, str]] = set()
        self.believed: dict[str, set[str]] = {"7": set(), "8": set()}

    @rule(conversation=conversations, user=users, session=sessions)
    def join(self, conversation: str, user: str, session: str) -> None:
        self.attendance.joined(conversation, [user], session, self.now)
        self.there.add((conversation, user, session))

    @rule(conversation=conversations, user=users, session=sessions)
    def leave(self, conversation: str, user: str, session: str) -> None:
        self.attendance.left(conversation, [user], session, self.now)
        self.there.discard((conversation, user, session))

    @rule(session=sessions)
    def lose(self, session: str) -> None:
        self.attendance.lost(session, self.now)
        self.there = {place for place in self.there if place[2] != session}

    @rule(seconds=st.sampled_from([0.01, GATHER, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for conversation, payload in self.attendance.due(self.now):
            self.hear(conversation, payload)

    def hear(self, conversation: str, payload: dict[str, Any]) -> None:
        believed = self.believed[conversation]
        assert payload["joined"] or payload["left"]
        assert believed.isdisjoint(payload["joined"])
        assert believed.issuperset(payload["left"])
        believed |= set(payload["joined"])
        believed -= set(payload["left"])
        assert (set(payload["users"]), payload["online"]) == (believed, len(believed))

    @invariant()
    def in_the_end_they_know(self) -> None:
        if self.attendance.deadline is None:
            for conversation, believed in self.believed.items():
                assert believed == {user for place, user, _ in self.there if place == conversation}


TestWhatMembersKnow = WhatMembersKnow.TestCase


def test_of_a_crowd_some_are_named_and_all_are_counted() -> None:
    attendance = Attendance(0.0)
    attendance.joined("7", [f"u{number}" for number in range(500)], "s", 0.0)
    payload = attendance.payload("7")
    assert (len(payload["users"]), payload["online"]) == (MOST_NAMED, 500)
