"""The access log of a whole process: a file for machines, rotated under load, whole at the end."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import aiohttp

from tests.origin import ScriptedOrigin, reply
from tests.process.edge_process import serving


async def test_every_answer_is_a_line_across_a_rotation_and_the_end(tmp_path: Path) -> None:
    path, old = tmp_path / "access.log", tmp_path / "access.log.1"
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        settings = {"access": {"format": "json", "file": str(path)}}
        async with serving(tmp_path, origin.url, log=settings) as edge, aiohttp.ClientSession() as client:
            ids = []
            for number in range(50):
                if number == 25:
                    while not path.read_text():
                        await asyncio.sleep(0.01)
                    path.rename(old)
                    edge.signal(signal.SIGHUP)
                async with client.get(f"{edge.url}/{number}") as response:
                    ids.append(response.headers["X-Request-Id"])
            edge.signal(signal.SIGTERM)
            assert await edge.ended() == 0
    lines = [json.loads(line) for file in (old, path) for line in file.read_text().splitlines()]
    assert sorted(line["request_id"] for line in lines) == sorted(ids)
    assert path.read_text(), "what came after the rotation is in the new file"
    assert {line["status"] for line in lines} == {200}
