"""Every setting in force: its value as it is written in a file, its default, where it came from, what it is for.

The rule of this room: a secret never leaves it. Secret is what sounds like one, what its section hides from `repr`,
the user information of a URL, and a header that authenticates.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from proxy.config.model import Config
from proxy.config.problems import MASK, KeyPath, sounds_secret
from proxy.config.section import Section
from proxy.config.validation import section_at

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `default` is None where it has none, `entry` how often the path leads through a list: a route, ...;
    `section` the dotted key and the meaning of the section it stands in."""

    path: KeyPath
    value: str
    default: str | None
    source: str
    meaning: str
    secret: bool
    section: tuple[str, str]

    @property
    def key(self) -> str:
        """The key as `--set` takes it: `routes.0.strategy`."""
        return ".".join(map(str, self.path))

    @property
    def in_list(self) -> bool:
        """It belongs to an entry of a list, as the keys of a route do."""
        return any(isinstance(part, int) for part in self.path)

    @property
    def changed(self) -> bool:
        """Somebody decided it, and not for the default."""
        if self.source == DEFAULT:
            return False
        return self.default is None or not _same(self.value, self.default)


def effective(config: Config, sources: Mapping[str, str]) -> list[Setting]:
    """The settings of a configuration in the model's order; `sources` as a loaded one has them."""
    return list(_settings(config, config.model_dump(mode="json"), defaults_of(Config), (), sources))


def scalar(value: Any) -> str:
    """A value on one line, as YAML."""
    # Routes say the same few things again and again, and YAML takes its time to find out how.
    return _known_scalar(value) if isinstance(value, Hashable) else _scalar(value)


@lru_cache(1_000, typed=True)
def _known_scalar(value: Hashable) -> str:
    return _scalar(value)


def _scalar(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def concealed(path: KeyPath, value: Any) -> Any:
    """A value for eyes: without secrets."""
    if value is None or value == "":
        return value
    return MASK if is_secret(path) else _without_secrets(value)


def is_secret(path: KeyPath) -> bool:
    """Whether the value at this path is never shown."""
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    section = section_at(path[:-1])
    known = section.model_fields.get(name) if section else None
    return sounds_secret(name) or (known is not None and known.repr is False)


def defaults_of(section: type[Section]) -> dict[str, Any]:
    """The defaults of a section's keys as they are written in a file; required keys are left out."""
    values: dict[str, Any] = {}
    for name, known in section.model_fields.items():
        if not known.is_required():
            values[name] = known.get_default(call_default_factory=True)
    return section.model_construct(None, **values).model_dump(mode="json", exclude=_required(section))


def _required(section: type[Section]) -> set[str]:
    return {name for name, known in section.model_fields.items() if known.is_required()}


def _settings(
    section: Section, values: Mapping[str, Any], defaults: Mapping[str, Any], path: KeyPath, sources: Mapping[str, str]
) -> Iterator[Setting]:
    about = ".".join(map(str, path)), " ".join((type(section).__doc__ or "").split())
    for name, known in type(section).model_fields.items():
        inner: KeyPath = (*path, name)
        value = getattr(section, name)
        if isinstance(value, Section):
            below = defaults.get(name)
            below = below if isinstance(below, dict) else defaults_of(type(value))
            yield from _settings(value, values[name], below, inner, sources)
        elif isinstance(value, tuple) and value and isinstance(value[0], Section):
            # A list that is the default as a whole holds only defaults; in any other, entries speak for themselves.
            untouched = values[name] == defaults.get(name)
            for index, entry in enumerate(value):
                below = values[name][index] if untouched else defaults_of(type(entry))
                yield from _settings(entry, values[name][index], below, (*inner, index), sources)
        else:
            yield Setting(
                path=inner,
                value=scalar(concealed(inner, values[name])),
                default=scalar(concealed(inner, defaults[name])) if name in defaults else None,
                source=sources.get(".".join(map(str, inner)), DEFAULT),
                meaning=" ".join((known.description or "").split()),
                secret=is_secret(inner) and values[name] is not None,
                section=about,
            )


def _same(value: str, default: str) -> bool:
    """A relative path is shown as the absolute one it means."""
    if value == default:
        return True
    return default.startswith(".") and Path(value).is_absolute() and value.endswith(f"/{default}")


_USER_INFORMATION = re.compile(r"(\w://)[^/\s@]*@")
_SECRET_PARAMETER = re.compile(r"([?&;][^=&;]*(?:tok|secret|passw|pwd|key|auth|sig)[^=&;]*=)[^&;\s]*", re.IGNORECASE)
_AUTHENTICATING = re.compile(r"auth|cookie|key", re.IGNORECASE)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_PARAMETER.sub(rf"\1{MASK}", _USER_INFORMATION.sub(rf"\1{MASK}@", value))
    if isinstance(value, Mapping):
        return {key: _in_mapping(str(key), inner) for key, inner in value.items()}
    return [_without_secrets(inner) for inner in value] if isinstance(value, list) else value


def _in_mapping(key: str, value: Any) -> Any:
    hidden = sounds_secret(key) or _AUTHENTICATING.search(key)
    return MASK if hidden and isinstance(value, str) and value else _without_secrets(value)
