"""Why newcomers are refused, in words that name the limit, its value and its key."""

from __future__ import annotations

from typing import get_args

import pytest

from proxy.config.realtime import Realtime
from proxy.operations.refusals import newcomers, refused_sessions
from realtime.admission import Refused
from realtime.refused import RefusedLately

SETTINGS = Realtime()


def test_the_limit_of_an_address_is_named_with_its_key_and_its_value() -> None:
    lately = RefusedLately({"address": 69_583}, 1, False, "192.0.2.7")
    (refused,) = refused_sessions({"address": 70_000}, lately, SETTINGS)
    assert (refused.lately, refused.in_all, refused.everybody) == (69_583, 70_000, False)
    for said in ("50 % of all sessions", "4,000 of 8,000", "realtime.max_sessions", "realtime.limits.address_share"):
        assert said in refused.because
    assert refused.whence == "from one address (192.0.2.7)"
    assert "server.trusted_proxies" in refused.advice


def test_what_counts_most_now_comes_first() -> None:
    lately = RefusedLately({"handshakes": 2}, 700, True, "192.0.2.7")
    refused = refused_sessions({"full": 90, "handshakes": 3, "draining": 4}, lately, SETTINGS)
    assert [(each.reason, each.everybody) for each in refused] == [
        ("handshakes", False),
        ("full", True),
        ("draining", False),
    ]
    assert refused[0].whence == "from 700 or more addresses, most from 192.0.2.7"


@pytest.mark.parametrize("reason", get_args(Refused))
def test_every_reason_has_words(reason: str) -> None:
    (refused,) = refused_sessions({reason: 1}, RefusedLately(), SETTINGS)
    assert refused.because.endswith(".")
    assert refused.advice.endswith(".")
    assert (reason == "draining") == ("shutting down" in refused.because)


def test_explaining_says_how_many_are_in_and_who_was_refused_lately() -> None:
    lately = RefusedLately({"handshakes": 12}, 1, False, "192.0.2.7")
    refused = refused_sessions({"handshakes": 12, "full": 5}, lately, SETTINGS)
    first, second = newcomers(4_000, refused, SETTINGS)
    assert first == "4,000 of 8,000 sessions are open (realtime.max_sessions)."
    assert second.startswith("In the last minute 12 were refused: One address begins more than 300 sessions a second")
