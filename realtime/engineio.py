"""PURE: Engine.IO v4, its packets and payloads, and the machine that says what a packet means to a session.

No clock, no loop, no socket: `now` is an argument, in seconds on a monotonic clock. A packet is text that begins with
its type, or bytes, which are a message (Engine.IO protocol, "Packet encoding").
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

OPEN: Final = "0"
CLOSE: Final = "1"
PING: Final = "2"
PONG: Final = "3"
MESSAGE: Final = "4"
UPGRADE: Final = "5"
NOOP: Final = "6"

PROBE: Final = "2probe"
PROBE_ANSWER: Final = "3probe"

PROTOCOL: Final = "4"
"""The value of `EIO` that is spoken here."""

_SEPARATOR = "\x1e"


class InvalidPacket(ValueError):
    """The client does not speak Engine.IO; str() is a fixed reason to count."""


class Refusal(StrEnum):
    """Why a request is refused, in the words that clients know (their codes are in REFUSAL_CODES)."""

    TRANSPORT = "Transport unknown"
    SESSION = "Session ID unknown"
    METHOD = "Bad handshake method"
    REQUEST = "Bad request"
    FORBIDDEN = "Forbidden"
    PROTOCOL = "Unsupported protocol version"


REFUSAL_CODES: Final = {refusal: code for code, refusal in enumerate(Refusal)}


def refusal_body(refusal: Refusal) -> bytes:
    return _json({"code": REFUSAL_CODES[refusal], "message": str(refusal)}).encode()


def open_packet(sid: str, upgrades: Sequence[str], interval: float, timeout: float, max_payload: int) -> str:
    """The handshake's answer; times are seconds here and whole milliseconds on the wire."""
    return f'{OPEN}{{"sid":{_json(sid)},{_terms(tuple(upgrades), interval, timeout, max_payload)}'


@lru_cache(maxsize=8)
def _terms(upgrades: tuple[str, ...], interval: float, timeout: float, max_payload: int) -> str:
    """What the handshake's answer says to everybody, without the brace before it."""
    return _json(
        {
            "upgrades": upgrades,
            "pingInterval": round(interval * 1000),
            "pingTimeout": round(timeout * 1000),
            "maxPayload": max_payload,
        }
    )[1:]


def decode_payload(body: bytes) -> list[str | bytes]:
    """The packets of a POST body. Raises InvalidPacket."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise InvalidPacket("invalid-text") from None
    return [_polled(packet) for packet in text.split(_SEPARATOR)]


def _polled(packet: str) -> str | bytes:
    if not packet.startswith("b"):
        return packet
    try:
        return binascii.a2b_base64(packet[1:], strict_mode=True)
    except ValueError:  # binascii.Error, or text that is not ASCII
        raise InvalidPacket("invalid-base64") from None


class State(StrEnum):
    """Where a session is. PROBING and PROBED still live on long-polling, with a WebSocket that may take over."""

    POLLING = "polling"
    PROBING = "probing"
    PROBED = "probed"
    WEBSOCKET = "websocket"
    CLOSED = "closed"


class Via(StrEnum):
    """How a packet came: in a POST, or over a WebSocket (the session's own or the one that wants to be)."""

    POST = "post"
    SOCKET = "socket"


class Action(StrEnum):
    """What has to be done about a packet."""

    DELIVER = "deliver"
    IGNORE = "ignore"
    PONGED = "ponged"
    END = "end"
    REFUSE = "refuse"
    ANSWER_PROBE = "answer-probe"
    COMPLETE_UPGRADE = "complete-upgrade"
    ABANDON_UPGRADE = "abandon-upgrade"


class Beat(StrEnum):
    """What the heart of a session asks for at some moment."""

    NOTHING = "nothing"
    PING = "ping"
    LATE = "late"


class Session:
    """The machine of one session: what packets and time do to it.

    `due` is when it next needs `beat`: to send a ping, or because the pong of the last one must be there by then.
    """

    __slots__ = ("_interval", "_pinged", "_timeout", "due", "round_trip", "sid", "state")

    def __init__(self, sid: str, state: State, interval: float, timeout: float, now: float) -> None:
        self.sid = sid
        self.state = state
        self.due = now + interval
        self.round_trip: float | None = None
        self._interval = interval
        self._timeout = timeout
        self._pinged: float | None = None

    @property
    def awaits_pong(self) -> bool:
        return self._pinged is not None

    def silence(self, now: float) -> float:
        """Seconds since the last pong, if the next one is being waited for; 0 while none is."""
        return 0.0 if self._pinged is None else now - self._pinged + self._interval

    def carries(self, packet: str | bytes, via: Via) -> bool:
        """Whether this is what nearly everything is, a message over the session's own WebSocket: `receive` would only
        say DELIVER, after a look at the table and the clock.
        """
        if via is not Via.SOCKET or self.state is not State.WEBSOCKET:
            return False
        return isinstance(packet, bytes) or packet[:1] == MESSAGE

    def receive(self, packet: str | bytes, via: Via, now: float) -> Action:
        """What `packet` means; the state is already the one after it."""
        kind = packet[:1] if isinstance(packet, str) else MESSAGE
        if kind == PING and packet == PROBE:
            kind = PROBE
        action, self.state = _TABLE.get((self.state, via, kind)) or _otherwise(self.state, via)
        return self._ponged(now) if action is Action.PONGED else action

    def beat(self, now: float) -> Beat:
        """What is due. After PING a ping has to be sent; after LATE the session is to be closed."""
        if now < self.due or self.state is State.CLOSED:
            return Beat.NOTHING
        if self._pinged is not None:
            return Beat.LATE
        # The client's time runs from when the ping was due, to the millisecond, unless we were held up for long.
        self._pinged = now
        self.due = (self.due if now - self.due < self._timeout / 2 else now) + self._timeout
        return Beat.PING

    def probe(self) -> bool:
        """A WebSocket wants to take over; False when the session has, or is getting, another one."""
        if self.state is not State.POLLING:
            return False
        self.state = State.PROBING
        return True

    def abandon(self) -> None:
        """The WebSocket that wanted to take over will not."""
        if self.state in (State.PROBING, State.PROBED):
            self.state = State.POLLING

    def close(self) -> None:
        self.state = State.CLOSED

    def _ponged(self, now: float) -> Action:
        if self._pinged is None:
            return Action.IGNORE  # nobody asked; it must not put off the next ping
        self.round_trip = now - self._pinged
        self._pinged = None
        self.due = now + self._interval
        return Action.PONGED


def _otherwise(state: State, via: Via) -> tuple[Action, State]:
    """What is in no row below: what nobody may send, or what comes too late."""
    if state is State.CLOSED:
        return Action.IGNORE, state
    if via is Via.SOCKET and state in (State.PROBING, State.PROBED):
        return Action.ABANDON_UPGRADE, State.POLLING  # long-polling goes on as if nothing had been
    if (via, state) in ((Via.SOCKET, State.POLLING), (Via.POST, State.WEBSOCKET)):
        return Action.IGNORE, state  # from the transport that the session has left
    return Action.REFUSE, state


_Rows = dict[tuple[State, Via, str], tuple[Action, State]]


def _living(state: State, via: Via) -> _Rows:
    """Rows of a transport that carries the session."""
    return {
        (state, via, MESSAGE): (Action.DELIVER, state),
        (state, via, PONG): (Action.PONGED, state),
        (state, via, CLOSE): (Action.END, state),
        (state, via, UPGRADE): (Action.IGNORE, state),
        (state, via, NOOP): (Action.IGNORE, state),
    }


_TABLE: _Rows = {
    **_living(State.POLLING, Via.POST),
    **_living(State.PROBING, Via.POST),
    **_living(State.PROBED, Via.POST),
    **_living(State.WEBSOCKET, Via.SOCKET),
    (State.PROBING, Via.SOCKET, PROBE): (Action.ANSWER_PROBE, State.PROBED),
    (State.PROBED, Via.SOCKET, UPGRADE): (Action.COMPLETE_UPGRADE, State.WEBSOCKET),
}


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
