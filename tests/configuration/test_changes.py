"""What a reload would do: what differs, what a running edge takes up, and what waits for a restart."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, load
from proxy.config.changes import Changes, changes, taken_up

ROUTE = "routes=[{name: a, match: /a/**, strategy: cache-first}]"


def loaded(*overrides: str) -> Config:
    return load(None, env={}, overrides=overrides, directory=Path("/nowhere")).config


def test_the_same_configuration_read_twice_differs_in_nothing() -> None:
    assert not changes(loaded(ROUTE), loaded(ROUTE), queues=False)
    assert not changes(loaded(), loaded("cache.memory=64MiB", "admin.session.idle=1h"), queues=False)


@pytest.mark.parametrize(
    ("override", "live", "restart"),
    [
        (ROUTE, ("routes",), ()),
        ("log.level=debug", ("log.level",), ()),
        ("cache.expiry={image/*: 1d}", ("cache.expiry",), ()),
        ("precache.manifest=[/a]", ("precache.manifest",), ()),
        ("cache.memory=1MiB", (), ("cache.memory",)),
        ("realtime.batch.delay=1s", (), ("realtime.batch.delay",)),
        ("admin.token=secret", (), ("admin.token",)),
        ("realtime.channels=[{match: x}]", (), ("realtime.channels",)),
    ],
)
def test_each_change_is_taken_up_or_waits(override: str, live: tuple[str, ...], restart: tuple[str, ...]) -> None:
    running, written = loaded(), loaded(override)
    assert changes(running, written, queues=True) == Changes(live, restart)
    # What was taken up differs no more, and what waits still does.
    assert changes(taken_up(running, written), written, queues=True) == Changes((), restart)


def test_a_queue_for_writes_waits_where_none_was_opened() -> None:
    written = loaded(
        "routes=[{match: /a, strategy: network-only}, {match: /b, strategy: network-only, offline_queue: true}]"
    )
    assert changes(loaded(), written, queues=False) == Changes(("routes",), ("routes.1.offline_queue",))
    assert changes(loaded(), written, queues=True) == Changes(("routes",), ())
