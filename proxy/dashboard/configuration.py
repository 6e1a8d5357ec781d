"""The configuration in force, as its page shows it: what was loaded, and what was changed live since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from itertools import groupby

from proxy.config.changes import Changes
from proxy.config.checks import overlap_notes, realtime_notes, takes_everything
from proxy.config.effective import DEFAULT, Setting, concealed, effective
from proxy.config.model import Config
from proxy.errors import CachewireError
from webui import config_shown
from webui.config_shown import Group, SourceKind

Overrides = Callable[[], Mapping[str, tuple[str, str]]]
"""Live changes by key: the value as it would be written in a file, and who or what made it."""


Reload = Callable[[str], Awaitable[Changes]]
"""Reads the configuration again, in somebody's name. Raises CachewireError when it cannot be used."""


class ConfigSource:
    """The settings of one edge. They are read off the configuration once; live changes are laid over them."""

    def __init__(
        self,
        config: Config,
        sources: Mapping[str, str],
        overrides: Overrides = dict,
        reload: Reload | None = None,
    ) -> None:
        self._overrides = overrides
        self._reload = reload
        self.replace(config, sources, Changes())

    def replace(self, config: Config, sources: Mapping[str, str], found: Changes) -> None:
        """Show another configuration, and what of the file waits for a restart."""
        settings = effective(config, sources)
        self._paths = {setting.key: setting.path for setting in settings}
        self._groups = tuple(
            Group(key, title, part, meaning, tuple(_shown(setting) for setting in members))
            for (key, title, part, meaning), members in groupby(settings, key=lambda each: _group(config, each))
        )
        waiting = f"Waits for a restart, because it cannot change in a running edge: {', '.join(found.restart)}."
        self._notes = (*([waiting] if found.restart else []), *_notes(config))

    @property
    def can_reload(self) -> bool:
        """Whether there is something to read again."""
        return self._reload is not None

    async def reload(self, by: str) -> str:
        """Read the configuration again; what became of it, in words. Raises ValueError with a report if it is wrong."""
        if self._reload is None:
            raise ValueError("there is no configuration to read again")
        try:
            return in_words(await self._reload(by))
        except CachewireError as error:
            raise ValueError(str(error)) from error

    def groups(self) -> tuple[Group, ...]:
        """All settings by section, as of now."""
        overrides = self._overrides()
        return tuple(self._changed(group, overrides) for group in self._groups) if overrides else self._groups

    def notes(self) -> tuple[str, ...]:
        """What is right and yet may not be meant."""
        return self._notes

    def _changed(self, group: Group, overrides: Mapping[str, tuple[str, str]]) -> Group:
        if not any(setting.key in overrides for setting in group.settings):
            return group
        return replace(group, settings=tuple(self._overridden(setting, overrides) for setting in group.settings))

    def _overridden(
        self, setting: config_shown.Setting, overrides: Mapping[str, tuple[str, str]]
    ) -> config_shown.Setting:
        if setting.key not in overrides:
            return setting
        value, origin = overrides[setting.key]
        shown = str(concealed(self._paths[setting.key], value))
        return replace(
            setting,
            value=shown,
            source=origin,
            kind="live",
            changed=shown != setting.default,
            configured=setting.value if setting.value != shown else None,
        )


def in_words(found: Changes) -> str:
    """What a reload did."""
    if not found:
        return "nothing differs"
    parts = [f"{', '.join(found.live)} taken up"] if found.live else []
    if found.restart:
        parts.append(f"waiting for a restart: {', '.join(found.restart)}")
    return "; ".join(parts)


def _notes(config: Config) -> tuple[str, ...]:
    notes = [*overlap_notes(config.routes), *realtime_notes(config.realtime)]
    if not takes_everything(config.routes):
        notes.append("Requests that no route matches go to the origin and are never stored.")
    return tuple(notes)


def _group(config: Config, setting: Setting) -> tuple[str, str, str, str]:
    key, meaning = setting.section
    title = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in setting.path[:-1])[1:]
    if setting.path[0] == "routes" and isinstance(setting.path[1], int):
        title = f"{title} · {config.routes[setting.path[1]].name}"
    return key, title, str(setting.path[0]), meaning


def _shown(setting: Setting) -> config_shown.Setting:
    return config_shown.Setting(
        key=setting.key,
        name=str(setting.path[-1]),
        value=setting.value,
        default=setting.default,
        source=setting.source,
        kind=_kind(setting.source),
        meaning=setting.meaning,
        changed=setting.changed,
        secret=setting.secret,
        in_list=setting.in_list,
    )


def _kind(source: str) -> SourceKind:
    if source == DEFAULT:
        return "default"
    if source.startswith("environment "):
        return "environment"
    return "file" if source.rpartition(":")[2].isdigit() else "command"
