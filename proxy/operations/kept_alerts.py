"""What of the alerts outlives the process, in a small file: what fires, what has been, and what nobody was told yet.

The rule of this room: it is written when something has changed, whole or not at all, readable by its owner only. What
cannot be read or written costs a warning, never a start or an alert.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, TypeAdapter

from proxy.kept_file import KeptFile
from proxy.operations.alert_rules import SHIPPED
from proxy.operations.alerting import AlertWatch
from proxy.operations.alerts import EPISODES, Episode, Ongoing
from proxy.operations.webhook import MOST_WAITING, Message, Webhook

LARGEST = 512 * 2**10
LATEST = 1e11
"""Seconds since the epoch beyond which nothing can have happened."""

_log = logging.getLogger("cachewire.alerts")


@dataclass(frozen=True, slots=True)
class Kept:
    """The file's content; everything is oldest first."""

    version: Literal[1] = 1
    firing: tuple[Ongoing, ...] = ()
    history: tuple[Episode, ...] = ()
    untold: tuple[Message, ...] = ()


def _possible(kept: Kept) -> Kept:
    if not all(0 <= moment < LATEST for moment in _moments(kept)) or not all(map(math.isfinite, _values(kept))):
        raise ValueError("it has numbers that cannot be")
    return kept


_KEPT = TypeAdapter(Annotated[Kept, AfterValidator(_possible)])


class KeptAlerts:
    """Keeps the file at `path` as the watch and the webhook are. Start it before, and close it after both of them."""

    def __init__(self, path: Path, watch: AlertWatch, webhook: Webhook) -> None:
        self._path = path
        self._watch = watch
        self._webhook = webhook
        self._written = Kept()
        self._changed = asyncio.Event()
        self._calm = asyncio.Event()
        self._calm.set()
        self._failing = False
        self._closing = False
        self._task: asyncio.Task[None] | None = None
        watch.subscribe(lambda transition: self._note() if transition.state in ("firing", "resolved") else None)
        webhook.on_change = self._note
        webhook.kept = self._calm.wait

    async def start(self) -> None:
        """Go on where the process before this one ended."""
        self._written = kept = await asyncio.to_thread(read_kept, self._path)
        self._watch.resume(kept.firing, kept.history)
        self._webhook.resume(kept.untold)
        self._task = asyncio.get_running_loop().create_task(self._run(), name="kept alerts")

    async def close(self) -> None:
        """Write what has changed last."""
        if self._task is None:
            return
        self._closing = True
        self._note()
        await self._task
        self._task = None

    def _note(self) -> None:
        self._changed.set()
        self._calm.clear()

    async def _run(self) -> None:
        last = False
        while not last:
            await self._changed.wait()
            self._changed.clear()
            last = self._closing
            await self._write()
            if not self._changed.is_set():
                self._calm.set()

    async def _write(self) -> None:
        alerts = self._watch.alerts
        kept = Kept(1, tuple(alerts.ongoing()), tuple(reversed(alerts.episodes())), self._webhook.untold)
        if kept == self._written:
            return
        try:
            await asyncio.to_thread(write_kept, self._path, kept)
        except OSError as error:
            if not self._failing:
                _log.warning("%s cannot be written (%s): a restart would forget what fires", self._path, error)
            self._failing = True
        else:
            self._written, self._failing = kept, False


def read_kept(path: Path) -> Kept:
    """What the file says of the alerts there are; nothing if there is no file or it is damaged."""
    kept = _file(path).read()
    if kept is None:
        return Kept()
    return Kept(
        1,
        tuple(each for each in kept.firing if each.rule in SHIPPED),
        tuple(each for each in kept.history if each.rule in SHIPPED)[-EPISODES:],
        kept.untold[-MOST_WAITING:],
    )


def write_kept(path: Path, kept: Kept) -> None:
    """Let the file say this. Raises OSError."""
    _file(path).write(kept)


def _file(path: Path) -> KeptFile[Kept]:
    return KeptFile(path, _KEPT, otherwise="the history of the alerts begins anew", largest=LARGEST, indent=None)


def _moments(kept: Kept) -> Iterator[float]:
    for ongoing in kept.firing:
        yield from (ongoing.since, ongoing.fired)
    for episode in kept.history:
        yield from (episode.began, episode.ended)
    for message in kept.untold:
        yield from (message.since, message.at)


def _values(kept: Kept) -> Iterator[float]:
    for episode in kept.history:
        yield from (episode.threshold, episode.peak or 0.0)
    for message in kept.untold:
        yield from (message.threshold or 0.0, message.value or 0.0)
    yield from (ongoing.peak or 0.0 for ongoing in kept.firing)
