"""The keys that may change while running: what each takes, how it is written, and the configuration it makes.

The rule of this room: a value is what the configuration model takes it for, within limits that keep a slip of the
finger from stopping the edge. Nothing is applied here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from proxy.config.model import Config
from proxy.config.section import Section
from proxy.config.units import format_duration, format_size
from proxy.config.validation import section_at, validated
from proxy.tuning.presets import Value

Kind = Literal["duration", "size", "count", "choice", "switch", "list"]

LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Knob:
    """One key. `least` and `most` are limits of a live change beside those of the model: seconds, bytes or a count."""

    key: str
    name: str
    kind: Kind
    takes_effect: str
    """When a change is felt, in words."""
    least: float = 0
    most: float = float("inf")
    choices: tuple[str, ...] = ()
    optional: bool = False
    unset: str = "null"
    """What null means, in words."""

    @property
    def meaning(self) -> str:
        """The configuration model's sentence."""
        *sections, name = self.key.split(".")
        section = section_at(tuple(sections))
        assert section is not None, self.key
        return " ".join((section.model_fields[name].description or "").replace("`", "").split())

    @property
    def hint(self) -> str:
        """What may be written, in words."""
        if self.kind == "switch":
            return "true or false"
        if self.choices:
            return " or ".join(self.choices)
        bounds = [f"at least {self.text(self._whole(self.least))}"] if self.least else []
        if self.most != float("inf"):
            bounds.append(f"at most {self.text(self._whole(self.most))}")
        return ", ".join([_FORMS[self.kind] + (" or null" if self.optional else ""), *bounds])

    def parse(self, given: object) -> Value:
        """The value that `given` stands for: text as in the configuration file, or what JSON has for it.

        Raises ValueError that says what would be right.
        """
        if isinstance(given, str):
            if len(given) > LONGEST_TEXT:
                raise ValueError(f"that is {len(given)} characters long; write {self.hint}")
            given = _plain(given.strip(), self.kind)
        if given in ("", ()) or (given is None and not self.optional):
            raise ValueError(f"there is no value; write {self.hint}")
        try:
            value: Value = validated(self.key, given)
        except ValueError as error:
            if self.kind != "list":
                raise
            # What the model advises is about a member.
            raise ValueError(f"{str(error).partition('; ')[0]}; write {self.hint}") from None
        if isinstance(value, int | float) and not isinstance(value, bool) and not self.least <= value <= self.most:
            raise ValueError(f"{self.text(value)} is out of the limits of a live change; write {self.hint}")
        return tuple(dict.fromkeys(value)) if isinstance(value, tuple) else value

    def text(self, value: Value) -> str:
        """The value as the configuration file has it."""
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, tuple):
            return f"[{', '.join(value)}]"
        if self.kind == "duration":
            return format_duration(float(value))
        return format_size(int(value)) if self.kind == "size" else str(value)

    def in_words(self, value: Value) -> str:
        """The value for people."""
        return self.unset if value is None else self.text(value)

    def _whole(self, limit: float) -> float:
        return limit if self.kind == "duration" else int(limit)


_FORMS = {
    "duration": "a duration such as 100ms or 2m",
    "size": "a size such as 64MiB",
    "count": "a whole number",
    "list": "a list",
}

_NEXT_BATCH = "from the next batch of each conversation on"
_NEW_CONNECTIONS = "for connections that begin from now on"
_AT_ONCE = "at once"

KNOBS: Mapping[str, Knob] = {
    knob.key: knob
    for knob in (
        Knob("cache.memory", "Memory tier", "size", "at once; what is too much leaves memory", most=2**40),
        Knob(
            "cache.network_timeout_limit",
            "Patience with the origin",
            "duration",
            "from the next request on",
            0.01,
            60.0,
            optional=True,
            unset="the route's own",
        ),
        Knob(
            "cache.heuristic",
            "Assumed lifetime",
            "duration",
            "from the next request on, for what is stored already too",
            most=60.0,
        ),
        Knob("cache.compression.enabled", "Compression of stored text", "switch", "from the next answer on"),
        Knob("realtime.batch.mode", "Way of batching", "choice", _NEXT_BATCH, choices=("adaptive", "fixed")),
        Knob("realtime.batch.delay", "Batch delay", "duration", _NEXT_BATCH, most=5.0),
        Knob("realtime.batch.max_messages", "Messages in a batch", "count", _NEXT_BATCH, 1, 10_000),
        Knob("realtime.batch.max_bytes", "Bytes in a batch", "size", _NEXT_BATCH, 256, 16 * 2**20),
        Knob(
            "realtime.debounce",
            "Debounce of channels",
            "duration",
            "from the next update of each channel on",
            most=60.0,
        ),
        Knob(
            "realtime.typing.debounce", "Debounce of typing", "duration", "from the next sign of typing on", most=60.0
        ),
        Knob(
            "realtime.origin.profiles_max_age",
            "Age of profiles",
            "duration",
            "at once, for what is cached already too",
            most=86400.0,
        ),
        Knob("realtime.compression.enabled", "Compression of messages", "switch", _NEW_CONNECTIONS),
        Knob("realtime.compression.threshold", "Compressed from this size on", "size", _NEW_CONNECTIONS, most=2**30),
        Knob(
            "realtime.transports",
            "Transports",
            "list",
            _NEW_CONNECTIONS,
            choices=("[polling, websocket]", "[websocket]", "[polling]"),
        ),
    )
}


def keys_of(*, realtime: bool, compression: bool) -> tuple[str, ...]:
    """The keys that have an effect on an edge that has these parts, or has not."""
    parts = {"realtime.": realtime, "cache.compression.": compression}
    absent = tuple(prefix for prefix, there in parts.items() if not there)
    return tuple(key for key in KNOBS if not key.startswith(absent))


def configured(config: Config, keys: Iterable[str] = KNOBS) -> dict[str, Value]:
    """The values of these keys in a configuration."""
    return {key: _value(config, key.split(".")) for key in keys}


def with_values(config: Config, values: Mapping[str, Value]) -> Config:
    """The configuration with these values in it; all other parts are the same objects as before."""
    for key, value in values.items():
        config = _replaced(config, key.split("."), value)
    return config


def _value(section: Any, path: list[str]) -> Value:
    for part in path:
        section = getattr(section, part)
    value: Value = section
    return value


def _replaced(section: Any, path: list[str], value: Value) -> Any:
    inner = getattr(section, path[0])
    changed = value if len(path) == 1 else _replaced(inner, path[1:], value)
    assert isinstance(section, Section)
    return section if changed == inner else section.model_copy(update={path[0]: changed})


def _plain(text: str, kind: Kind) -> object:
    """Text as the configuration's own reader would hand it to the model."""
    if kind == "list":
        return tuple(part.strip() for part in text.strip("[]").split(",") if part.strip())
    return None if text in ("null", "~") else text
