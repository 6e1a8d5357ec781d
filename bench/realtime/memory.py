"""Resident memory per session: connected and idle, then with a user, a conversation and presence each."""

from __future__ import annotations

from typing import Any

from bench.realtime.crowd import Crowd
from bench.realtime.servers import Contestant, running

WARM = 50


async def per_session(contestant: Contestant, sessions: int, *, member: bool) -> float:
    """Bytes; a member's session has authenticated one user and joined a conversation of its own."""
    joining: dict[str, Any] = {"conversation": "room", "own": True} if member else {}
    async with running(contestant) as server:
        crowd = await Crowd.gather()
        try:
            await crowd.arrive(
                server.port, WARM, first=sessions, **joining
            )  # what is loaded at first use is not theirs
            before = await server.settled()
            await crowd.arrive(server.port, sessions, **joining)
            after = await server.settled()
            if lost := (await crowd.counted())["lost"]:
                raise SystemExit(f"{contestant.name}: {lost} of {sessions} sessions were lost")
            return (after - before) / sessions
        finally:
            await crowd.disband()
