"""A chat without a network: a core whose clients are lists, whose clock stands still, whose application is a function.

async with talk(persist=...) as talking:
    alice = await talking.member("u1", "7")
    answer = await alice.ask("send_message", {...})
    talking.pass_time(0.05)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from realtime.asking import Asked
from realtime.connection import Handshake
from realtime.core import Core
from realtime.hub import Hub
from realtime.settings import (
    AuthenticationSettings,
    ChatSettings,
    CoreSettings,
    HubSettings,
    OriginSettings,
    RecoverySettings,
)
from tests.realtime.wire import Wire, turns

Answer = tuple[int, list[tuple[str, str]], bytes]
Ask = Callable[[str, str, list[tuple[str, str]], bytes, Asked], Awaitable[Answer]]


def answer(document: Any = None, status: int = 200, **fields: str) -> Answer:
    """What an application answers; the names of fields have _ for -."""
    return status, [(name.replace("_", "-"), value) for name, value in fields.items()], json.dumps(document).encode()


class Talker(Wire):
    """One client. `events` are those it was sent so far, as (name, first argument)."""

    def __init__(self, hub: Hub, sid: str, headers: Mapping[str, str]) -> None:
        super().__init__(hub, sid)
        self.handshake = Handshake("/socket.io/", {"EIO": "4"}, dict(headers), "127.0.0.1", False, 0.0)
        self._asked = 0

    @property
    def events(self) -> list[tuple[str, Any]]:
        packets = [json.loads(m[1:]) for m in self.sent if isinstance(m, str) and m.startswith("2")]
        return [(event, arguments[0] if arguments else None) for event, *arguments in packets]

    def heard(self, event: str) -> list[Any]:
        """The first arguments of every such event so far."""
        return [payload for name, payload in self.events if name == event]

    @property
    def contents(self) -> list[str]:
        """The messages it was given, in order."""
        return [message["content"] for batch in self.heard("new_messages_batch") for message in batch]

    def emit(self, event: str, payload: Any = None) -> None:
        self.say("2" + json.dumps([event, payload]))

    def begin(self, event: str, payload: Any = None) -> int:
        """Emit, wanting an answer; the number of the question."""
        self._asked += 1
        self.say(f"2{self._asked}" + json.dumps([event, payload]))
        return self._asked

    def answered(self, number: int) -> Any:
        """The answer to a question, None when there is none yet."""
        prefix = f"3{number}["
        found = [m for m in self.sent if isinstance(m, str) and m.startswith(prefix)]
        return json.loads(found[0][len(prefix) - 1 :])[0] if found else None

    async def ask(self, event: str, payload: Any = None) -> Any:
        """Emit, and wait for the answer."""
        number = self.begin(event, payload)
        async with asyncio.timeout(5):
            while (found := self.answered(number)) is None:
                await asyncio.sleep(0)
        return found


class Talking:
    """A core and its clock."""

    def __init__(self, settings: CoreSettings, ask: Ask | None, **options: Any) -> None:
        self.seconds = 1000.0
        self.core = Core(settings, ask=ask, now=lambda: self.seconds, wall=lambda: 1_800_000_000.0, **options)
        self._count = 0

    def client(self, auth: Mapping[str, Any] | None = None, **headers: str) -> Talker:
        self._count += 1
        talker = Talker(self.core.hub, f"engine-{self._count}", headers)
        talker.enter(**(auth or {}))
        return talker

    async def member(self, user: str, *conversations: str, **options: Any) -> Talker:
        """A client that is authenticated and in the conversations."""
        talker = self.client(**options)
        assert (await talker.ask("authenticate", user))["ok"]
        for conversation in conversations:
            assert (await talker.ask("join_conversation", conversation))["ok"]
        return talker

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and happen what is due by then."""
        self.seconds += seconds
        self.core.chat.alarm.ring()
        await turns()


@asynccontextmanager
async def talk(
    ask: Ask | None = None,
    *,
    chat: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    auth: str = "trusted",
    recovery: RecoverySettings | None = None,
    **options: Any,
) -> AsyncIterator[Talking]:
    """`chat` and `origin` are members of the settings of these names; without `recovery` nothing is kept for those who
    return.
    """
    settings = CoreSettings(
        hub=HubSettings(recovery=recovery),
        chat=replace(ChatSettings(), **(chat or {})),
        origin=OriginSettings(**(origin or {})),
        authentication=AuthenticationSettings(kind=auth),  # type: ignore[arg-type]
    )
    talking = Talking(settings, ask, **options)
    try:
        yield talking
    finally:
        await talking.core.close()


def text(content: str, sender: str = "u1", conversation: str = "7", **more: Any) -> dict[str, Any]:
    """The payload of a send_message."""
    message = {"conversation_id": conversation, "sender_id": sender, "content": content, "message_type": "text"}
    return message | more
