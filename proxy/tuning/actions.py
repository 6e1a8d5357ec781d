"""PURE: what a rule can do, one step at a time.

The rule of this room: a step is worth taking or it is None. Nothing that an operator holds by hand is touched.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from proxy.tuning import presets
from proxy.tuning.figures import MEMORY_TIER, MESSAGES, Figures, origin_trouble
from proxy.tuning.state import Change, State

BATCH_DELAY = "realtime.batch.delay"
MEMORY = "cache.memory"

LONGER = 1.5
SMALLER = 0.75
SHORTEST_STEP = 0.01

CLEARING = frozenset({"clear-caches", "clear-profiles"})
"""What leaves nothing to undo: what is cleared fills again by itself."""

STEPWISE = frozenset({"raise-batch-delay", "shrink-memory"})
"""What is repeated until it has come to its end; everything else is done once."""

JUDGED_BY = {"shrink-memory": MEMORY_TIER}
"""The figure that tells whether an action has done harm, where that is not its alert's own: memory that others go on to
take is no reason to give the tier its space back."""


@dataclass(frozen=True, slots=True)
class Clear:
    """Caches to clear. `reports`: stored responses are marked stale."""

    profiles: bool = False
    reports: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far steps go: seconds, and bytes."""

    batch_delay: float = 0.2
    memory: int = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Skip:
    """There would be a step, but it would not help: why, as a sentence for the log."""

    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do: values to set, caches to clear, and a sentence for the log."""

    text: str
    changes: tuple[Change, ...] = ()
    clear: Clear = field(default_factory=Clear)


def next_step(action: str, state: State, bounds: Bounds, done: Collection[str], figures: Figures) -> Step | Skip | None:
    """The next step of an action, None when it has come to its end. `done` are the actions taken already."""
    if action in done and action not in STEPWISE:
        return None
    if action in CLEARING:
        return _clearing(action, origin_trouble(figures))
    if action == "raise-batch-delay":
        return _longer_batches(state, bounds.batch_delay, figures.get(MESSAGES))
    if action == "shrink-memory":
        return _smaller_memory(state, bounds.memory, figures.get(MEMORY_TIER))
    return _preset(action, state)


def _clearing(action: str, trouble: str | None) -> Step | Skip:
    if trouble is not None:
        # What the origin cannot give again would be missed until it can, and every miss would wait for it.
        return Skip(f"nothing is cleared: {trouble}")
    if action == "clear-profiles":
        return Step("profiles are forgotten", clear=Clear(profiles=True))
    return Step("profiles are forgotten, reports are stale", clear=Clear(profiles=True, reports=True))


def _longer_batches(state: State, cap: float, messages: float | None) -> Step | Skip | None:
    present = _free(state, BATCH_DELAY)
    if present is None:
        return None
    longer = round(min(cap, max(present * LONGER, present + SHORTEST_STEP)), 3)
    if longer <= present:
        return None
    if messages == 0:
        return Skip("the batch delay is left alone: nobody has sent a message in the last minute")
    return Step("messages are gathered for longer", (Change(BATCH_DELAY, present, longer),))


def _smaller_memory(state: State, floor: int, held: float | None) -> Step | Skip | None:
    present = _free(state, MEMORY)
    if present is None:
        return None
    smaller = _next_limit(present, floor)
    if smaller >= present:
        return None
    while held is not None and held <= smaller:
        if smaller <= floor:
            return Skip(
                f"the memory tier is left alone: it holds {_mib(held)}, so even a limit of {_mib(floor)} frees nothing"
            )
        smaller = _next_limit(smaller, floor)
    return Step("the memory tier is smaller", (Change(MEMORY, int(present), smaller),))


def _next_limit(present: float, floor: int) -> int:
    return max(floor, int(present * SMALLER) // 2**10 * 2**10)


def _mib(size: float) -> str:
    return f"{size / 2**20:.1f}".removesuffix(".0") + " MiB"


def _preset(name: str, state: State) -> Step | None:
    present, why = state.values(), presets.reasons(name)
    changes = tuple(
        Change(key, present[key], value, why[key])
        for key, value in presets.values(name, present).items()
        if key not in state.operator
    )
    return Step(f"the values of {name}", changes) if changes else None


def _free(state: State, key: str) -> float | None:
    """The present number of a key that is there, and in nobody's hand."""
    if key not in state.configured or key in state.operator:
        return None
    value = state.effective(key).value
    assert isinstance(value, int | float)
    return float(value)
