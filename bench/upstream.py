"""What one request to the origin costs in the edge's process: this client against aiohttp's.

    python -m bench.upstream [--rounds N] [--requests N]

Prints CPU microseconds per request (user + system, of the client's process only) for a GET of 1 KB over kept-alive
connections to the same origin in a process of its own. Rounds alternate, so that a noisy machine harms both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable

import aiohttp

from proxy.config.model import Origin as OriginSettings
from proxy.policy.messages import Fields
from proxy.upstream import Origin, OriginRequest

BODY = b"x" * 1024
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=60\r\n"
    b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 1024\r\n\r\n" + BODY
)
FIELDS = (("Host", "bench.example"), ("Accept", "*/*"), ("User-Agent", "bench"), ("Accept-Encoding", "gzip"))

Fetch = Callable[[], Awaitable[None]]


class _Answering(asyncio.Protocol):
    """Answers whatever looks like the end of a head; it must cost as little as possible."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(ANSWER * data.count(b"\r\n\r\n"))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _measure(fetch: Fetch, requests: int, concurrency: int) -> float:
    """CPU microseconds per request."""

    async def share() -> None:
        for _ in range(requests // concurrency):
            await fetch()

    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*(share() for _ in range(concurrency)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent * 1e6 / (requests // concurrency * concurrency)


async def _compare(port: int, rounds: int, requests: int) -> None:
    origin = Origin(OriginSettings(url=f"http://127.0.0.1:{port}"))
    request = OriginRequest("GET", "/object?size=1024", Fields(FIELDS))
    url = f"http://127.0.0.1:{port}/object?size=1024"

    async def ours() -> None:
        response = await origin.send(request)
        size = 0
        async for part in response.chunks():
            size += len(part)
        await response.close()
        assert size == len(BODY)

    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session:

        async def theirs() -> None:
            async with session.get(url, headers=dict(FIELDS), allow_redirects=False) as response:
                assert len(await response.read()) == len(BODY)

        print(
            f"{'':12}{'cachewire':>12}{'aiohttp':>12}{'ratio':>8}   CPU µs/request, median (lowest) of {rounds} rounds"
        )
        for name, concurrency in (("sequential", 1), ("32 at once", 32)):
            results: dict[Fetch, list[float]] = {ours: [], theirs: []}
            for fetch in results:
                await _measure(fetch, 200, concurrency)
            for _ in range(rounds):
                for fetch, figures in results.items():
                    figures.append(await _measure(fetch, requests, concurrency))
            mine, other = (statistics.median(figures) for figures in results.values())
            lowest = [min(figures) for figures in results.values()]
            cells = (f"{mine:.0f} ({lowest[0]:.0f})", f"{other:.0f} ({lowest[1]:.0f})", f"{other / mine:.1f}x")
            print(f"{name:12}{cells[0]:>12}{cells[1]:>12}{cells[2]:>8}")
    await origin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="CPU per request of the origin client, against aiohttp's client.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=3000, help="per round and client")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve())
        return
    server = subprocess.Popen([sys.executable, "-m", "bench.upstream", "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        asyncio.run(_compare(int(server.stdout.readline()), options.rounds, options.requests))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
