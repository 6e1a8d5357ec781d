"""What the sender of a message is told when the application is away: whether it may have been saved all the same."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.live import connected, member, message
from tests.origin import Script, ScriptedOrigin, Wire, hang_up, head, raw, reply, reset, silence, steps

SHORT: dict[str, Any] = {"auth": "trusted", "origin": {"persist": "/messages", "patience": "300ms"}}


async def told(edge: EdgeUnderTest) -> dict[str, Any]:
    """What becomes of a message."""
    async with connected(f"http://{edge.host}") as anna:
        await member(anna, "u1", "c1")
        answer: dict[str, Any] = await anna.ask("send_message", message("c1", "u1", "lost?"))
        return answer


def was_not_sent(answer: dict[str, Any]) -> None:
    assert answer["reason"] == "origin-away"
    assert "may_be_kept" not in answer
    assert answer["error"].endswith("Try again.")


def may_have_been(answer: dict[str, Any]) -> None:
    assert (answer["reason"], answer["may_be_kept"]) == ("origin-away", True)


@pytest.mark.parametrize("patience", ["300ms", 0])
async def test_where_every_connection_was_refused_nothing_was_saved(origin: ScriptedOrigin, patience: Any) -> None:
    asks = SHORT | {"origin": SHORT["origin"] | {"patience": patience}}
    async with edge_before(origin, realtime=asks) as edge:
        await origin.stop()
        was_not_sent(await told(edge))


async def test_where_an_idle_connection_was_closed_before_nothing_was_saved(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, realtime=SHORT) as edge:
        await edge.get("/a")
        assert edge.app.origin.health.idle_connections == 1
        await origin.stop()
        was_not_sent(await told(edge))


async def test_where_the_name_is_not_known_nothing_was_saved(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async with edge_before(origin, realtime=SHORT) as edge, connected(f"http://{edge.host}") as anna:
        await member(anna, "u1", "c1")
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", unknown)
        was_not_sent(await anna.ask("send_message", message("c1", "u1", "lost?")))
        monkeypatch.undo()


@pytest.mark.parametrize("bound", ["patience", "timeout", "connect"])
async def test_where_no_connection_came_about_in_time_nothing_was_saved(
    origin: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    origin_of_core = SHORT["origin"] | ({"timeout": "100ms"} if bound == "timeout" else {})
    connect = {"connect_timeout": "100ms"} if bound == "connect" else {}
    async with (
        edge_before(origin, origin=connect, realtime=SHORT | {"origin": origin_of_core}) as edge,
        connected(f"http://{edge.host}") as anna,
    ):
        await member(anna, "u1", "c1")
        monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", never)
        was_not_sent(await anna.ask("send_message", message("c1", "u1", "lost?")))
        monkeypatch.undo()


async def test_where_no_connection_was_free_nothing_was_saved(origin: ScriptedOrigin) -> None:
    origin.on("/slow", silence())
    async with edge_before(origin, origin={"max_connections": 1}, realtime=SHORT) as edge:
        slow = asyncio.ensure_future(edge.get("/slow"))
        await origin.until_asked("/slow")
        was_not_sent(await told(edge))
        slow.cancel()
    assert origin.count("/messages") == 0


async def keep_and_break_off(wire: Wire) -> None:
    await wire.read_body()
    wire.reset()


@pytest.mark.parametrize(
    "script",
    [
        silence(), hang_up(), reset(), keep_and_break_off, reply(500), reply(503), raw(b"nonsense\r\n\r\n"),
        steps(raw(head(201, {"Content-Length": "5"}), b"ab"), hang_up()),
    ],
)  # fmt: skip
async def test_where_a_request_may_have_arrived_it_may_have_been(origin: ScriptedOrigin, script: Script) -> None:
    origin.on("/messages", script)
    async with edge_before(origin, realtime=SHORT) as edge:
        may_have_been(await told(edge))


async def test_refused_connections_after_a_request_that_was_not_answered_settle_nothing(
    origin: ScriptedOrigin,
) -> None:
    async def last(wire: Wire) -> None:
        await wire.read_body()
        wire.reset()
        stopping.append(asyncio.ensure_future(origin.stop()))

    stopping: list[asyncio.Future[None]] = []
    origin.on("/messages", last)
    time_to_ask_again = SHORT | {"origin": SHORT["origin"] | {"patience": "2s"}}
    async with edge_before(origin, realtime=time_to_ask_again) as edge:
        may_have_been(await told(edge))
        await asyncio.gather(*stopping)
        assert origin.count("/messages") == 1
        assert edge.app.origin.health.connect_errors > 0
