"""What `cachewire top` works out of two looks at the metrics."""

from __future__ import annotations

import io

import pytest
import rich.screen
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from proxy.top.figures import Figures, figures
from proxy.top.scrape import Scrape, between, parse, quantile
from proxy.top.screen import Screen, sparkline
from proxy.top.tuned import Tuned, tuned

BEFORE = """\
# TYPE cachewire_http_requests_total counter
cachewire_http_requests_total{route="api",strategy="network-first",verdict="hit",status="200"} 10
cachewire_http_requests_total{route="api",strategy="network-first",verdict="miss",status="200"} 5
# TYPE cachewire_http_response_bytes_total counter
cachewire_http_response_bytes_total{verdict="hit"} 1000
cachewire_http_response_bytes_total{verdict="miss"} 500
"""
AFTER = """\
# TYPE cachewire_http_requests_total counter
cachewire_http_requests_total{route="api",strategy="network-first",verdict="hit",status="200"} 40
cachewire_http_requests_total{route="api",strategy="network-first",verdict="miss",status="200"} 10
cachewire_http_requests_total{route="pages",strategy="cache-first",verdict="error",status="502"} 5
cachewire_http_requests_total{route="",strategy="",verdict="refused",status="400"} 10
# TYPE cachewire_http_response_bytes_total counter
cachewire_http_response_bytes_total{verdict="hit"} 4000
cachewire_http_response_bytes_total{verdict="miss"} 1500
# TYPE cachewire_origin_up gauge
cachewire_origin_up 0
# TYPE cachewire_alert_state gauge
cachewire_alert_state{alert="origin-down"} 2
cachewire_alert_state{alert="memory"} 0
"""

REALTIME = """\
# TYPE cachewire_realtime_sessions gauge
cachewire_realtime_sessions{transport="websocket"} 3
# TYPE cachewire_realtime_client_reporting_sessions gauge
cachewire_realtime_client_reporting_sessions 3
# TYPE cachewire_realtime_client_retries gauge
cachewire_realtime_client_retries 7
# TYPE cachewire_realtime_client_latency_seconds gauge
cachewire_realtime_client_latency_seconds{statistic="p50"} 0.02
cachewire_realtime_client_latency_seconds{statistic="p95"} 0.042
"""


def _figures() -> Figures:
    return figures(parse(BEFORE, 100.0), parse(AFTER, 110.0))


def _busy() -> Figures:
    return figures(parse(BEFORE, 100.0), parse(AFTER + REALTIME, 110.0))


def test_rates_are_of_the_time_between_the_two_looks() -> None:
    found = _figures()
    assert found.requests == pytest.approx(5.0)
    assert found.verdicts == {"hit": 3.0, "miss": 0.5, "refused": 1.0, "error": 0.5}
    assert found.bytes_out == pytest.approx(400.0)


def test_hit_ratios_count_what_the_ledger_counts() -> None:
    """Refused requests could never have been answered from the store; errors count against it."""
    found = _figures()
    assert found.hit_ratio == pytest.approx(30 / 40)
    assert found.byte_hit_ratio == pytest.approx(3000 / 4000)


def test_errors_alerts_and_routes_stand_beside_them() -> None:
    found = _figures()
    assert found.error_ratio == pytest.approx(5 / 50)
    assert found.firing == ["origin-down"]
    assert [(route.name, route.per_second, route.errors) for route in found.routes] == [
        ("api", 3.5, 0.0),
        ("pages", 0.5, 0.5),
    ]


def test_after_a_restart_counters_begin_at_nothing() -> None:
    grown = between(parse(AFTER, 0.0), parse(BEFORE, 1.0))
    assert grown.value("cachewire_http_requests_total", verdict="hit") == 10


def test_what_is_no_exposition_is_refused() -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse("<html>{{", 0.0)


def test_quantiles_are_interpolated_within_their_bucket() -> None:
    assert quantile([(0.1, 50), (0.5, 100), (float("inf"), 100)], 0.75) == pytest.approx(0.3)
    assert quantile([(0.1, 0), (float("inf"), 4)], 0.5) == pytest.approx(0.1)
    assert quantile([], 0.5) is None
    assert quantile([(1.0, 0)], 0.5) is None


@given(st.lists(st.floats(min_value=0.001, max_value=20), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_lies_in_the_bucket_of_the_exact_one(durations: list[float], q: float) -> None:
    bounds = (0.01, 0.1, 1.0, 10.0, 30.0)
    buckets = [(bound, float(sum(duration <= bound for duration in durations))) for bound in bounds]
    exact = sorted(durations)[min(len(durations) - 1, max(0, -int(-q * len(durations) // 1) - 1))]
    found = quantile(buckets, q)
    assert found is not None
    upper = next(bound for bound in bounds if exact <= bound)
    lower = max((bound for bound in (0.0, *bounds) if bound < upper), default=0.0)
    assert lower - 1e-9 <= found <= upper + 1e-9


@pytest.mark.parametrize(("width", "lines"), [(80, 24), (200, 60)])
def test_the_screen_fits_the_terminal_and_says_the_worst_first(width: int, lines: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(Screen("127.0.0.1:8081", _figures(), [1.0, 2.0, 5.0]))
    text = console.export_text()
    assert len(text.splitlines()) <= lines
    assert max(map(len, text.splitlines())) <= width
    assert text.splitlines()[0].rstrip().endswith("ALERT: origin-down")
    assert "DOWN" in text
    assert "pages" in text


def _shown(width: int, height: int, figures: Figures, tuned: Tuned | None = None) -> list[str]:
    """The lines of a terminal of that size."""
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    shown = Screen("127.0.0.1:8081", figures, [1.0, 2.0, 5.0], tuned=tuned, height=height)
    console.print(rich.screen.Screen(shown), end="")
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(44, 30), (44, 20), (44, 12), (60, 15), (80, 24), (80, 10), (120, 40)])
def test_however_small_the_terminal_state_rates_hit_ratio_and_routes_are_there(width: int, height: int) -> None:
    text = "\n".join(_shown(width, height, _busy()))
    for words in ("ALERT: origin-down", "5.0/s", "75.0 %", "api", "pages"):
        assert words in text


@pytest.mark.parametrize(
    ("height", "there"),
    [(60, ["origin", "realtime", "store and process"]), (30, ["origin", "realtime"]), (22, ["origin"]), (16, [])],
)
def test_in_a_short_terminal_what_matters_least_goes_first(height: int, there: list[str]) -> None:
    lines = _shown(44, height, _busy())
    titles = [line.strip("╭╮─ ") for line in lines if line.startswith("╭")]
    assert titles == ["traffic", *there]


def test_the_preset_and_what_alerts_have_changed_are_one_line() -> None:
    report = {
        "preset": {"name": "high-traffic"},
        "auto": {"enabled": True},
        "keys": {
            "realtime.batch.delay": {"effective": "150ms", "origin": "automatic"},
            "realtime.debounce": {"effective": "1s", "origin": "operator"},
            "cache.heuristic": {"effective": "10s", "origin": "preset"},
        },
    }
    found = tuned(report)
    assert found is not None
    words = "preset high-traffic  automatic: realtime.batch.delay 150ms; by hand: realtime.debounce 1s"
    assert _shown(120, 40, _figures(), found)[1].strip() == words
    (line,) = [line for line in _shown(44, 30, _figures(), found) if "preset" in line]
    assert line.strip() == words[:43] + "…"


@pytest.mark.parametrize("report", [{}, {"preset": None}, {"preset": {"name": "x"}, "auto": {}, "keys": []}])
def test_an_edge_that_says_nothing_of_tuning_has_no_such_line(report: dict[str, object]) -> None:
    assert tuned(report) is None


def test_what_browsers_report_stands_beside_the_sessions() -> None:
    (line,) = [line for line in _shown(80, 30, _busy()) if "browsers" in line]
    assert "3, p95 42.0ms, 7 retries" in line


def test_before_the_second_look_and_without_an_answer_the_screen_says_so() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(Screen("h:1", None, []))
    console.print(Screen("h:1", None, [], "no answer for 3 s, trying again"))
    text = console.export_text()
    assert "first two looks" in text
    assert "no answer for 3 s" in text


def test_the_highest_bar_is_full_and_nothing_is_still_a_line() -> None:
    assert sparkline([0.0, 5.0, 10.0]) == "▁▄█"
    assert sparkline([0.0, 0.0]) == "▁▁"


def test_a_look_knows_sums_and_parts() -> None:
    scrape = parse(AFTER, 0.0)
    assert scrape.value("cachewire_http_requests_total", route="api") == 50
    assert scrape.value("not_there") is None
    assert Scrape(0.0).by("not_there", "label") == {}
