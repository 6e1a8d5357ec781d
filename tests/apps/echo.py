"""An application for protocol tests: whatever arrives goes back.

At /engine.io/ bare Engine.IO; at /socket.io/ Socket.IO with the namespaces / and /custom.

python -m tests.apps.echo --port 3000
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import replace
from typing import Any

from aiohttp import web

from realtime.frames import Outgoing
from realtime.hub import Hub, Namespace, Socket
from realtime.settings import EngineSettings, HubSettings
from realtime.stats import RealtimeStats
from realtime.transport import Connection, EngineServer

SETTINGS = EngineSettings(
    path="/engine.io/", ping_interval=0.3, ping_timeout=0.2, max_payload=1_000_000, allowed_origins=("*",)
)


class Echo:
    """Sends every message back."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        connection.entered()

    def received(self, message: str | bytes) -> None:
        self._connection.send(Outgoing([message]))

    def closed(self, reason: str) -> None:
        """Nothing is kept."""


def echo_events(namespace: Namespace) -> None:
    """Answers `message` with `message-back`, and `message-with-ack` with an acknowledgement."""

    @namespace.on("connect")
    def connect(socket: Socket, auth: dict[str, Any] | None) -> None:
        socket.emit("auth", {} if auth is None else auth)

    @namespace.on("message")
    def message(socket: Socket, *args: Any) -> None:
        socket.emit("message-back", *args)

    @namespace.on("message-with-ack")
    def message_with_ack(socket: Socket, *args: Any) -> tuple[Any, ...]:
        return args


async def serve(host: str, port: int) -> None:
    stats = RealtimeStats()
    hub = Hub(HubSettings(connect_timeout=1.0), stats)
    for name in ("/", "/custom"):
        echo_events(hub.namespace(name))
    raw = EngineServer(SETTINGS, Echo, RealtimeStats())
    events = EngineServer(replace(SETTINGS, path="/socket.io/"), hub.opened, stats)

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/engine.io/":
            return await raw.handle(request)
        if request.path == "/socket.io/":
            return await events.handle(request)
        return web.Response(status=404)

    server = await asyncio.get_running_loop().create_server(web.Server(handle), host, port)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on http://{host}:{port}", flush=True)
    try:
        await server.serve_forever()
    finally:
        await raw.close()
        await events.close()
        await hub.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3000)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.host, arguments.port))
    except KeyboardInterrupt:
        pass  # that is how it is ended


if __name__ == "__main__":
    main()
