"""Broadcast update: who wants to know that a stored representation has changed (Workbox's BroadcastUpdate)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from proxy.policy.messages import Fields
from proxy.storage.base import Entry

OnUpdate = Callable[[str, str], None]
"""Takes the URL of a representation that has changed, and what tells: a slug of `change`, or PURGED."""

PURGED = "purged"
"""Said of URLs without their queries: what was stored there was purged or marked stale on an operator's word."""

Wants = Callable[[str], bool]
"""Whether a subscriber wants to know about a URL."""

_log = logging.getLogger("cachewire.updates")


def change(before: Entry, after: Entry, head_before: Fields | None, head_after: Fields) -> str | None:
    """What shows that `after`, which took the place of `before`, is another representation; None if nothing does.

    Validators are compared where `head_before` is known; length and checksum of the bodies always are.
    """
    if head_before is not None:
        for name in ("ETag", "Last-Modified"):
            if head_before.first(name) != head_after.first(name):
                return name.lower()
    if before.length != after.length:
        return "length"
    return "checksum" if before.checksum != after.checksum else None


class Updates:
    """Those who subscribed; call it to tell them. One that fails is logged and harms nobody else."""

    def __init__(self) -> None:
        self._subscribers: list[tuple[OnUpdate, Wants]] = []

    def subscribe(self, subscriber: OnUpdate, wants: Wants = lambda _url: True) -> Callable[[], None]:
        """Tell `subscriber` of every change from now on, until what is returned is called.

        What it does not want it may be told of all the same, but need not: a purge collects nothing for nobody.
        """
        self._subscribers.append((subscriber, wants))
        return lambda: self._subscribers.remove((subscriber, wants))

    def wanted(self, url: str) -> bool:
        """Whether anybody wants to know about this URL."""
        return any(wants(url) for _, wants in self._subscribers)

    def __call__(self, url: str, reason: str) -> None:
        for subscriber, _ in list(self._subscribers):
            try:
                subscriber(url, reason)
            except Exception:
                _log.exception("a subscriber to updates failed")
