"""What one delivered message costs the server, and how long it takes, in one conversation of five hundred."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.realtime.crowd import Crowd, admitted
from bench.realtime.servers import Contestant, Server, running
from bench.realtime.wire import Counter, Session, content, number_and_age

CONVERSATION = "plaza"
SUBSCRIBERS = 500
SENDERS = 10
PROBES = 5


@dataclass(frozen=True)
class FanOut:
    """One run. Times in seconds; `ages` are sorted."""

    cpu: float
    deliveries: int
    expected: int
    ages: Sequence[float]
    received: int
    batch: float
    """Messages that came together, on average."""

    @property
    def micros(self) -> float:
        """CPU microseconds of the server per delivered message."""
        return self.cpu * 1e6 / max(1, self.deliveries)

    def age(self, share: float) -> float:
        """The quantile of the probes' latencies, milliseconds."""
        return self.ages[min(len(self.ages) - 1, int(share * len(self.ages)))] * 1e3 if self.ages else float("nan")


class Plaza:
    """A conversation of 500: a crowd that counts, ten members that send, five that look at the clock."""

    def __init__(self, server: Server, crowd: Crowd) -> None:
        self._server = server
        self._crowd = crowd
        self._senders: list[Session] = []
        self._counter = Counter()
        self._ages: list[float] = []
        self._probed = 0
        self._batches = 0
        self._number = 0

    async def fill(self) -> None:
        port = self._server.port
        others = SENDERS + PROBES
        await self._crowd.arrive(port, SUBSCRIBERS - others, first=others, conversation=CONVERSATION)
        self._senders = [await admitted(port, number, conversation=CONVERSATION) for number in range(SENDERS)]
        for sender in self._senders:
            sender.count(self._counter)
        for number in range(SENDERS, others):
            (await admitted(port, number, conversation=CONVERSATION)).heard = self._heard

    async def talk(self, rate: float, seconds: float, *, patience: float = 60.0) -> FanOut:
        """Send evenly for so long; measured until all is delivered, or nothing more comes."""
        self._ages, self._batches = [], 0
        count = int(rate * seconds)
        before, bytes_before = await self._delivered()
        cpu = self._server.cpu()
        await self._send(rate, count)
        expected = count * SUBSCRIBERS
        deliveries, received = await self._arrived(before + expected, patience)
        spent = self._server.cpu() - cpu
        batch = len(self._ages) / max(1, self._batches)
        return FanOut(spent, deliveries - before, expected, sorted(self._ages), received - bytes_before, batch)

    async def _send(self, rate: float, count: int) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for step in range(count):
            wait = began + step / rate - loop.time()
            if wait > 0:
                await asyncio.sleep(wait)
            self._number += 1
            number = self._number % SENDERS
            self._senders[number].emit("send_message", message(number, CONVERSATION, self._number))

    async def _arrived(self, goal: int, patience: float) -> tuple[int, int]:
        """Until the goal, or until nothing has come for three seconds, or patience ends."""
        loop = asyncio.get_running_loop()
        end, seen, quiet = loop.time() + patience, (0, 0), 0
        while seen[0] < goal and loop.time() < end and quiet < 30:
            await asyncio.sleep(0.1)
            now = await self._delivered()
            quiet = quiet + 1 if now == seen else 0
            seen = now
        return seen

    async def _delivered(self) -> tuple[int, int]:
        crowd = await self._crowd.counted()
        return (
            crowd["messages"] + self._counter.messages + self._probed,
            crowd["bytes"] + self._counter.bytes,
        )

    def _heard(self, _: Session, event: str, args: list[Any]) -> None:
        if event not in ("new_message", "new_messages_batch"):
            return
        messages = args[0] if isinstance(args[0], list) else [args[0]]
        self._probed += len(messages)
        self._batches += 1
        self._ages.extend(number_and_age(found["content"])[1] for found in messages)


def message(sender: int, conversation: str, number: int) -> dict[str, Any]:
    return {
        "conversation_id": conversation,
        "sender_id": f"u{sender}",
        "content": content(number),
        "message_type": "text",
    }


@asynccontextmanager
async def plaza(contestant: Contestant) -> AsyncIterator[Plaza]:
    """Filled, and warmed up for two seconds."""
    async with running(contestant) as server:
        crowd = await Crowd.gather()
        try:
            place = Plaza(server, crowd)
            await place.fill()
            await place.talk(20, 2)
            yield place
        finally:
            await crowd.disband()
