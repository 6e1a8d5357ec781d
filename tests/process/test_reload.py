"""The configuration read again by a running process: all of what can be taken up, or nothing."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.edge import PATIENCE
from tests.origin import ScriptedOrigin, reply
from tests.process.edge_process import EdgeProcess, serving

NETWORK_ONLY = [{"name": "all", "match": "/**", "strategy": "network-only"}]


def rewrite(directory: Path, **sections: object) -> None:
    path = directory / "cachewire.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **sections}))


async def events(edge: EdgeProcess, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    answer = await (await session.get(f"{edge.admin_url}/api/timeline?kind=config")).json()
    found: list[dict[str, Any]] = answer["events"]
    return found


async def verdict(edge: EdgeProcess, session: aiohttp.ClientSession) -> str:
    async with session.get(f"{edge.url}/a") as answer:
        return answer.headers["Cache-Status"]


async def test_sighup_takes_up_routes_and_says_what_waits_for_a_restart(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin, aiohttp.ClientSession() as session:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        async with serving(tmp_path, origin.url) as edge:
            await verdict(edge, session)
            assert "hit" in await verdict(edge, session)
            rewrite(tmp_path, routes=NETWORK_ONLY, realtime={"batch": {"delay": "1s"}})
            edge.signal(signal.SIGHUP)
            async with asyncio.timeout(PATIENCE):
                while not (told := [event for event in await events(edge, session) if event["by"] == "SIGHUP"]):
                    await asyncio.sleep(0.02)
            text = told[0]["text"]
            assert (
                text == "the configuration was read again: routes taken up; waiting for a restart: realtime.batch.delay"
            )
            assert "hit" not in await verdict(edge, session)
            page = await (await session.get(f"{edge.admin_url}/config")).text()
            assert "Waits for a restart, because it cannot change in a running edge: realtime.batch.delay." in page
            assert "<code>network-only</code>" in page
            edge.signal(signal.SIGTERM)
            assert await edge.ended() == 0


async def test_a_file_with_a_mistake_changes_nothing_and_is_told_what_is_wrong(tmp_path: Path) -> None:
    async with ScriptedOrigin() as origin, aiohttp.ClientSession() as session:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        async with serving(tmp_path, origin.url) as edge:
            await verdict(edge, session)
            rewrite(tmp_path, routes=[*NETWORK_ONLY, {"match": "/b", "strategy": "nonsense"}])
            answer = await session.post(f"{edge.admin_url}/api/config/reload")
            assert answer.status == 422
            assert "'nonsense' is not one of the values" in (await answer.json(content_type=None))["detail"]
            assert "hit" in await verdict(edge, session)
            assert "nothing has changed" in (await events(edge, session))[0]["text"]
            page = await (await session.post(f"{edge.admin_url}/config/reload")).text()
            assert "nothing has changed" in page
            assert "&#39;nonsense&#39; is not one of the values" in page

            rewrite(tmp_path, routes=NETWORK_ONLY)
            answer = await session.post(f"{edge.admin_url}/api/config/reload")
            assert await answer.json() == {"result": "routes taken up"}
            assert "hit" not in await verdict(edge, session)
            answer = await session.post(f"{edge.admin_url}/config/reload", allow_redirects=False)
            assert (answer.status, answer.headers["Location"]) == (303, "/config?reloaded=yes")
            assert (await events(edge, session))[0]["text"] == "the configuration was read again: nothing differs"
