"""Alerts of a whole process: the origin is killed, and whoever asks or listens hears of it; a kept change survives."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.origin import ScriptedOrigin, read_body, reply, steps
from tests.process.edge_process import EdgeProcess, serving

QUICK = {"origin_down": {"for": "400ms", "resolve_after": "400ms"}}
PROXIED = [{"name": "all", "match": "/**", "strategy": "network-only"}]


@asynccontextmanager
async def watching(
    directory: Path, origin: ScriptedOrigin, *, probe: object = 0, **alerts: Any
) -> AsyncIterator[EdgeProcess]:
    """An edge whose origin may fail, with alerts that look often."""
    settings = {
        "routes": PROXIED,
        "origin": {"retries": 0, "probe": probe},
        "alerts": {"interval": "100ms", "rules": QUICK, **alerts},
    }
    async with serving(directory, origin.url, **settings) as edge:
        yield edge


class Asking:
    """What scripts ask the admin listener."""

    def __init__(self, session: aiohttp.ClientSession, edge: EdgeProcess) -> None:
        self.session = session
        self.edge = edge

    async def page(self) -> int:
        async with self.session.get(f"{self.edge.url}/page") as answer:
            return answer.status

    async def report(self) -> dict[str, Any]:
        async with self.session.get(f"{self.edge.admin_url}/api/alerts") as answer:
            assert answer.status == 200
            return dict(await answer.json())

    async def alert(self, name: str) -> dict[str, Any]:
        return next(each for each in (await self.report())["alerts"] if each["alert"] == name)

    async def until(self, name: str, state: str) -> dict[str, Any]:
        async with asyncio.timeout(20):
            while (alert := await self.alert(name))["state"] != state:
                await asyncio.sleep(0.05)
        return alert

    async def until_known(self, name: str) -> None:
        """Until the alert has a value: readings are of whole seconds."""
        async with asyncio.timeout(20):
            while (await self.alert(name))["value"] is None:
                await asyncio.sleep(0.05)

    async def post(self, path: str, document: object = None) -> tuple[int, dict[str, Any]]:
        url = f"{self.edge.admin_url}/api/alerts/{path}"
        async with self.session.post(url, data=json.dumps(document)) as answer:
            return answer.status, json.loads(await answer.read())

    async def metrics(self) -> str:
        async with self.session.get(f"{self.edge.admin_url}/metrics") as answer:
            return await answer.text()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_an_origin_that_dies_fires_an_alert_and_resolves_it_when_it_is_back(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with ScriptedOrigin() as origin, ScriptedOrigin() as receiver:
        origin.default = reply(200)
        receiver.on("/hook", steps(read_body(), reply(503)), steps(read_body(), reply(204)))
        async with watching(tmp_path, origin, webhook={"url": f"{receiver.url}/hook"}) as edge:
            asking = Asking(session, edge)
            assert (await asking.alert("origin-down"))["value"] is None
            assert await asking.page() == 200
            assert (await asking.until("origin-down", "inactive"))["changed"] == {}

            await origin.stop()
            assert await asking.page() == 502
            pending = await asking.until("origin-down", "pending")
            assert pending["left"] is not None
            firing = await asking.until("origin-down", "firing")
            assert firing["value"] == 1
            assert (await asking.report())["firing"] == ["origin-down"]
            assert 'cachewire_alert_state{alert="origin-down"} 2.0' in await asking.metrics()
            async with session.get(edge.admin_url) as overview:
                assert "The origin is down" in await overview.text()

            await origin.start()
            assert await asking.page() == 200
            await asking.until("origin-down", "inactive")
            (episode,) = (await asking.report())["history"]
            assert episode["rule"] == "origin-down"
            assert episode["ended"] > episode["began"]
            metrics = await asking.metrics()
            for state in ("pending", "firing", "resolved"):
                assert f'cachewire_alert_transitions_total{{alert="origin-down",state="{state}"}} 1.0' in metrics
            # The first attempt failed; the order holds all the same.
            await receiver.until_asked("/hook", 3)
            states = [json.loads(asked.body)["state"] for asked in receiver.requests]
            assert states == ["firing", "firing", "resolved"]


async def written(path: Path, text: str) -> None:
    """Until a file holds a text: it is written beside the telling, not before it."""
    async with asyncio.timeout(20):
        while not path.exists() or text not in path.read_text():  # noqa: ASYNC240 - a small file, in a test
            await asyncio.sleep(0.02)


async def test_what_fires_goes_on_after_kill_9_and_ends_when_the_origin_is_back_though_nobody_asks(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with ScriptedOrigin() as origin, ScriptedOrigin() as receiver:
        receiver.on("/hook", steps(read_body(), reply(503)))
        told = {"url": f"{receiver.url}/hook"}
        await origin.stop()
        async with watching(tmp_path, origin, probe="300ms", webhook=told) as edge:
            asking = Asking(session, edge)
            assert await asking.page() == 502
            before = await asking.until("origin-down", "firing")
            await receiver.until_asked("/hook")
            await written(tmp_path / "cache" / "alert-history.json", str(before["since"]))
            edge.signal(signal.SIGKILL)
            await edge.ended()
        receiver.on("/hook", steps(read_body(), reply(204)))
        async with watching(tmp_path, origin, probe="300ms", webhook=told) as edge:
            asking = Asking(session, edge)
            assert (await asking.alert("origin-down"))["since"] == before["since"]
            await asking.until_known("origin-down")
            assert (await asking.alert("origin-down"))["state"] == "firing"
            await origin.start()
            await asking.until("origin-down", "inactive")
            (episode,) = (await asking.report())["history"]
            assert episode["began"] == before["since"]
            await receiver.until(lambda: json.loads(receiver.requests[-1].body or "{}").get("state") == "resolved")
        messages = [json.loads(asked.body) for asked in receiver.requests]
        assert {(each["state"], each["id"]) for each in messages[:-1]} == {("firing", messages[0]["id"])}
        assert origin.requests == []


async def test_a_change_that_is_kept_survives_kill_9_and_reset_ends_it(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with ScriptedOrigin() as origin:
        async with watching(tmp_path, origin) as edge:
            asking = Asking(session, edge)
            status, alert = await asking.post("memory", {"threshold": "70%", "keep": True})
            assert (status, alert["kept"]) == (200, True)
            status, _ = await asking.post("error-rate", {"threshold": "1%"})
            assert status == 200
            edge.signal(signal.SIGKILL)
            await edge.ended()
        async with watching(tmp_path, origin) as edge:
            asking = Asking(session, edge)
            memory = await asking.alert("memory")
            assert memory["changed"] == {"threshold": {"configured": "80%", "effective": "70%"}}
            assert (await asking.alert("error-rate"))["changed"] == {}
            status, alert = await asking.post("memory/reset")
            assert (status, alert["changed"], alert["kept"]) == (200, {}, False)
        async with watching(tmp_path, origin) as edge:
            assert (await Asking(session, edge).alert("memory"))["changed"] == {}


async def test_what_a_script_gets_wrong_is_a_problem_document_that_says_what_would_be_right(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with ScriptedOrigin() as origin, watching(tmp_path, origin) as edge:
        asking = Asking(session, edge)
        for path, document, status, reason, says in (
            ("memory", {"threshold": 70}, 400, "bad-setting", "Write 70%"),
            ("memory", {"keep": "yes"}, 400, "bad-setting", "keep is true or false"),
            ("memory", ["70%"], 400, "bad-json", "not a JSON object"),
            ("memroy", {}, 404, "no-such-alert", "did you mean memory?"),
            ("memroy/reset", None, 404, "no-such-alert", "did you mean memory?"),
            ("test-webhook", None, 409, "no-webhook", "alerts.webhook.url"),
        ):
            answered, problem = await asking.post(path, document)
            assert (answered, problem["title"]) == (status, reason)
            assert says in problem["detail"]


async def test_memory_disk_and_chat_of_a_real_process_have_readings(
    tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    async with ScriptedOrigin() as origin, watching(tmp_path, origin, memory_budget="10GiB") as edge:
        origin.default = reply(200)
        asking = Asking(session, edge)
        for _ in range(10):
            assert await asking.page() == 200
        await asking.until_known("response-time")
        values = {each["alert"]: each["value"] for each in (await asking.report())["alerts"]}
        assert 0 < values["memory"] < 1
        assert 0 < values["disk-full"] <= 1
        assert 0 < values["response-time"] < 10
        assert values["error-rate"] == 0
        assert values["origin-down"] == 0
        assert values["quality-poor"] == 0, "nobody is connected"
        assert values["redis-lost"] is None
