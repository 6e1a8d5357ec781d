"""A real TCP origin that does what a test tells it and counts what it was asked.

    async def test_the_second_answer_comes_from_the_store() -> None:
        async with ScriptedOrigin() as origin:
            origin.on("/a", reply(body=b"hello", headers={"Cache-Control": "max-age=60"}))
            ...                                     # point the edge at origin.url, ask twice
            assert origin.count("/a") == 1

As a fixture, for a whole file:

    @pytest.fixture
    async def origin() -> AsyncIterator[ScriptedOrigin]:
        async with ScriptedOrigin() as origin:
            yield origin

A script is any `async def script(wire: Wire) -> None`. The ones below cover most tests; `steps` puts them in a row
for one request, and `origin.on(path, first, second)` gives the first request to `first` and every later one to
`second`. Scripts wait for events that the test sets, never for time. `origin.stop()` and `origin.start()` take the
origin away and bring it back on the same port. It shares no code with the product, so that it can disagree with it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
Script = Callable[["Wire"], Awaitable[None]]

PATIENCE = 10.0
"""Seconds after which something a test waits for has failed to happen."""


@dataclass(slots=True)
class Asked:
    """One request as it arrived. `body` grows while it is read; `complete` once its end was seen.

    `connection` numbers the connections from 1, in the order they were opened.
    """

    method: str
    target: str
    version: str
    headers: list[tuple[str, str]]
    connection: int
    raw_head: bytes
    received: bytearray = field(default_factory=bytearray, repr=False)
    trailers: list[tuple[str, str]] = field(default_factory=list)
    complete: bool = False

    @property
    def body(self) -> bytes:
        return bytes(self.received)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """The lines of `name` joined by `, `, or None."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]


class Wire:
    """What a script holds while it answers one request: the request and the raw connection."""

    def __init__(self, request: Asked, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.request = request
        self.closed = False
        self._reader = reader
        self._writer = writer
        self._body = self._parts()

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def read_part(self) -> bytes:
        """The next bytes of the request's body; b"" at its end."""
        return await anext(self._body, b"")

    async def read_body(self) -> bytes:
        """The whole body, de-chunked."""
        while await self.read_part():
            pass
        return self.request.body

    async def read_raw(self, size: int = 2**16) -> bytes:
        """Bytes as they come, after an upgrade; b"" when the other side has closed."""
        return await self._reader.read(size)

    def close(self) -> None:
        """Close in an orderly way, after what was sent."""
        self.closed = True
        self._writer.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.closed = True
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def shut_down_tcp(self) -> None:
        """End the outgoing stream below any TLS and keep reading."""
        self._writer.get_extra_info("socket").shutdown(socket.SHUT_WR)

    async def _parts(self) -> AsyncGenerator[bytes, None]:
        request = self.request
        if (request.header("Transfer-Encoding") or "").lower() == "chunked":
            while size := int((await self._reader.readuntil(b"\r\n")).split(b";")[0], 16):
                part = (await self._reader.readexactly(size + 2))[:-2]
                request.received += part
                yield part
            request.trailers = _parse_lines((await self._until_empty_line()).decode("latin-1"))
        else:
            left = int(request.header("Content-Length") or 0)
            while left:
                if not (part := await self._reader.read(min(left, 2**16))):
                    raise asyncio.IncompleteReadError(b"", left)
                left -= len(part)
                request.received += part
                yield part
        request.complete = True

    async def _until_empty_line(self) -> bytes:
        lines = b""
        while (line := await self._reader.readuntil(b"\r\n")) != b"\r\n":
            lines += line
        return lines


# -- scripts


def reply(
    status: int = 200,
    body: bytes | Callable[[Asked], bytes] = b"",
    headers: Headers = (),
    *,
    reason: str = "",
    version: str = "1.1",
    chunks: Sequence[bytes] | None = None,
    trailers: Headers = (),
    early: bool = False,
) -> Script:
    """A complete, well-framed answer, without a body to HEAD.

    Content-Length is added unless `headers` bring one or the status has none; `chunks` go out chunked, with
    `trailers`. `early` answers before the request's body was read.
    """

    async def script(wire: Wire) -> None:
        if not early:
            await wire.read_body()
        content = body(wire.request) if callable(body) else body
        lines = _lines(headers)
        names = {name.lower() for name, _ in lines}
        if chunks is not None:
            lines.append(("Transfer-Encoding", "chunked"))
        elif "content-length" not in names and status >= 200 and status not in (204, 304):
            lines.append(("Content-Length", str(len(content))))
        message = head(status, lines, reason=reason, version=version)
        if wire.request.method != "HEAD" and status not in (204, 304):
            message += content if chunks is None else chunked(chunks, trailers)
        await wire.send(message)
        if dict(lines).get("Connection", "").lower() == "close":
            wire.close()

    return script


def etagged(etag: str, body: bytes, headers: Headers = ()) -> Script:
    """A representation with an entity tag: 304 to whoever holds it, 200 to everyone else."""
    lines = [*_lines(headers), ("ETag", etag)]

    async def script(wire: Wire) -> None:
        held = [tag.strip() for tag in (wire.request.header("If-None-Match") or "").split(",")]
        await (reply(304, headers=lines) if etag in held else reply(200, body, lines))(wire)

    return script


def computed(answer: Callable[[Asked], Script]) -> Script:
    """Chooses a script by looking at the request (its body is not read yet)."""

    async def script(wire: Wire) -> None:
        await answer(wire.request)(wire)

    return script


def steps(*scripts: Script) -> Script:
    """One after the other, for the same request."""

    async def script(wire: Wire) -> None:
        for step in scripts:
            await step(wire)

    return script


def raw(*parts: bytes) -> Script:
    """Exactly these bytes, whatever they mean; the connection stays open (add `hang_up()` to close it)."""

    async def script(wire: Wire) -> None:
        for part in parts:
            await wire.send(part)

    return script


def interim(status: int, headers: Headers = ()) -> Script:
    """A 1xx before the final answer."""
    return raw(head(status, headers))


def read_body() -> Script:
    async def script(wire: Wire) -> None:
        await wire.read_body()

    return script


def when(event: asyncio.Event, then: Script | None = None) -> Script:
    """Wait until the test sets `event`."""

    async def script(wire: Wire) -> None:
        await event.wait()
        if then is not None:
            await then(wire)

    return script


def tell(event: asyncio.Event) -> Script:
    """Let the test know that the script has got here."""

    async def script(wire: Wire) -> None:
        event.set()

    return script


def silence() -> Script:
    """Never answer (until the other side, or the test, closes)."""

    async def script(wire: Wire) -> None:
        while await wire.read_raw():
            pass
        wire.close()

    return script


def hang_up() -> Script:
    """Close the connection in an orderly way."""

    async def script(wire: Wire) -> None:
        wire.close()

    return script


def reset() -> Script:
    """Close the connection with a TCP reset."""

    async def script(wire: Wire) -> None:
        wire.reset()

    return script


def head(status: int, headers: Headers = (), *, reason: str = "", version: str = "1.1") -> bytes:
    """The bytes of a response head."""
    lines = [f"HTTP/{version} {status} {reason}", *(f"{name}: {value}" for name, value in _lines(headers)), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def chunked(chunks: Sequence[bytes], trailers: Headers = ()) -> bytes:
    """The bytes of a chunked body."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks if chunk)
    tail = "".join(f"{name}: {value}\r\n" for name, value in _lines(trailers))
    return framed + b"0\r\n" + tail.encode("latin-1") + b"\r\n"


# -- the server


class ScriptedOrigin:
    """A TCP server on a free loopback port. An unknown path is answered 404.

    `requests` holds what was asked, in order of arrival; `opened` and `closed` count connections.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Asked] = []
        self.opened = 0
        self.closed = 0
        self.port = 0
        self.default: Script = reply(404, b"not scripted\n")
        self._tls = tls
        self._scripts: dict[tuple[str | None, str], list[Script]] = {}
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._changed = asyncio.Condition()

    @property
    def url(self) -> str:
        scheme, host = ("http", "127.0.0.1") if self._tls is None else ("https", "localhost")
        return f"{scheme}://{host}:{self.port}"

    @property
    def open_connections(self) -> int:
        return self.opened - self.closed

    def on(self, target: str, *scripts: Script, method: str | None = None) -> None:
        """Answer requests for `target` (exact with its query, else by path) with these scripts in turn.

        The last one repeats. Replaces what was scripted for the same target and method.
        """
        self._scripts[method, target] = list(scripts)

    def asked(self, target: str, method: str | None = None) -> list[Asked]:
        """The requests for a target or path so far."""
        return [r for r in self.requests if target in (r.target, r.path) and method in (None, r.method)]

    def count(self, target: str | None = None, method: str | None = None) -> int:
        return len(self.requests) if target is None else len(self.asked(target, method))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, looking whenever a request, a connection or its end has arrived."""
        async with asyncio.timeout(PATIENCE), self._changed:
            await self._changed.wait_for(condition)

    async def until_asked(self, target: str, times: int = 1) -> None:
        await self.until(lambda: self.count(target) >= times)

    async def until_all_closed(self) -> None:
        await self.until(lambda: self.open_connections == 0)

    async def start(self) -> None:
        """Listen; on the same port again after `stop`."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self._tls, limit=2**20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Refuse new connections and reset the open ones: the origin is down."""
        if self._server is not None:
            self._server.close()
        await self.drop_connections()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def drop_connections(self) -> None:
        """Close every open connection and keep listening."""
        tasks = list(self._connections)
        for task, writer in self._connections.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # -- details

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        self.opened += 1
        number = self.opened
        try:
            await self._notify()
            while (request := await _read_request(reader, number)) is not None:
                self.requests.append(request)
                script = self._script(request)
                await self._notify()
                wire = Wire(request, reader, writer)
                await script(wire)
                if wire.closed or (request.header("Connection") or "").lower() == "close":
                    break
                await wire.read_body()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side left, or the test took the origin down
        finally:
            writer.close()
            try:
                await writer.wait_closed()
            except (ConnectionError, ssl.SSLError, asyncio.CancelledError):
                pass
            del self._connections[task]
            self.closed += 1
            await self._notify()

    def _script(self, request: Asked) -> Script:
        for key in ((m, t) for t in (request.target, request.path) for m in (request.method, None)):
            if scripts := self._scripts.get(key):
                return scripts.pop(0) if len(scripts) > 1 else scripts[0]
        return self.default

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def _lines(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Asked | None:
    try:
        raw_head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    start, _, rest = raw_head.decode("latin-1").partition("\r\n")
    method, target, version = start.split(" ")
    return Asked(method, target, version, _parse_lines(rest), connection, raw_head)


def _parse_lines(text: str) -> list[tuple[str, str]]:
    split = (line.partition(":") for line in text.split("\r\n") if line)
    return [(name, value.strip(" \t")) for name, _, value in split]
