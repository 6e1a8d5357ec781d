"""`cachewire top`: the figures of a running edge, live in a terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
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

LOOK = 5.0
"""Seconds that an edge may take to answer a look: one that takes longer is not well."""

_GLANCE = 0.05
"""Seconds between two glances at a look that is under way."""
_REDRAWN = 1.0

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

    watch = _Watch(replace(Listeners.of(path, None, admin), timeout=LOOK))
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
        self._lost = ""

    def once(self, interval: float) -> None:
        """Print one screen. Raises CachewireError when nothing answers."""
        from rich.console import Console

        self._take(_look(self._listeners))
        time.sleep(interval)
        self._take(_look(self._listeners))
        console = Console(width=None if sys.stdout.isatty() else 100)
        console.print(self._screen())

    def live(self, interval: float) -> None:
        """Until somebody says quit. Raises CachewireError when the first look fails: then the address is wrong."""
        from rich.console import Console
        from rich.live import Live

        self._take(_look(self._listeners))
        console = Console()
        with _keys() as pressed, Live(console=console, screen=True, auto_refresh=False) as live:
            paused, due = False, time.monotonic() + interval
            under_way: Future[tuple[Scrape, Tuned | None]] | None = None
            while True:
                live.update(self._screen(self._notice(paused, interval), console.height), refresh=True)
                rest = _REDRAWN if paused else min(max(due - time.monotonic(), 0.0), _REDRAWN)
                key = pressed(rest if under_way is None else _GLANCE)
                if key in _ENDS:
                    return
                paused ^= key == "p"
                if under_way is not None and under_way.done():
                    self._try(under_way)
                    under_way, due = None, time.monotonic() + interval
                elif under_way is None and not paused and (key == "p" or time.monotonic() >= due):
                    under_way = _begun(self._listeners)

    def _take(self, look: tuple[Scrape, Tuned | None]) -> None:
        from proxy.top.figures import figures

        scrape, self._tuned = look
        if self._before is not None:
            self._figures = figures(self._before, scrape)
            self._history.append(self._figures.requests)
        self._before = scrape

    def _try(self, look: Future[tuple[Scrape, Tuned | None]]) -> None:
        try:
            self._take(look.result())
        except CachewireError as error:
            self._lost = str(error)
        else:
            self._lost = ""

    def _notice(self, paused: bool, interval: float) -> str:
        """Why the figures are not those of now; nothing when they are."""
        age = 0.0 if self._before is None else time.monotonic() - self._before.at
        if self._lost:
            return f"figures are {age:.0f} s old, trying again: {self._lost}"
        if paused:
            return "paused; p goes on"
        return f"figures are {age:.0f} s old, waiting for an answer" if age > max(2 * interval, 1.0) else ""

    def _screen(self, notice: str = "", height: int | None = None) -> Screen:
        from proxy.top.screen import Screen

        return Screen(str(self._listeners.admin), self._figures, self._history, notice, self._tuned, height)


def _look(listeners: Listeners) -> tuple[Scrape, Tuned | None]:
    """What the edge says now. Raises CachewireError."""
    from proxy.top.scrape import parse
    from proxy.top.tuned import tuned

    text = listeners.text("/metrics")
    try:
        scrape = parse(text, time.monotonic())
    except ValueError as error:
        raise CachewireError(f"what {listeners.admin} calls metrics cannot be read: {error}") from None
    try:
        return scrape, tuned(listeners.get("/api/tuning", ()))
    except CachewireError:
        return scrape, None  # one that knows nothing of tuning has figures all the same


def _begun(listeners: Listeners) -> Future[tuple[Scrape, Tuned | None]]:
    """A look in a thread of its own: keys and the clock go on, and nobody who quits waits for an edge that hangs."""
    look: Future[tuple[Scrape, Tuned | None]] = Future()

    def taken() -> None:
        try:
            look.set_result(_look(listeners))
        except BaseException as error:
            look.set_exception(error)

    threading.Thread(target=taken, name="look", daemon=True).start()
    return look


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
