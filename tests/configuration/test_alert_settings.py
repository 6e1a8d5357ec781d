"""The alerts' part of the configuration."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import load
from proxy.config.model import Config
from proxy.config.rendering import render_yaml
from proxy.config.units import format_share, parse_share
from proxy.errors import ConfigurationError


def configured(*overrides: str, **environment: str) -> Config:
    return load(None, env=environment, overrides=list(overrides)).config


def test_every_alert_has_the_settings_of_the_house() -> None:
    rules = Config().alerts.model_dump(mode="json")["rules"]
    assert set(rules) == {
        "response_time", "quality_poor", "error_rate", "memory", "origin_down", "outbox_growing", "disk_full",
        "redis_lost",
    }  # fmt: skip
    for settings in rules.values():
        assert {"enabled", "for", "resolve_after", "severity"} <= set(settings)
    assert (rules["response_time"]["threshold"], rules["error_rate"]["threshold"]) == ("500ms", "5%")


def test_an_alert_can_be_set_from_the_command_line_and_the_environment() -> None:
    config = configured("alerts.rules.memory.for=5m", CACHEWIRE__ALERTS__RULES__MEMORY__THRESHOLD="70%")
    assert config.alerts.model_dump(mode="json")["rules"]["memory"] == {
        "enabled": True, "threshold": "70%", "release": None, "for": "5m", "resolve_after": "1m",
        "severity": "critical",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("alerts.rules.response-time.for=5m", "Did you mean `response_time`?"),
        ("alerts.rules.orgin_down.for=5m", "Did you mean `origin_down`?"),
        ("alerts.rules.memory.treshold=5%", "Did you mean `threshold`?"),
        ("alerts.rules.memory.threshold=5", "Write 5%"),
        ("alerts.rules.memory.release=90%", "release is above threshold"),
        ("alerts.rules.origin_down.threshold=1", "unknown key"),
        ("alerts.rules.outbox_growing.threshold=-1", "at least 0"),
        ("alerts.interval=1ms", "shorter than 100ms"),
        ("alerts.memory_budget=0", "memory_budget is 0"),
        ("alerts.webhook.url=ftp://x/y", "not a URL for the webhook"),
        ("alerts.webhook.url=http://user:pass@x/", "without user or password"),
        ("alerts.webhook.url=http://x/a b", "not a URL for the webhook"),
        ("alerts.webhook.url=//x/y", "not a URL for the webhook"),
        ("alerts.webhook.retries=99", "at most 20"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(setting: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        configured(setting)
    assert says in " ".join(str(error.value).split())


def test_the_webhooks_secrets_are_not_printed() -> None:
    config = configured("alerts.webhook.url=https://hooks.example.org/T0/hidden", "alerts.webhook.token=sesame")
    for text in (render_yaml(config), repr(config)):
        assert "hidden" not in text
        assert "sesame" not in text


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("0.5 %", 0.005), (0.05, 0.05), ("100%", 1.0), (0, 0.0)])
def test_shares_are_written_in_percent_or_as_a_part_of_one(text: Any, share: float) -> None:
    assert parse_share(text) == share


@pytest.mark.parametrize("text", [5, "5", "101%", "-1%", True, None, "half", "", "1e-2", "5 % %", [], float("nan")])
def test_what_is_no_share_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="write"):
        parse_share(text)


@given(st.integers(0, 100_000))
def test_a_share_that_is_written_reads_the_same(thousandths: int) -> None:
    share = thousandths / 100_000
    assert parse_share(format_share(share)) == share
