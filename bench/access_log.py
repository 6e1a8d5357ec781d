"""What the access log costs an exchange: python -m bench.access_log [--requests N]

CPU of the server process per request for one stored response, with the log off, as text and as JSON into a file;
rounds alternate and the best counts.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tests.origin import ScriptedOrigin, reply
from tests.process.edge_process import EdgeProcess, serving

FORMATS = ("off", "text", "json")


def _cpu(pid: int) -> float:
    """Seconds of all its threads."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


async def _asked(edge: EdgeProcess, requests: int) -> None:
    """So many GETs over one connection, the next as soon as the last is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    request = f"GET /a HTTP/1.1\r\nHost: 127.0.0.1:{edge.port}\r\n\r\n".encode()
    for _ in range(requests):
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


async def _cost(origin: ScriptedOrigin, chosen: str, requests: int) -> float:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        access = {"format": chosen, "file": str(path / "access.log")}
        async with serving(path, origin.url, log={"access": access}) as edge:
            await _asked(edge, 500)
            before = _cpu(edge.process.pid)
            await _asked(edge, requests)
            await asyncio.sleep(0.6)  # what is written behind the answers' back counts as well
            return (_cpu(edge.process.pid) - before) / requests * 1e6


async def _run(requests: int) -> None:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"x" * 1024, headers=[("Cache-Control", "max-age=3600")])
        runs = {chosen: [await _cost(origin, chosen, requests)] for chosen in FORMATS}
        for _ in range(2):
            for chosen in FORMATS:
                runs[chosen].append(await _cost(origin, chosen, requests))
    base = min(runs["off"])
    for chosen in FORMATS:
        best = min(runs[chosen])
        print(f"{chosen:5} {best:7.1f} us CPU a request  {best / base:5.2f}x  {best - base:+6.1f} us")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5000)
    asyncio.run(_run(parser.parse_args().requests))
