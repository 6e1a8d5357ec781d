from __future__ import annotations

import json
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from realtime.engineio import Action, Beat, InvalidPacket, Session, State, Via, decode_payload, open_packet
from realtime.frames import Outgoing


def session(state: State = State.POLLING, *, interval: float = 25.0, timeout: float = 20.0) -> Session:
    return Session("id", state, interval, timeout, 1000.0)


def test_the_open_packet_says_times_in_whole_milliseconds() -> None:
    packet = open_packet("abc", ["websocket"], 0.3, 0.2, 1_000_000)
    assert packet == '0{"sid":"abc","upgrades":["websocket"],"pingInterval":300,"pingTimeout":200,"maxPayload":1000000}'
    assert json.loads(open_packet("abc", [], 25.0, 1.0015, 1)[1:])["pingTimeout"] == 1002


def test_a_payload_holds_packets_and_binary_messages_in_base64() -> None:
    assert decode_payload("4héllo\x1e2\x1ebAQIDBA==".encode()) == ["4héllo", "2", b"\x01\x02\x03\x04"]


@pytest.mark.parametrize("body", [b"\xff", b"bAQ", b"b!!!!", b"b\xc3\xa9", b"4a\x1ebA==="])
def test_what_is_not_text_or_base64_is_no_payload(body: bytes) -> None:
    with pytest.raises(InvalidPacket):
        decode_payload(body)


@given(st.lists(st.one_of(st.binary(), st.text(st.characters(exclude_characters="\x1e", codec="utf-8"))), min_size=1))
def test_what_is_sent_by_polling_is_what_is_read_from_it(messages: list[str | bytes]) -> None:
    expected = [f"4{message}" if isinstance(message, str) else message for message in messages]
    assert decode_payload(Outgoing(messages).payload) == expected


@given(st.binary())
def test_no_body_does_anything_but_parse_or_be_refused(body: bytes) -> None:
    try:
        packets = decode_payload(body)
    except InvalidPacket:
        return
    assert b"\x1e".join(p.encode() if isinstance(p, str) else b"b" + b64encode(p) for p in packets) == body


@pytest.mark.parametrize(
    ("packet", "action"),
    [
        ("4hello", Action.DELIVER),
        ("4", Action.DELIVER),
        (b"\x01", Action.DELIVER),
        (b"", Action.DELIVER),
        ("1", Action.END),
        ("5", Action.IGNORE),
        ("6", Action.IGNORE),
        ("0{}", Action.REFUSE),
        ("2", Action.REFUSE),
        ("2probe", Action.REFUSE),
        ("abc", Action.REFUSE),
        ("7", Action.REFUSE),
        ("", Action.REFUSE),
    ],
)
@pytest.mark.parametrize(("state", "via"), [(State.POLLING, Via.POST), (State.WEBSOCKET, Via.SOCKET)])
def test_a_packet_means_the_same_on_either_transport(
    packet: str | bytes, action: Action, state: State, via: Via
) -> None:
    it = session(state)
    assert it.receive(packet, via, 1000.0) is action
    assert it.state is state


def test_a_probe_is_answered_and_upgrade_completes_it() -> None:
    it = session()
    assert it.probe()
    assert it.receive("2probe", Via.SOCKET, 1000.0) is Action.ANSWER_PROBE
    assert it.receive("4on the way", Via.POST, 1000.0) is Action.DELIVER
    assert it.receive("5", Via.SOCKET, 1000.0) is Action.COMPLETE_UPGRADE
    assert it.state is State.WEBSOCKET
    assert it.receive("4late", Via.POST, 1000.0) is Action.IGNORE


@pytest.mark.parametrize(
    "packets", [["4hello"], ["5"], ["abc"], [b""], ["2"], ["2probe", "4hello"], ["2probe", "1"], ["2probe"] * 2]
)
def test_a_probe_that_says_anything_else_leaves_polling_as_it_was(packets: list[str | bytes]) -> None:
    it = session()
    it.probe()
    actions = [it.receive(packet, Via.SOCKET, 1000.0) for packet in packets]
    assert actions[-1] is Action.ABANDON_UPGRADE
    assert it.state is State.POLLING
    assert it.probe(), "and it may be tried again"


def test_a_session_has_one_candidate_at_a_time_and_none_after_the_upgrade() -> None:
    it = session()
    assert it.probe()
    assert not it.probe()
    it.receive("2probe", Via.SOCKET, 1000.0)
    it.receive("5", Via.SOCKET, 1000.0)
    assert not it.probe()
    it.abandon()
    assert it.state is State.WEBSOCKET


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("via", Via)
@pytest.mark.parametrize("packet", ["4", "4text", "", "2", "2probe", "3", "5", "x", b"", b"4"])
def test_what_needs_no_look_at_the_table_is_what_the_table_delivers(
    state: State, via: Via, packet: str | bytes
) -> None:
    machine = session(state)
    if machine.carries(packet, via):
        assert machine.receive(packet, via, 1000.0) is Action.DELIVER
        assert machine.state is state
    elif (state, via) == (State.WEBSOCKET, Via.SOCKET):
        assert machine.receive(packet, via, 1000.0) is not Action.DELIVER


def test_a_ping_is_due_after_the_interval_and_the_pong_after_the_timeout() -> None:
    it = session()
    assert it.beat(1024.999) is Beat.NOTHING
    assert it.beat(1025.0) is Beat.PING
    assert it.beat(1044.999) is Beat.NOTHING
    assert it.beat(1045.0) is Beat.LATE


def test_a_pong_gives_the_round_trip_and_the_next_ping_its_time() -> None:
    it = session()
    it.beat(1025.0)
    assert it.receive("3", Via.POST, 1025.25) is Action.PONGED
    assert it.round_trip == 0.25
    assert it.due == 1050.25


def test_a_pong_that_nobody_asked_for_puts_nothing_off() -> None:
    it = session()
    assert it.receive("3", Via.POST, 1010.0) is Action.IGNORE
    assert it.due == 1025.0
    assert it.round_trip is None


def test_the_pongs_time_runs_from_when_the_ping_was_due() -> None:
    it = session(interval=0.3, timeout=0.2)
    it.beat(1000.302)
    assert it.due == pytest.approx(1000.5)


def test_a_process_that_was_held_up_does_not_hold_it_against_its_clients() -> None:
    it = session()
    assert it.beat(1200.0) is Beat.PING
    assert it.due == 1220.0


def test_a_closed_session_does_nothing_any_more() -> None:
    it = session()
    it.close()
    assert it.receive("4hello", Via.POST, 1000.0) is Action.IGNORE
    assert it.receive("nonsense", Via.SOCKET, 1000.0) is Action.IGNORE
    assert it.beat(9999.0) is Beat.NOTHING
    assert not it.probe()
    it.abandon()
    assert it.state is State.CLOSED


class AnySession(RuleBasedStateMachine):
    """Whatever a client sends and whenever, the machine stays within what the protocol allows."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.it = Session("id", State.POLLING, 25.0, 20.0, 0.0)
        self.upgraded = False
        self.pinged_at: float | None = None

    @rule(packet=st.one_of(st.sampled_from(["1", "2", "2probe", "3", "4x", "5", "6", ""]), st.text(), st.binary()))
    def the_client_posts(self, packet: str | bytes) -> None:
        action = self.it.receive(packet, Via.POST, self.now)
        if self.upgraded or self.it.state is State.CLOSED:
            assert action is Action.IGNORE
        self._follow(action)

    @rule(packet=st.one_of(st.sampled_from(["1", "2probe", "3", "4x", "5", "6"]), st.text(), st.binary()))
    def the_client_sends_over_a_socket(self, packet: str | bytes) -> None:
        before = self.it.state
        action = self.it.receive(packet, Via.SOCKET, self.now)
        if action is Action.COMPLETE_UPGRADE:
            assert before is State.PROBED
            assert packet[:1] == "5"
            self.upgraded = True
        if action is Action.ABANDON_UPGRADE:
            assert self.it.state is State.POLLING
        if action is Action.DELIVER:
            assert self.upgraded
        self._follow(action)

    @rule()
    def a_socket_comes(self) -> None:
        free = self.it.state is State.POLLING
        assert self.it.probe() is free

    @rule()
    def the_candidate_goes(self) -> None:
        self.it.abandon()

    @rule(seconds=st.floats(0.0, 60.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        beat = self.it.beat(self.now)
        if beat is Beat.PING:
            assert self.pinged_at is None
            self.pinged_at = self.now
        elif beat is Beat.LATE:
            assert self.pinged_at is not None
            assert self.now - self.pinged_at >= 10.0, "it had at least half of its time"
            self.it.close()

    @precondition(lambda self: self.pinged_at is not None)
    @rule()
    def the_client_answers(self) -> None:
        self._follow(self.it.receive("3", Via.SOCKET if self.upgraded else Via.POST, self.now))

    def _follow(self, action: Action) -> None:
        if action is Action.PONGED:
            assert self.pinged_at is not None
            assert self.it.round_trip == self.now - self.pinged_at
            self.pinged_at = None
        elif action in (Action.END, Action.REFUSE):
            self.it.close()

    @invariant()
    def an_upgrade_is_never_undone(self) -> None:
        if self.upgraded:
            assert self.it.state in (State.WEBSOCKET, State.CLOSED)

    @invariant()
    def it_waits_for_a_pong_only_after_a_ping(self) -> None:
        assert self.it.awaits_pong is (self.pinged_at is not None)


TestAnySession = AnySession.TestCase
TestAnySession.settings = settings(max_examples=60, stateful_step_count=30)


def test_a_client_is_silent_from_its_last_pong_on_while_the_next_is_awaited() -> None:
    session = Session("sid", State.WEBSOCKET, 25.0, 60.0, 100.0)
    assert session.silence(124.0) == 0.0
    assert session.beat(125.0) is Beat.PING
    assert session.silence(131.0) == 31.0
    session.receive("3", Via.SOCKET, 132.0)
    assert session.silence(150.0) == 0.0
