"""Which writes may be queued while the origin is away, what becomes of each, and when it is tried again.

The rule of this room: a write is kept only when the origin gave no answer of its own, and delivered at least once,
under one Idempotency-Key from the first attempt to the last.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from proxy.policy.dates import parse_date
from proxy.policy.messages import Fields, Request
from proxy.policy.storing import has_credentials

QUEUEABLE_METHODS = frozenset(("POST", "PUT", "PATCH", "DELETE"))
"""The methods of writes that make sense later; other unsafe ones (CONNECT, LOCK) are about now."""

AWAY = frozenset((502, 503, 504))
"""Statuses that say the application did not answer, as a gateway before it or the application itself puts it."""

FIRST_DELAY = 1.0
LONGEST_DELAY = 300.0
LONGEST_KEY = 255

Fate = Literal["done", "dead", "retry"]


@dataclass(frozen=True, slots=True)
class QueueRules:
    """What a route's `offline_queue` allows. `max_body` is bytes, `retention` seconds.

    `credentials`: whether a write with Authorization or Cookie may be kept, and these values with it.
    """

    credentials: bool = False
    max_body: int = 2**20
    retention: float = 7 * 86400.0


def queueable(request: Request, rules: QueueRules) -> bool:
    """Whether a write may be queued if the origin turns out to be away; its body's length is judged apart."""
    return request.method in QUEUEABLE_METHODS and (rules.credentials or not has_credentials(request))


def fate(status: int) -> Fate:
    """What a replay's answer means: an error that another attempt could not mend is final, too."""
    if status in AWAY:
        return "retry"
    return "done" if status < 400 else "dead"


def delay(attempts: int, chance: float, retry_after: float | None = None) -> float:
    """Seconds until the next attempt after `attempts` failed ones: doubling, between half and whole by `chance`.

    `chance` is a random number in [0, 1]: queues of several edges must not knock all at once. An origin's
    `retry_after` is waited for, as far as the longest delay goes.
    """
    whole = min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(max(attempts, 1) - 1, 16))
    return min(LONGEST_DELAY, max(whole * (1 + chance) / 2, retry_after or 0.0))


def retry_after(fields: Fields, now: float) -> float | None:
    """Seconds until the origin wants to be asked again (RFC 9110 section 10.2.3), or None if it does not say."""
    value = fields.first("Retry-After")
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    date = parse_date(value)
    return None if date is None else max(0.0, date - now)


def idempotency_key(request: Request) -> str | None:
    """The client's own Idempotency-Key, if it sent one that is unambiguous."""
    values = request.fields.all("Idempotency-Key")
    return values[0] if len(values) == 1 and 0 < len(values[0]) <= LONGEST_KEY else None


def fingerprint(request: Request, body: bytes) -> str | None:
    """A digest that two requests share only if the second repeats the first; None without a key of the client's.

    Credentials count, or one user's key could swallow another's write.
    """
    key = idempotency_key(request)
    if key is None:
        return None
    who = [request.fields.all("Authorization"), request.fields.all("Cookie")]
    head = json.dumps([key, request.method, request.scheme, request.host, request.target, who]).encode()
    return hashlib.sha256(head + b"\0" + hashlib.sha256(body).digest()).hexdigest()
