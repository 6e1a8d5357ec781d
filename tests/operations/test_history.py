"""Fifteen minutes in columns: what finished, what was sampled, and nothing that grows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxy.operations.history import SAMPLE_EVERY, STEPS, History, Sample
from proxy.operations.ledger import RING_SECONDS, Ledger
from proxy.outcome import Outcome, Verdict

WALL = 1_800_000_000.0


class Edge:
    """An edge whose clock the test turns."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.ledger = Ledger(lambda: self.time)
        self.sample = Sample()
        self.history = History(self.ledger, lambda: self.sample, lambda: WALL + self.time)

    def exchange(self, verdict: Verdict = "hit", status: int = 200, duration: float = 0.01, size: int = 100) -> None:
        outcome = Outcome("GET", "/", "", self.time, verdict=verdict, status=status, duration=duration, bytes_out=size)
        self.ledger.record(outcome)

    def pass_(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_what_finished_stands_in_its_span_per_second(edge: Edge) -> None:
    for _ in range(9):
        edge.exchange("hit")
    edge.exchange("error", status=504)
    edge.pass_(5)
    columns = edge.history.columns(60, 5)
    assert columns["time"][-1] == WALL + 1005
    assert columns["requests"][-1] == 2.0
    assert columns["hit"][-1] == 1.8
    assert columns["error"][-1] == columns["errors"][-1] == 0.2
    assert columns["hit_ratio"][-1] == 0.9
    assert columns["p95"][-1] == pytest.approx(0.01, rel=0.5)


def test_every_column_has_a_point_for_every_time(edge: Edge) -> None:
    edge.history.observe()
    edge.pass_(7)
    for step in STEPS:
        columns = edge.history.columns(RING_SECONDS, step)
        assert {len(column) for column in columns.values()} == {len(columns["time"])}
        assert len(columns["time"]) == (RING_SECONDS - step) // step


def test_what_is_under_way_is_left_out_until_it_is_over(edge: Edge) -> None:
    edge.pass_(1)
    edge.exchange()
    assert edge.history.columns(60, 5)["requests"][-1] in (None, 0)
    edge.pass_(4)
    assert edge.history.columns(60, 5)["requests"][-1] == 0.2


def test_a_span_stays_what_it_was(edge: Edge) -> None:
    for _ in range(40):
        edge.exchange()
        edge.pass_(1)
    before = dict(zip(*(edge.history.columns(30, 5)[name] for name in ("time", "requests")), strict=True))
    edge.pass_(5)
    after = dict(zip(*(edge.history.columns(30, 5)[name] for name in ("time", "requests")), strict=True))
    shared = before.keys() & after.keys()
    assert len(shared) == 5
    assert all(before[at] == after[at] for at in shared)


def test_before_the_start_nothing_is_known(edge: Edge) -> None:
    edge.pass_(10)
    columns = edge.history.columns(60, 5)
    assert columns["requests"] == [None] * (len(columns["time"]) - 2) + [0.0, 0.0]
    assert columns["p50"][-1] is None


def test_totals_become_rates_and_states_stay_states(edge: Edge) -> None:
    for number in range(1, 5):
        edge.sample = replace(edge.sample, messages=10 * number, sessions=number, quality={"poor": 1})
        edge.history.observe()
        edge.pass_(SAMPLE_EVERY)
    columns = edge.history.columns(60, 5)
    assert columns["messages"][-2:] == [2.0, 2.0]
    assert columns["sessions"][-1] == 4
    assert columns["poor"][-1] == 1
    assert edge.history.latest("messages") == 2.0


def test_a_counter_that_begins_anew_is_no_negative_rate(edge: Edge) -> None:
    edge.sample = Sample(messages=100)
    edge.history.observe()
    edge.pass_(SAMPLE_EVERY)
    edge.sample = Sample(messages=3)
    edge.history.observe()
    assert edge.history.latest("messages") == 0


def test_memory_is_fixed_however_long_and_often_it_is_looked_at(edge: Edge) -> None:
    for _ in range(300):
        edge.history.observe()
        for step in STEPS:
            edge.history.columns(RING_SECONDS, step)
        edge.pass_(SAMPLE_EVERY)
    assert len(edge.history._samples) <= RING_SECONDS // SAMPLE_EVERY + 2
    assert len(edge.history._spans) <= 2 * sum(RING_SECONDS // step for step in STEPS)
