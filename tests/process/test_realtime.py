"""The demonstration's chat, as processes: it works, the edge is killed and comes back, nothing is lost on the way."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.live import connected, member, message
from tests.origin import ScriptedOrigin, head, raw, steps, when
from tests.process.edge_process import EdgeProcess, demonstrating, serving
from tests.socketio_client import run

PATIENT = {"listen": "127.0.0.1:0", "drain_timeout": "60s"}


@pytest.fixture
async def edge(tmp_path: Path) -> AsyncIterator[EdgeProcess]:
    async with demonstrating(tmp_path) as edge:
        yield edge


async def history(edge: EdgeProcess, conversation: str) -> list[Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{edge.url}/api/chat/messages/{conversation}?per_page=5") as response,
    ):
        return list((await response.json())["messages"])


async def test_the_demos_chat_works_out_of_the_box(edge: EdgeProcess) -> None:
    async with connected(edge.url) as anna, connected(edge.url) as ben:
        await member(anna, "u1", "c1")
        await member(ben, "u2", "c1")
        assert (await anna.ask("send_message", message("c1", "u1", "Lime Street again", client_id="one")))["ok"]
        (delivered,) = await ben.heard("new_messages_batch")
        assert delivered["content"] == "Lime Street again"
        assert delivered["sender"]["full_name"]
    assert (await history(edge, "c1"))[-1] == delivered


async def test_the_five_figures_count_connections_and_messages(edge: EdgeProcess) -> None:
    async with connected(edge.url) as anna, aiohttp.ClientSession() as session:
        await member(anna, "u1", "c1")
        for number in range(3):
            await anna.ask("send_message", message("c1", "u1", f"message {number}"))
        async with session.get(f"{edge.url}/api/performance") as response:
            report = await response.json()
    assert report["messagesProcessed"] == 3
    assert report["connectionsActive"] >= 2


async def test_a_client_that_returns_after_the_edge_was_killed_has_missed_nothing(tmp_path: Path) -> None:
    trusted = {"auth": "trusted"}
    async with (
        serving(tmp_path, "http://127.0.0.1:9", realtime=trusted) as edge,
        connected(edge.url) as anna,
        connected(edge.url) as ben,
    ):
        await member(anna, "u1", "c1")
        await member(ben, "u2", "c1")
        assert (await anna.ask("send_message", message("c1", "u1", "seen")))["ok"]
        *_, offset = await ben.heard_all("new_messages_batch")
        before = {"pid": ben.welcome["pid"], "offset": offset}
        await ben.socket.close()
        assert (await anna.ask("send_message", message("c1", "u1", "missed")))["ok"]
        edge.signal(signal.SIGKILL)
        await edge.ended()
    async with (
        serving(tmp_path, "http://127.0.0.1:9", realtime=trusted) as again,
        connected(again.url, auth=before) as ben,
    ):
        (delivered,) = (await ben.heard_all("new_messages_batch"))[0]
        assert delivered["content"] == "missed"


async def test_a_message_that_is_repeated_after_the_edge_was_killed_is_not_delivered_twice(tmp_path: Path) -> None:
    trusted = {"auth": "trusted"}
    said = message("c1", "u1", "pay 100", client_id="one")
    async with serving(tmp_path, "http://127.0.0.1:9", realtime=trusted) as edge, connected(edge.url) as anna:
        await member(anna, "u1", "c1")
        first = await anna.ask("send_message", said)
        edge.signal(signal.SIGKILL)
        await edge.ended()
    async with (
        serving(tmp_path, "http://127.0.0.1:9", realtime=trusted) as again,
        connected(again.url) as anna,
        connected(again.url) as ben,
    ):
        await member(anna, "u1", "c1")
        await member(ben, "u2", "c1")
        assert await anna.ask("send_message", said) == first
        assert (await anna.ask("send_message", message("c1", "u1", "next")))["ok"]
        assert [each["content"] for each in await ben.heard("new_messages_batch")] == ["next"]


async def test_a_terminated_edge_closes_its_websockets_so_that_clients_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9") as edge, connected(edge.url) as client:
        edge.signal(signal.SIGTERM)
        assert await client.closed() == "connection"
        assert await edge.ended() == 0


async def test_two_hundred_clients_are_served_until_the_last_moment_of_a_restart_and_recover(tmp_path: Path) -> None:
    trusted, gate = {"auth": "trusted"}, asyncio.Event()
    async with ScriptedOrigin() as origin, AsyncExitStack() as stack, aiohttp.ClientSession() as session:
        origin.on("/slow", steps(raw(head(200, {"Content-Length": "6"}), b"abc"), when(gate), raw(b"def")))
        edge = await stack.enter_async_context(serving(tmp_path, origin.url, realtime=trusted, server=PATIENT))
        clients = [await stack.enter_async_context(connected(edge.url)) for _ in range(200)]
        before = [{"pid": client.welcome["pid"]} for client in clients]
        download = await session.get(f"{edge.url}/slow")
        edge.signal(signal.SIGTERM)
        await draining(edge)
        async with connected(edge.url) as newcomer:
            await member(newcomer, "u1", "c1")
            assert (await newcomer.ask("send_message", message("c1", "u1", "late")))["ok"]
        assert not any(client.close_reason for client in clients)
        gate.set()
        assert await download.read() == b"abcdef"
        assert {await client.closed() for client in clients} == {"connection"}
        assert await edge.ended() == 0
        again = await stack.enter_async_context(serving(tmp_path, origin.url, realtime=trusted))
        for auth in before:
            async with connected(again.url, auth=auth) as client:
                assert client.welcome["pid"] == auth["pid"]


async def test_whoever_was_away_hears_after_a_restart_that_its_message_was_given_up(tmp_path: Path) -> None:
    asks = {"auth": "trusted", "origin": {"persist": "/messages"}}
    server = {"listen": "127.0.0.1:0", "drain_timeout": "500ms"}
    async with ScriptedOrigin() as origin:
        origin.on("/messages", when(asyncio.Event()))
        async with serving(tmp_path, origin.url, realtime=asks, server=server) as edge, connected(edge.url) as anna:
            await member(anna, "u1", "c1")
            await anna.emit("send_message", message("c1", "u1", "lost?", client_id="one"))
            while not origin.count("/messages"):
                await asyncio.sleep(0.01)
            await anna.socket.close()
            edge.signal(signal.SIGTERM)
            assert await edge.ended() == 0
        async with (
            serving(tmp_path, origin.url, realtime=asks) as again,
            connected(again.url, auth={"pid": anna.welcome["pid"]}) as anna,
        ):
            error = await anna.heard("message_error")
            assert (error["client_id"], error["reason"]) == ("one", "origin-away")


async def draining(edge: EdgeProcess) -> None:
    """Until the process has heard the signal."""
    async with asyncio.timeout(30), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{edge.admin_url}/readyz") as response:
                if response.status == 503:
                    return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "scenario",
    [
        "ten_users_share_a_socket_and_the_eleventh_is_refused",
        "messages_come_in_batches_and_in_order",
        "typing_is_told_to_the_others_and_stops_by_itself",
        "a_cut_connection_recovers_what_it_missed",
        "long_polling_does_as_well",
        "nonsense_is_answered_and_harms_nobody",
    ],
)
async def test_the_real_client_does_through_the_edge_what_it_does_with_the_core_alone(
    tmp_path: Path, scenario: str
) -> None:
    async with serving(tmp_path, "http://127.0.0.1:9", realtime={"auth": "trusted"}) as edge:
        await run(scenario, edge.url)
