"""PURE Socket.IO v5: packets, the decoder that waits for attachments, and which namespaces a client is in.

No clock, no loop, no randomness; what a packet means for an application is the hub's business. A client that breaks the
protocol gets Malformed, whose reason is one of a fixed few; such a connection is closed, as the reference server does.
Source: the Socket.IO protocol document, revision 5.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from enum import IntEnum
from typing import Any, Final, Generic, NamedTuple, NoReturn, TypeVar

MOST_DEPTH: Final = 100
MOST_CONTAINERS: Final = 20_000
"""Brackets in one packet: each is an object to make and to walk, up to a microsecond for a byte."""
MOST_NAMESPACE: Final = 200
"""Characters. No application has longer names, and every answer to an unknown one repeats it."""
LARGEST_ID: Final = 2**53
"""JavaScript counts acknowledgements with doubles: larger ids are no longer distinct there."""

TOO_LARGE: Final = "attachments-too-large"
"""The reason of a Malformed that is about nothing but size."""

RESERVED: Final = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Events that mean something to the libraries on both sides and so cannot be sent."""

Message = str | bytes
"""The data of one Engine.IO message packet."""

T = TypeVar("T")


class Kind(IntEnum):
    """Packet types, by their digit on the wire."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class Malformed(Exception):
    """The client broke the protocol; the connection is of no further use. `reason` is for counting."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotConnected(Malformed):
    """A packet for a namespace that the client is not in."""

    def __init__(self, namespace: str) -> None:
        super().__init__("not-connected")
        self.namespace = namespace


class ConnectedTwice(Malformed):
    """A CONNECT for a namespace that the client has asked for before."""

    def __init__(self, packet: Packet) -> None:
        super().__init__("connected-twice")
        self.packet = packet


class Packet(NamedTuple):
    """One whole packet. `data` is a list for events and acks; binary kinds have become EVENT and ACK."""

    kind: Kind
    namespace: str
    data: Any = None
    id: int | None = None


def connected(namespace: str, payload: dict[str, Any]) -> str:
    """The server's answer to CONNECT; `payload` is {"sid": ...} and, where sessions may recover, {"pid": ...}."""
    return f"0{_prefix(namespace)}{_text(payload)}"


def refused(namespace: str, message: str, data: Any = None) -> str:
    """CONNECT_ERROR; `data` is left out when None. Raises what `event` raises."""
    payload = {"message": message} if data is None else {"message": message, "data": data}
    return f"4{_prefix(namespace)}{_text(payload)}"


def disconnected(namespace: str) -> str:
    """The server throws the client out of a namespace; the reference client then does not reconnect."""
    return f"1{_prefix(namespace)}"


def event(namespace: str, arguments: Sequence[Any], id: int | None = None) -> tuple[Message, ...]:  # noqa: A002 - the protocol's word
    """The messages of an event; `arguments` begins with its name. Bytes anywhere in them become attachments.

    Raises ValueError (NaN, Infinity, a cycle, nested too deeply) or TypeError for what JSON has no word for.
    """
    return _packet("2", "5", namespace, arguments, id)


def ack(namespace: str, arguments: Sequence[Any], id: int) -> tuple[Message, ...]:  # noqa: A002 - the protocol's word
    """The messages of an acknowledgement. Raises what `event` raises."""
    return _packet("3", "6", namespace, arguments, id)


class Client(Generic[T]):
    """What one Engine.IO session has said so far: the packet whose attachments are awaited, and its namespaces.

    `namespaces` maps each namespace that the client has asked for to what the layer above keeps for it; None while
    that layer has not yet answered the CONNECT.
    """

    __slots__ = ("_attached", "_attachments", "_head", "namespaces")

    def __init__(self) -> None:
        self.namespaces: dict[str, T | None] = {}
        self._head: _Head | None = None
        self._attachments: list[bytes] | None = None
        self._attached = 0  # bytes of them

    def receive(self, message: Message, most_attachments: int = 10, most_attached: float = math.inf) -> Packet | None:
        """Take one message; the packet it completes, or None while attachments are missing. Raises Malformed.

        `most_attached` bytes may a packet's attachments have together.
        """
        if isinstance(message, str) and self._head is None and self.namespaces.get("/") is not None:
            event = _plain_event(message)
            if event is not None:
                return event
        packet = self._decode(message, most_attachments, most_attached)
        if packet is not None:
            self._check(packet)
        return packet

    def _decode(self, message: Message, most_attachments: int, most_attached: float) -> Packet | None:
        if isinstance(message, bytes):
            return self._attach(message, most_attached)
        if self._head is not None:
            raise Malformed("attachment-missing")
        head = _parse(message, most_attachments)
        if head.attachments == 0:
            return head.packet
        self._head, self._attachments, self._attached = head, [], 0
        return None

    def _attach(self, content: bytes, most: float) -> Packet | None:
        head, attachments = self._head, self._attachments
        if head is None or attachments is None:
            raise Malformed("attachment-unannounced")
        self._attached += len(content)
        if self._attached > most:
            raise Malformed(TOO_LARGE)
        attachments.append(content)
        if len(attachments) < head.attachments:
            return None
        self._head = self._attachments = None
        packet = head.packet
        return Packet(packet.kind, packet.namespace, _rejoin(packet.data, attachments), packet.id)

    def _check(self, packet: Packet) -> None:
        """Which packets may come when: CONNECT once per namespace, DISCONNECT after it, and everything else only after
        its answer.
        """
        if packet.kind is Kind.CONNECT:
            if packet.namespace in self.namespaces:
                raise ConnectedTwice(packet)
            self.namespaces[packet.namespace] = None
        elif packet.kind is Kind.DISCONNECT and packet.namespace in self.namespaces:
            pass
        elif packet.kind is Kind.CONNECT_ERROR:
            raise Malformed("packet-type")
        elif self.namespaces.get(packet.namespace) is None:
            raise NotConnected(packet.namespace)
        # What belongs to the namespace is still needed for the goodbye of a DISCONNECT: `leave` is the hub's to call.

    def enter(self, namespace: str, occupant: T) -> None:
        """The CONNECT is answered with yes."""
        self.namespaces[namespace] = occupant

    def leave(self, namespace: str) -> None:
        """The CONNECT was answered with no, or one side has ended it; the client may ask again."""
        self.namespaces.pop(namespace, None)


# Reading


class _Head(NamedTuple):
    packet: Packet
    attachments: int


_PLAIN_EVENT = re.compile(r"2([0-9]{0,15})\[", re.ASCII)
_HEAD = re.compile(r"([0-6])(?:([0-9]{1,9})-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)", re.ASCII)
_KINDS = {str(int(kind)): kind for kind in Kind}
_PLACEHOLDER = "_placeholder"
_NESTING = frozenset({list, dict})


def _plain_event(text: str) -> Packet | None:
    """An event without attachments in the main namespace: most of the traffic, by the shortest way.

    None for everything else, and for whatever is wrong: `_parse` looks at it again and says what it is.
    """
    match = _PLAIN_EVENT.match(text)
    if match is None or text.count("[") + text.count("{") > MOST_DEPTH:
        return None
    number = match[1]
    try:
        data, end = _READER.raw_decode(text, match.end(1))
    except (ValueError, RecursionError):
        return None
    if end != len(text) or not data or type(data[0]) is not str or data[0] in RESERVED:
        return None
    return Packet(Kind.EVENT, "/", data, int(number) if number else None)


def _parse(text: str, most_attachments: int) -> _Head:
    """The grammar: <type>[<attachments>-][<namespace>,][<id>][<JSON>]."""
    match = _HEAD.match(text)
    if match is None:
        raise Malformed("packet-type")
    digit, count, namespace, number = match.groups()
    kind = _KINDS[digit]
    binary = kind in (Kind.BINARY_EVENT, Kind.BINARY_ACK)
    if binary != (count is not None):
        raise Malformed("attachment-count")
    attachments = int(count) if binary else 0
    if attachments > most_attachments:
        raise Malformed("attachment-count")
    if namespace is not None and len(namespace) > MOST_NAMESPACE:
        raise Malformed("namespace")
    rest = text[match.end() :]
    data = _value(rest) if rest else None
    if binary:
        kind = Kind.EVENT if kind is Kind.BINARY_EVENT else Kind.ACK
        if attachments == 0:
            data = _rejoin(data, [])
    packet = Packet(kind, namespace or "/", data, _id(number))
    if not _fits(packet, bool(rest)):
        raise Malformed("payload")
    return _Head(packet, attachments)


def _id(number: str) -> int | None:
    if not number:
        return None
    if len(number) > 16 or int(number) > LARGEST_ID:
        raise Malformed("ack-id")
    return int(number)


def _fits(packet: Packet, has_data: bool) -> bool:
    """Whether the payload is of the shape that its kind of packet has."""
    data = packet.data
    match packet.kind:
        case Kind.CONNECT:
            return not has_data or isinstance(data, dict)
        case Kind.DISCONNECT:
            return not has_data
        case Kind.CONNECT_ERROR:
            return isinstance(data, dict | str)
        case Kind.ACK:
            return isinstance(data, list) and packet.id is not None
    # The reference parser takes numbers for names too; true and false are numbers only to Python.
    return isinstance(data, list) and bool(data) and _is_name(data[0])


def _is_name(name: Any) -> bool:
    if isinstance(name, str):
        return name not in RESERVED
    return isinstance(name, int | float) and not isinstance(name, bool)


def _value(text: str) -> Any:
    brackets = text.count("[") + text.count("{")
    if brackets > MOST_CONTAINERS:
        raise Malformed("containers")
    try:
        value = _READER.decode(text)
    except (ValueError, RecursionError):
        raise Malformed("json") from None
    # Counting brackets is cheap and nearly always enough; only the rare many-bracketed text is walked.
    if brackets > MOST_DEPTH and _too_deep(value):
        raise Malformed("depth")
    return value


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [child for parent in level for child in _children(parent) if type(child) in (dict, list)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    return value.values() if type(value) is dict else value if type(value) is list else ()


def _not_a_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError("a number too large to be sent on")
    return value


_READER = json.JSONDecoder(parse_constant=_not_a_number, parse_float=_finite)


def _rejoin(data: Any, attachments: list[bytes]) -> Any:
    """Put the attachments in the places of their placeholders. Each must be wanted, and there must be no other."""
    used: set[int] = set()
    joined = _replace(data, attachments, used)
    if len(used) != len(attachments):
        raise Malformed("attachment-count")
    return joined


def _replace(value: Any, attachments: list[bytes], used: set[int]) -> Any:
    if type(value) is list:
        return [_replace(item, attachments, used) if type(item) in _NESTING else item for item in value]
    if type(value) is not dict:
        return value
    if value.get(_PLACEHOLDER) is not True:
        return {
            key: _replace(item, attachments, used) if type(item) in _NESTING else item for key, item in value.items()
        }
    number = value.get("num")
    if type(number) is not int or not 0 <= number < len(attachments):
        raise Malformed("placeholder")
    used.add(number)
    return attachments[number]


# Writing


class _HasBytes(Exception):
    """JSON has no word for bytes: the packet needs attachments."""


def _refuse_bytes(value: Any) -> NoReturn:
    if isinstance(value, bytes | bytearray | memoryview):
        raise _HasBytes
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _writer(default: Callable[[Any], Any], ensure_ascii: bool = False) -> json.JSONEncoder:
    return json.JSONEncoder(
        separators=(",", ":"), ensure_ascii=ensure_ascii, allow_nan=False, default=default, check_circular=True
    )


_WRITER = _writer(_refuse_bytes)


def _prefix(namespace: str) -> str:
    return "" if namespace == "/" else f"{namespace},"


def _packet(plain: str, binary: str, namespace: str, data: Sequence[Any], number: int | None) -> tuple[Message, ...]:
    middle = f"{_prefix(namespace)}{'' if number is None else number}"
    try:
        return (f"{plain}{middle}{_text(data)}",)
    except _HasBytes:
        attachments: list[bytes] = []
        text = _text(data, _writer(_detaching(attachments)), _writer(_detaching([]), ensure_ascii=True))
        return (f"{binary}{len(attachments)}-{middle}{text}", *attachments)


def _detaching(attachments: list[bytes]) -> Callable[[Any], Any]:
    def detach(value: Any) -> Any:
        if not isinstance(value, bytes | bytearray | memoryview):
            _refuse_bytes(value)
        attachments.append(bytes(value))
        return {_PLACEHOLDER: True, "num": len(attachments) - 1}

    return detach


def _text(data: Any, writer: json.JSONEncoder = _WRITER, escaping: json.JSONEncoder | None = None) -> str:
    try:
        text = writer.encode(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            # Half of a surrogate pair exists in JavaScript and in JSON escapes, never in UTF-8.
            return (escaping or _writer(_refuse_bytes, ensure_ascii=True)).encode(data)
    return text
