"""The performance report, in the words its first readers know."""

from __future__ import annotations

from proxy.operations.ledger import Ledger

RECENT_WINDOW = 60


def performance(
    ledger: Ledger, started: float, now: float, connections_active: int, messages_processed: int
) -> dict[str, int | float]:
    """The report of `GET /api/performance`.

    `uptime` in whole seconds; `averageResponseTime` in milliseconds, until the answers of the last minute
    began, 0 when there were none; `messagesPerSecond` averaged over the uptime. `started` and `now` are readings of
    one clock, in seconds.
    """
    uptime = max(now - started, 0.0)
    mean = ledger.rates(RECENT_WINDOW).response_time
    return {
        "uptime": int(uptime),
        "connectionsActive": connections_active,
        "messagesProcessed": messages_processed,
        "averageResponseTime": round((mean or 0.0) * 1000, 2),
        "messagesPerSecond": round(messages_processed / uptime, 2) if uptime >= 1 else 0.0,
    }
