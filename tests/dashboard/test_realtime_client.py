"""The realtime page and the real socket.io-client: what it reports is seen, and what an operator does is felt."""

from __future__ import annotations

from typing import Any

import aiohttp

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import ScriptedOrigin
from tests.socketio_client import run


async def test_a_client_is_seen_made_to_come_back_and_sent_away() -> None:
    async with (
        ScriptedOrigin() as origin,
        edge_before(origin, realtime={"auth": "trusted"}) as edge,
        aiohttp.ClientSession() as session,
    ):
        admin = f"http://{edge.app.admin_address}"

        async def sid() -> str:
            async with session.get(f"{admin}/api/realtime/sessions?q=u1") as answer:
                (row,) = (await answer.json())["sessions"]
                return str(row["sid"])

        async def look() -> None:
            async with session.get(f"{admin}/realtime") as answer:
                page = await answer.text()
            assert "1 of 1 sessions do" in page
            assert '<dd id="reported-p50">88 ms</dd>' in page
            async with session.get(f"{admin}/realtime/sessions/{await sid()}") as answer:
                page = await answer.text()
            for shown in ("<code>u1</code>", "<code>7</code>", "127.0.0.1", "<dd>12</dd>"):
                assert shown in page

        async def act(action: str) -> None:
            async with session.post(f"{admin}/realtime/sessions/{await sid()}/{action}") as answer:
                assert answer.status == 200

        steps: dict[str, Any] = {
            "look": look,
            "make it reconnect": lambda: act("reconnect"),
            "disconnect": lambda: act("disconnect"),
        }
        await run(
            "an_operator_makes_a_client_come_back_and_sends_it_away_for_good",
            f"http://{edge.host}",
            **steps,
        )
        await _told(edge)


async def _told(edge: EdgeUnderTest) -> None:
    events = edge.app.control_room.timeline.events(kind="realtime")
    assert [event.text for event in events] == [
        "a session was disconnected for good",
        "a session was made to reconnect",
    ]
    assert edge.app.realtime is not None
    closed = edge.app.realtime.core.stats.sessions_closed
    assert closed["reconnect"] == 1
