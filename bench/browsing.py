"""What ten people browsing the demo cost its origin: SQL queries without the edge and with it.

    python -m bench.browsing [--users N] [--least PERCENT]

Each visitor has a browser of their own with an empty cache: they log in, look at lists, filters, details, profiles,
pictures and their chats, one after the other as fast as the answers come. Everything is asked exactly as the demo's
page asks it: what is public without cookies, what is theirs with their session. The same browsing is done twice,
against a freshly started origin each time. Exit status 1 when the edge saves less than --least.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).parents[1]
FILTERS = ("pothole", "street-light", "accident")


async def browse(base: str, user: str) -> int:
    """One visitor's round; how many requests it took."""
    visitor = Visitor(base)
    async with visitor:
        page = await visitor.public("/")
        for asset in sorted(set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', page))):
            await visitor.public(asset)
        await visitor.login(user)
        await visitor.own("/api/auth/session")
        await visitor.public("/api/profiles")
        await visitor.own(f"/api/likes?user={user}")
        lists = [await visitor.public(f"/api/reports?page={number}&per_page=12") for number in (1, 2, 3)]
        lists += [await visitor.public(f"/api/reports?category={name}&page=1&per_page=12") for name in FILTERS]
        reports = [report for found in lists for report in found["reports"]]
        for photo in dict.fromkeys(photo for report in reports[:12] for photo in report["photos"]):
            await visitor.public(photo)
        for report in reports[:6]:
            await visitor.public(f"/api/reports/{report['id']}")
            await visitor.public(f"/api/profiles/{report['author']['id']}")
        await visitor.public("/api/profiles?ids=" + ",".join(sorted({r["author"]["id"] for r in reports[:12]})))
        conversations = (await visitor.own(f"/api/chat/conversations?user={user}"))["conversations"]
        for conversation in conversations[:2]:
            await visitor.own(f"/api/chat/messages/{conversation['id']}?per_page=40")
        await visitor.public("/api/reports?page=1&per_page=12")
        return visitor.requests


class Visitor:
    """A browser with an empty cache. Public things are asked without cookies, as the page does."""

    def __init__(self, base: str) -> None:
        self.requests = 0
        self._base = base
        self._session = ""

    async def __aenter__(self) -> Visitor:
        self._client = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def login(self, user: str) -> None:
        self.requests += 1
        async with self._client.post(f"{self._base}/api/auth/login", json={"user": user}) as response:
            response.raise_for_status()
            self._session = response.headers["Set-Cookie"].partition(";")[0]

    async def public(self, path: str) -> Any:
        return await self._get(path, {})

    async def own(self, path: str) -> Any:
        return await self._get(path, {"Cookie": self._session})

    async def _get(self, path: str, headers: dict[str, str]) -> Any:
        self.requests += 1
        async with self._client.get(self._base + path, headers=headers) as response:
            response.raise_for_status()
            body = await response.read()
            kind = response.content_type
        if kind == "application/json":
            return json.loads(body)
        return body.decode() if kind == "text/html" else None


async def measure(base: str, origin: str, users: int) -> tuple[int, dict[str, Any]]:
    """The requests the visitors made, and what the origin counted of them."""
    async with aiohttp.ClientSession() as session:
        (await session.post(f"{origin}/demo/stats/reset")).release()
        requests = sum([await browse(base, f"u{number}") for number in range(1, users + 1)])
        async with session.get(f"{origin}/demo/stats") as response:
            return requests, await response.json()


@asynccontextmanager
async def started(*command: str, ready: str) -> AsyncIterator[str]:
    """A process of ours that prints its address; terminated at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-u", *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            while True:
                line = (await process.stdout.readline()).decode()
                if not line:
                    raise SystemExit(f"{' '.join(command)} did not start")
                if match := re.search(ready + r".*?(http://[0-9.]+:\d+)", line):
                    break
        yield match[1]
    finally:
        process.terminate()
        await process.communicate()


async def compare(users: int) -> tuple[tuple[int, dict[str, Any]], tuple[int, dict[str, Any]]]:
    """Without the edge, then with it, each against a new origin."""
    with tempfile.TemporaryDirectory() as directory:
        demo = ("-m", "demo", "--listen", "127.0.0.1:0", "--quiet", "--data", str(ROOT / ".cachewire/demo"))
        async with started(*demo, ready="ready on") as origin:
            without = await measure(origin, origin, users)
        async with started(*demo, ready="ready on") as origin:
            free = ("--set", "server.listen=127.0.0.1:0", "--set", "admin.listen=127.0.0.1:0")
            place = ("--set", f"cache.dir={directory}/cache")
            serve = ("-m", "proxy", "serve", "--config", str(ROOT / "config.yaml"), "--origin", origin, *free, *place)
            async with started(*serve, ready="edge") as edge:
                return without, await measure(edge, origin, users)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=10)
    parser.add_argument("--least", type=float, default=80.0)
    options = parser.parse_args()
    (requests, without), (_, through) = asyncio.run(compare(options.users))
    saved = 100 * (1 - through["sql_queries"] / without["sql_queries"])
    print(f"{options.users} visitors made {requests} requests")
    print(f"{'':22}{'requests at origin':>20}{'SQL queries':>14}")
    for name, stats in (("without the edge", without), ("through the edge", through)):
        print(f"{name:22}{stats['requests']:>20}{stats['sql_queries']:>14}")
    print(f"the edge saves {saved:.1f} % of the SQL queries")
    return 0 if saved >= options.least else 1


if __name__ == "__main__":
    raise SystemExit(main())
