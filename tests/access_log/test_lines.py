"""One exchange, one line: for eyes and for machines."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from proxy.access_log.lines import json_line, text_line
from proxy.outcome import Outcome

OUTCOME = Outcome(
    "GET",
    "/api/reports?page=2",
    "203.0.113.7",
    1_800_000_000.25,
    route="api",
    strategy="network-first",
    verdict="hit",
    reason="fresh",
    status=200,
    duration=0.0004,
    bytes_out=2048,
    request_id="abc-1",
)


def test_a_line_for_machines_says_what_happened_in_stable_names() -> None:
    assert json.loads(json_line(OUTCOME)) == {
        "time": "2027-01-15T08:00:00.250Z",
        "request_id": "abc-1",
        "client": "203.0.113.7",
        "method": "GET",
        "target": "/api/reports?page=2",
        "status": 200,
        "verdict": "hit",
        "reason": "fresh",
        "route": "api",
        "strategy": "network-first",
        "duration": 0.0004,
        "bytes_in": 0,
        "bytes_out": 2048,
    }


def test_what_is_special_about_an_exchange_is_added() -> None:
    special = replace(OUTCOME, origin_duration=0.25, trace_id="4bf9", collapsed=True, stored=True, complete=False)
    line = json.loads(json_line(special))
    assert line["origin_duration"] == 0.25
    assert line["trace_id"] == "4bf9"
    assert (line["collapsed"], line["stored"], line["complete"]) == (True, True, False)


def test_a_line_for_eyes_has_the_same_in_columns() -> None:
    line = text_line(OUTCOME)
    assert line == (
        "08:00:00.250 200 hit            400us   2.0 KiB  GET /api/reports?page=2  fresh  203.0.113.7 api abc-1"
    )


def test_colour_is_only_where_it_was_asked_for() -> None:
    assert "\x1b" not in text_line(OUTCOME)
    assert "\x1b[32mhit" in text_line(OUTCOME, coloured=True)


def test_server_errors_and_what_broke_off_stand_out_in_colour_and_in_words() -> None:
    red = "\x1b[1;31m"
    for outcome, words in (
        (replace(OUTCOME, status=500, verdict="miss"), f"{red}500\x1b[0m"),
        (replace(OUTCOME, status=502, verdict="error"), f"{red}502\x1b[0m {red}error"),
        (replace(OUTCOME, complete=False), f"{red} broken off\x1b[0m"),
    ):
        line = text_line(outcome, coloured=True)
        assert words in line
        assert re.sub(r"\x1b\[[\d;]*m", "", line) == text_line(outcome)
    assert red not in text_line(replace(OUTCOME, status=404), coloured=True)


def test_secrets_in_a_query_are_not_written() -> None:
    secret = replace(OUTCOME, target="/a?token=s3cr3t&page=1")
    for line in (json_line(secret), text_line(secret)):
        assert "s3cr3t" not in line
        assert "page=1" in line


@given(st.text(), st.text(), st.text(), st.text())
def test_whatever_a_client_sends_a_line_stays_one_line_of_printable_ascii(
    method: str, target: str, reason: str, client: str
) -> None:
    outcome = replace(OUTCOME, method=method, target=target, reason=reason, client=client)
    for line in (json_line(outcome), text_line(outcome)):
        line.encode("ascii")
        assert line.isprintable()
    assert isinstance(json.loads(json_line(outcome)), dict)
