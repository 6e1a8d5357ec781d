"""The exposition, read back by the parsers Prometheus' own client ships."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from proxy.operations.ledger import FALLBACK_REASONS, Ledger
from proxy.operations.metrics import Expected, Metrics, OriginFigures, StoreFigures
from proxy.outcome import VERDICTS, Outcome

HIT = Outcome("GET", "/a?user=u1", "", 0.0, "api", "network-first", "hit", "fresh", 200, 0.02, bytes_in=5, bytes_out=99)
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class House:
    """The sources, changeable between scrapes."""

    def __init__(self) -> None:
        self.ledger = Ledger(lambda: 1000.0)
        self.store = StoreFigures()
        self.origin = OriginFigures()
        self.expected = Expected()
        self.metrics = Metrics(
            self.ledger,
            store=lambda: self.store,
            origin=lambda: self.origin,
            connections=lambda: 3,
            version="1.2.3",
            expected=lambda: self.expected,
        )

    def scrape(self) -> dict[str, Metric]:
        body, _ = self.metrics.render()
        return {family.name: family for family in parse_text(body.decode())}

    def value(self, name: str, **labels: str) -> float:
        for family in self.scrape().values():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        raise AssertionError(f"{name}{labels} is not exposed")


@pytest.fixture
def house() -> House:
    return House()


def test_requests_carry_route_strategy_verdict_and_status(house: House) -> None:
    house.ledger.record(HIT)
    house.ledger.record(HIT)
    labels = {"route": "api", "strategy": "network-first", "verdict": "hit", "status": "200"}
    assert house.value("cachewire_http_requests_total", **labels) == 2
    assert house.value("cachewire_http_response_bytes_total", verdict="hit") == 198
    assert house.value("cachewire_http_request_bytes_total", verdict="hit") == 10


def test_durations_are_histograms_with_cumulative_buckets(house: House) -> None:
    house.ledger.record(HIT)
    house.ledger.record(replace(HIT, duration=0.3, origin_duration=0.25))
    name = "cachewire_http_request_duration_seconds"
    assert house.value(f"{name}_bucket", verdict="hit", le="0.05") == 1
    assert house.value(f"{name}_bucket", verdict="hit", le="+Inf") == 2
    assert house.value(f"{name}_count", verdict="hit") == 2
    assert house.value(f"{name}_sum", verdict="hit") == pytest.approx(0.32)
    assert house.value("cachewire_origin_request_duration_seconds_bucket", le="0.25") == 1


def test_the_time_to_the_head_of_an_answer_has_a_series_of_its_own(house: House) -> None:
    house.ledger.record(replace(HIT, duration=60.0, first_byte=0.3))
    assert house.value("cachewire_http_first_byte_seconds_bucket", le="0.25") == 0
    assert house.value("cachewire_http_first_byte_seconds_bucket", le="0.5") == 1
    assert house.value("cachewire_http_first_byte_seconds_sum") == pytest.approx(0.3)


def test_the_store_is_shown_by_tier(house: House) -> None:
    house.store = StoreFigures(memory_entries=4, disk_bytes=2048, disk_evictions=7, purged=3, marked_stale=2, damaged=1)
    assert house.value("cachewire_cache_entries", tier="memory") == 4
    house.store = replace(house.store, disk_available=False)
    assert house.value("cachewire_cache_tier_available", tier="disk") == 0
    assert house.value("cachewire_cache_bytes", tier="disk") == 2048
    assert house.value("cachewire_cache_evictions_total", tier="disk") == 7
    assert house.value("cachewire_cache_purged_total", effect="removed") == 3
    assert house.value("cachewire_cache_purged_total", effect="marked-stale") == 2
    assert house.value("cachewire_cache_damaged_total") == 1


def test_an_origin_nobody_asked_yet_is_neither_up_nor_down(house: House) -> None:
    assert "cachewire_origin_up" not in house.scrape()
    house.origin = OriginFigures(up=False, retries=3, idle_connections=2)
    assert house.value("cachewire_origin_up") == 0
    assert house.value("cachewire_origin_retries_total") == 3
    assert house.value("cachewire_origin_connections", state="idle") == 2
    house.origin = OriginFigures(up=True)
    assert house.value("cachewire_origin_up") == 1


def test_collapsed_requests_fallbacks_connections_and_what_is_in_flight_are_exposed(house: House) -> None:
    house.ledger.begin()
    house.ledger.record(replace(HIT, collapsed=True, verdict="stale", reason="origin-timeout"))
    assert house.value("cachewire_http_requests_collapsed_total") == 1
    assert house.value("cachewire_fallbacks_total", reason="origin-timeout") == 1
    assert house.value("cachewire_http_requests_in_flight") == 1
    assert house.value("cachewire_connections") == 3


def test_the_build_and_the_process_are_exposed(house: House) -> None:
    families = house.scrape()
    assert families["cachewire_build_info"].samples[0].labels["version"] == "1.2.3"
    assert house.value("process_resident_memory_bytes") > 0
    assert house.value("process_open_fds") > 0


def test_no_url_and_no_user_becomes_a_label(house: House) -> None:
    house.ledger.record(replace(HIT, client="192.0.2.7"))
    body, _ = house.metrics.render()
    assert b"user=u1" not in body
    assert b"192.0.2.7" not in body


def test_every_series_of_ours_says_what_it_is_and_keeps_the_naming_rules(house: House) -> None:
    house.ledger.record(HIT)
    ours = [family for name, family in house.scrape().items() if name.startswith("cachewire_")]
    assert len(ours) > 20
    for family in ours:
        assert family.documentation.endswith("."), family.name
        assert family.type != "unknown"
        assert "seconds" in family.name or family.type != "histogram"


def test_the_scraper_chooses_between_text_and_openmetrics(house: House) -> None:
    house.ledger.record(HIT)
    text, text_type = house.metrics.render("text/plain")
    assert text_type.startswith("text/plain; version=0.0.4")
    assert b"# EOF" not in text
    openmetrics, openmetrics_type = house.metrics.render(OPENMETRICS)
    assert openmetrics_type.startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in parse_openmetrics(openmetrics.decode())}  # type: ignore[no-untyped-call]
    assert families["cachewire_http_requests"].samples[0].value == 1


def test_a_label_with_quotes_and_line_breaks_survives_the_exposition(house: House) -> None:
    house.ledger.record(replace(HIT, route='a "b"\n\\c'))
    labels = {"route": 'a "b"\n\\c', "strategy": "network-first", "verdict": "hit", "status": "200"}
    assert house.value("cachewire_http_requests_total", **labels) == 1


def test_what_a_rate_is_taken_of_is_there_before_it_first_happens(house: House) -> None:
    house.expected = Expected(["api", ""], [502, 503])
    assert house.value("cachewire_http_server_errors_total", route="api") == 0
    assert house.value("cachewire_http_server_errors_total", route="") == 0
    for verdict in VERDICTS:
        assert house.value("cachewire_http_route_requests_total", route="api", verdict=verdict) == 0
        assert house.value("cachewire_http_request_bytes_total", verdict=verdict) == 0
        assert house.value("cachewire_http_response_bytes_total", verdict=verdict) == 0
        assert house.value("cachewire_http_request_duration_seconds_count", verdict=verdict) == 0
    for reason in (*FALLBACK_REASONS, "origin-status-502", "origin-status-503"):
        assert house.value("cachewire_fallbacks_total", reason=reason) == 0


def test_server_errors_are_counted_by_route_whoever_made_them(house: House) -> None:
    house.ledger.record(replace(HIT, verdict="miss", status=500))
    house.ledger.record(replace(HIT, verdict="error", status=502))
    house.ledger.record(replace(HIT, status=404))
    assert house.value("cachewire_http_server_errors_total", route="api") == 2
    assert house.value("cachewire_http_route_requests_total", route="api", verdict="error") == 1
    assert house.value("cachewire_http_route_requests_total", route="api", verdict="hit") == 1


@pytest.mark.parametrize("reason", ["stale-while-revalidate", "request-max-stale", "client-left"])
def test_a_stale_answer_that_replaced_none_of_the_origins_is_no_fallback(house: House, reason: str) -> None:
    house.ledger.record(replace(HIT, verdict="stale", reason=reason))
    assert sum(sample.value for sample in house.scrape()["cachewire_fallbacks"].samples) == 0
