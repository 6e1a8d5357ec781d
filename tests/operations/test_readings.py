"""What alerts look at, read from a real ledger under a clock that moves when told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.config.alerts import Alerts
from proxy.operations.alert_rules import SHIPPED, rule, sentence
from proxy.operations.ledger import Ledger
from proxy.operations.memory import Budget, Memory
from proxy.operations.metrics import KeptFigures, OriginFigures, StoreFigures
from proxy.operations.readings import DISK_OFF, Grades, Reader, Readings, fullest
from proxy.outcome import Outcome

FAST = Outcome("GET", "/a", "192.0.2.1", 0.0, "api", "network-first", "hit", "fresh", 200, 0.1, bytes_out=100)
SLOW = replace(FAST, verdict="miss", reason="not-stored", duration=0.9, origin_duration=0.8)
FAILED = replace(FAST, verdict="error", reason="origin-unreachable", status=502)
ENDLESS = replace(FAST, duration=25.0, timed=False)


class Edge:
    """Figures that a test sets, and the reader of them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ledger = Ledger(lambda: self.now)
        self.store = StoreFigures()
        self.origin = OriginFigures()
        self.kept: KeptFigures | None = None
        self.grades: Grades | None = None
        self.messages: int | None = None
        self.memory = Memory(None, None)
        self.looks = 0
        self.reader = self.read_with()

    def read_with(self, **more: Any) -> Reader:
        return Reader(
            self.ledger,
            now=lambda: self.now,
            store=lambda: self.store,
            origin=lambda: self.origin,
            kept=lambda: self.kept,
            grades=self._look,
            messages=lambda: self.messages,
            memory=lambda: self.memory,
            **more,
        )

    def _look(self) -> Grades | None:
        self.looks += 1
        return self.grades

    def after(self, seconds: float) -> Readings:
        self.now += seconds
        return self.reader.sample()


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_an_edge_that_did_nothing_yet_tells_rates_and_nothing_else(edge: Edge) -> None:
    assert edge.after(0) == Readings(requests_per_second=0.0)


def test_the_response_time_is_the_mean_of_the_last_minute(edge: Edge) -> None:
    for outcome in (FAST, FAST, FAST, SLOW, SLOW):
        edge.ledger.record(outcome)
    assert edge.after(1).response_time == pytest.approx((3 * 0.1 + 2 * 0.9) / 5)
    for _ in range(5):
        edge.now += 61
        edge.ledger.record(FAST)
    assert edge.after(301).response_time is None


def test_few_answers_say_nothing_of_a_mean(edge: Edge) -> None:
    for outcome in (SLOW, SLOW, SLOW, SLOW):
        edge.ledger.record(outcome)
    assert edge.after(1).response_time is None
    assert edge.after(1).p95 is None


def test_what_lasts_as_long_as_its_client_likes_makes_nothing_slow(edge: Edge) -> None:
    for _ in range(20):
        edge.ledger.record(ENDLESS)
    assert edge.after(1).response_time is None
    for _ in range(5):
        edge.ledger.record(FAST)
    assert edge.after(1).response_time == pytest.approx(0.1)


def test_the_error_ratio_needs_some_answers(edge: Edge) -> None:
    for _ in range(4):
        edge.ledger.record(FAILED)
    assert edge.after(1).error_ratio is None
    for _ in range(16):
        edge.ledger.record(FAST)
    assert edge.after(1).error_ratio == pytest.approx(0.2)


def test_a_small_site_that_fails_wholly_is_seen_to(edge: Edge) -> None:
    for _ in range(9):
        edge.ledger.record(FAILED)
        edge.now += 6
    assert edge.after(0).error_ratio == 1.0


def test_a_site_that_is_asked_once_in_a_minute_is_seen_to_fail_and_to_be_well_again(edge: Edge) -> None:
    for _ in range(5):
        edge.now += 59
        edge.ledger.record(FAILED)
    assert edge.after(0).error_ratio == 1.0
    for _ in range(5):
        edge.now += 59
        edge.ledger.record(FAST)
    assert edge.after(0).error_ratio is None, "the last failure is a stray by now"
    assert edge.after(10).error_ratio == 0.0


def test_one_or_two_errors_among_few_answers_are_strays(edge: Edge) -> None:
    for outcome in (FAST, FAST, FAST, FAST, FAST, FAILED, FAILED):
        edge.ledger.record(outcome)
        edge.now += 10
    assert edge.after(1).error_ratio is None
    edge.ledger.record(FAILED)
    assert edge.after(1).error_ratio == pytest.approx(3 / 8)


def test_of_few_answers_only_the_last_ten_count_however_the_ones_before_them_were(edge: Edge) -> None:
    for outcome in [FAILED] * 8 + [FAST] * 10:
        edge.ledger.record(outcome)
        edge.now += 10
    assert edge.after(0).error_ratio == 0.0


def test_few_answers_that_are_all_slow_are_seen_to_be_and_a_single_slow_one_is_a_stray(edge: Edge) -> None:
    for _ in range(5):
        edge.now += 40
        edge.ledger.record(SLOW)
    assert edge.after(0).response_time == pytest.approx(0.9)
    for outcome in (FAST, SLOW, FAST, FAST, FAST):
        edge.now += 40
        edge.ledger.record(outcome)
    assert edge.after(0).response_time == pytest.approx(0.1)


@pytest.mark.parametrize(("up", "down"), [(None, None), (True, 0.0), (False, 1.0)])
def test_the_origin_is_down_when_it_was_asked_in_vain(edge: Edge, up: bool | None, down: float | None) -> None:
    edge.origin = OriginFigures(up=up)
    assert edge.after(1).origin_down == down


def test_what_the_origin_failed_at_is_a_share_of_what_it_was_asked(edge: Edge) -> None:
    overdue = replace(FAST, verdict="stale", reason="origin-timeout", duration=3.0)
    for outcome in (FAST, SLOW, SLOW, FAILED, overdue):
        edge.ledger.record(outcome)
    assert edge.after(1).origin_failures is None, "few say nothing"
    edge.ledger.record(SLOW)
    assert edge.after(1).origin_failures == pytest.approx(2 / 5)


@pytest.mark.parametrize(
    ("grades", "poor"), [(None, None), (Grades(4, 4), None), (Grades(1, 5), 0.2), (Grades(0, 8000), 0.0)]
)
def test_few_sessions_say_nothing_of_quality(edge: Edge, grades: Grades | None, poor: float | None) -> None:
    edge.grades = grades
    assert edge.after(1).poor_quality == poor


def test_where_there_is_no_session_nobodys_connection_is_poor(edge: Edge) -> None:
    edge.grades = Grades(6, 6)
    assert edge.after(5).poor_quality == 1.0
    edge.grades = Grades(0, 0)
    assert edge.after(5).poor_quality == 0.0


def test_the_outbox_is_compared_with_five_minutes_ago(edge: Edge) -> None:
    edge.kept = KeptFigures(queued_writes=10, oldest_write=3.0)
    for _ in range(61):
        first = edge.after(5)
    assert (first.outbox_queued, first.outbox_oldest, first.outbox_growth) == (10, 3.0, 0)
    edge.kept = KeptFigures(queued_writes=14, oldest_write=63.0)
    assert edge.after(60).outbox_growth == 4
    for _ in range(70):
        last = edge.after(5)
    assert last.outbox_growth == 0
    edge.kept = KeptFigures(queued_writes=2)
    assert edge.after(5).outbox_growth == -12


def test_a_stuck_outbox_counts_in_full_until_it_shrinks_however_long_nothing_new_comes(edge: Edge) -> None:
    edge.kept = KeptFigures(queued_writes=0)
    edge.after(0)
    growth = []
    for seconds in range(0, 1200, 5):
        edge.kept = KeptFigures(queued_writes=10, oldest_write=float(seconds))
        growth.append(edge.after(5).outbox_growth)
    assert set(growth) == {10.0}
    edge.kept = KeptFigures(queued_writes=9, oldest_write=1200.0)
    assert edge.after(5).outbox_growth == -1


def test_a_busy_outbox_whose_writes_leave_in_time_does_not_grow(edge: Edge) -> None:
    edge.kept = KeptFigures(queued_writes=10, oldest_write=40.0)
    for _ in range(10):
        edge.after(5)  # until those of before the start have left
    for _ in range(200):
        assert edge.after(5).outbox_growth == 0


def test_an_outbox_found_stuck_at_the_start_counts_in_full(edge: Edge) -> None:
    edge.kept = KeptFigures(queued_writes=4, oldest_write=7200.0)
    assert edge.after(0).outbox_growth == 4


def test_what_waited_before_a_restart_counts_until_it_is_delivered(edge: Edge) -> None:
    edge.kept = KeptFigures(queued_writes=3, oldest_write=12.0)
    assert edge.after(0).outbox_growth == 3
    for seconds in range(5, 1200, 5):
        edge.kept = KeptFigures(queued_writes=3, oldest_write=12.0 + seconds)
        assert edge.after(5).outbox_growth == 3
    edge.kept = KeptFigures()
    assert edge.after(5).outbox_growth == -3


def test_without_an_outbox_nothing_is_told_of_it(edge: Edge) -> None:
    readings = edge.after(1)
    assert (readings.outbox_queued, readings.outbox_oldest, readings.outbox_growth) == (None, None, None)


def test_messages_are_counted_over_the_last_minute(edge: Edge) -> None:
    edge.messages = 1000
    edge.after(0)
    for _ in range(12):
        edge.messages += 50
        readings = edge.after(5)
    assert readings.messages_per_second == pytest.approx(10)
    for _ in range(14):
        readings = edge.after(5)
    assert readings.messages_per_second == 0


def test_memory_is_a_share_of_its_budget(edge: Edge) -> None:
    edge.memory = Memory(400, Budget(1000, "configuration"))
    assert edge.after(1).memory == pytest.approx(0.4)
    assert edge.reader.notes["memory"] == edge.memory


def test_a_write_that_failed_counts_as_a_full_disk_for_five_minutes(edge: Edge, tmp_path: Path) -> None:
    edge.store = StoreFigures(storage_errors=3)
    edge.reader = edge.read_with(directories=[tmp_path])
    assert edge.after(1).disk == fullest([tmp_path])
    edge.store = StoreFigures(storage_errors=4)
    assert edge.after(1).disk == 1.0
    assert edge.after(298).disk == 1.0
    assert edge.reader.notes["write_failed"] == 298
    assert edge.after(2).disk != 1.0
    assert edge.reader.notes["write_failed"] is None


def test_a_journal_that_cannot_be_written_counts_as_a_full_disk_until_it_can(edge: Edge, tmp_path: Path) -> None:
    writes = True
    edge.reader = edge.read_with(directories=[tmp_path], journal=lambda: writes)
    assert edge.after(1).disk == fullest([tmp_path])
    writes = False
    assert edge.after(1).disk == edge.after(3600).disk == 1.0
    assert edge.reader.notes["journal"] is False
    writes = True
    assert edge.after(1).disk != 1.0


def test_a_disk_tier_that_is_off_is_fuller_than_full_until_the_restart(edge: Edge, tmp_path: Path) -> None:
    edge.store = StoreFigures(storage_errors=1, disk_available=False)
    edge.reader = edge.read_with(directories=[tmp_path])
    assert edge.after(1).disk == edge.after(3600).disk == DISK_OFF
    disk = SHIPPED["disk-full"]
    said = sentence(disk, rule(disk, Alerts().rule("disk_full")), DISK_OFF)
    assert said == "The disk cache is off and needs a restart, once its directory can be used"


def test_a_directory_that_is_not_there_yet_is_on_the_file_system_of_the_one_above(tmp_path: Path) -> None:
    share = fullest([tmp_path / "not" / "there"])
    assert share is not None
    assert 0 < share <= 1
    assert fullest([]) is None


def test_within_a_second_everybody_gets_the_same_readings(edge: Edge) -> None:
    first = edge.after(0)
    edge.ledger.record(FAST)
    assert edge.after(0.9) is first
    assert edge.after(0.1) is not first


def test_sessions_are_looked_at_every_five_seconds_only(edge: Edge) -> None:
    for _ in range(20):
        edge.after(1)
    assert edge.looks == 4


def test_every_name_is_a_figure(edge: Edge) -> None:
    assert set(Readings.names()) == set(edge.after(0).values())


def test_the_names_that_rules_rely_on_stay() -> None:
    relied_on = {
        "response_time", "error_ratio", "poor_quality", "memory", "origin_down", "origin_failures", "outbox_queued",
        "outbox_oldest", "outbox_growth", "disk", "redis_lost", "requests_per_second", "hit_ratio",
        "messages_per_second", "p95",
    }  # fmt: skip
    assert set(Readings.names()) == relied_on
