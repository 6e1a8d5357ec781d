"""What a client that returns is given: exactly what it missed, or a fresh start."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime.frames import Outgoing
from realtime.recovery import MOST_LEFT, Recovery
from realtime.remembered import Record, Session
from realtime.rings import OVERHEAD
from realtime.settings import RecoverySettings
from tests.realtime.wire import messages

ROOMS = ("cars", "boats")


def past(**kept: Any) -> Recovery:
    return Recovery("/", RecoverySettings(**kept), "e1")


def send(
    recovery: Recovery,
    rooms: tuple[str, ...] | None,
    text: str,
    now: float = 0.0,
    conflate: str | None = None,
    skip: tuple[str, ...] = (),
) -> str:
    """Keep a packet; its offset."""
    offset = recovery.next_offset()
    recovery.keep(rooms, [text], Outgoing([text], conflate=conflate), now, skip)
    return offset


def returned(recovery: Recovery, session: Session, offset: str | None, now: float = 0.0) -> list[str | bytes] | None:
    """What the client is sent when it shows its secret, None if it is a stranger."""
    found = recovery.find(session.pid, now)
    missed = None if found is None else recovery.resume(found, offset)
    return None if missed is None else [message for kept in missed for message in messages(kept.outgoing)]


def test_a_client_gets_what_was_sent_after_the_last_packet_it_has() -> None:
    recovery = past()
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    first = send(recovery, ("cars",), "one")
    send(recovery, ("cars",), "two")
    recovery.lose(session, 0.0)
    send(recovery, ("cars",), "three")
    assert returned(recovery, session, first) == ["two", "three"]


def test_a_client_that_has_had_nothing_yet_gets_everything_since_it_came() -> None:
    recovery = past()
    other = recovery.begin("bob", "secret")
    recovery.join(other, "cars")
    send(recovery, ("cars",), "before")
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    recovery.lose(session, 0.0)
    send(recovery, ("cars",), "after")
    assert returned(recovery, session, None) == ["after"]


def test_silence_longer_than_the_window_is_no_loss_for_a_client_that_is_there() -> None:
    recovery = past(window=120.0)
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    recovery.sweep(5000.0)
    recovery.lose(session, 5000.0)
    send(recovery, ("cars",), "at last", 5001.0)
    assert returned(recovery, session, None, 5002.0) == ["at last"]


def test_a_packet_for_two_rooms_of_a_client_comes_once() -> None:
    recovery = past()
    session = recovery.begin("ann", "secret")
    for room in ROOMS:
        recovery.join(session, room)
    send(recovery, ROOMS, "news")
    send(recovery, None, "to all")
    send(recovery, ("ann",), "to you")
    assert returned(recovery, session, None) == ["news", "to all", "to you"]


def test_what_was_sent_to_a_room_before_joining_or_after_leaving_is_not_missed() -> None:
    recovery = past()
    witness = recovery.begin("bob", "secret")
    recovery.join(witness, "cars")
    session = recovery.begin("ann", "secret")
    send(recovery, ("cars",), "too early")
    recovery.join(session, "cars")
    send(recovery, ("cars",), "in time")
    recovery.leave(session, "cars")
    send(recovery, ("cars",), "too late")
    assert returned(recovery, session, None) == ["in time"]


def test_a_client_does_not_get_what_it_was_left_out_of() -> None:
    recovery = past()
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    send(recovery, ("cars",), "by ann", skip=("ann",))
    send(recovery, ("cars",), "by bob")
    assert returned(recovery, session, None) == ["by bob"]


def test_of_conflated_packets_only_the_latest_comes() -> None:
    recovery = past(packets=2)
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    for state in range(100):
        send(recovery, ("cars",), f"report 7 is {state}", conflate="7")
    send(recovery, ("cars",), "report 8")
    assert returned(recovery, session, None) == ["report 7 is 99", "report 8"]


def test_a_ring_that_has_lost_a_packet_makes_a_fresh_client_not_a_gap() -> None:
    recovery = past(packets=2)
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    for text in ("one", "two", "three"):
        send(recovery, ("cars",), text)
    assert returned(recovery, session, None) is None
    assert len(recovery) == 0


def test_a_ring_is_bounded_in_bytes_too() -> None:
    recovery = past(bytes=1000)
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    first = send(recovery, ("cars",), "x" * 600)
    send(recovery, ("cars",), "y" * 600)
    assert returned(recovery, session, first) == ["y" * 600]
    third = send(recovery, ("cars",), "z" * 600)
    assert third != first
    assert returned(recovery, session, first) is None


def test_when_all_rings_take_too_much_the_one_silent_for_longest_is_emptied() -> None:
    recovery = past(bytes_in_all=3 * (1000 + OVERHEAD))
    silent, lively = recovery.begin("ann", "secret"), recovery.begin("bob", "secret")
    recovery.join(silent, "cars")
    recovery.join(lively, "boats")
    send(recovery, ("cars",), "x" * 900)
    for letter in "abc":
        send(recovery, ("boats",), letter * 900)
    assert returned(recovery, lively, None) == ["a" * 900, "b" * 900, "c" * 900]
    assert returned(recovery, silent, None) is None
    assert recovery.shelf.emptied == 1


def test_many_short_packets_are_bounded_too() -> None:
    recovery = past(bytes_in_all=100 * OVERHEAD)
    session = recovery.begin("ann", "secret")
    for number in range(1000):
        room = f"room {number}"
        recovery.join(session, room)
        send(recovery, (room,), "x")
    assert sum(len(ring.kept or ()) for ring in recovery._rings.values()) <= 100


def test_clients_that_are_gone_for_good_leave_no_packets_behind() -> None:
    recovery = past()
    session = recovery.begin("ann", "secret")
    recovery.join(session, "cars")
    send(recovery, ("cars", "ann"), "one")
    assert recovery.shelf.memory > 0
    recovery.end(session)
    assert recovery.shelf.memory == 0


def test_who_missed_more_than_can_be_sent_at_once_begins_anew() -> None:
    for size, comes in ((200, True), (300, False)):
        recovery = past(replay=2000)
        session = recovery.begin("ann", "secret")
        for room in ROOMS:
            recovery.join(session, room)
            send(recovery, (room,), "x" * size)
            send(recovery, (room,), "y" * size)
        assert (returned(recovery, session, None) is not None) == comes


def test_what_has_ended_stays_ended() -> None:
    recovery = past()
    session = recovery.begin("ann", "secret")
    recovery.end(session)
    recovery.end(session)
    recovery.lose(session, 0.0)
    assert (len(recovery), recovery.away) == (0, 0)


def test_nobody_returns_after_the_window() -> None:
    recovery = past(window=120.0)
    session = recovery.begin("ann", "secret")
    recovery.lose(session, 10.0)
    assert returned(recovery, session, None, 130.1) is None


def test_clients_that_stay_away_leave_nothing_behind() -> None:
    recovery = past(window=120.0)
    for name in ("ann", "bob"):
        session = recovery.begin(name, "secret")
        recovery.join(session, "cars")
        send(recovery, ("cars",), "x")
        recovery.leave(session, "cars")
        recovery.join(session, "cars")
        recovery.lose(session, 0.0)
    recovery.sweep(121.0)
    assert (len(recovery), recovery.away, recovery.wanted(("cars",))) == (0, 0, False)


def test_of_those_away_only_so_many_are_remembered() -> None:
    recovery = past(sessions=2)
    sessions = [recovery.begin(name, "secret") for name in ("ann", "bob", "cid")]
    for session in sessions:
        recovery.lose(session, 0.0)
    assert [returned(recovery, session, None) for session in sessions] == [None, [], []]


def test_only_the_right_secret_opens() -> None:
    recovery = past()
    recovery.lose(recovery.begin("ann", "secret"), 0.0)
    pids: list[object] = [
        "ann",
        "ann.",
        ".secret",
        "ann.secret2",
        "ann.secre",
        "bob.secret",
        "",
        7,
        None,
        {},
        "ann.\ud800",
        "x" * 9999,
    ]
    for pid in pids:
        assert recovery.find(pid, 0.0) is None, pid
    assert recovery.find("ann.secret", 0.0) is not None


def test_an_offset_that_nobody_was_given_makes_a_fresh_client() -> None:
    for offset in ("", "news", "e1.", "e1.-1", "e1.99", "e1.1.1", 7, ["e1.1"], "e1." + "9" * 5000):
        recovery = past()
        session = recovery.begin("ann", "secret")
        send(recovery, None, "one")
        found = recovery.find(session.pid, 0.0)
        assert found is not None
        assert recovery.resume(found, offset) is None, offset


def test_an_offset_left_over_from_an_earlier_session_counts_as_none() -> None:
    recovery = past()
    old = recovery.begin("old", "secret")
    leftover = send(recovery, None, "to the old one")
    recovery.end(old)
    session = recovery.begin("new", "secret")
    send(recovery, None, "to the new one")
    assert returned(recovery, session, leftover) == ["to the new one"]
    assert returned(recovery, session, "otherlife.5") == ["to the new one"]


def test_after_very_many_changes_of_rooms_a_client_without_offset_begins_anew() -> None:
    recovery = past()
    session = recovery.begin("ann", "secret")
    for number in range(MOST_LEFT + 1):
        recovery.join(session, "cars")
        send(recovery, ("cars",), str(number))
        recovery.leave(session, "cars")
    last = recovery.offset()
    assert session.left is not None
    assert len(session.left) == MOST_LEFT
    assert returned(recovery, session, last) == []
    assert session.left is None


class Lives:
    """One process after another. `files` is what was written down, each with what a new file begins with."""

    def __init__(self, **kept: Any) -> None:
        self.files: list[list[Record]] = []
        self.kept = RecoverySettings(**kept)
        self.recovery = self._begin()

    def _begin(self) -> Recovery:
        self.files.append([])
        name = f"life{len(self.files)}"
        return Recovery("/", self.kept, name, note=lambda record: self.files[-1].append(record))

    def settle(self) -> None:
        self.recovery.touch_blank()
        for session in list(self.recovery.changed.values()):
            self.recovery.settle(session)

    def next(self, now: float = 0.0) -> Recovery:
        """The process ends and another begins."""
        written = [json.loads(json.dumps(record)) for file in self.files for record in file]
        self.recovery = self._begin()
        for record in written:
            self.recovery.load(record, now)
        self.recovery.start(now)
        self.files[-1] = list(self.recovery.records())
        return self.recovery


def test_a_client_that_has_more_than_was_written_down_has_all_that_was() -> None:
    lives = Lives()
    session = lives.recovery.begin("ann", "secret")
    lives.settle()
    send(lives.recovery, None, "written")
    unwritten = send(lives.recovery, None, "unwritten")
    lives.files[-1].pop()
    again = lives.next()
    send(again, None, "with the number of the unwritten one")
    send(again, None, "next")
    assert returned(again, session, unwritten) == ["with the number of the unwritten one", "next"]


def test_an_offset_from_a_life_in_which_nothing_was_kept_means_what_it_said() -> None:
    lives = Lives()
    session = lives.recovery.begin("ann", "secret")
    lives.settle()
    send(lives.recovery, None, "one")
    second = lives.next()
    found = second.find(session.pid, 0.0)
    assert found is not None
    assert second.resume(found, None) is not None
    beside_volatile = second.offset()
    third = lives.next()
    send(third, None, "two")
    assert returned(third, session, beside_volatile) == ["two"]


def test_what_was_in_a_deleted_file_is_lost_and_what_came_after_is_not() -> None:
    lives = Lives()
    session = lives.recovery.begin("ann", "secret")
    lives.recovery.join(session, "cars")
    first = send(lives.recovery, ("cars",), "one")
    second = send(lives.recovery, ("cars",), "two")
    lives.settle()
    lives.files = [list(lives.recovery.records())]
    send(lives.recovery, ("cars",), "three")
    assert returned(lives.next(), session, second) == ["three"]
    assert returned(lives.next(), session, first) is None


def test_memberships_of_the_past_survive_a_restart() -> None:
    for changes in (1, MOST_LEFT + 1):
        lives = Lives()
        session = lives.recovery.begin("ann", "secret")
        for number in range(changes):
            lives.recovery.join(session, "cars")
            send(lives.recovery, ("cars",), str(number))
            lives.recovery.leave(session, "cars")
        lives.settle()
        again = lives.next()
        assert returned(again, session, None) == (["0"] if changes == 1 else None)


def test_the_window_goes_on_over_a_restart() -> None:
    lives = Lives(window=120.0)
    away, here = (lives.recovery.begin(name, "secret") for name in ("ann", "bob"))
    lives.recovery.lose(away, 0.0)
    lives.settle()
    again = lives.next(100.0)
    assert again.find(away.pid, 121.0) is None
    assert again.find(here.pid, 219.0) is not None
    assert again.find(here.pid, 221.0) is None


def test_a_newcomer_that_has_gained_nothing_is_not_in_a_hurry_to_be_written_down() -> None:
    lives = Lives()
    blank, joined = (lives.recovery.begin(name, "secret") for name in ("ann", "bob"))
    lives.recovery.join(joined, "cars")
    assert list(lives.recovery.changed) == ["bob"]
    assert not blank.recorded
    lives.settle()
    again = lives.next()
    assert [again.find(session.pid, 0.0) is not None for session in (blank, joined)] == [True, True]
    assert blank.recorded


def test_a_newcomer_that_has_ended_is_not_written_down() -> None:
    lives = Lives()
    lives.recovery.end(lives.recovery.begin("ann", "secret"))
    lives.settle()
    assert [record[0] for record in lives.files[-1]] == ["ended"]


def test_what_is_no_record_is_an_error() -> None:
    records: list[Record] = [(), ("packet",), ("session", "/", "ann"), ("base", "/", "7", {}, 0, {}), ("other", "/")]
    for record in records:
        with pytest.raises(ValueError, match="not a record"):
            past().load(record, 0.0)


@dataclass
class Browser:
    """A client: what it was sent and what arrived. `here` is what it believes, `wire` what is on its way."""

    name: str
    session: Session
    here: bool = True
    offset: str | None = None
    expected: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)
    wire: list[tuple[str, str]] = field(default_factory=list)


class Returns(RuleBasedStateMachine):
    """Clients come, join, lose their connection unseen, and return; the process is killed. What a client has received
    is at every moment a beginning of what it was to receive, or it was told that it is a new client.
    """

    @initialize(packets=st.sampled_from((3, 1000)), bytes_in_all=st.sampled_from((6 * (OVERHEAD + 16), 2**20)))
    def begin(self, packets: int, bytes_in_all: int) -> None:
        self.settings = RecoverySettings(window=100.0, packets=packets, bytes_in_all=bytes_in_all)
        self.now = 0.0
        self.lives = 0
        self.sent = 0
        self.fresh = 0
        self.complete = packets > 3 and bytes_in_all == 2**20
        """Nothing can have been dropped so far, so nobody may be sent away."""
        self.files: list[list[Record]] = []
        self.recovery = self.live()
        self.offsets: dict[str, str] = {}
        self.browsers = [Browser(name, self.recovery.begin(name, "s")) for name in ("ann", "bob", "cid")]

    def live(self) -> Recovery:
        self.lives += 1
        self.files.append([])
        return Recovery(
            "/", self.settings, f"e{self.lives}", wall=1e9, note=lambda record: self.files[-1].append(record)
        )

    @rule(who=st.integers(0, 2), room=st.sampled_from(ROOMS))
    def join_or_leave(self, who: int, room: str) -> None:
        browser = self.browsers[who]
        if browser.session.gone_at is not None:
            return
        if room in browser.session.rooms:
            self.recovery.leave(browser.session, room)
        else:
            self.recovery.join(browser.session, room)

    @rule(
        rooms=st.sampled_from((None, ("cars",), ("boats",), ROOMS, ("ann",))),
        skip=st.sampled_from(((), ("ann",), ("bob", "cid"))),
    )
    def emit(self, rooms: tuple[str, ...] | None, skip: tuple[str, ...]) -> None:
        self.sent += 1
        text = f"message {self.sent}"
        skipped = tuple(browser.session.id for browser in self.browsers if browser.name in skip)
        addressed = None if rooms is None else tuple(self.address(room) for room in rooms)
        offset = send(self.recovery, addressed, text, self.now, skip=skipped)
        self.offsets[text] = offset
        for browser in self.browsers:
            inside = rooms is None or browser.name in rooms or not browser.session.rooms.keys().isdisjoint(rooms)
            if inside and browser.name not in skip:
                browser.expected.append(text)
                browser.wire.append((text, offset))

    def address(self, room: str) -> str:
        return next((browser.session.id for browser in self.browsers if browser.name == room), room)

    @rule(who=st.integers(0, 2), count=st.integers(1, 5))
    def deliver(self, who: int, count: int) -> None:
        browser = self.browsers[who]
        if browser.here:
            arrived, browser.wire = browser.wire[:count], browser.wire[count:]
            for text, offset in arrived:
                browser.received.append(text)
                browser.offset = offset

    @rule(who=st.integers(0, 2), noticed=st.booleans())
    def drop(self, who: int, noticed: bool) -> None:
        browser = self.browsers[who]
        browser.here = False
        if noticed and browser.session.gone_at is None:
            self.recovery.lose(browser.session, self.now)

    @rule(who=st.integers(0, 2))
    def come_back(self, who: int) -> None:
        browser = self.browsers[who]
        if browser.here:
            return
        browser.here = True
        found = self.recovery.find(browser.session.pid, self.now)
        missed = None if found is None else self.recovery.resume(found, browser.offset)
        if found is None or missed is None:
            known = browser.session.recorded
            assert not (self.complete and known), "nothing was lost, yet the client was sent away"
            self.fresh += 1
            session = self.recovery.begin(f"{browser.name}{self.fresh}", "s")
            self.browsers[who] = Browser(browser.name, session, offset=browser.offset)
            return
        browser.session = found
        texts = [str(message) for kept in missed for message in messages(kept.outgoing)]
        browser.wire = [(text, self.offsets[text]) for text in texts]

    @rule(seconds=st.floats(0.0, 60.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.complete = False
        self.recovery.sweep(self.now)

    @rule()
    def begin_a_file(self) -> None:
        self.files.append(list(self.recovery.records()))

    @precondition(lambda self: len(self.files) > 1)
    @rule()
    def delete_a_file(self) -> None:
        del self.files[0]
        self.complete = False

    @rule(unwritten=st.integers(0, 4))
    def kill(self, unwritten: int) -> None:
        """The process ends; the last packets, if nobody waited for them, were not written down."""
        while unwritten and self.files[-1] and self.files[-1][-1][0] == "packet":
            text = self.files[-1].pop()[6][0]
            unwritten -= 1
            for browser in self.browsers:
                if text not in browser.received:
                    browser.expected = [expected for expected in browser.expected if expected != text]
        written = [json.loads(json.dumps(record)) for file in self.files for record in file]
        self.recovery = self.live()
        for record in written:
            self.recovery.load(record, self.now)
        self.recovery.start(self.now)
        self.files[-1] = list(self.recovery.records())
        for browser in self.browsers:
            browser.here = False
            browser.wire = []
            found = self.recovery.find(browser.session.pid, self.now)
            browser.session.gone_at = self.now
            browser.session = found or browser.session

    @rule()
    def write_down_newcomers(self) -> None:
        """Those too that have gained nothing yet; who comes back before this begins anew."""
        self.recovery.touch_blank()

    def note(self) -> None:
        for session in list(self.recovery.changed.values()):
            self.recovery.settle(session)

    @invariant()
    def who_is_here_is_written_down(self) -> None:
        if hasattr(self, "recovery"):
            self.note()

    @invariant()
    def what_is_kept_takes_no_more_than_it_may(self) -> None:
        if hasattr(self, "recovery"):
            sessions, rooms = self.recovery._sessions.values(), self.recovery._rings.values()
            rings = [self.recovery._everyone, *rooms, *(session.ring for session in sessions if session.ring)]
            assert sum(ring.memory for ring in rings) == self.recovery.shelf.memory <= self.settings.bytes_in_all

    @invariant()
    def nothing_is_missing_and_nothing_comes_twice(self) -> None:
        for browser in getattr(self, "browsers", ()):
            assert browser.received == browser.expected[: len(browser.received)]
            if browser.here:
                assert browser.received + [text for text, _ in browser.wire] == browser.expected


TestReturns = Returns.TestCase
TestReturns.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
