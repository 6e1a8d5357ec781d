"""How long a message of a quiet conversation is under way: many of them side by side, one message a second each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bench.realtime.crowd import admitted
from bench.realtime.fan_out import message
from bench.realtime.servers import Contestant, running
from bench.realtime.wire import Session, number_and_age

CONVERSATIONS = 40


async def quiet(contestant: Contestant, seconds: int) -> Sequence[float]:
    """Sorted seconds from send to the other member's receipt."""
    ages: list[float] = []

    def heard(_: Session, event: str, args: list[Any]) -> None:
        if event in ("new_message", "new_messages_batch"):
            first = args[0][0] if isinstance(args[0], list) else args[0]
            ages.append(number_and_age(first["content"])[1])

    async with running(contestant) as server:
        senders = []
        for number in range(CONVERSATIONS):
            name = f"quiet-{number}"
            senders.append(await admitted(server.port, 2 * number, conversation=name))
            (await admitted(server.port, 2 * number + 1, conversation=name)).heard = heard
        loop = asyncio.get_running_loop()
        began = loop.time()
        for step in range(seconds * CONVERSATIONS):
            await asyncio.sleep(max(0.0, began + step / CONVERSATIONS - loop.time()))
            number = step % CONVERSATIONS
            senders[number].emit("send_message", message(2 * number, f"quiet-{number}", step))
        await asyncio.sleep(1)
        for sender in senders:
            sender.kill()
    return sorted(ages[CONVERSATIONS:])  # the first round warms up


def quantile(values: Sequence[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else float("nan")
