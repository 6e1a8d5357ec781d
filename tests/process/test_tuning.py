"""A preset switched to over the API is what the process goes by; the next one, too, if that was asked for."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import aiohttp

from tests.live import connected, member, message
from tests.process.edge_process import EdgeProcess, serving

ORIGIN = "http://127.0.0.1:9"
REALTIME = {"auth": "trusted", "batch": {"mode": "fixed", "delay": "5ms"}}


async def post(edge: EdgeProcess, path: str, document: dict[str, Any]) -> Any:
    async with aiohttp.ClientSession() as session, session.post(edge.admin_url + path, json=document) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def report(edge: EdgeProcess) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{edge.admin_url}/api/tuning") as answer:
        return await answer.json()


async def gathered_for(edge: EdgeProcess, number: str) -> float:
    """Seconds from a message that is sent to its arrival: at least the batch delay, since all messages wait."""
    async with connected(edge.url) as anna, connected(edge.url) as bo:
        await member(anna, "u1", "c1")
        await member(bo, "u2", "c1")
        began = time.monotonic()
        await anna.emit("send_message", message("c1", "u1", f"hello {number}", client_id=number))
        await bo.heard("new_messages_batch")
        return time.monotonic() - began


async def test_a_preset_that_is_kept_outlives_the_process_and_a_reset_ends_it(tmp_path: Path) -> None:
    async with serving(tmp_path, ORIGIN, realtime=REALTIME) as edge:
        quickest = min([await gathered_for(edge, f"before-{number}") for number in range(5)])
        assert quickest < 0.1, "or the test proves nothing"
        done = await post(edge, "/api/tuning/preset", {"preset": "high-traffic", "keep": True})
        assert {change["key"]: change["after"] for change in done["changes"]}["realtime.batch.delay"] == "100ms"
        assert await gathered_for(edge, "during") >= 0.1
        edge.signal(signal.SIGKILL)
        await edge.ended()
    async with serving(tmp_path, ORIGIN, realtime=REALTIME) as edge:
        assert (await report(edge))["preset"]["name"] == "high-traffic"
        assert await gathered_for(edge, "after") >= 0.1
        await post(edge, "/api/tuning/reset", {"all": True})
        edge.signal(signal.SIGTERM)
        assert await edge.ended() == 0
    async with serving(tmp_path, ORIGIN, realtime=REALTIME) as edge:
        assert (await report(edge))["keys"]["realtime.batch.delay"]["effective"] == "5ms"


async def test_a_damaged_file_does_not_keep_the_edge_from_starting(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tuning.json").write_text("{")
    async with asyncio.timeout(50), serving(tmp_path, ORIGIN) as edge:
        assert (await report(edge))["preset"] == {"name": "default", "by": None, "at": None}
