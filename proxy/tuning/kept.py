"""What an operator wants to outlive the process: one small file beside the stored responses.

The rule of this room: it is written whole or not at all (another file takes its place), and what cannot be read or is
not valid any more costs a warning, never the start.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proxy.tuning.knobs import KNOBS
from proxy.tuning.presets import PRESETS
from proxy.tuning.state import Chosen, HandSet
from proxy.whole_file import write_whole

VERSION = 1
LARGEST = 64 * 2**10

_log = logging.getLogger("cachewire.tuning")


@dataclass(frozen=True, slots=True)
class Kept:
    """A preset, values set by hand, and whether auto-optimisation is on; None where nothing is to be kept."""

    preset: Chosen | None = None
    values: Mapping[str, HandSet] = field(default_factory=dict)
    auto: bool | None = None


def read_kept(path: Path) -> Kept:
    """What the file says; nothing where there is none. What is wrong with it goes to the log."""
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(LARGEST + 1)[:LARGEST])
        if document["version"] != VERSION:
            raise ValueError(f"it is of version {document['version']!r}, and this is version {VERSION}")
        return Kept(_preset(document.get("preset")), dict(_values(document, path)), _switch(document.get("auto")))
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("%s is not used: %s; the configuration counts", path, error or type(error).__name__)
        return Kept()


def write_kept(path: Path, kept: Kept) -> None:
    """Let the file say this. Raises OSError."""
    document: dict[str, Any] = {"version": VERSION, "preset": None, "values": {}, "auto": kept.auto}
    if kept.preset is not None:
        document["preset"] = {"name": kept.preset.name, "by": kept.preset.by, "at": kept.preset.at}
    for key, hand in kept.values.items():
        document["values"][key] = {"value": KNOBS[key].text(hand.value), "by": hand.by, "at": hand.at}
    write_whole(path, json.dumps(document, indent=1).encode())


def _preset(document: Any) -> Chosen | None:
    if document is None:
        return None
    if document["name"] not in PRESETS:
        raise ValueError(f"{document['name']!r} is not a preset")
    return Chosen(document["name"], str(document["by"]), float(document["at"]))


def _values(document: Any, path: Path) -> list[tuple[str, HandSet]]:
    found = []
    for key, kept in document.get("values", {}).items():
        try:
            found.append((key, HandSet(KNOBS[key].parse(kept["value"]), str(kept["by"]), float(kept["at"]))))
        except (KeyError, TypeError, ValueError) as error:
            _log.warning("%s: %s is left out (%s)", path, key, error)
    return found


def _switch(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"auto is {value!r}, neither true nor false nor null")
    return value
