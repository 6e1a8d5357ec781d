"""Is it healthy? One verdict and one sentence from the figures that matter."""

from __future__ import annotations

from dataclasses import replace

from webui.formats import age, count, ratio
from webui.snapshot import FailedMessages, Health, Mend, Origin, Refused

ERRORS_DEGRADED = 0.01
ERRORS_FAILING = 0.05
MESSAGES_FAILING = 0.5

FAILED = Mend("traffic", "/traffic?only=errors", "What failed, and why")
BY_ROUTE = Mend("routes", "/routes?sort=errors", "Errors by route")
WAITING = Mend("outbox", "/outbox", "Writes that wait")
REFUSED = Mend("traffic", "/traffic?verdict=refused", "Who was refused")
SESSIONS = Mend("realtime", "/realtime", "Sessions, and why newcomers are refused")
STORED = Mend("cache", "/cache", "What is stored")
UNSAID = Mend("realtime", "/realtime/conversations?sort=failed", "Conversations with failed messages")
DEAD = Mend("outbox", "/outbox?show=dead", "Dead letters")
CONNECTED = Mend("realtime", "/realtime", "Who is connected")
DONE = Mend("timeline", "/timeline", "What was changed lately")


def judge(
    origin: Origin,
    *,
    now: float,
    requests: int,
    error_ratio: float | None,
    storage_errors: int = 0,
    disk_off: bool = False,
    journal_lost: bool = False,
    window: float = 60.0,
    origin_errors: int | None = None,
    recovered_ratio: float | None = None,
    refused: Refused | None = None,
    failed: FailedMessages | None = None,
    dead_writes: int = 0,
    queues: bool = True,
) -> Health:
    """The verdict over a recent window: `requests`, the share of 5xx answers in it, and storage failures since.

    The answers that a limit of the realtime core refused (`refused`: most of them) are none of `error_ratio`.
    `origin_errors` are the origin's own, None where nobody knows; `recovered_ratio` is the share since it came back,
    None unless it was down within the window. `failed` are chat messages, `dead_writes` those accepted writes that were
    given up. `disk_off`: the disk tier waits for a restart. `journal_lost`: what clients miss in a restart cannot be
    written down. `queues` says whether writes may wait here. The worst finding speaks; an origin that is away outranks
    the errors it causes. What the store has, and what becomes of messages and writes, is said beside whatever else is
    wrong.
    """
    answers = _of_answers(
        origin,
        now=now,
        requests=requests,
        error_ratio=error_ratio,
        window=window,
        origin_errors=origin_errors,
        recovered_ratio=recovered_ratio,
        refused=refused,
        queues=queues,
    )
    findings = [
        each
        for each in (
            answers,
            _of_store(storage_errors, disk_off),
            _of_journal(journal_lost),
            _of_messages(failed),
            _of_writes(dead_writes),
        )
        if each is not None
    ]
    worst = max(findings, key=lambda each: _STATES.index(each.state))
    said = [each for each in findings if each is not worst and each.state in ("degraded", "failing")]
    mends = dict.fromkeys(mend for each in (worst, *said) for mend in each.mends)
    advice = " ".join((worst.advice, *(f"{each.sentence} {each.advice}" for each in said))).strip()
    return replace(worst, advice=advice, mends=tuple(mends))


_STATES = ("healthy", "waiting", "degraded", "failing")


def _of_store(errors: int, disk_off: bool) -> Health | None:
    if disk_off:
        return Health(
            "degraded",
            "The disk cache is off until a restart.",
            "Answers come from memory and the origin. The log says why; make its directory usable, then restart.",
            (STORED,),
        )
    if errors:
        return Health(
            "degraded",
            "The store has failures.",
            "Each costs a hit, never an answer. The log names the tier; check free space and the cache directory.",
            (STORED,),
        )
    return None


def _of_journal(lost: bool) -> Health | None:
    if not lost:
        return None
    return Health(
        "degraded",
        "The realtime journal cannot be written: after a restart nobody would get what they missed.",
        "Clients who are connected notice nothing. The log says why; check free space and realtime.recovery.dir."
        " It is tried again every 30 s.",
        (CONNECTED,),
    )


def _of_messages(failed: FailedMessages | None) -> Health | None:
    if failed is None or not failed.lately or failed.lately / failed.of < ERRORS_DEGRADED:
        return None
    return Health(
        "failing" if failed.lately / failed.of >= MESSAGES_FAILING else "degraded",
        f"Chat messages fail: {count(failed.lately)} of {count(failed.of)} in the last minute."
        f" {_begun(failed.because)}.",
        "Their senders were told. "
        + (
            "See in the application's log why it refuses to keep them (realtime.origin.persist)."
            if failed.refused
            else "See whether the application answers at realtime.origin.persist, and how long that takes."
        ),
        (UNSAID,),
    )


def _of_writes(dead: int) -> Health | None:
    if not dead:
        return None
    writes, they = ("write was", "it") if dead == 1 else ("writes were", "them")
    advice = f"Look at what it said; queue {they} again or discard {they}."
    return Health(
        "degraded",
        f"{count(dead)} accepted {writes} given up: the origin did not take {they}.",
        advice,
        (DEAD,),
    )


def _begun(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _of_answers(
    origin: Origin,
    *,
    now: float,
    requests: int,
    error_ratio: float | None,
    window: float,
    origin_errors: int | None,
    recovered_ratio: float | None,
    refused: Refused | None,
    queues: bool,
) -> Health:
    errors = error_ratio or 0.0
    waiting = (WAITING,) if queues else ()
    others = " that no limit refused" if refused is not None and refused.lately else ""
    share = f"{ratio(errors)} of the answers{others} in the last {age(window)}"
    said = f"{share} are server errors."
    if origin.state == "down":
        return _origin_down(origin, now, errors, share, waiting)
    if errors >= ERRORS_DEGRADED and recovered_ratio is not None and recovered_ratio < ERRORS_DEGRADED:
        return Health(
            "degraded",
            f"Recovering: the origin answers again since {age(now - (origin.since or now))}.",
            f"{said} They are of the time before; nothing is left to do unless new ones come.",
            (FAILED, *waiting),
        )
    if errors >= ERRORS_FAILING:
        return Health("failing", said, _whose(origin_errors), (FAILED, BY_ROUTE, DONE))
    if refused is not None and refused.lately:
        return Health(
            "failing" if refused.everybody else "degraded",
            f"The realtime core refuses newcomers: {count(refused.lately)} in the last minute, {refused.whence}.",
            f"{refused.because} {refused.advice}",
            (SESSIONS, REFUSED),
        )
    if errors >= ERRORS_DEGRADED:
        return Health(
            "degraded",
            said,
            "Look at which routes fail and what they say.",
            (FAILED, BY_ROUTE, DONE),
        )
    if origin.state == "unknown" and not requests:
        return Health("waiting", "Running, and waiting for the first request.")
    return Health(
        "healthy",
        "Everything is answered, and the origin is up." if origin.state == "up" else "Everything is answered.",
    )


def _whose(origin_errors: int | None) -> str:
    if origin_errors == 0:
        return "None of them is the origin's: the edge itself refused or failed. Look at the reasons they have."
    return "The origin answers, but with errors. Look at which routes fail and what they say."


def _origin_down(origin: Origin, now: float, errors: float, share: str, waiting: tuple[Mend, ...]) -> Health:
    down = "is down" if origin.since is None else f"has been down for {age(now - origin.since)}"
    if errors >= ERRORS_DEGRADED:
        return Health(
            "failing",
            f"The origin {down}; {share} are errors.",
            f"What is stored still answers. Start {origin.url} again; fresh answers follow at once.",
            (FAILED, BY_ROUTE, *waiting),
        )
    return Health(
        "degraded",
        f"The origin {down}; stored responses stand in.",
        f"Start {origin.url} again; fresh answers follow at once.",
        (Mend("traffic", "/traffic?verdict=stale", "What stood in"), *waiting),
    )
