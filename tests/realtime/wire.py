"""An Engine.IO session without Engine.IO: what the hub sends is a list, what the client says is a call."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from typing import Any, Literal

from realtime.connection import Handshake
from realtime.frames import Outgoing
from realtime.hub import Hub
from realtime.multicast import Destination

HANDSHAKE = Handshake(path="/socket.io/", query={"EIO": "4"}, headers={}, peer="127.0.0.1", secure=False, at=0.0)


class Wire:
    """A connection to `hub`. `sent` are the Engine.IO messages the client would have got so far, in order."""

    transport: Literal["polling", "websocket"] = "websocket"
    round_trip: float | None = None
    queued = 0
    destination: Destination | None = None

    def __init__(self, hub: Hub, sid: str = "engine") -> None:
        self.sid = sid
        self.handshake = HANDSHAKE
        self.sent: list[str | bytes] = []
        self.outgoing: list[Outgoing] = []
        self.rests: list[float] = []
        self.closed: str | None = None
        self._receiver = hub.opened(self)

    def send(self, outgoing: Outgoing) -> None:
        if self.closed is None:
            self.outgoing.append(outgoing)
            self.sent.extend(messages(outgoing))

    def rest(self, until: float) -> None:
        self.rests.append(until)

    def entered(self) -> None:
        """The hub has let the client in."""

    def close(self, reason: str = "server-close") -> None:
        if self.closed is None:
            self.closed = reason
            asyncio.get_running_loop().call_soon(self._receiver.closed, reason)

    def drop(self) -> None:
        """The network fails, and the server notices."""
        self.close("transport-close")

    def say(self, *messages: str | bytes) -> None:
        """The client sends these."""
        for message in messages:
            self._receiver.received(message)

    def taken(self) -> list[str | bytes]:
        """What was sent since the last look."""
        sent, self.sent = self.sent, []
        return sent

    @staticmethod
    def payload(message: str | bytes) -> Any:
        """The JSON of a packet of the namespace /."""
        assert isinstance(message, str)
        return json.loads(message.lstrip("0123456789"))

    @staticmethod
    def event(message: str | bytes) -> list[Any]:
        """The name and the arguments of an event."""
        assert str(message).startswith("2"), message
        arguments = Wire.payload(message)
        assert isinstance(arguments, list)
        return arguments

    def enter(self, namespace: str = "/", **auth: Any) -> dict[str, Any]:
        """Connect to a namespace; the payload of the server's answer. Packets before and after it stay in `sent`."""
        prefix = "" if namespace == "/" else f"{namespace},"
        self.say(f"0{prefix}{json.dumps(auth) if auth else ''}")
        return self.welcomed(namespace)

    def welcomed(self, namespace: str = "/") -> dict[str, Any]:
        """The payload of the server's answer to a CONNECT, which it has given by now."""
        prefix = "" if namespace == "/" else f"{namespace},"
        answer = next(m for m in self.sent if isinstance(m, str) and m.startswith(f"0{prefix}"))
        self.sent.remove(answer)
        payload: dict[str, Any] = json.loads(answer[1 + len(prefix) :])
        return payload


def messages(outgoing: Outgoing) -> list[str | bytes]:
    """What an Engine.IO client makes of it (by the encoding of long-polling)."""
    packets = outgoing.payload.split(b"\x1e")
    return [b64decode(packet[1:]) if packet.startswith(b"b") else packet[1:].decode() for packet in packets]


async def turns(count: int = 5) -> None:
    """Let the loop do what is ready, and what becomes ready by that."""
    for _ in range(count):
        await asyncio.sleep(0)
