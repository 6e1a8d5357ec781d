"""The edge as a process: started, told to stop by a signal, ended with a status."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence

from proxy.app import App
from proxy.config.loading import Loaded
from proxy.config.model import Config
from proxy.descriptors import provide_for
from proxy.errors import CachewireError
from proxy.version import __version__


def run(
    config: Config,
    *,
    sources: Mapping[str, str],
    announce: Callable[[str], None],
    banner_hints: Sequence[str] = (),
    early: socket.socket | None = None,
    read_again: Callable[[], Loaded] | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT, then drain and return 0. A second signal ends the process at once. SIGHUP reads
    the configuration again, as `read_again` does.

    `announce` gets the lines of the start-up banner; `early` may listen at `server.listen` already. Raises
    CachewireError when the edge cannot start.
    """
    logging.basicConfig(level=config.log.level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return asyncio.run(_serve(config, sources, announce, banner_hints, early, read_again))


async def _serve(
    config: Config,
    sources: Mapping[str, str],
    announce: Callable[[str], None],
    hints: Sequence[str],
    early: socket.socket | None,
    read_again: Callable[[], Loaded] | None,
) -> int:
    provide_for(config)
    app = App(config, early=early, sources=sources, read_again=read_again)
    await app.start()
    gc.freeze()  # what is there now stays: looking through it for garbage again and again holds up everybody
    stop = _signalled()
    if not sys.stdin.isatty():  # else it says that the terminal is gone, and ends us as everybody

        def hung_up() -> None:
            app.reopen_logs()
            app.background.spawn(_reload(app), "reload")

        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hung_up)
    announce(f"cachewire {__version__}")
    announce(f"  edge       {app.public_url}  in front of {config.origin.url}")
    announce(f"  dashboard  http://{app.admin_address}")
    for hint in hints or (f"  try        curl -i {app.public_url}/",):
        announce(hint)
    try:
        name = await stop
        announce(f"{name}: draining; once more to stop at once")
        await app.drain()
    finally:
        await app.close()
        # The interpreter would look through everything for garbage once more, while clients wait for a successor.
        gc.freeze()
    return 0


async def _reload(app: App) -> None:
    try:
        await app.reload("SIGHUP")
    except CachewireError:
        pass  # the log and the timeline have it, and the edge goes on as it was


def _signalled() -> asyncio.Future[str]:
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def received(number: signal.Signals) -> None:
        if stop.done():
            os._exit(128 + number)
        stop.set_result(number.name)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, received, number)
    return stop
