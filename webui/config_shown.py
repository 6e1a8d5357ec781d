"""The configuration in force, as its page shows it, and the page's question as it stands in the URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol
from urllib.parse import urlencode

MOST = 300
"""Settings on one page; who wants to see others searches."""
LONGEST_SEARCH = 200

SourceKind = Literal["default", "file", "environment", "command", "live"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One key. `value` and `default` are as written in a file, masked where they are secret; `default` is None where
    there is none. `configured` is what a live change stands before."""

    key: str
    name: str
    value: str
    default: str | None
    source: str
    kind: SourceKind
    meaning: str
    changed: bool
    secret: bool = False
    in_list: bool = False
    configured: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """The settings of one section. `part` is the first word of its key: what the page is divided by."""

    key: str
    title: str
    part: str
    meaning: str
    settings: tuple[Setting, ...]


@dataclass(frozen=True, slots=True)
class ConfigQuery:
    """Which settings: those with a text in key, value, source or meaning; only those that are not the default."""

    text: str = ""
    changed: bool = False

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> ConfigQuery:
        """The query of URL parameters. Raises ValueError, saying what would be right."""
        text, changed = parameters.get("q", "").strip(), parameters.get("changed", "")
        if len(text) > LONGEST_SEARCH:
            raise ValueError(f"q must not be longer than {LONGEST_SEARCH} characters")
        if changed not in ("", "yes"):
            raise ValueError("changed must be yes, or be left out")
        return cls(text, changed == "yes")

    @property
    def filtered(self) -> bool:
        """It leaves something out."""
        return bool(self.text or self.changed)

    @property
    def path(self) -> str:
        """The page's own address."""
        parameters = {"q": self.text, "changed": "yes" if self.changed else ""}
        query = urlencode({name: value for name, value in parameters.items() if value})
        return f"/config?{query}" if query else "/config"

    def accepts(self, setting: Setting) -> bool:
        """Whether a setting is asked for. Several words must all be there."""
        if self.changed and not setting.changed:
            return False
        where = f"{setting.key}\0{setting.value}\0{setting.source}\0{setting.meaning}".lower()
        return all(word in where for word in self.text.lower().split())


@dataclass(frozen=True, slots=True)
class ConfigList:
    """What the page shows. `left_out` are defaults of list entries that a page without a filter does not repeat,
    `beyond` what did not fit."""

    groups: tuple[Group, ...]
    found: int
    total: int
    changed: int
    left_out: int
    beyond: int
    notes: tuple[str, ...]

    @property
    def parts(self) -> tuple[tuple[str, tuple[Group, ...]], ...]:
        """The groups by the first word of their key, in the order of the file."""
        parts: dict[str, list[Group]] = {}
        for group in self.groups:
            parts.setdefault(group.part, []).append(group)
        return tuple((part, tuple(groups)) for part, groups in parts.items())


class ConfigSource(Protocol):
    """Where the settings come from."""

    def groups(self) -> Sequence[Group]: ...

    def notes(self) -> Sequence[str]: ...

    @property
    def can_reload(self) -> bool: ...

    async def reload(self, by: str) -> str: ...


def config_list(groups: Sequence[Group], query: ConfigQuery, notes: Sequence[str]) -> ConfigList:
    """The settings a query asks for, in the order of the file."""
    everything = [setting for group in groups for setting in group.settings]
    accepted = {setting.key for setting in everything if query.accepts(setting)}
    repeated = set() if query.filtered else {each.key for each in everything if each.in_list and not each.changed}
    listed = [each.key for each in everything if each.key in accepted - repeated]
    shown = set(listed[:MOST])
    narrowed = (_narrowed(group, shown) for group in groups)
    return ConfigList(
        groups=tuple(_said_once(group for group in narrowed if group.settings)),
        found=len(accepted),
        total=len(everything),
        changed=sum(setting.changed for setting in everything),
        left_out=len(accepted & repeated),
        beyond=len(listed) - len(shown),
        notes=tuple(notes),
    )


def _said_once(groups: Iterable[Group]) -> Iterator[Group]:
    """The groups, of which the second route does not explain anew what a route is."""
    said: set[str] = set()
    for group in groups:
        yield replace(group, meaning="") if group.meaning in said else group
        said.add(group.meaning)


def _narrowed(group: Group, shown: set[str]) -> Group:
    settings = tuple(setting for setting in group.settings if setting.key in shown)
    return Group(group.key, group.title, group.part, group.meaning, settings)
