"""Layers: configuration, preset, automatic, operator; the upper one counts."""

from __future__ import annotations

import pytest

from proxy.config.model import Config
from proxy.tuning.knobs import configured
from proxy.tuning.state import Change, Chosen, State

DEFAULTS = configured(Config())
DELAY, MEMORY, AGE = "realtime.batch.delay", "cache.memory", "realtime.origin.profiles_max_age"


def state(preset: Chosen | None = None, **configured_: float) -> State:
    values = {**DEFAULTS, **{key.replace("__", "."): value for key, value in configured_.items()}}
    return State(values, DEFAULTS, preset or Chosen())


def test_nothing_is_changed_at_first() -> None:
    assert state().values() == DEFAULTS
    assert state().changed() == []
    assert state().effective(DELAY).words == "configuration"


def test_each_layer_covers_those_below_and_comes_off_again() -> None:
    preset = state().chosen("high-traffic", "anna", 5.0)
    assert (preset.effective(DELAY).value, preset.effective(DELAY).words) == (0.1, "preset high-traffic")
    assert preset.effective(DELAY).since == 5.0
    acted = preset.acted(1, "response-time", [Change(DELAY, 0.1, 0.15)], 6.0)
    assert (acted.effective(DELAY).value, acted.effective(DELAY).words) == (0.15, "automatic: response-time")
    hand = acted.set(DELAY, 0.3, "anna", 7.0)
    assert (hand.effective(DELAY).value, hand.effective(DELAY).words) == (0.3, "operator anna")
    assert hand.effective(DELAY).since == 7.0
    assert hand.reset(DELAY).effective(DELAY).value == 0.1, "what the rule had made of it gave way to the operator"
    assert acted.taken_back([1]).effective(DELAY).value == 0.1
    assert hand.reset_all("default").values() == DEFAULTS


def test_a_preset_of_the_configuration_leaves_alone_what_is_configured_otherwise() -> None:
    from_the_start = state(Chosen("high-traffic"), realtime__batch__delay=0.07)
    assert from_the_start.effective(DELAY).value == 0.07
    assert from_the_start.effective(AGE).words == "configuration: preset high-traffic"
    assert from_the_start.chosen("high-traffic", "anna", 1.0).effective(DELAY).value == 0.1, "chosen live it does not"


def test_a_diff_has_what_differs_and_nothing_else() -> None:
    changes = {change.key: (change.before, change.after) for change in state().diff("high-traffic")}
    assert changes[DELAY] == (0.05, 0.1)
    assert len(changes) == 4
    assert all(change.why for change in state().diff("high-traffic"))
    assert state().chosen("high-traffic", "anna", 1.0).diff("high-traffic") == []
    assert state().diff("default") == []


def test_a_diff_between_presets_tells_what_goes_back() -> None:
    back = {change.key: change for change in state().chosen("high-traffic", "anna", 1.0).diff("low-bandwidth")}
    assert (back[DELAY].before, back[DELAY].after) == (0.1, 0.05)
    assert back[DELAY].why == "Back to what the configuration says."


def test_what_is_set_by_hand_stays_under_any_preset_and_is_named() -> None:
    hand = state().set(DELAY, 0.07, "anna", 1.0)
    assert DELAY not in {change.key for change in hand.diff("high-traffic")}
    assert [(held.key, held.before, held.after) for held in hand.held("high-traffic")] == [(DELAY, 0.07, 0.1)]
    assert hand.chosen("high-traffic", "bo", 2.0).effective(DELAY).value == 0.07


def test_what_rules_did_stays_in_force_over_any_preset_and_is_named() -> None:
    acted = state().acted(1, "memory", [Change(MEMORY, DEFAULTS[MEMORY], 48)], 1.0)
    assert acted.diff("default") == []
    assert MEMORY not in {change.key for change in acted.diff("high-traffic")}
    assert [(held.key, held.before, held.after) for held in acted.held("high-traffic")] == [
        (MEMORY, 48, DEFAULTS[MEMORY])
    ]
    chosen = acted.chosen("high-traffic", "anna", 2.0)
    assert (chosen.effective(MEMORY).value, chosen.rule(MEMORY)) == (48, "memory")
    assert chosen.effective(DELAY).value == 0.1


def test_a_rule_taken_back_leaves_what_is_below_it_then() -> None:
    acted = state().acted(1, "response-time", [Change(DELAY, 0.05, 0.168)], 1.0)
    chosen = acted.chosen("high-traffic", "anna", 2.0)
    assert [(held.key, held.after) for held in chosen.held("high-traffic")] == [(DELAY, 0.1)]
    assert chosen.effective(DELAY).value == 0.168
    assert chosen.taken_back([1]).effective(DELAY).value == 0.1


def test_resetting_everything_ends_what_rules_did() -> None:
    acted = state().acted(1, "memory", [Change(MEMORY, DEFAULTS[MEMORY], 48)], 1.0)
    assert acted.reset_all("default").values() == DEFAULTS


def test_steps_of_a_rule_come_off_one_by_one() -> None:
    acted = state().acted(1, "r", [Change(DELAY, 0.05, 0.07)], 1.0).acted(2, "r", [Change(DELAY, 0.07, 0.1)], 2.0)
    assert acted.taken_back([2]).effective(DELAY).value == 0.07
    assert acted.taken_back([1, 2]).changed() == []


def test_an_unknown_key_or_preset_is_an_error() -> None:
    with pytest.raises(KeyError):
        state().effective("cache.dir")
    with pytest.raises(KeyError):
        state().set("cache.dir", 1, "anna", 1.0)
    with pytest.raises(KeyError):
        state().diff("fast")
