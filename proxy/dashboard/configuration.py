"""The configuration in force, as its page shows it: what was loaded, and what was changed live since."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import groupby

from proxy.config.checks import overlap_notes, realtime_notes, takes_everything
from proxy.config.effective import DEFAULT, Setting, concealed, effective
from proxy.config.model import Config
from webui import config_shown
from webui.config_shown import Group, SourceKind

Overrides = Callable[[], Mapping[str, tuple[str, str]]]
"""Live changes by key: the value as it would be written in a file, and who or what made it."""


class ConfigSource:
    """The settings of one edge. They are read off the configuration once; live changes are laid over them."""

    def __init__(self, config: Config, sources: Mapping[str, str], overrides: Overrides = dict) -> None:
        settings = effective(config, sources)
        self._paths = {setting.key: setting.path for setting in settings}
        self._groups = tuple(
            Group(key, title, part, meaning, tuple(_shown(setting) for setting in members))
            for (key, title, part, meaning), members in groupby(settings, key=lambda each: _group(config, each))
        )
        self._notes = _notes(config)
        self._overrides = overrides

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
