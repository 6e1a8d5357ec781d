"""Totals as rates of the last minute, and the rounds that note them."""

from __future__ import annotations

import asyncio

import pytest

from proxy.operations import rounds
from proxy.operations.flow import Flow
from proxy.operations.rounds import Rounds


class Meter:
    def __init__(self) -> None:
        self.seconds = 100.0
        self.total = 50.0
        self.flow = Flow(lambda: {"messages": self.total}, lambda: self.seconds)

    def pass_time(self, seconds: float, more: float) -> float:
        """The rate after a while in which so many more came."""
        self.seconds += seconds
        self.total += more
        return self.flow.rates()["messages"]


def test_what_was_there_before_the_start_is_no_rate() -> None:
    assert Meter().pass_time(10, 20) == 2.0


def test_in_the_first_second_nothing_looks_like_a_flood() -> None:
    assert Meter().pass_time(0.001, 3) == 3.0


def test_the_rate_is_of_the_last_minute_only() -> None:
    meter = Meter()
    meter.pass_time(10, 1000)
    for _ in range(30):
        meter.flow.note()
        meter.pass_time(10, 5)
    assert meter.pass_time(0, 0) == pytest.approx(0.5)


def test_nothing_is_remembered_that_no_window_reaches() -> None:
    meter = Meter()
    for _ in range(1000):
        meter.pass_time(10, 1)
        meter.flow.note()
    assert len(meter.flow._noted) <= 8


async def test_rounds_go_on_when_a_look_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rounds, "EVERY", 0.001)
    seen = asyncio.Event()
    looks = 0

    def fails() -> None:
        raise OSError("no figures")

    def counts() -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            seen.set()

    going = Rounds(fails, counts)
    going.start()
    await asyncio.wait_for(seen.wait(), 10)
    going.stop()
    assert "figures could not be read" in caplog.text
    before = looks
    await asyncio.sleep(0.01)
    assert looks == before
