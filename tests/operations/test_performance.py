"""The report of /api/performance."""

from __future__ import annotations

from dataclasses import replace

from proxy.operations.ledger import Ledger
from proxy.operations.performance import performance
from proxy.outcome import Outcome

ANSWER = Outcome("GET", "/", "", 0.0, verdict="hit", status=200, duration=0.07)


def test_the_report_has_exactly_the_five_keys_and_the_figures_of_its_documentation() -> None:
    ledger = Ledger(lambda: 3600.0)
    ledger.record(ANSWER)
    ledger.record(replace(ANSWER, duration=0.08))
    assert performance(ledger, 0.0, 3600.0, 25, 1500) == {
        "uptime": 3600,
        "connectionsActive": 25,
        "messagesProcessed": 1500,
        "averageResponseTime": 75,
        "messagesPerSecond": 0.42,
    }


def test_the_average_is_of_the_last_minute_only() -> None:
    moment = [0.0]
    ledger = Ledger(lambda: moment[0])
    ledger.record(replace(ANSWER, duration=9.0))
    moment[0] = 61.0
    ledger.record(replace(ANSWER, duration=0.0125))
    assert performance(ledger, 0.0, 61.0, 0, 0)["averageResponseTime"] == 12.5


def test_a_process_that_has_just_started_reports_zeros_and_divides_by_nothing() -> None:
    report = performance(Ledger(lambda: 5.0), 5.0, 5.0, 0, 3)
    assert list(report.values()) == [0, 0, 3, 0.0, 0.0]


def test_the_uptime_is_whole_seconds() -> None:
    uptime = performance(Ledger(lambda: 9.0), 0.0, 9.99, 0, 0)["uptime"]
    assert uptime == 9
    assert isinstance(uptime, int)
