"""An application for protocol tests: whatever arrives at /engine.io/ goes back.

python -m tests.apps.echo --port 3000
"""

from __future__ import annotations

import argparse
import asyncio

from aiohttp import web

from realtime.frames import Outgoing
from realtime.settings import EngineSettings
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

    def received(self, message: str | bytes) -> None:
        self._connection.send(Outgoing([message]))

    def closed(self, reason: str) -> None:
        """Nothing is kept."""


async def serve(host: str, port: int) -> None:
    engine = EngineServer(SETTINGS, Echo, RealtimeStats())

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == SETTINGS.path:
            return await engine.handle(request)
        return web.Response(status=404)

    server = await asyncio.get_running_loop().create_server(web.Server(handle), host, port)
    port = server.sockets[0].getsockname()[1]
    print(f"listening on http://{host}:{port}", flush=True)
    try:
        await server.serve_forever()
    finally:
        await engine.close()


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
