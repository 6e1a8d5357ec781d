"""The realtime core alone, as a process: python -m bench.realtime.core [--journal FILE] [--profile FILE]

Prints its address; SIGUSR2 collects garbage. With --profile, what cProfile saw is written at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import signal
from pathlib import Path

from aiohttp import web

from realtime.core import Core
from realtime.settings import AuthenticationSettings, CoreSettings


async def serve(journal: Path | None) -> None:
    core = Core(CoreSettings(authentication=AuthenticationSettings("trusted")), journal_path=journal)
    await core.start()
    runner = web.ServerRunner(web.Server(core.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, gc.collect)
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(f"ready on http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await stop.wait()
    await core.close()
    await runner.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", type=Path)
    parser.add_argument("--profile", type=Path)
    options = parser.parse_args()
    if options.profile is None:
        asyncio.run(serve(options.journal))
        return
    profile = cProfile.Profile()
    profile.runcall(asyncio.run, serve(options.journal))
    profile.dump_stats(options.profile)


if __name__ == "__main__":
    main()
