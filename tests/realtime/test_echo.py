"""The application that protocol tests are run against, as the process it is."""

from __future__ import annotations

import asyncio
import json
import sys

import aiohttp

from tests.edge import PATIENCE


async def test_it_says_where_it_listens_and_sends_back_what_it_gets() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.apps.echo", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            url = (await process.stdout.readline()).decode().split()[-1] + "/engine.io/?EIO=4&transport="
            async with aiohttp.ClientSession() as http:
                async with http.get(url + "polling") as answer:
                    opened = json.loads((await answer.text())[1:])
                assert (opened["pingInterval"], opened["pingTimeout"], opened["maxPayload"]) == (300, 200, 1_000_000)
                async with http.ws_connect(url + "websocket") as websocket:
                    await websocket.receive_str()
                    await websocket.send_str("4hello")
                    assert await websocket.receive_str() == "4hello"
    finally:
        process.kill()
        await process.wait()
