"""The presets: what each of them makes of a configuration, and why."""

from __future__ import annotations

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.model import Config
from proxy.config.tuning import PresetName
from proxy.tuning.knobs import KNOBS, configured
from proxy.tuning.presets import PRESETS, reasons, values

DEFAULTS = configured(Config())


def test_the_configuration_knows_the_same_presets() -> None:
    assert set(typing.get_args(PresetName)) == set(PRESETS)


def test_every_value_of_a_preset_is_one_that_an_operator_could_set_and_has_its_reason() -> None:
    for preset in PRESETS.values():
        for setting in preset.settings:
            knob = KNOBS[setting.key]
            assert knob.parse(knob.text(setting.value)) == setting.value
            assert setting.why.endswith(".")
        assert len(reasons(preset.name)) == len(preset.settings), "no key twice"


def test_the_default_changes_nothing() -> None:
    assert values("default", DEFAULTS) == {}


def test_high_traffic_is_what_the_guide_asks_for() -> None:
    assert values("high-traffic", DEFAULTS) == {
        "realtime.batch.delay": 0.1,
        "realtime.origin.profiles_max_age": 120.0,
        "cache.network_timeout_limit": 1.0,
        "cache.heuristic": 10.0,
    }


def test_low_bandwidth_is_what_the_guide_asks_for() -> None:
    assert values("low-bandwidth", DEFAULTS) == {
        "realtime.debounce": 0.2,
        "realtime.batch.max_messages": 25,
        "realtime.batch.max_bytes": 32 * 2**10,
        "realtime.compression.enabled": True,
        "realtime.compression.threshold": 2**10,
    }


@pytest.mark.parametrize(
    ("preset", "key", "value"),
    [
        ("high-traffic", "realtime.batch.delay", 0.15),
        ("high-traffic", "realtime.origin.profiles_max_age", 60.0),
        ("high-traffic", "cache.network_timeout_limit", 0.5),
        ("low-bandwidth", "realtime.batch.max_messages", 10),
        ("low-bandwidth", "realtime.debounce", 0.5),
    ],
)
def test_what_goes_further_already_stays(preset: str, key: str, value: float) -> None:
    assert key not in values(preset, {**DEFAULTS, key: value})


def test_low_bandwidth_lets_clients_poll_where_only_websockets_were_allowed() -> None:
    made = values("low-bandwidth", {**DEFAULTS, "realtime.transports": ("websocket",)})
    assert made["realtime.transports"] == ("websocket", "polling")


def test_keys_that_are_not_there_are_left_out() -> None:
    assert values("high-traffic", {"cache.heuristic": 0.0}) == {"cache.heuristic": 10.0}


@given(st.sampled_from(sorted(PRESETS)), st.data())
def test_a_preset_on_top_of_itself_changes_nothing(preset: str, data: st.DataObject) -> None:
    present = dict(DEFAULTS)
    for key, value in DEFAULTS.items():
        if isinstance(value, float):
            present[key] = data.draw(st.floats(0.0, 1000.0))
    made = {**present, **values(preset, present)}
    assert values(preset, made) == {}
