"""Real socket.io-client, configured as the original application always did, against the core as a process.

The scenarios are in tests/node/scenarios.cjs, in the client's own language; here is what happens around them.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from demo.application import build
from tests.realtime.application import ASKS, Application
from tests.socketio_client import run


class CoreProcess:
    """The core as a process of its own on one port, which can be killed and started again."""

    def __init__(self, *arguments: str) -> None:
        self._arguments = arguments
        self._port = _free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.said = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        command = [sys.executable, "-m", "tests.apps.core", "--port", str(self._port), *self._arguments]
        self._process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        if not await self._process.stdout.readline():
            await self._end()
            raise AssertionError(self.said)

    async def kill(self) -> None:
        """As `kill -9`: no last words, nothing flushed."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._end()

    async def stop(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            await self._end()

    async def post(self, path: str, document: Any) -> Any:
        async with aiohttp.ClientSession() as session, session.post(self.url + path, json=document) as answer:
            return await answer.json()

    async def figures(self) -> Any:
        async with aiohttp.ClientSession() as session, session.get(self.url + "/figures") as answer:
            return await answer.json()

    async def _end(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        self.said += (await self._process.stderr.read()).decode()
        await self._process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


Starts = Callable[..., Awaitable[CoreProcess]]


@pytest.fixture
async def application() -> Application:
    return Application()


@pytest.fixture
async def core(application: Application) -> AsyncIterator[Starts]:
    """Starts a core: `await core("--chat", "{...}")`, in front of the application with `asks={...}`."""
    async with AsyncExitStack() as stack:

        async def start(*arguments: str, asks: dict[str, Any] | None = None) -> CoreProcess:
            if asks is not None:
                base = await stack.enter_async_context(_served(application))
                arguments = (*arguments, "--origin", base, "--asks", json.dumps(asks))
            process = CoreProcess(*arguments)
            await process.start()
            stack.push_async_callback(process.stop)
            return process

        yield start


@asynccontextmanager
async def _served(application: Application) -> AsyncIterator[str]:
    async with TestServer(application.build()) as server:
        yield str(server.make_url("")).rstrip("/")


PLAIN = [
    "ten_users_share_a_socket_and_the_eleventh_is_refused",
    "everything_at_once_without_waiting_for_answers",
    "messages_come_in_batches_and_in_order",
    "a_repeated_client_id_is_not_sent_twice",
    "typing_is_told_to_the_others_and_stops_by_itself",
    "a_cut_connection_recovers_what_it_missed",
    "long_polling_does_as_well",
    "each_client_gets_messages_in_the_shape_it_asked_for",
    "nonsense_is_answered_and_harms_nobody",
    "presence_is_told_and_a_lost_client_is_given_a_moment",
]


@pytest.mark.parametrize("scenario", PLAIN)
async def test_with_the_core_alone(core: Starts, scenario: str) -> None:
    alone = await core()
    await run(scenario, alone.url)
    await alone.stop()
    assert "Traceback" not in alone.said


async def test_leaving_a_conversation_or_disconnecting_flushes_its_batch(core: Starts) -> None:
    slow = await core("--chat", '{"batch": {"mode": "fixed", "delay": 10.0}}')
    await run("leaving_flushes_the_batch", slow.url)


async def test_too_many_messages_are_refused_with_a_time_to_wait(core: Starts) -> None:
    strict = await core("--chat", '{"limits": {"user_messages": [1.0, 10.0]}}')
    await run("too_many_messages_are_refused_with_a_time_to_wait", strict.url)
    assert (await strict.figures())["rate_limited"]["user-messages"] > 0


async def test_a_killed_core_loses_nothing_that_was_acknowledged(core: Starts, tmp_path: Path) -> None:
    mortal = await core("--journal", str(tmp_path / "journal"))
    await run("a_killed_core_loses_nothing_that_was_acknowledged", mortal.url, kill=mortal.kill, start=mortal.start)


async def test_a_batch_is_persisted_in_one_request(core: Starts, application: Application) -> None:
    keeping = await core(asks=ASKS)
    result = await run("messages_come_in_batches_and_in_order", keeping.url)
    assert [message["content"] for message in application.kept][:100] == [f"m{number}" for number in range(100)]
    assert application.times("/messages") == result["batches"]
    assert application.times("/profiles") <= 2, "each of two users is asked for once"


async def test_an_application_that_is_down_is_told_to_the_sender(core: Starts, application: Application) -> None:
    keeping = await core(asks={"persist": "/messages", "backoff": 0.05, "patience": 2.0})

    async def down() -> None:
        application.down = True

    async def up() -> None:
        application.down = False

    await run("an_application_that_is_down_is_told_to_the_sender", keeping.url, down=down, up=up)
    assert [message["content"] for message in application.kept] == ["again"]


async def test_a_short_outage_is_ridden_out(core: Starts, application: Application) -> None:
    keeping = await core(asks={"persist": "/messages", "backoff": 0.05})

    async def stumble() -> None:
        application.failures = 2

    await run("a_short_outage_is_ridden_out", keeping.url, stumble=stumble)
    assert application.times("/messages") == 3
    assert (await keeping.figures())["persist_retries"] == 2


async def test_one_bad_message_does_not_take_the_others_with_it(core: Starts, application: Application) -> None:
    keeping = await core(asks={"persist": "/messages"})
    await run("one_bad_message_does_not_take_the_others_with_it", keeping.url)
    assert [message["content"] for message in application.kept] == ["a", "b", "c", "d"]


async def test_messages_can_be_deleted_by_their_sender_alone(core: Starts) -> None:
    alone = await core()
    deletion = {"conversation_id": "7", "message_id": "99"}

    async def publish() -> Any:
        return await alone.post("/publish", {"channel": "conversation:7", "event": "message_deleted", "data": deletion})

    await run("messages_can_be_deleted_by_their_sender_alone", alone.url, **{"publish a deletion": publish})


async def test_reports_are_conflated_and_notifications_are_not(core: Starts, application: Application) -> None:
    rules = [
        {"match": "reports", "mode": "conflate", "profiles": "user_id", "likes": "id"},
        {"match": "notifications", "mode": "append"},
    ]
    joining = await core("--chat", json.dumps({"channels": rules}), asks={**ASKS, "wait_for_profiles": 60.0})

    async def publish() -> None:
        for votes in range(50):
            report = {"id": 1, "user_id": "u5", "votes": votes}
            told = {"channel": "reports", "event": "report_updated", "key": 1, "data": report}
            await joining.post("/publish", told)
            await joining.post("/publish", {"channel": "notifications", "event": "notified", "data": votes})

    async def publish_more() -> None:
        report = {"id": 1, "user_id": "u5", "votes": 50}
        await joining.post("/publish", {"channel": "notifications", "event": "notified", "data": "not for you"})
        await joining.post("/publish", {"channel": "reports", "event": "report_updated", "data": report})

    steps = {"publish": publish, "publish more": publish_more}
    await run("reports_are_conflated_and_notifications_are_not", joining.url, **steps)
    assert application.times("/profiles") == 1
    assert 2 <= application.times("/likes") < 10, "once for each time that the channel tells something"


async def test_the_application_decides_who_somebody_is_and_where_they_may_be(core: Starts) -> None:
    asking = await core("--auth", "origin", asks=ASKS)
    await run("the_application_decides_who_somebody_is_and_where_they_may_be", asking.url)


async def test_the_demo_application_keeps_what_is_sent(core: Starts, tmp_path: Path) -> None:
    async with TestServer(build(tmp_path)) as server, aiohttp.ClientSession(server.make_url("")) as browser:
        asks = {"persist": "/api/chat/messages/batch", "profiles": "/api/profiles"}
        base = str(server.make_url("")).rstrip("/")
        keeping = await core("--origin", base, "--asks", json.dumps(asks))

        async def find() -> dict[str, Any]:
            async with browser.get("/api/chat/conversations?user=u1") as listed:
                found = (await listed.json())["conversations"][0]
            users = [user["id"] for user in found["participants"]]
            stranger = next(f"u{number}" for number in range(1, 100) if f"u{number}" not in users)
            return {"conversation": found["id"], "users": users[:2], "stranger": stranger}

        steps = {"find a conversation": find}
        kept = await run("the_demo_application_keeps_what_is_sent", keeping.url, **steps)
        async with browser.get(f"/api/chat/messages/{(await find())['conversation']}") as listed:
            assert [message["id"] for message in (await listed.json())["messages"]][-2:] == kept
