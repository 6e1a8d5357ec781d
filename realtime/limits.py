"""How much one connection or one user may do: token buckets.

The rule of this room: a bucket that is full again is as good as none, so only those in use are remembered. No clock:
`now` is an argument (seconds, monotonic).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

Key = TypeVar("Key", bound=Hashable)


class Rate(NamedTuple):
    """`per_second` in the long run, and `burst` at once. Both are above zero."""

    per_second: float
    burst: float


class TokenBucket:
    """One allowance that starts full. The `Rate` is shared; assign `rate` to change it."""

    __slots__ = ("_at", "_tokens", "rate")

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._tokens = rate.burst
        self._at = now

    def allow(self, now: float, cost: float = 1) -> bool:
        """Take `cost` tokens if they are there; a refusal takes none. More than the burst is never allowed."""
        # Written out because every event of every client comes through here.
        tokens, elapsed, rate = self._tokens, now - self._at, self.rate
        if elapsed > 0:  # a clock that steps back gives nothing and takes nothing
            tokens += elapsed * rate.per_second
            self._at = now
        if tokens > rate.burst:
            tokens = rate.burst
        allowed = cost <= tokens
        self._tokens = tokens - cost if allowed else tokens
        return allowed

    def retry_after(self, now: float, cost: float = 1) -> float:
        """Seconds until `cost` would be allowed: 0 when it is now, infinity when it is more than the burst."""
        if cost > self.rate.burst:
            return math.inf
        return max(cost - self._filled(now), 0.0) / self.rate.per_second

    def is_full(self, now: float) -> bool:
        return self._filled(now) >= self.rate.burst

    def _filled(self, now: float) -> float:
        return min(self.rate.burst, self._tokens + max(now - self._at, 0.0) * self.rate.per_second)


class TokenBuckets(Generic[Key]):
    """A bucket for each key, for as long as it is not full. Assign `rate` to change that of all."""

    __slots__ = ("_buckets", "_rate", "_sweep_at")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: dict[Key, TokenBucket] = {}
        self._sweep_at = 64

    def __len__(self) -> int:
        return len(self._buckets)

    @property
    def rate(self) -> Rate:
        return self._rate

    @rate.setter
    def rate(self, rate: Rate) -> None:
        self._rate = rate
        for bucket in self._buckets.values():
            bucket.rate = rate

    def allow(self, key: Key, now: float, cost: float = 1) -> bool:
        """As `TokenBucket.allow`, of this key's bucket."""
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget_full(now)
            bucket = self._buckets[key] = TokenBucket(self._rate, now)
        return bucket.allow(now, cost)

    def retry_after(self, key: Key, now: float, cost: float = 1) -> float:
        """As `TokenBucket.retry_after`, of this key's bucket."""
        bucket = self._buckets.get(key) or TokenBucket(self._rate, now)
        return bucket.retry_after(now, cost)

    def _forget_full(self, now: float) -> None:
        """Once in a while, so that each new key pays for a constant number of looks."""
        if len(self._buckets) < self._sweep_at:
            return
        self._buckets = {key: bucket for key, bucket in self._buckets.items() if not bucket.is_full(now)}
        self._sweep_at = 2 * len(self._buckets) + 64


_INSTANT = 1e-6  # seconds: no wait, but what sums of fractions leave


class Turns(Generic[Key]):
    """Like TokenBuckets of one token each, but who comes too early is told how long to wait for its turn.

    Whoever asks waits behind those of its key that asked before, `patience` seconds at most: one who sends many
    requests over a few connections, each after the answer to the last, does not keep out one who sends a single one.
    """

    __slots__ = ("_patience", "_rate", "_sweep_at", "_whole_at")

    def __init__(self, rate: Rate, patience: float) -> None:
        self._rate = rate
        self._patience = patience
        self._whole_at: dict[Key, float] = {}  # when all tokens would be there again
        self._sweep_at = 64

    def __len__(self) -> int:
        return len(self._whole_at)

    def wait(self, key: Key, now: float) -> float | None:
        """Seconds until its turn; None when there are too many before it, and it has to come again later."""
        per_second, burst = self._rate
        whole_at = max(self._whole_at.get(key, now), now) + 1 / per_second
        wait = whole_at - now - burst / per_second
        wait = 0.0 if wait < _INSTANT else wait
        if wait > self._patience:
            return None
        if len(self._whole_at) >= self._sweep_at:
            self._whole_at = {other: at for other, at in self._whole_at.items() if at > now}
            self._sweep_at = 2 * len(self._whole_at) + 64
        self._whole_at[key] = whole_at
        return wait
