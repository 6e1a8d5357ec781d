"""How much one connection or one user may do."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.limits import Rate, TokenBucket, TokenBuckets, Turns

RATE = Rate(per_second=2, burst=4)


def test_the_burst_is_allowed_at_once_and_then_as_much_as_the_rate_gives() -> None:
    bucket = TokenBucket(RATE, now=0.0)
    assert [bucket.allow(now=0.0) for _ in range(5)] == [True] * 4 + [False]
    assert [bucket.allow(now=0.5) for _ in range(2)] == [True, False]


def test_a_refusal_costs_nothing() -> None:
    bucket = TokenBucket(RATE, now=0.0)
    bucket.allow(now=0.0, cost=3)
    assert not bucket.allow(now=0.0, cost=2)
    assert bucket.allow(now=0.0, cost=1)


def test_whoever_is_refused_is_told_when_to_come_back() -> None:
    bucket = TokenBucket(RATE, now=0.0)
    bucket.allow(now=0.0, cost=4)
    assert bucket.retry_after(now=0.0) == 0.5
    assert bucket.retry_after(now=0.0, cost=3) == 1.5
    assert bucket.allow(now=1.5, cost=3)
    assert bucket.retry_after(now=9.0) == 0.0


def test_more_than_the_burst_is_never_allowed() -> None:
    bucket = TokenBucket(RATE, now=0.0)
    assert not bucket.allow(now=1000.0, cost=5)
    assert bucket.retry_after(now=1000.0, cost=5) == math.inf


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    bucket = TokenBucket(RATE, now=10.0)
    bucket.allow(now=10.0, cost=4)
    assert not bucket.allow(now=5.0)
    assert not bucket.allow(now=10.0)
    assert bucket.allow(now=10.5)


@given(
    steps=st.lists(st.tuples(st.integers(0, 16), st.integers(1, 5)), max_size=60),
    per_second=st.sampled_from((0.5, 1, 8)),
    burst=st.integers(1, 10),
)
def test_no_sequence_gets_more_than_the_burst_and_the_rate(
    steps: list[tuple[int, int]], per_second: float, burst: int
) -> None:
    bucket, now, taken = TokenBucket(Rate(per_second, burst), now=0.0), 0.0, 0
    for eighths, cost in steps:
        now += eighths / 8
        wait = bucket.retry_after(now, cost)
        allowed = bucket.allow(now, cost)
        assert allowed is (wait == 0)
        taken += cost * allowed
        assert taken <= burst + per_second * now


def test_each_key_has_a_bucket_of_its_own() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(Rate(1, 1))
    assert buckets.allow("ana", now=0.0)
    assert not buckets.allow("ana", now=0.0)
    assert buckets.allow("ben", now=0.0)
    assert buckets.retry_after("ana", now=0.0) == 1.0
    assert buckets.retry_after("unknown", now=0.0) == 0.0


def test_buckets_that_are_full_again_are_forgotten_and_others_are_not() -> None:
    buckets: TokenBuckets[int] = TokenBuckets(Rate(1, 10))
    buckets.allow(-1, now=0.0, cost=10)
    for key in range(1000):
        buckets.allow(key, now=key / 100)
    assert len(buckets) < 400
    assert not buckets.allow(-1, now=9.0, cost=10)


def test_a_new_rate_applies_to_all_at_once() -> None:
    buckets: TokenBuckets[str] = TokenBuckets(Rate(1, 10))
    buckets.allow("ana", now=0.0)
    buckets.rate = Rate(1, 2)
    assert [buckets.allow("ana", now=0.0) for _ in range(3)] == [True, True, False]
    assert [buckets.allow("ben", now=0.0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_a_bucket_is_never_fuller_than_its_burst(seconds: float) -> None:
    bucket = TokenBucket(RATE, now=0.0)
    assert [bucket.allow(now=seconds) for _ in range(5)] == [True] * 4 + [False]


class TestTurns:
    def test_after_a_burst_each_waits_behind_those_before_it_and_at_the_end_of_the_line_nobody(self) -> None:
        turns: Turns[str] = Turns(Rate(10.0, 3.0), 0.25)
        waits = [turns.wait("a", 0.0) for _ in range(6)]
        assert waits == [0.0, 0.0, 0.0, pytest.approx(0.1), pytest.approx(0.2), None]
        assert turns.wait("b", 0.0) == 0.0
        assert turns.wait("a", 0.1) == pytest.approx(0.2), "who was sent away is not in the line"
        assert turns.wait("a", 10.0) == 0.0

    def test_one_with_a_few_connections_does_not_keep_out_one_who_comes_once(self) -> None:
        """The greedy one asks again as soon as it is answered, over four connections."""
        turns: Turns[str] = Turns(Rate(300.0, 10.0), 2.0)
        free = [0.0] * 4
        for _ in range(2000):
            now = min(free)
            wait = turns.wait("office", now)
            assert wait is not None
            free[free.index(now)] = now + wait
        honest = turns.wait("office", max(free))
        assert honest is not None
        assert honest < 0.05

    def test_keys_that_have_their_tokens_back_are_forgotten(self) -> None:
        turns: Turns[int] = Turns(Rate(10.0, 3.0), 1.0)
        for number in range(1000):
            turns.wait(number, float(number))
        assert len(turns) < 100
