"""The edge as a test uses it: the real App on free ports before a scripted origin, with a clock of the test's.

    async with edge_before(origin, routes=[{"match": "/**", "strategy": "cache-first"}]) as edge:
        answer = await edge.get("/a")
        edge.clock.advance(61)

Nothing here waits for time; `edge.clock` is the wall clock that caching policy goes by.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from proxy.app import App
from proxy.config.model import Config
from tests.origin import ScriptedOrigin

PATIENCE = 10.0
"""Seconds after which something a test waits for has failed to happen."""

CACHE_FIRST = [{"name": "all", "match": "/**", "strategy": "cache-first"}]
NETWORK_FIRST = [{"name": "all", "match": "/**", "strategy": "network-first"}]


class Clock:
    """A wall clock that stands until it is advanced."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Received:
    """A response as it came off the wire. `complete` is False when the connection closed before its end."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    complete: bool = True
    interim: list[tuple[int, list[tuple[str, str]]]] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        """The lines of a field joined; KeyError when there is none."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __contains__(self, name: str) -> bool:
        return any(key.lower() == name.lower() for key, _ in self.headers)

    @property
    def cache_status(self) -> str:
        return self["Cache-Status"]


class Client:
    """One connection to the edge, speaking bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, host: str, port: int) -> Self:
        return cls(*await asyncio.open_connection(host, port, limit=2**20))

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self, method: str = "GET") -> Received:
        """The next response, its interim responses included."""
        async with asyncio.timeout(PATIENCE):
            interim = []
            while True:
                status, reason, headers = await self._head()
                if status >= 200 or status == 101:
                    break
                interim.append((status, headers))
            body, complete = (b"", True) if status == 101 else await self._body(method, status, headers)
            return Received(status, reason, headers, body, complete, interim)

    async def closed(self) -> bytes:
        """What still comes until the edge closes the connection."""
        async with asyncio.timeout(PATIENCE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # the edge was first

    def leave(self) -> None:
        """Close at once, without a word."""
        self.writer.transport.abort()

    async def _head(self) -> tuple[int, str, list[tuple[str, str]]]:
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
        _, status, reason = (*lines[0].split(" ", 2), "")[:3]
        pairs = [line.partition(":") for line in lines[1:]]
        return int(status), reason, [(name, value.strip()) for name, _, value in pairs]

    async def _body(self, method: str, status: int, headers: list[tuple[str, str]]) -> tuple[bytes, bool]:
        values = {name.lower(): value for name, value in headers}
        if method == "HEAD" or status in (204, 304):
            return b"", True
        body = b""
        try:
            if values.get("transfer-encoding") == "chunked":
                while size := int((await self.reader.readuntil(b"\r\n")).split(b";")[0], 16):
                    body += (await self.reader.readexactly(size + 2))[:-2]
                await self.reader.readuntil(b"\r\n")
            elif "content-length" in values:
                length = int(values["content-length"])
                while len(body) < length:
                    part = await self.reader.read(min(2**18, length - len(body)))
                    if not part:
                        return body, False
                    body += part
            else:
                body = await self.reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            return body, False
        return body, True


class EdgeUnderTest:
    """A running App and the ways a test talks to it."""

    def __init__(self, app: App, clock: Clock) -> None:
        self.app = app
        self.clock = clock

    @property
    def host(self) -> str:
        return str(self.app.public_address)

    async def connect(self) -> Client:
        return await Client.connect(self.app.public_address.host, self.app.public_address.port)

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> Received:
        """One request on a connection of its own."""
        client = await self.connect()
        try:
            await client.send(self.request(method, target, headers, body))
            return await client.receive(method)
        finally:
            await client.close()

    async def get(self, target: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Received:
        return await self.ask("GET", target, headers)

    def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
    ) -> bytes:
        """The bytes of a request, with Host and, for a body, Content-Length unless given."""
        pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
        names = {name.lower() for name, _ in pairs}
        if "host" not in names:
            pairs.insert(0, ("Host", self.host))
        if body is not None and not names & {"content-length", "transfer-encoding"}:
            pairs.append(("Content-Length", str(len(body))))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs), "", ""]
        return "\r\n".join(lines).encode("latin-1") + (body or b"")

    async def background_done(self) -> None:
        """Until what the edge does in the background has been done (its sweeper and its probe apart)."""
        async with asyncio.timeout(PATIENCE):
            while len(self.app.background) > 2:
                await asyncio.sleep(0)

    async def precached(self) -> None:
        """Until everything that is to be precached is stored."""
        precacher = self.app.precacher
        assert precacher is not None
        async with asyncio.timeout(PATIENCE):
            while precacher.progress.stored < precacher.progress.total:
                await asyncio.sleep(0.005)


@asynccontextmanager
async def edge_before(
    origin: ScriptedOrigin | str,
    /,
    *,
    cache_dir: Path | None = None,
    clock: Clock | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    **settings: Any,
) -> AsyncIterator[EdgeUnderTest]:
    """A running edge. `settings` are sections of the configuration; the disk tier is on only with `cache_dir`."""
    clock = clock or Clock()
    with tempfile.TemporaryDirectory() as unused:
        cache = {"dir": str(cache_dir or unused), "disk": "1GiB" if cache_dir else 0, **settings.pop("cache", {})}
        config = Config.model_validate(
            {
                "routes": CACHE_FIRST,
                **settings,
                "outbox": {"dir": f"{unused}/outbox", **settings.get("outbox", {})},
                "cache": cache,
                "origin": {"url": origin if isinstance(origin, str) else origin.url, **settings.get("origin", {})},
                "server": {"listen": "127.0.0.1:0", "drain_timeout": "1s", **settings.get("server", {})},
                "admin": {"listen": "127.0.0.1:0", **settings.get("admin", {})},
            }
        )
        app = App(config, now=clock, sleep=sleep)
        await app.start()
        try:
            yield EdgeUnderTest(app, clock)
        finally:
            await app.drain()
            await app.close()
