"""When rules act, wait, yield and undo; as a story, and as a machine that hypothesis tries to break."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from proxy.config.model import Config
from proxy.tuning.actions import Bounds
from proxy.tuning.knobs import configured
from proxy.tuning.optimiser import MOST_EVENTS, Act, Optimiser, Rule, Times, Undo, UndoRefused
from proxy.tuning.state import State

DEFAULTS = configured(Config())
DELAY, MEMORY = "realtime.batch.delay", "cache.memory"
TIMES = Times(cool_down=60.0, settle=30.0, calm=300.0)
RULES = (
    Rule("response-time", ("clear-caches", "raise-batch-delay"), 4),
    Rule("memory", ("shrink-memory", "clear-profiles"), 6),
    Rule("quality-poor", ("low-bandwidth",), 6),
    Rule("error-rate", (), 6),
)


class Edge:
    """An optimiser and the state it works on, as the shell would carry its decisions out."""

    def __init__(self, rules: tuple[Rule, ...] = RULES) -> None:
        self.now = 1000.0
        self.figures = {"response_time": 0.9}
        self.state = State(DEFAULTS, DEFAULTS)
        self.optimiser = Optimiser(rules, TIMES, Bounds())

    def alert(self, name: str, state: str) -> list[Act | Undo]:
        self.optimiser.alerted(name, state, self.now)
        return self.act()

    def act(self) -> list[Act | Undo]:
        made: list[Act | Undo] = []
        while decision := self.optimiser.decide(self.now, self.state, lambda: dict(self.figures)):
            made.append(decision)
            if isinstance(decision, Act):
                event = decision.event
                self.state = self.state.acted(event.number, event.rule, event.changes, event.at)
            else:
                self.state = self.state.taken_back([event.number for event in decision.events])
        return made

    def wait(self, seconds: float) -> list[Act | Undo]:
        self.now += seconds
        return self.act()

    def hand(self, state: State) -> None:
        """An operator has made the state this one."""
        self.state = state
        self.optimiser.yielded(state, "anna", self.now)

    def undo(self, number: int) -> None:
        undo = self.optimiser.undo(number, "anna", self.now)
        self.state = self.state.taken_back([event.number for event in undo.events])

    @property
    def delay(self) -> object:
        return self.state.effective(DELAY).value


def actions(decisions: list[Act | Undo]) -> list[str]:
    return ["undo" if isinstance(each, Undo) else each.event.action for each in decisions]


def test_a_degradation_is_met_step_by_step_and_undone_when_it_is_over() -> None:
    edge = Edge()
    assert edge.alert("response-time", "pending") == []
    first = edge.alert("response-time", "firing")
    assert actions(first) == ["clear-caches"]
    assert isinstance(first[0], Act)
    assert first[0].clear.profiles
    assert first[0].clear.reports
    assert edge.wait(59) == []
    assert actions(edge.wait(1)) == ["raise-batch-delay"]
    assert edge.delay == 0.075
    assert actions(edge.wait(60)) == ["raise-batch-delay"]
    assert actions(edge.wait(60)) == ["raise-batch-delay"]
    assert edge.delay == 0.168
    assert edge.wait(60) == [], "four steps are all that the rule may take"
    edge.alert("response-time", "resolved")
    assert edge.wait(299) == []
    assert actions(edge.wait(1)) == ["undo"]
    assert edge.delay == 0.05
    assert [event.fate for event in edge.optimiser.events()] == ["undone", "undone", "undone", "done"]
    assert edge.optimiser.due(edge.now) is None


def test_the_delay_stops_at_its_cap_and_memory_at_its_floor() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay",), 99), Rule("memory", ("shrink-memory",), 99)))
    edge.alert("response-time", "firing")
    edge.alert("memory", "firing")
    for _ in range(20):
        edge.wait(60)
    assert edge.delay == 0.2
    assert edge.state.effective(MEMORY).value == 16 * 2**20
    assert len(edge.optimiser.events()) == 4 + 5


def test_a_memory_tier_that_does_not_use_its_space_is_left_alone_and_the_log_says_why() -> None:
    edge = Edge()
    edge.figures = {"memory_tier": 3.0 * 2**20}
    assert actions(edge.alert("memory", "firing")) == ["clear-profiles"]
    cleared, skipped = edge.optimiser.events()
    assert (skipped.action, skipped.fate, skipped.changes) == ("shrink-memory", "skipped", ())
    assert skipped.text == "the memory tier is left alone: it holds 3 MiB, so even a limit of 16 MiB frees nothing"
    assert cleared.fate == "done"
    assert edge.wait(60) == []
    assert len(edge.optimiser.events()) == 2, "it is said once"
    edge.figures = {"memory_tier": 60.0 * 2**20}
    assert actions(edge.wait(60)) == ["shrink-memory"]
    assert edge.state.effective(MEMORY).value == 48 * 2**20
    with pytest.raises(UndoRefused, match="nothing was changed"):
        edge.optimiser.undo(skipped.number, "anna", edge.now)
    edge.alert("memory", "resolved")
    assert actions(edge.wait(300)) == ["undo"]
    assert edge.state.effective(MEMORY).value == 64 * 2**20


def test_memory_shrinks_to_the_first_limit_that_frees_something_at_once() -> None:
    edge = Edge()
    edge.figures = {"memory_tier": 44.0 * 2**20}
    assert actions(edge.alert("memory", "firing")) == ["shrink-memory"]
    assert edge.state.effective(MEMORY).value == 36 * 2**20
    edge.figures = {"memory_tier": 17.0 * 2**20}
    assert actions(edge.wait(60)) == ["shrink-memory"]
    assert edge.state.effective(MEMORY).value == 16 * 2**20, "and never below the floor"


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"origin_down": 1.0}, "the origin is down"),
        ({"origin_silent": 6.2}, "the origin has not answered for 6 s"),
        ({"origin_failures": 0.4}, "40 % of the last minute's requests to the origin have failed"),
    ],
)
def test_nothing_is_cleared_that_the_origin_cannot_give_again_until_it_can(figures: dict[str, float], why: str) -> None:
    edge = Edge((Rule("response-time", ("clear-caches",), 6), Rule("memory", ("clear-profiles",), 6)))
    edge.figures = figures
    assert edge.alert("response-time", "firing") == []
    assert edge.alert("memory", "firing") == []
    assert edge.wait(60) == []
    assert [(event.fate, event.text) for event in edge.optimiser.events()] == [
        ("skipped", f"nothing is cleared: {why}")
    ] * 2
    edge.figures = {"origin_down": 0.0, "origin_silent": 0.3, "origin_failures": 0.02}
    assert actions(edge.wait(60)) == ["clear-caches", "clear-profiles"]


def test_messages_are_not_gathered_for_longer_while_there_are_none() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay",), 4),))
    edge.figures = {"messages_per_second": 0.0}
    assert edge.alert("response-time", "firing") == []
    assert edge.delay == 0.05
    (skipped,) = edge.optimiser.events()
    assert skipped.fate == "skipped"
    assert skipped.text == "the batch delay is left alone: nobody has sent a message in the last minute"
    edge.figures = {"messages_per_second": 0.2}
    assert actions(edge.wait(60)) == ["raise-batch-delay"]


def test_figures_are_taken_before_and_when_the_step_has_settled() -> None:
    edge = Edge()
    edge.alert("memory", "firing")
    edge.figures = {"response_time": 0.2}
    edge.wait(29)
    assert edge.optimiser.events()[0].after is None
    assert edge.optimiser.due(edge.now) == 1030.0
    edge.wait(1)
    (event,) = edge.optimiser.events()
    assert (event.before, event.after) == ({"response_time": 0.9}, {"response_time": 0.2})


def test_a_step_after_which_it_was_clearly_worse_is_undone_and_not_repeated() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay", "clear-profiles"), 6, "response_time"),))
    edge.alert("response-time", "firing")
    assert edge.delay == 0.075
    edge.figures = {"response_time": 4.8}
    (undo,) = edge.wait(30)
    assert isinstance(undo, Undo)
    assert (undo.by, undo.why) == ("automatic", "it was clearly worse after it")
    assert edge.delay == 0.05
    (event,) = edge.optimiser.events()
    assert (event.fate, event.ended_by, event.harmful) == ("undone", "automatic", True)
    assert event.text == "messages are gathered for longer, and it was clearly worse after it: not done again"
    assert actions(edge.wait(30)) == ["clear-profiles"], "the next action has its turn"
    edge.wait(600)
    assert edge.delay == 0.05
    edge.alert("response-time", "resolved")
    edge.wait(300)
    assert actions(edge.alert("response-time", "firing")) == ["raise-batch-delay"], "another day is another day"


def test_memory_that_others_take_is_no_reason_to_undo_that_the_tier_shrank() -> None:
    edge = Edge((Rule("memory", ("shrink-memory",), 6, "memory"),))
    edge.figures = {"memory": 1.06, "memory_tier": 44.0 * 2**20}
    edge.alert("memory", "firing")
    edge.figures = {"memory": 1.43, "memory_tier": 36.0 * 2**20}
    assert edge.wait(30) == []
    assert edge.state.effective(MEMORY).value == 36 * 2**20
    assert actions(edge.wait(30)) == ["shrink-memory"]


def test_a_step_after_which_it_was_hardly_worse_stands_and_goes_on() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay",), 6, "response_time"),))
    edge.alert("response-time", "firing")
    edge.figures = {"response_time": 1.1}
    assert edge.wait(30) == []
    assert actions(edge.wait(30)) == ["raise-batch-delay"]


def test_what_made_it_worse_is_not_undone_while_auto_optimisation_is_switched_off() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay",), 6, "response_time"),))
    edge.alert("response-time", "firing")
    edge.figures = {"response_time": 4.8}
    edge.optimiser.enabled = False
    assert edge.wait(30) == []
    assert edge.delay == 0.075
    edge.optimiser.enabled = True
    assert actions(edge.act()) == ["undo"]


def test_an_alert_that_comes_back_within_the_calm_goes_on_where_it_was() -> None:
    edge = Edge()
    edge.alert("response-time", "firing")
    edge.alert("response-time", "resolved")
    assert edge.wait(299) == []
    assert actions(edge.alert("response-time", "firing")) == ["raise-batch-delay"], "caches were cleared already"


def test_an_alert_that_comes_back_soon_after_the_undo_has_to_be_calm_for_twice_as_long() -> None:
    edge = Edge()
    edge.alert("memory", "firing")
    edge.alert("memory", "resolved")
    assert actions(edge.wait(300)) == ["undo"]
    assert edge.alert("memory", "firing") == [], "the undo has to cool down as well"
    assert actions(edge.wait(60)) == ["shrink-memory"]
    edge.alert("memory", "resolved")
    assert edge.wait(599) == []
    assert actions(edge.wait(1)) == ["undo"]
    edge.wait(601)
    edge.alert("memory", "firing")
    edge.alert("memory", "resolved")
    assert actions(edge.wait(300)) == ["undo"], "after a long calm it is as at first"


def test_what_an_operator_holds_is_not_touched() -> None:
    edge = Edge()
    edge.hand(edge.state.set(MEMORY, 2**30, "anna", edge.now))
    assert actions(edge.alert("memory", "firing")) == ["clear-profiles"]
    edge.wait(60)
    assert edge.state.effective(MEMORY).value == 2**30


@pytest.mark.parametrize("how", ["set", "reset", "reset all"])
def test_a_rule_yields_to_the_operator_who_changes_what_it_did(how: str) -> None:
    edge = Edge()
    edge.alert("memory", "firing")
    edge.wait(60)
    operator = {
        "set": lambda: edge.state.set(MEMORY, 2**30, "anna", edge.now),
        "reset": lambda: edge.state.reset(MEMORY),
        "reset all": lambda: edge.state.reset_all("default"),
    }
    edge.hand(operator[how]())
    assert [event.fate for event in edge.optimiser.events()] == ["superseded", "superseded"]
    held = edge.state.values()
    assert edge.wait(60) == []
    edge.alert("memory", "resolved")
    edge.wait(10_000)
    assert edge.state.values() == held
    assert edge.alert("memory", "firing"), "the next time it is at work again"


def test_a_rule_goes_on_when_a_preset_is_chosen_and_then_undoes_what_is_its_own() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay",), 9),))
    edge.alert("response-time", "firing")
    edge.hand(edge.state.chosen("high-traffic", "anna", edge.now))
    assert edge.delay == 0.075
    assert actions(edge.wait(60)) == ["raise-batch-delay"]
    assert edge.delay == 0.112
    edge.alert("response-time", "resolved")
    edge.wait(300)
    assert edge.delay == 0.1, "the preset's"


def test_one_key_of_a_presets_in_the_operators_hand_leaves_the_others_to_be_undone() -> None:
    edge = Edge()
    edge.alert("quality-poor", "firing")
    edge.hand(edge.state.set("realtime.debounce", 0.15, "anna", edge.now))
    assert edge.optimiser.events()[0].fate == "stands"
    edge.alert("quality-poor", "resolved")
    edge.wait(300)
    assert edge.state.values() == {**DEFAULTS, "realtime.debounce": 0.15}


def test_an_operator_undoes_a_step_with_those_built_on_it() -> None:
    edge = Edge((Rule("response-time", ("raise-batch-delay",), 9),))
    edge.alert("response-time", "firing")
    edge.wait(60)
    edge.wait(60)
    edge.undo(2)
    assert edge.delay == 0.075
    assert edge.wait(600) == [], "it yields"
    for number, why in ((2, "undone already"), (9, "no event 9")):
        with pytest.raises(UndoRefused, match=why):
            edge.undo(number)


def test_what_was_cleared_cannot_be_undone() -> None:
    edge = Edge()
    edge.alert("response-time", "firing")
    with pytest.raises(UndoRefused, match="filled again"):
        edge.undo(1)


def test_switched_off_it_does_nothing_and_undoes_nothing() -> None:
    edge = Edge()
    edge.alert("memory", "firing")
    shrunk = edge.state.effective(MEMORY).value
    edge.optimiser.enabled = False
    edge.alert("memory", "resolved")
    assert edge.wait(10_000) == []
    assert edge.state.effective(MEMORY).value == shrunk
    edge.undo(1)
    assert edge.state.values() == DEFAULTS


def test_alerts_without_a_rule_or_without_an_action_change_nothing() -> None:
    edge = Edge()
    assert edge.alert("disk-full", "firing") == []
    assert edge.alert("error-rate", "firing") == []
    assert edge.optimiser.due(edge.now) is None


def test_the_log_is_bounded_but_keeps_what_can_be_undone() -> None:
    edge = Edge((Rule("memory", ("shrink-memory",), 1), Rule("response-time", ("clear-caches",), 1)))
    edge.alert("memory", "firing")
    for _ in range(MOST_EVENTS + 10):
        edge.alert("response-time", "firing")
        edge.alert("response-time", "resolved")
        edge.wait(300 * 8)
    events = edge.optimiser.events()
    assert len(events) == MOST_EVENTS
    assert events[-1].number == 1


class Machine(RuleBasedStateMachine):
    """Alerts come and go, operators meddle, time passes."""

    def __init__(self) -> None:
        super().__init__()
        self.edge = Edge()
        self.firing: set[str] = set()
        self.hands: dict[str, object] = {}
        self.acted: dict[str, float] = {}

    def _watch(self, decisions: list[Act | Undo]) -> None:
        for decision in decisions:
            if isinstance(decision, Undo):
                assert all(event.rule not in self.firing for event in decision.events)
                continue
            event = decision.event
            assert self.edge.optimiser.enabled
            assert event.rule in self.firing
            assert event.at - self.acted.get(event.rule, 0.0) >= TIMES.cool_down
            assert not {change.key for change in event.changes} & set(self.hands)
            self.acted[event.rule] = event.at

    @rule(
        name=st.sampled_from([each.alert for each in RULES]), state=st.sampled_from(["pending", "firing", "resolved"])
    )
    def alert(self, name: str, state: str) -> None:
        if state == "firing":
            self.firing.add(name)
        elif state == "resolved":
            self.firing.discard(name)
        self._watch(self.edge.alert(name, state))

    @rule(seconds=st.sampled_from([1.0, 29.0, 60.0, 299.0, 300.0, 2400.0]))
    def wait(self, seconds: float) -> None:
        self._watch(self.edge.wait(seconds))

    @rule(key=st.sampled_from([DELAY, MEMORY, "realtime.debounce"]), value=st.sampled_from([1, 2**20, 2**30]))
    def set(self, key: str, value: int) -> None:
        self.hands[key] = value
        self.edge.hand(self.edge.state.set(key, value, "anna", self.edge.now))

    @rule(key=st.sampled_from([DELAY, MEMORY, "realtime.debounce"]))
    def reset(self, key: str) -> None:
        self.hands.pop(key, None)
        self.edge.hand(self.edge.state.reset(key))

    @rule(preset=st.sampled_from(["default", "high-traffic", "low-bandwidth"]))
    def choose(self, preset: str) -> None:
        self.edge.hand(self.edge.state.chosen(preset, "anna", self.edge.now))

    @precondition(lambda self: any(event.fate == "stands" for event in self.edge.optimiser.events()))
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        standing = [event.number for event in self.edge.optimiser.events() if event.fate == "stands"]
        self.edge.undo(data.draw(st.sampled_from(standing)))

    @rule(enabled=st.booleans())
    def switch(self, enabled: bool) -> None:
        self.edge.optimiser.enabled = enabled

    @invariant()
    def what_operators_set_is_what_counts(self) -> None:
        values = self.edge.state.values()
        assert all(values[key] == value for key, value in self.hands.items())

    @invariant()
    def nothing_is_due_that_was_just_decided(self) -> None:
        """Or whoever waits for what is due would never sleep."""
        self._watch(self.edge.act())
        due = self.edge.optimiser.due(self.edge.now)
        assert due is None or due > self.edge.now

    @invariant()
    def no_rule_goes_beyond_its_steps_and_bounds(self) -> None:
        for watch in self.edge.optimiser.watches:
            assert watch.taken <= watch.rule.most
        for steps in (self.edge.state.automatic.get(DELAY, ()),):
            assert all(float(step.value) <= 0.2 for step in steps)  # type: ignore[arg-type] # a duration

    @invariant()
    def every_automatic_value_has_an_event_that_can_be_undone(self) -> None:
        standing = {event.number for event in self.edge.optimiser.events() if event.fate == "stands"}
        assert {step.event for steps in self.edge.state.automatic.values() for step in steps} == standing

    def teardown(self) -> None:
        """When all alerts are over and calm, only operators have a hand on anything."""
        self.edge.optimiser.enabled = True
        for name in list(self.firing):
            self.alert(name, "resolved")
        self.wait(300.0 * 8)
        assert not self.edge.state.automatic
        assert {self.edge.state.effective(key).origin for key in self.edge.state.changed()} <= {"operator", "preset"}


TestMachine = Machine.TestCase
