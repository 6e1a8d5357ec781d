"""What differs between two configurations, and what of it a running edge can take up.

PURE. A change that needs a restart is never half made: it is named, and waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from proxy.config.model import Config
from proxy.config.section import Section

LIVE = ("routes", "cache.expiry", "precache.manifest", "log.level")
"""The keys that a reload takes up; all others belong to what is built once."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Dotted keys whose values differ: those a running edge takes up, and those that wait for a restart."""

    live: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.live or self.restart)


def changes(running: Config, written: Config, *, queues: bool) -> Changes:
    """What a reload would do. `queues`: the running edge has an outbox for routes with `offline_queue`."""
    differing = list(_differing(running, written, ""))
    live = [key for key in differing if key in LIVE]
    restart = [key for key in differing if key not in LIVE]
    if not queues and any(route.offline_queue for route in written.routes):
        restart += [
            f"routes.{index}.offline_queue" for index, route in enumerate(written.routes) if route.offline_queue
        ]
    return Changes(tuple(live), tuple(restart))


def taken_up(running: Config, written: Config) -> Config:
    """The running configuration with the live keys of the written one."""
    return running.model_copy(
        update={
            "routes": written.routes,
            "cache": running.cache.model_copy(update={"expiry": written.cache.expiry}),
            "precache": running.precache.model_copy(update={"manifest": written.precache.manifest}),
            "log": running.log.model_copy(update={"level": written.log.level}),
        }
    )


def _differing(running: Any, written: Any, key: str) -> Iterator[str]:
    """Keys in the model's order; a list is one value, since its entries have no names of their own."""
    if isinstance(running, Section) and isinstance(written, Section):
        for name in type(running).model_fields:
            yield from _differing(getattr(running, name), getattr(written, name), f"{key}.{name}".removeprefix("."))
    elif running != written:
        yield key
