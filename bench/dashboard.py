"""What a look at the dashboard costs an edge with a full store: time, weight, and how long it holds others up.

    python -m bench.dashboard [--entries N] [--looks N] [PATH ...]

A real edge with N stored responses (100,000) is asked for each page as a browser asks: once whole, then live again and
again. `cpu` is what the process spent for one look, `held` the longest that the event loop did nothing else meanwhile.
A path may hold {detail}, the address of one stored response. Exit status 1 when a page takes more than 200 ms of the
process or weighs more than 200 KB; on a machine that is busy with other things as well, times are allowed to be longer
by as much as an empty loop is (`pace`).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import aiohttp

from proxy.app import App
from proxy.config.model import Config
from proxy.policy.messages import Fields, StoredResponse
from webui.listing import entry_id

PAGES = (
    "/",
    "/cache",
    "/cache?at=/api/reports/",
    "/cache?view=list",
    "/cache?view=list&sort=size&page=100",
    "/cache?q=/u/4711/",
    "/cache?q=nowhere",
    "/cache?state=stale&route=api&type=application/json&view=list",
    "/cache/purge/count?at=/photos/&view=list",
    "{detail}",
    "/outbox",
)
MOST_SECONDS = 0.2
MOST_BYTES = 200_000
SETTLING = 30.0
"""Seconds in which an edge gets to know the order of so much that is new, before anybody looks."""
USUAL = 0.025
"""Seconds of a million empty rounds on an ordinary core."""

LIVE = {"HX-Request": "true"}


@dataclass(frozen=True, slots=True)
class Look:
    """One page: process seconds of the first and of a further look, the longest hold of the loop, bytes."""

    path: str
    first: float
    again: float
    held: float
    weight: int

    def passes(self, pace: float) -> bool:
        return max(self.first, self.again) <= MOST_SECONDS * pace and self.weight <= MOST_BYTES


async def main() -> int:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as directory:
        app = App(_config(directory, arguments.entries))
        await app.start()
        try:
            began = time.perf_counter()
            await fill(app, arguments.entries)
            print(f"{arguments.entries:,} responses stored in {time.perf_counter() - began:.1f} s\n")
            await asyncio.sleep(SETTLING)
            passed = await _looks(app, arguments.paths or PAGES, arguments.looks)
        finally:
            await app.close()
    return 0 if passed else 1


async def fill(app: App, count: int) -> None:
    """Store `count` responses as an application has them: many of a kind, queries, pictures by day, users."""
    chance = random.Random(1)
    for number in range(count):
        target, route, kind = _target(chance.random(), number)
        now = time.time() - chance.random() * 86400
        fields = (("Content-Type", kind), ("Cache-Control", "max-age=43200"), ("ETag", f'"{number}"'))
        stored = StoredResponse(
            key=f"GET http://shop.example{target}",
            vary=(),
            method="GET",
            url=f"http://shop.example{target}",
            status=200,
            reason="OK",
            fields=Fields(fields),
            request_time=now,
            response_time=now,
            length=0,
            checksum=0,
            route=route,
            tags=("reports", f"day-{number % 365}") if route == "api" else (),
            fresh_until=now + 43200,
        )
        spool = app.store.spool(None)
        assert spool is not None
        await spool.write(b"x" * chance.randrange(50, 500))
        await spool.finish()
        await app.store.put(stored, spool, app.store.mark())


def _target(chance: float, number: int) -> tuple[str, str, str]:
    if chance < 0.5:
        return f"/api/reports/{number}", "api", "application/json"
    if chance < 0.7:
        return f"/api/reports?page={number}&per_page=12", "api", "application/json"
    if chance < 0.9:
        return f"/photos/{number % 365:03}/{number}.jpg", "photos", "image/jpeg"
    return f"/u/{number % 5000}/profile/{number}", "pages", "text/html; charset=utf-8"


async def _looks(app: App, paths: list[str] | tuple[str, ...], times: int) -> bool:
    entry = next(iter(app.store.entries()))
    base = f"http://{app.admin_address}"
    passed = True
    print(f"{'first':>8} {'again':>8} {'held':>8} {'weight':>9}  path")
    async with aiohttp.ClientSession() as session:
        for path in (path.format(detail=f"/cache/{entry_id(entry)}") for path in paths):
            gc.collect()
            await _change(app)
            first = await _cost(session, base + path, {})
            if first.status == 404:
                print(f"{'-':>8} {'-':>8} {'-':>8} {'-':>9}  {path}: there is no such page")
                continue
            again = [await _cost(session, base + path, LIVE) for _ in range(times)]
            held = max(cost.held for cost in [first, *again])
            look = Look(path, first.seconds, median(cost.seconds for cost in again), held, first.weight)
            passes = look.passes(pace := _pace())
            passed = passed and passes
            print(
                f"{look.first * 1e3:5.0f} ms {look.again * 1e3:5.0f} ms {look.held * 1e3:5.0f} ms"
                f" {look.weight / 1e3:6.1f} KB  {path}"
                f"{f' (pace {pace:.1f})' if pace > 1.2 else ''}{'' if passes else '   TOO MUCH'}",
                flush=True,
            )
    return passed


def _pace() -> float:
    """How much longer an empty loop takes now than on a core of its own; never below 1."""
    began = time.process_time()
    for _ in range(1_000_000):
        pass
    return max(1.0, (time.process_time() - began) / USUAL)


@dataclass(frozen=True, slots=True)
class _Cost:
    status: int
    seconds: float
    held: float
    weight: int


async def _cost(session: aiohttp.ClientSession, url: str, headers: dict[str, str]) -> _Cost:
    watch = asyncio.create_task(_longest_hold())
    await asyncio.sleep(0.02)
    began = time.process_time()
    async with session.get(url, headers=headers) as response:
        body = await response.read()
    seconds = time.process_time() - began
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    return _Cost(response.status, seconds, _held.pop(), len(body))


_held: list[float] = []


async def _longest_hold() -> None:
    """The process time between two turns of the loop; what other processes of a busy machine take does not count."""
    longest, before = 0.0, time.process_time()
    try:
        while True:
            await asyncio.sleep(0.0005)
            longest, before = max(longest, time.process_time() - before), time.process_time()
    finally:
        _held.append(longest)


async def _change(app: App) -> None:
    """What is known of the store is outdated: the next look cannot use it."""
    await app.store.remove(lambda entry: entry.url.endswith("/none"), url="http://shop.example/none")
    entry = next(iter(app.store.entries()))
    stored = await app.store.head(entry)
    assert stored is not None
    await app.store.freshen(entry, stored)


def _config(directory: str, entries: int) -> Config:
    routes = [{"name": name, "match": f"/{path}**", "strategy": "cache-first"} for name, path in _ROUTES]
    return Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0"},
            "admin": {"listen": "127.0.0.1:0"},
            "origin": {"url": "http://127.0.0.1:9"},
            "cache": {"dir": directory, "disk": 0, "memory": "2GiB", "max_entries": entries, "max_index": "2GiB"},
            "outbox": {"dir": f"{directory}/outbox"},
            "routes": routes,
        }
    )


_ROUTES = (("api", "api/"), ("photos", "photos/"), ("pages", ""))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--looks", type=int, default=5)
    parser.add_argument("paths", nargs="*", metavar="PATH")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
