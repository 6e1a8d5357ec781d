"""The access log behind the exchanges' back: outcomes are collected, and made into lines and written by a thread.

The rule of this room: an exchange pays for one look and one append. A disk or a pipe that is too slow costs lines,
which are counted, and never memory, an answer or the end of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import random
import stat
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from proxy.access_log.lines import Line, json_line, text_line
from proxy.config.access_log import AccessLog as Settings
from proxy.errors import CachewireError
from proxy.outcome import Outcome

EVERY = 0.25
"""Seconds between two writes."""

LAST_WORDS = 2.0
"""Seconds that the last lines have at the end."""

_AT_ONCE = 200
"""Lines that the thread makes before the loop has its turn again."""

_log = logging.getLogger("cachewire.access")


class AccessLog:
    """Takes outcomes from `start` to `close`."""

    def __init__(
        self,
        settings: Settings,
        line: Line,
        *,
        chance: Callable[[], float] = random.random,
        descriptor: int = 1,
    ) -> None:
        self._settings = settings
        self._line = line
        self._chance = chance
        self._descriptor = descriptor
        self._own = False
        self._collected: list[Outcome] = []
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._failed = False
        self._torn = False
        self.written = 0
        self.dropped = 0

    def add(self, outcome: Outcome) -> None:
        """Note a finished exchange, if the lot falls on it; it must not be changed any more."""
        settings = self._settings
        if settings.sample >= 1.0 or _speaks(outcome, settings.slower_than) or self.draws():
            self.write(outcome)

    def draws(self) -> bool:
        """Whether the lot falls on an exchange: whoever asks first need not keep a long one that will have no line."""
        return self._settings.sample >= 1.0 or self._chance() < self._settings.sample

    def write(self, outcome: Outcome) -> None:
        """Note a finished exchange on which the lot has fallen."""
        if len(self._collected) >= self._settings.max_waiting:
            self.dropped += 1
        else:
            self._collected.append(outcome)

    def start(self) -> None:
        """Open the file and begin to write. Raises CachewireError when it cannot be opened."""
        self.reopen()
        self._task = asyncio.create_task(self._run(), name="access-log")

    def reopen(self) -> None:
        """Open the file anew: whoever rotates logs has moved the old one. Raises CachewireError the first time only."""
        path = self._settings.file
        if path is None:
            return
        try:
            descriptor = _opened(path)
        except OSError as error:
            why = _why_not(path, error)
            if self._own:
                _log.error("%s (log.access.file) cannot be opened anew: %s; writing to the old one", path, why)
                return
            raise CachewireError(f"{path} (log.access.file) cannot be written: {why}") from error
        if self._own:
            # One step for the kernel: the thread that is writing just now goes on in either file, never in none.
            os.dup2(descriptor, self._descriptor, inheritable=False)
            os.close(descriptor)
        else:
            self._descriptor, self._own = descriptor, True
        self._torn = _ends_within_a_line(path)

    async def close(self) -> None:
        """Write what is left, as far as that is possible in a moment."""
        if self._task is None:
            return
        self._ending.set()
        try:
            async with asyncio.timeout(LAST_WORDS):
                await self._task  # what it is writing just now comes first
                await self._write()
        except TimeoutError:
            _log.error("the last lines of the access log could not be written in time")
            return  # the thread may still be at it: the file stays open for it
        if self._own:
            os.close(self._descriptor)

    async def _run(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY):
                    await self._ending.wait()
            await self._write()

    async def _write(self) -> None:
        if not self._collected:
            return
        outcomes, self._collected = self._collected, []
        try:
            self.written += await asyncio.to_thread(self._written, outcomes)
        except OSError as error:
            self.dropped += len(outcomes)
            if not self._failed:
                _log.error("the access log cannot be written (%s): lines are lost until it can", error)
            self._failed = True
        else:
            self._failed = False

    def _written(self, outcomes: Sequence[Outcome]) -> int:
        for start in range(0, len(outcomes), _AT_ONCE):
            lines = [self._line(outcome) for outcome in outcomes[start : start + _AT_ONCE]]
            if self._torn:
                lines[0] = "\n" + lines[0]  # a full disk took half a line the last time
            data = memoryview(("\n".join(lines) + "\n").encode("ascii", "backslashreplace"))
            while data:
                taken = os.write(self._descriptor, data)
                self._torn = data[taken - 1] != ord("\n") if taken else self._torn
                data = data[taken:]
        return len(outcomes)


def access_log(settings: Settings) -> AccessLog | None:
    """The access log as configured; None when it is off."""
    chosen, terminal = settings.format, settings.file is None and sys.stdout.isatty()
    if chosen == "auto":
        chosen = "text" if terminal else "json" if settings.file is not None else "off"
    if chosen == "off" or (settings.file is None and not _usable(1)):
        return None
    if chosen == "json":
        return AccessLog(settings, json_line)
    return AccessLog(settings, partial(text_line, coloured=terminal and not os.environ.get("NO_COLOR")))


def _speaks(outcome: Outcome, slower_than: float) -> bool:
    """Whether a line is written whatever the sample."""
    failed = outcome.status >= 500 or not outcome.complete
    return failed or (outcome.timed and outcome.duration > slower_than)


def _opened(path: Path) -> int:
    """A descriptor to append with. Raises OSError, at once, also for a FIFO that nobody reads."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o640)
    os.set_blocking(descriptor, True)  # the thread that writes may wait for a reader
    return descriptor


def _why_not(path: Path, error: OSError) -> str:
    """Why it cannot be opened, and what would be right."""
    try:
        mode = path.stat().st_mode
    except OSError:
        if error.errno == errno.ENOENT:
            return "its directory does not exist; make it, or name a file in one that does"
        return error.strerror or str(error)
    if stat.S_ISFIFO(mode) and error.errno == errno.ENXIO:
        return "it is a FIFO that nobody reads; start its reader first, or name an ordinary file"
    if stat.S_ISDIR(mode):
        return "it is a directory; name a file inside it"
    if stat.S_ISSOCK(mode):
        return "it is a socket; name an ordinary file, or a FIFO with a reader"
    return error.strerror or str(error)


def _ends_within_a_line(path: Path) -> bool:
    """Whether a file was left with half a line at its end: by a disk that was full, or by a sudden end."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"
    except OSError:
        return False  # there is nothing in it, or nobody may look


def _usable(descriptor: int) -> bool:
    try:
        return not stat.S_ISDIR(os.fstat(descriptor).st_mode)
    except OSError:
        return False
