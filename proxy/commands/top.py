"""`cachewire top`: the figures of a running edge, live in a terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.commands.options import AddressType, config_option
from proxy.errors import CachewireError

if TYPE_CHECKING:
    from proxy.commands.listeners import Listeners
    from proxy.config.units import Address
    from proxy.top.figures import Figures
    from proxy.top.scrape import Scrape
    from proxy.top.screen import Screen
    from proxy.top.tuned import Tuned

HISTORY = 300

INTERRUPTED = 128 + signal.SIGINT
"""The exit status after Ctrl-C, as shells have it."""

_ENDS = ("q", "\x1b", "\x03", "")
_NO_KEY = "none"

_SEQUENCE = 0.05
"""Seconds in which the rest of a key follows that begins with an escape, as arrows do."""


@click.command(
    epilog="""\b
Examples:
  cachewire top
  cachewire top --admin 10.0.0.5:8081          with CACHEWIRE__ADMIN__TOKEN set
  cachewire top --once                         one screen as plain text, for scripts
"""
)
@click.option("--admin", type=AddressType(), help="Address of the admin listener.  [default: admin.listen]")
@click.option(
    "--interval", type=click.FloatRange(0.2, 3600), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="Two looks, one screen, the end. So it is by itself without a terminal.")
@config_option
def top(admin: Address | None, interval: float, once: bool, path: Path | None) -> None:
    """Show what a running Cachewire does: traffic, hit ratio, latency, origin, store, realtime, routes.

    q, Esc and Ctrl-C quit, p pauses.
    """
    try:
        import rich  # noqa: F401 - only whether it is there
    except ModuleNotFoundError:
        raise CachewireError("`cachewire top` needs the extra `top`: pip install 'cachewire[top]'") from None
    from proxy.commands.listeners import Listeners

    watch = _Watch(Listeners.of(path, None, admin))
    try:
        if once or not sys.stdout.isatty() or not sys.stdin.isatty():
            watch.once(interval)
        else:
            watch.live(interval)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)  # it is how one leaves: nothing was aborted


class _Watch:
    """Looks at one edge again and again. One that cannot be reached any more is asked until it is back."""

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners
        self._before: Scrape | None = None
        self._figures: Figures | None = None
        self._tuned: Tuned | None = None
        self._history: deque[float] = deque(maxlen=HISTORY)
        self._lost: tuple[float, str] | None = None

    def once(self, interval: float) -> None:
        """Print one screen. Raises CachewireError when nothing answers."""
        from rich.console import Console

        self._look()
        time.sleep(interval)
        self._look()
        console = Console(width=None if sys.stdout.isatty() else 100)
        console.print(self._screen())

    def live(self, interval: float) -> None:
        """Until somebody says quit. Raises CachewireError when the first look fails: then the address is wrong."""
        from rich.console import Console
        from rich.live import Live

        self._look()
        console = Console()
        with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            paused, due = False, time.monotonic() + interval
            while True:
                notice = "paused; p goes on" if paused else ""
                live.update(self._screen(notice, console.height), refresh=True)
                key = pressed(max(due - time.monotonic(), 0.0))
                if key in _ENDS:
                    return
                paused ^= key == "p"
                if key in (_NO_KEY, "p"):
                    if not paused:
                        self._try()
                    due = time.monotonic() + interval

    def _look(self) -> None:
        from proxy.top.figures import figures
        from proxy.top.scrape import parse
        from proxy.top.tuned import tuned

        text = self._listeners.text("/metrics")
        try:
            scrape = parse(text, time.monotonic())
        except ValueError as error:
            raise CachewireError(f"what {self._listeners.admin} calls metrics cannot be read: {error}") from None
        if self._before is not None:
            self._figures = figures(self._before, scrape)
            self._history.append(self._figures.requests)
        self._before = scrape
        try:
            self._tuned = tuned(self._listeners.get("/api/tuning", ()))
        except CachewireError:
            self._tuned = None  # one that knows nothing of tuning has figures all the same

    def _try(self) -> None:
        try:
            self._look()
        except CachewireError as error:
            since = self._lost[0] if self._lost else time.monotonic()
            self._lost = since, str(error)
        else:
            self._lost = None

    def _screen(self, notice: str = "", height: int | None = None) -> Screen:
        from proxy.top.screen import Screen

        if self._lost is not None:
            notice = f"no answer for {time.monotonic() - self._lost[0]:.0f} s, trying again: {self._lost[1]}"
        return Screen(str(self._listeners.admin), self._figures, self._history, notice, self._tuned, height)


@contextmanager
def _keys() -> Iterator[Callable[[float], str]]:
    """A function that waits so many seconds for a key, and returns it with all its bytes, `none`, or nothing when the
    terminal is gone; the terminal is as it was afterwards.
    """
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> str:
        if not _ready(descriptor, seconds):
            return _NO_KEY
        key = os.read(descriptor, 1)
        if key == b"\x1b" and _ready(descriptor, _SEQUENCE):
            key += os.read(descriptor, 32)
        return key.decode("ascii", "replace")

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _ready(descriptor: int, seconds: float) -> bool:
    return bool(select.select([descriptor], [], [], seconds)[0])
