"""`python -m demo`: run the demo origin until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from demo.application import build

DRAIN_SECONDS = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, serve, and return the exit status: 0 when stopped, 1 when it cannot serve."""
    options = command_line().parse_args(arguments)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("demo.access").setLevel(logging.WARNING if options.quiet else logging.INFO)
    try:
        options.data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        print(f"demo: error: cannot keep pictures in {options.data}: {error.strerror}; use --data DIR", file=sys.stderr)
        return 1
    try:
        asyncio.run(serve(options))
    except OSError as error:
        print(f"demo: error: {trouble(error, *options.listen)}", file=sys.stderr)
        return 1
    return 0


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("demo", description="A small application to put an edge in front of.")
    parser.add_argument(
        "--listen", type=address, default=("127.0.0.1", 3000), metavar="H:P", help="default 127.0.0.1:3000"
    )
    parser.add_argument(
        "--data", type=Path, default=Path(".cachewire/demo"), metavar="DIR", help="keeps pictures, default %(default)s"
    )
    parser.add_argument("--publish", metavar="URL", help="where to POST new and changed reports, for live pages")
    parser.add_argument("--quiet", action="store_true", help="no line for each request")
    parser.add_argument("--exit-with-stdin", action="store_true", help="stop when standard input ends")
    return parser


def address(value: str) -> tuple[str, int]:
    """Host and port of `H:P`; port 0 takes any free one."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_.-]+)):([0-9]{1,5})", value)
    if match is None or int(match[3]) > 65535:
        raise argparse.ArgumentTypeError(f"{value!r} is not host:port; write for example 127.0.0.1:3000 or [::1]:3000")
    return match[1] or match[2], int(match[3])


async def serve(options: argparse.Namespace) -> None:
    """Serve until a signal or the end of standard input; OSError when the address cannot be had."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(
        build(options.data, options.publish, os.environ.get("DEMO_PUBLISH_TOKEN")),
        access_log=None,
        shutdown_timeout=DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        host, port = options.listen
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        print(f"demo origin ready on http://{shown}:{bound}", flush=True)
        if options.exit_with_stdin:
            threading.Thread(target=_await_end_of_stdin, args=(loop, stopped), daemon=True).start()
        await stopped.wait()
    finally:
        await runner.cleanup()


def trouble(error: OSError, host: str, port: int) -> str:
    """Why the address could not be had, and what to do."""
    if "in use" in str(error):
        return f"{host}:{port} is taken by another process; stop it or choose another with --listen H:P"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def _await_end_of_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # os.read and not sys.stdin: a daemon thread inside the buffered reader would break the interpreter's exit.
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stopped.set)


if __name__ == "__main__":
    sys.exit(main())
