"""Is it healthy? One verdict and one sentence from the figures that matter."""

from __future__ import annotations

from webui.formats import age, ratio
from webui.snapshot import Health, Mend, Origin

ERRORS_DEGRADED = 0.01
ERRORS_FAILING = 0.05

FAILED = Mend("traffic", "/traffic?only=errors", "What failed, and why")
BY_ROUTE = Mend("routes", "/routes?sort=errors", "Errors by route")
WAITING = Mend("outbox", "/outbox", "Writes that wait")
STORED = Mend("cache", "/cache", "What is stored")
DONE = Mend("timeline", "/timeline", "What was changed lately")


def judge(
    origin: Origin,
    *,
    now: float,
    requests: int,
    error_ratio: float | None,
    storage_errors: int = 0,
    queues: bool = True,
) -> Health:
    """The verdict over a recent window: `requests` and the share of 5xx answers in it, storage failures since.

    `queues` says whether writes may wait here. The worst finding speaks; an origin that is away outranks the errors it
    causes.
    """
    errors = error_ratio or 0.0
    if origin.state == "down":
        return _origin_down(origin, now, errors, (WAITING,) if queues else ())
    if errors >= ERRORS_FAILING:
        return Health(
            "failing",
            f"{ratio(errors)} of answers are server errors.",
            "The origin answers, but with errors. Look at which routes fail and what they say.",
            (FAILED, BY_ROUTE, DONE),
        )
    if storage_errors:
        return Health(
            "degraded",
            "The store has failures.",
            "Each costs a hit, never an answer. The log names the tier; check free space and the cache directory.",
            (STORED,),
        )
    if errors >= ERRORS_DEGRADED:
        return Health(
            "degraded",
            f"{ratio(errors)} of answers are server errors.",
            "Look at which routes fail and what they say.",
            (FAILED, BY_ROUTE, DONE),
        )
    if origin.state == "unknown" and not requests:
        return Health("waiting", "Running, and waiting for the first request.")
    return Health(
        "healthy",
        "Everything is answered, and the origin is up." if origin.state == "up" else "Everything is answered.",
    )


def _origin_down(origin: Origin, now: float, errors: float, waiting: tuple[Mend, ...]) -> Health:
    down = "is down" if origin.since is None else f"has been down for {age(now - origin.since)}"
    if errors >= ERRORS_DEGRADED:
        return Health(
            "failing",
            f"The origin {down}; {ratio(errors)} of answers are errors.",
            f"What is stored still answers. Start {origin.url} again; fresh answers follow at once.",
            (FAILED, BY_ROUTE, *waiting),
        )
    return Health(
        "degraded",
        f"The origin {down}; stored responses stand in.",
        f"Start {origin.url} again; fresh answers follow at once.",
        (Mend("traffic", "/traffic?verdict=stale", "What stood in"), *waiting),
    )
