"""What can be tuned: how values are read, refused and written."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Config
from proxy.tuning.knobs import KNOBS, configured, with_values
from proxy.tuning.presets import Value


@pytest.mark.parametrize("key", KNOBS)
def test_every_key_explains_itself_and_its_default_is_written_as_it_is_read(key: str) -> None:
    knob, default = KNOBS[key], configured(Config())[key]
    assert knob.meaning.endswith(".")
    assert knob.hint
    assert knob.takes_effect
    assert knob.parse(knob.text(default)) == default


@pytest.mark.parametrize(
    ("key", "given_", "value"),
    [
        ("realtime.batch.delay", " 100ms ", 0.1),
        ("realtime.batch.delay", 0, 0.0),
        ("realtime.batch.mode", "fixed", "fixed"),
        ("realtime.batch.max_messages", "25", 25),
        ("realtime.batch.max_messages", 25, 25),
        ("cache.memory", "48MiB", 48 * 2**20),
        ("cache.network_timeout_limit", "null", None),
        ("cache.network_timeout_limit", None, None),
        ("cache.network_timeout_limit", "2s", 2.0),
        ("realtime.compression.enabled", "true", True),
        ("realtime.compression.enabled", False, False),
        ("realtime.transports", "[websocket]", ("websocket",)),
        ("realtime.transports", "polling, websocket", ("polling", "websocket")),
        ("realtime.transports", ["websocket", "websocket"], ("websocket",)),
    ],
)
def test_text_as_in_the_file_and_what_json_has_for_it_mean_the_same(key: str, given_: object, value: Value) -> None:
    assert KNOBS[key].parse(given_) == value


@pytest.mark.parametrize(
    ("key", "given_", "said"),
    [
        ("realtime.batch.delay", "100", "write 100s for seconds"),
        ("realtime.batch.delay", "6s", "at most 5s"),
        ("realtime.batch.delay", "", "there is no value; write a duration such as 100ms"),
        ("realtime.batch.delay", None, "there is no value"),
        ("realtime.batch.delay", "x" * 201, "201 characters"),
        ("realtime.batch.mode", "adaptve", "did you mean `adaptive`"),
        ("realtime.batch.max_messages", "0", "at least 1"),
        ("realtime.batch.max_messages", True, "whole number"),
        ("realtime.batch.max_messages", "20000", "at most 10000"),
        ("cache.memory", "lots", "is not a size"),
        ("cache.memory", {"a": 1}, "a section of keys is not a size"),
        ("cache.network_timeout_limit", "0", "at least 10ms"),
        ("realtime.compression.enabled", "perhaps", "write true or false"),
        ("realtime.transports", "[]", "there is no value"),
        ("realtime.transports", "pigeon", "polling"),
    ],
)
def test_what_is_wrong_is_refused_and_what_would_be_right_is_said(key: str, given_: object, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        KNOBS[key].parse(given_)


@given(
    st.sampled_from(sorted(KNOBS)),
    st.one_of(st.text(max_size=30), st.integers(), st.none(), st.booleans(), st.floats()),
)
def test_nothing_that_is_written_does_more_than_be_refused(key: str, given_: object) -> None:
    knob = KNOBS[key]
    try:
        value = knob.parse(given_)
    except ValueError:
        return
    assert knob.parse(knob.text(value)) == value


def test_a_configuration_with_values_is_another_one_in_these_values_only() -> None:
    before = Config()
    after = with_values(before, {"realtime.batch.delay": 0.1, "cache.memory": 5})
    assert configured(after) == {**configured(before), "realtime.batch.delay": 0.1, "cache.memory": 5}
    assert after.origin is before.origin
    assert with_values(before, configured(before)) is before
