"""A thousand clients at once: until all are connected, or connected, authenticated and members."""

from __future__ import annotations

from typing import Any

from bench.realtime.crowd import Crowd
from bench.realtime.servers import Contestant, running


async def storm(contestant: Contestant, sessions: int, *, member: bool) -> tuple[float, float]:
    """Wall seconds until all were there, and the server's CPU milliseconds for each."""
    joining: dict[str, Any] = {"conversation": "room", "own": True} if member else {}
    async with running(contestant) as server:
        crowd = await Crowd.gather()
        try:
            await crowd.arrive(server.port, 50, first=sessions, **joining)
            cpu = server.cpu()
            seconds = await crowd.arrive(server.port, sessions, at_once=sessions, **joining)
            return seconds, (server.cpu() - cpu) * 1e3 / sessions
        finally:
            await crowd.disband()
