"""What alerts, history and tuning look at: a handful of figures of the last minute, read at most once a second.

The rule of this room: a figure that too little stands behind is None, not a number. Rates and shares are of the last
minute, and where few are served, errors and response times of as much before it as has enough answers; spans are
seconds, shares parts of one.
"""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import NamedTuple

from proxy.operations.ledger import Ledger
from proxy.operations.memory import Memory
from proxy.operations.metrics import KeptFigures, OriginFigures, StoreFigures

WINDOW = 60
FEW_TIMED, FEW_ANSWERED, FEW_SESSIONS = 5, 10, 5
"""Fewer answers or sessions than that say nothing of a mean or a share."""

LOOK_BACK = 300
"""As many seconds are looked back where the last minute has too few answers."""
FEW_ERRORS = 3
"""Fewer errors than that are strays, where answers are few."""

EVERY = 1.0
SLOWLY_EVERY = 5.0
"""What costs a system call, or a walk over all sessions, is read that often."""

GROWTH_OVER = 300.0
DISK_OFF = 2.0
"""Fuller than full: whatever room there is, the disk tier takes nothing before a restart."""
FAILED_FOR = 300.0
"""How long a write to disk that failed counts as a full disk."""


@dataclass(frozen=True, slots=True)
class Readings:
    """The figures of one moment. None: cannot be told now."""

    response_time: float | None = None
    """Mean time until an answer begins, in seconds; exchanges that last as long as their client likes apart."""
    error_ratio: float | None = None
    """Share of answers with a status of 500 or above."""
    poor_quality: float | None = None
    """Share of realtime sessions whose connection is poor: 0 when there are none, None of a few or without the core."""
    memory: float | None = None
    """Share of the memory budget in use."""
    origin_down: float | None = None
    """1 when the application cannot be reached, 0 when it can; None until it was asked."""
    origin_failures: float | None = None
    """Share of the requests to the origin that it did not answer in time, or with a status of 500 or above."""
    outbox_queued: float | None = None
    """Writes that wait; None without an outbox."""
    outbox_oldest: float | None = None
    """How long the first of them has been waiting; None when none does."""
    outbox_growth: float | None = None
    """How many more wait than five minutes ago, below zero when it shrinks; all of them when it does not, and the first
    has been waiting for longer than that or since before the start: such a queue is stuck, if nothing new comes or not.
    """
    disk: float | None = None
    """Share in use of the fullest file system of cache, outbox and realtime journal; 1 when writing to the cache has
    failed lately or the journal cannot be written, DISK_OFF when the disk tier is off until a restart."""
    redis_lost: float | None = None
    """None: the shared tier is not part of this version."""
    requests_per_second: float | None = None
    hit_ratio: float | None = None
    messages_per_second: float | None = None
    """Chat messages accepted per second; None without the realtime core."""
    p95: float | None = None
    """95 of 100 answers took no longer, in seconds."""

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """What a rule may look at."""
        return tuple(field.name for field in fields(cls))

    def values(self) -> dict[str, float | None]:
        return asdict(self)


class Grades(NamedTuple):
    """How many realtime sessions there are, and how many of them are poor."""

    poor: int
    total: int


class _Sample(NamedTuple):
    at: float
    queued: int
    messages: int


class Reader:
    """Reads one edge. Whoever asks within a second gets the same readings; `now` is monotonic, in seconds.

    `grades` and `messages` are of the realtime core, None without it; `journal` is False while its journal cannot be
    written; `kept` is None without an outbox.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        now: Callable[[], float],
        store: Callable[[], StoreFigures],
        origin: Callable[[], OriginFigures],
        kept: Callable[[], KeptFigures | None] = lambda: None,
        grades: Callable[[], Grades | None] = lambda: None,
        messages: Callable[[], int | None] = lambda: None,
        journal: Callable[[], bool] = lambda: True,
        memory: Callable[[], Memory] = lambda: Memory(None, None),
        directories: Iterable[Path] = (),
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._store = store
        self._origin = origin
        self._kept = kept
        self._grades = grades
        self._messages = messages
        self._journal = journal
        self._memory = memory
        self._directories = tuple(directories)
        self._readings = Readings()
        self._read_at: float | None = None
        self._slow: _Slow | None = None
        self._samples: deque[_Sample] = deque(maxlen=int(GROWTH_OVER / SLOWLY_EVERY) + 1)
        self._storage_errors = store().storage_errors
        self._failed_at: float | None = None

    def sample(self) -> Readings:
        """The readings of this second."""
        now = self._now()
        if self._read_at is None or now - self._read_at >= EVERY:
            self._read_at = now
            self._readings = self._read(now)
        return self._readings

    @property
    def notes(self) -> Mapping[str, object]:
        """What stands behind some readings: `memory` (a Memory), `write_failed` (seconds ago, or None) and `journal`
        (False while it cannot be written)."""
        slow = self._slow
        ago = None if self._failed_at is None else self._now() - self._failed_at
        return {
            "memory": None if slow is None else slow.memory,
            "write_failed": ago if ago is not None and ago < FAILED_FOR else None,
            "journal": self._journal(),
        }

    def _read(self, now: float) -> Readings:
        rates = self._ledger.rates(WINDOW)
        kept, messages = self._kept(), self._messages()
        slow = self._slowly(now, 0 if kept is None else kept.queued_writes, messages or 0)
        up = self._origin().up
        return Readings(
            response_time=rates.response_time if rates.timed >= FEW_TIMED else self._response_time_of_few(),
            error_ratio=rates.error_ratio if rates.requests >= FEW_ANSWERED else self._error_ratio_of_few(),
            poor_quality=slow.poor,
            memory=slow.memory.share,
            origin_down=None if up is None else float(not up),
            origin_failures=rates.origin_errors / rates.origin_requests if rates.origin_requests >= FEW_TIMED else None,
            outbox_queued=None if kept is None else float(kept.queued_writes),
            outbox_oldest=None if kept is None else kept.oldest_write,
            outbox_growth=None if kept is None else float(self._growth(kept)),
            disk=self._disk(now, slow),
            requests_per_second=rates.requests_per_second,
            hit_ratio=rates.hit_ratio,
            messages_per_second=None if messages is None else self._message_rate(now, messages),
            p95=rates.p95 if rates.timed >= FEW_TIMED else None,
        )

    def _response_time_of_few(self) -> float | None:
        """The mean of the last answers but for the slowest: one of five is a stray."""
        timed, times, longest = 0, 0.0, 0.0
        for second in self._ledger.backwards(LOOK_BACK):
            if timed >= FEW_TIMED:
                break
            timed += second.timed
            times += second.response_times
            longest = max(longest, second.longest)
        return (times - longest) / (timed - 1) if timed >= FEW_TIMED else None

    def _error_ratio_of_few(self) -> float | None:
        """The share among the last answers, back to where there are enough and no further: what is over is over.

        One or two errors among few are strays, of which nothing can be told.
        """
        requests = errors = 0
        for second in self._ledger.backwards(LOOK_BACK):
            if requests >= FEW_ANSWERED:
                break
            requests += second.requests
            errors += second.errors
        strays = 0 < errors < FEW_ERRORS
        return errors / requests if requests >= FEW_TIMED and not strays else None

    def _slowly(self, now: float, queued: int, messages: int) -> _Slow:
        if self._slow is None or now - self._slow.at >= SLOWLY_EVERY:
            self._slow = _Slow(now, _poor(self._grades()), self._memory(), fullest(self._directories))
            self._samples.append(_Sample(now, queued, messages))
        return self._slow

    def _growth(self, kept: KeptFigures) -> int:
        earliest = self._samples[0]
        growth = kept.queued_writes - earliest.queued
        # After a restart, what was there when the first look was taken has been waiting since before it as well.
        since = min(self._now() - earliest.at, GROWTH_OVER)
        stuck = growth >= 0 and kept.oldest_write is not None and kept.oldest_write >= since
        return kept.queued_writes if stuck else growth

    def _disk(self, now: float, slow: _Slow) -> float | None:
        store = self._store()
        errors = store.storage_errors
        if errors > self._storage_errors:
            self._failed_at = now
        self._storage_errors = errors
        if store.disk_available is False:
            return DISK_OFF
        failed = self._failed_at is not None and now - self._failed_at < FAILED_FOR
        return 1.0 if failed or not self._journal() else slow.disk

    def _message_rate(self, now: float, messages: int) -> float:
        earlier = next(sample for sample in self._samples if sample.at > now - WINDOW - SLOWLY_EVERY)
        return (messages - earlier.messages) / max(now - earlier.at, 1.0)


class _Slow(NamedTuple):
    at: float
    poor: float | None
    memory: Memory
    disk: float | None


def _poor(grades: Grades | None) -> float | None:
    if grades is None:
        return None
    if grades.total == 0:
        return 0.0  # and what fired for those who have left must not fire on
    return grades.poor / grades.total if grades.total >= FEW_SESSIONS else None


def fullest(directories: Iterable[Path]) -> float | None:
    """The share in use of the fullest file system, as an ordinary user sees it; None if none can be asked."""
    return max((share for each in directories if (share := _used(each)) is not None), default=None)


def _used(directory: Path) -> float | None:
    try:
        while not directory.exists() and directory != directory.parent:
            directory = directory.parent
        usage = shutil.disk_usage(directory)
    except OSError:
        return None
    return usage.used / (usage.used + usage.free) if usage.used + usage.free else None
