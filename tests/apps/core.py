"""The realtime core alone on a port, before an application: what the scenarios with the real client run against.

    python -m tests.apps.core --port 0 --chat '{"deliver": "both"}' --origin http://127.0.0.1:3000

Prints the port when it listens. `--journal DIRECTORY` keeps recovery across restarts. POST /publish publishes, GET
/figures shows what was counted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from realtime.asking import Asked
from realtime.core import Core
from realtime.limits import Rate
from realtime.origin import Ask, OriginAway
from realtime.publishing import BadPublication
from realtime.settings import AuthenticationSettings, ChannelRule, CoreSettings, OriginSettings


def asker(session: aiohttp.ClientSession, base: str) -> Ask:
    """Requests to the application at `base`."""

    async def ask(
        method: str, target: str, fields: list[tuple[str, str]], body: bytes, _: Asked
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        try:
            async with session.request(method, base + target, headers=fields, data=body or None) as answer:
                return answer.status, list(answer.headers.items()), await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise OriginAway(str(error)) from error

    return ask


def build(arguments: argparse.Namespace, ask: Ask | None) -> Core:
    settings = CoreSettings(
        authentication=AuthenticationSettings(kind=arguments.auth),
        origin=OriginSettings(**json.loads(arguments.asks)),
    )
    return Core(
        replace(settings, chat=changed(settings.chat, json.loads(arguments.chat))),
        ask=ask,
        journal_path=None if arguments.journal is None else Path(arguments.journal),
    )


def changed(settings: Any, values: dict[str, Any]) -> Any:
    """The settings with these members instead; an object changes the members of settings inside."""
    return replace(
        settings,
        **{
            name: changed(getattr(settings, name), value)
            if isinstance(value, dict)
            else tuple(ChannelRule(**rule) for rule in value)
            if name == "channels"
            else Rate(*value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
        },
    )


async def serve(arguments: argparse.Namespace) -> None:
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        core = build(arguments, asker(session, arguments.origin) if arguments.origin else None)
        await core.start()
        runner = web.AppRunner(_application(core), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", arguments.port).start()
        print(runner.addresses[0][1], flush=True)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        await stopped.wait()
        await core.drain(0.1)
        await core.close()
        await runner.cleanup()


def _application(core: Core) -> web.Application:
    async def publish(request: web.Request) -> web.Response:
        try:
            return web.json_response(await core.publish(await request.json()))
        except BadPublication as error:
            return web.json_response({"error": str(error)}, status=400)

    async def figures(_: web.Request) -> web.Response:
        shown = {"sessions": core.sessions(), "conversations": core.conversations()}
        return web.json_response(asdict(core.figures()) | shown)

    async def kick(request: web.Request) -> web.Response:
        return web.json_response({"known": core.disconnect(request.match_info["sid"])})

    app = web.Application()
    app.router.add_post("/publish", publish)
    app.router.add_get("/figures", figures)
    app.router.add_post("/disconnect/{sid}", kick)
    app.router.add_route("*", core.settings.engine.path, core.handle)
    return app


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--auth", default="trusted")
    parser.add_argument("--origin", help="base URL of the application")
    parser.add_argument("--asks", default="{}", help="OriginSettings as JSON")
    parser.add_argument("--chat", default="{}", help="members of ChatSettings as JSON")
    parser.add_argument("--journal")
    logging.basicConfig(level=logging.INFO)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
