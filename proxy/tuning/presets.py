"""PURE: the presets, and why each of their values is what it is.

The rule of this room: a preset says in which direction a value has to go and how far at least. Where the
configuration goes further in that direction already, it stays: no preset makes anything worse at what it is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Value = bool | int | float | str | None | tuple[str, ...]

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a preset. A `value` of null counts as endless, where `way` compares."""

    key: str
    way: Literal["exactly", "at least", "at most", "with"]
    value: Value
    why: str

    def applied_to(self, present: Value) -> Value:
        """What becomes of a present value."""
        if self.way == "exactly":
            return self.value
        if self.way == "with":
            assert isinstance(present, tuple)
            assert isinstance(self.value, tuple)
            return present + tuple(each for each in self.value if each not in present)
        further = min if self.way == "at most" else max
        return further(present, self.value, key=_measure)


@dataclass(frozen=True, slots=True)
class Preset:
    """`settings` are what differs from the configuration; `for_whom` is when to choose it."""

    name: str
    for_whom: str
    summary: str
    settings: tuple[Setting, ...] = ()


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(DEFAULT, "ordinary days", "Everything as the configuration says."),
        Preset(
            "high-traffic",
            "many people at once",
            "Fewer, larger batches, and the application is asked less.",
            (
                Setting(
                    "realtime.batch.delay",
                    "at least",
                    0.1,
                    "Twice the messages in a batch are half the packets to clients and half the writes to the"
                    " application, for 50 ms that hardly anybody notices.",
                ),
                Setting(
                    "realtime.origin.profiles_max_age",
                    "at most",
                    120.0,
                    "With many people the same profile is wanted again within two minutes anyway; what is kept longer"
                    " costs memory and shows old names.",
                ),
                Setting(
                    "cache.network_timeout_limit",
                    "at most",
                    1.0,
                    "An application under load answers late: after a second the stored response of a network-first"
                    " route is the better answer, and the late one still refreshes the store.",
                ),
                Setting(
                    "cache.heuristic",
                    "at least",
                    10.0,
                    "A hundred requests for the same address within ten seconds ask the application once, unless it"
                    " has forbidden that, or something was written there since.",
                ),
            ),
        ),
        Preset(
            "low-bandwidth",
            "phones and poor networks",
            "Smaller packets, less often, compressed; every way to connect allowed.",
            (
                Setting(
                    "realtime.debounce",
                    "at least",
                    0.2,
                    "Updates that follow each other quickly are told once: half as often as by default.",
                ),
                Setting(
                    "realtime.typing.debounce",
                    "at least",
                    0.2,
                    "That somebody types is worth little on a slow line.",
                ),
                Setting(
                    "realtime.batch.max_messages",
                    "at most",
                    25,
                    "A slow line delivers a large packet as a whole or not at all: smaller ones show something sooner.",
                ),
                Setting(
                    "realtime.batch.max_bytes",
                    "at most",
                    32 * 2**10,
                    "At 64 KiB a second this is half a second during which nothing else gets through.",
                ),
                Setting(
                    "realtime.compression.enabled",
                    "exactly",
                    True,
                    "Text shrinks to a third or less, which a slow line needs more than we need the processor.",
                ),
                Setting(
                    "realtime.compression.threshold",
                    "at most",
                    2**10,
                    "From a kilobyte on compression saves packets, not only bytes.",
                ),
                Setting(
                    "realtime.transports",
                    "with",
                    ("polling", "websocket"),
                    "Some networks let no WebSocket through: polling is slower, and arrives.",
                ),
                Setting(
                    "cache.compression.enabled",
                    "exactly",
                    True,
                    "Stored text leaves compressed, for those who accept it.",
                ),
            ),
        ),
    )
}


def reasons(name: str) -> dict[str, str]:
    """Why a preset sets each of its keys."""
    return {setting.key: setting.why for setting in PRESETS[name].settings}


def values(name: str, present: Mapping[str, Value]) -> dict[str, Value]:
    """What a preset makes of the keys that are present, those only that it changes."""
    made = {s.key: s.applied_to(present[s.key]) for s in PRESETS[name].settings if s.key in present}
    return {key: value for key, value in made.items() if value != present[key]}


def _measure(value: Value) -> float:
    assert not isinstance(value, str | tuple)
    return float("inf") if value is None else float(value)
