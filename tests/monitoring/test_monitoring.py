"""What ships in docs/monitoring, against a real Prometheus that scrapes a real edge with a past.

One edge and one Prometheus for all: the edge has had hits, misses, a dead origin, stale answers, a queued write, chat.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.monitoring.prometheus import MONITORING, PATIENCE, Prometheus, asked, promtool, scraping

ROOT = Path(__file__).parents[2]
TOKEN = "a-token-for-scrapers"

DASHBOARD = json.loads((MONITORING / "grafana-cachewire.json").read_text())


@dataclass
class Watched:
    edge: str
    admin: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp("watched")
    process = subprocess.Popen(
        [
            sys.executable, "-u", "-m", "proxy", "demo", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
            "--origin-listen", "127.0.0.1:0", *_settings(directory),
        ],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        edge, origin, admin = _addresses(process)
        jobs = _job("cachewire", admin, "authorization: {credentials: " + TOKEN + "}")
        with scraping(directory, jobs + _job("uninvited", admin)) as prometheus:
            _live_through(edge, origin, admin)
            prometheus.until('count_over_time(cachewire_build_info{job="cachewire"}[1m]) > 6')
            _live_through(edge, origin, admin)
            _report(edge)
            time.sleep(1.5)  # two more scrapes see what has grown
            yield Watched(edge, admin, prometheus)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


def _settings(directory: Path) -> Iterator[str]:
    chosen = {
        "admin.token": TOKEN,
        "cache.dir": directory / "cache",
        "outbox.dir": directory / "outbox",
        "log.access.format": "json",
        "log.access.file": directory / "access.log",
        "realtime.ping_interval": "500ms",
        "realtime.ping_timeout": "10m",  # who reports need not answer heartbeats to stay
    }
    for name, value in chosen.items():
        yield from ("--set", f"{name}={value}")


def _job(name: str, admin: str, more: str = "") -> str:
    line = f"    {more}\n" if more else ""
    return f"  - job_name: {name}\n{line}    static_configs: [{{targets: ['{admin.removeprefix('http://')}']}}]\n"


def _addresses(process: subprocess.Popen[str]) -> tuple[str, str, str]:
    assert process.stdout is not None
    edge = origin = ""
    for line in process.stdout:
        if match := re.match(r"  edge +(\S+)  in front of (\S+)", line):
            edge, origin = match[1], match[2]
        elif match := re.match(r"  dashboard +(\S+)", line):
            return edge, origin, match[1]
    raise AssertionError("the demo did not start")


def _live_through(edge: str, origin: str, admin: str) -> None:
    """Traffic of every kind."""
    for _ in range(3):
        for path in ("/", "/api/reports", "/uploads/r200-1.jpg", "/api/performance"):
            asked(edge + path)
    _chat(edge)
    _refused(f"{edge}/socket.io/?EIO=3&transport=polling")
    stale = json.dumps({"everything": True, "soft": True}).encode()
    asked(f"{admin}/api/cache/purge", {"Authorization": f"Bearer {TOKEN}"}, stale)
    _chaos(origin, "down")
    asked(f"{edge}/api/reports")
    _refused(f"{edge}/api/reports/r7")
    _refused(f"{edge}/api/reports/r7/like", body=b"{}")
    _chaos(origin, "ok")
    asked(f"{edge}/api/reports")


def _chat(edge: str) -> None:
    """A session that says something, waits for a heartbeat, asks for too much, and leaves."""
    address = f"{edge}/socket.io/?EIO=4&transport=polling"
    sid = json.loads(asked(address)[1:])["sid"]
    packets = [
        "40", '42["authenticate","u1"]', '42["authenticate",{"userId":7,"token":3}]', '42["join_conversation","c1"]',
        *['42["send_message",{"conversation_id":"c1","sender_id":"u1","content":"hello","message_type":"text"}]'] * 3,
        '42["subscribe","not-for-everybody"]', '42["nobody-listens"]', '42["send_message",{}]',
    ]  # fmt: skip
    asked(f"{address}&sid={sid}", body="\x1e".join(packets).encode())
    end = time.monotonic() + PATIENCE
    while "2" not in asked(f"{address}&sid={sid}").split("\x1e"):
        assert time.monotonic() < end, "no heartbeat"
    asked(f"{address}&sid={sid}", body=b"3")
    flood = "\x1e".join(['42["typing_start","c1"]'] * 450).encode()
    asked(f"{address}&sid={sid}", body=flood)
    asked(f"{address}&sid={sid}", body=b"41")
    _refused(f"{address}&sid={sid}", body=b"nonsense")


def _report(edge: str) -> None:
    """A session whose browser tells of itself, and which stays."""
    address = f"{edge}/socket.io/?EIO=4&transport=polling"
    address += "&sid=" + json.loads(asked(address)[1:])["sid"]
    asked(address, body=b'40\x1e42["client_metrics",{"latency":40,"cachedProfiles":3}]')


def _chaos(origin: str, mode: str) -> None:
    asked(f"{origin}/demo/chaos", {"Content-Type": "application/json"}, json.dumps({"mode": mode}).encode())


def _refused(url: str, body: bytes | None = None) -> None:
    try:
        asked(url, body=body)
    except urllib.error.HTTPError as error:
        error.read()


def test_what_the_edge_exposes_has_nothing_that_promtool_would_change(watched: Watched) -> None:
    text = asked(f"{watched.admin}/metrics", {"Authorization": f"Bearer {TOKEN}"})
    promtool("check", "metrics", given=text)


def test_prometheus_scrapes_with_the_token_and_not_without(watched: Watched) -> None:
    health = {target["labels"]["job"]: target for target in watched.prometheus.targets()}
    assert health["cachewire"]["health"] == "up", health["cachewire"]["lastError"]
    assert health["uninvited"]["health"] == "down"
    assert "401" in health["uninvited"]["lastError"]


def test_the_formats_that_a_scraper_may_ask_for_are_told_apart(watched: Watched) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    text = asked(f"{watched.admin}/metrics", headers)
    openmetrics = asked(f"{watched.admin}/metrics", headers | {"Accept": "application/openmetrics-text; version=1.0.0"})
    assert not text.rstrip().endswith("# EOF")
    assert openmetrics.endswith("# EOF\n")


def test_the_rules_are_right_and_every_alert_fires_on_what_it_should_and_on_nothing_else() -> None:
    promtool("check", "rules", "cachewire.rules.yml")
    promtool("check", "config", "--syntax-only", "prometheus.yml")
    promtool("test", "rules", "cachewire.rules.test.yml")


def test_every_alert_has_a_case_that_fires_and_one_that_stays_quiet() -> None:
    alerts = re.findall(r"- alert: (\w+)", (MONITORING / "cachewire.rules.yml").read_text())
    cases = (MONITORING / "cachewire.rules.test.yml").read_text()
    assert len(alerts) >= 8
    for alert in alerts:
        assert f"name: {alert} fires" in cases
        assert f"name: {alert} stays quiet" in cases


def test_a_running_prometheus_evaluates_every_rule(watched: Watched) -> None:
    rules = watched.prometheus.rules()
    assert {rule["health"] for rule in rules} == {"ok"}, [rule for rule in rules if rule["health"] != "ok"]
    recorded = [rule["name"] for rule in rules if rule["type"] == "recording"]
    for name in recorded:
        assert watched.prometheus.query(name), f"{name} records nothing"


def _queries() -> list[Any]:
    return list(_every_query())


def _every_query() -> Iterator[Any]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            title = f"{panel['title']}: {target.get('legendFormat') or target['refId']}"
            yield pytest.param(target["expr"], id=title)


@pytest.mark.parametrize("expression", _queries())
def test_every_query_of_the_dashboard_has_data(watched: Watched, expression: str) -> None:
    chosen = expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$job", "cachewire")
    assert watched.prometheus.query(chosen), chosen


def test_everything_that_browsers_report_has_a_panel() -> None:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    listed = re.findall(r"`(cachewire_realtime_client_\w+)`", (ROOT / "docs" / "metrics.md").read_text())
    assert len(listed) > 5
    for name in listed:
        assert any(name in query for query in queries), name


def test_the_dashboards_variables_and_annotations_have_data_too(watched: Watched) -> None:
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()  # type: ignore[union-attr]
            found = watched.prometheus.query(f"count by ({label}) ({selector.replace('$job', 'cachewire')})")
            assert found
            assert found[0]["metric"][label]
    for annotation in DASHBOARD["annotations"]["list"]:
        watched.prometheus.query(annotation["expr"].replace("$job", "cachewire"))


def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    shown = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len(shown) > 25
    for panel in shown:
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_no_two_panels_lie_on_each_other() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= cells
