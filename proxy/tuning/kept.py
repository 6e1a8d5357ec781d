"""What an operator wants to outlive the process: one small file beside the stored responses.

The rule of this room: what is not valid any more costs a warning, never the start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import FiniteFloat, TypeAdapter

from proxy.config.model import Cache, Config
from proxy.config.tuning import PresetName
from proxy.kept_file import KeptFile, what_is_wrong
from proxy.tuning.knobs import KNOBS, configured
from proxy.tuning.state import Chosen, HandSet, State

_log = logging.getLogger("cachewire.tuning")


@dataclass(frozen=True, slots=True)
class Kept:
    """A preset, values set by hand, and whether auto-optimisation is on; None where nothing is to be kept."""

    preset: Chosen | None = None
    values: Mapping[str, HandSet] = field(default_factory=dict)
    auto: bool | None = None


@dataclass(frozen=True, slots=True)
class _Preset:
    name: PresetName
    by: str
    at: FiniteFloat


@dataclass(frozen=True, slots=True)
class _Value:
    value: Any
    by: str
    at: FiniteFloat


@dataclass(frozen=True, slots=True)
class _Document:
    """`values` are looked at one by one: one that is not valid any more takes no other with it."""

    version: Literal[1]
    preset: _Preset | None = None
    values: dict[str, Any] = field(default_factory=dict)
    auto: bool | None = None


_DOCUMENT, _VALUE = TypeAdapter(_Document), TypeAdapter(_Value)


def kept_at(cache: Cache) -> Path | None:
    """Where it is kept; None where nothing can be."""
    return cache.dir / "tuning.json" if cache.disk else None


def read_kept(path: Path) -> Kept:
    """What the file says; nothing where there is none. What is wrong with it goes to the log."""
    document = _file(path).read()
    if document is None:
        return Kept()
    preset = None if document.preset is None else Chosen(document.preset.name, document.preset.by, document.preset.at)
    return Kept(preset, dict(_values(document.values, path)), document.auto)


def write_kept(path: Path, kept: Kept) -> None:
    """Let the file say this. Raises OSError."""
    document = {
        "version": 1,
        "preset": None if kept.preset is None else asdict(kept.preset),
        "values": {key: {**asdict(hand), "value": KNOBS[key].text(hand.value)} for key, hand in kept.values.items()},
        "auto": kept.auto,
    }
    _file(path).write(_DOCUMENT.validate_python(document))


def starting_state(config: Config, keys: Collection[str], kept: Kept) -> State:
    """What an edge begins with on which these keys can be tuned."""
    return State(
        configured=configured(config, keys),
        defaults=configured(Config(), keys),
        preset=kept.preset or Chosen(config.tuning.preset),
        operator={key: hand for key, hand in kept.values.items() if key in keys},
    )


def _file(path: Path) -> KeptFile[_Document]:
    return KeptFile(path, _DOCUMENT, otherwise="nothing of it is in force, the configuration counts")


def _values(kept: Mapping[str, Any], path: Path) -> Iterator[tuple[str, HandSet]]:
    for key, given in kept.items():
        try:
            if key not in KNOBS:
                raise ValueError("it cannot be changed while running")
            hand = _VALUE.validate_json(json.dumps(given), strict=True)
            yield key, HandSet(KNOBS[key].parse(hand.value), hand.by, hand.at)
        except ValueError as error:
            text = "%s: %.60s is left out (%s): the preset or the configuration decides it"
            _log.warning(text, path, key, what_is_wrong(error))
