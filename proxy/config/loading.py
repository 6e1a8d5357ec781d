"""From file, environment and command line to one Config that knows where each value came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy.config.checks import problems_between_settings
from proxy.config.model import Config
from proxy.config.problems import KeyPath, Problem, failure
from proxy.config.realtime import Realtime
from proxy.config.section import Section
from proxy.config.source import (
    Document,
    Setting,
    environment_settings,
    parse_override,
    parse_value,
    read_document,
)
from proxy.config.validation import Tree, validate


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration. `sources` says for each dotted key (`routes.0.strategy`) where its value was set:
    `config.yaml:12`, `environment CACHEWIRE__ORIGIN__URL`, `--set` or `default`.
    """

    config: Config
    sources: Mapping[str, str]


def load(
    path: Path | None,
    *,
    env: Mapping[str, str],
    overrides: Sequence[str | Setting] = (),
    directory: Path | None = None,
) -> Loaded:
    """The configuration of a file (None: only defaults), overridden by `env`, overridden by `overrides`.

    Relative paths (`cache.dir`, `outbox.dir`, `realtime.recovery.dir`, key files, `precache.manifest`,
    `log.access.file`) are taken from `directory`, or else from the file's directory, or else from where
    we run.
    Raises ConfigurationError whose text is a report of one screen.
    """
    document = Document("") if path is None else read_document(path)
    settings = [*environment_settings(env), *(_setting(override) for override in overrides)]
    tree = _merged(document, settings)
    base = directory or (Path.cwd() if path is None else path.parent)
    written = validate(tree)
    config = _anchored(written, base.absolute())
    if problems := problems_between_settings(config, tree):
        raise failure(*problems)
    # A path that was made absolute counts as given, so the sources are those of what was written.
    return Loaded(config, dict(_sources(written, (), tree)))


def _setting(override: str | Setting) -> Setting:
    return parse_override(override) if isinstance(override, str) else override


def _merged(document: Document, settings: Sequence[Setting]) -> Tree:
    tree = Tree(document.values, dict(document.keys), dict(document.places))
    problems: list[Problem] = []
    for setting in settings:
        problem = _put(tree, setting)
        if problem is not None:
            problems.append(problem)
    if problems:
        raise failure(*problems)
    return tree


def _put(tree: Tree, setting: Setting) -> Problem | None:
    """Set one value in the tree, making the sections on its way; a Problem when its key leads nowhere."""
    parts = setting.key.split(".")
    container: dict[str, Any] | list[Any] = tree.values
    path: KeyPath = ()
    for position, part in enumerate(parts):
        if not part:
            return Problem(setting.key_place, "", "is not a key", "Write section.key, as in cache.memory.")
        key = _step(container, part)
        if key is None:
            assert isinstance(container, list)
            has = f"It has the entries 0 to {len(container) - 1}" if container else "It has no entries yet"
            advice = f"{has}; write {len(container)} to append one."
            return Problem(setting.key_place, path, f"has no entry {part!r}", advice)
        path = (*path, key)
        last = position == len(parts) - 1
        inner = parse_value(setting) if last else _descend(container, key, parts[position + 1])
        if not last and not isinstance(inner, dict | list):
            return Problem(setting.key_place, path, "is not a section", "It is a single value; set it as a whole.")
        _assign(container, key, inner)
        container = inner
    _mark(tree, path, setting)
    return None


def _step(container: dict[str, Any] | list[Any], part: str) -> str | int | None:
    """The key or index that `part` means in a container; None when a list has no such entry."""
    if isinstance(container, dict):
        return part
    index = int(part) if part.isascii() and part.isdigit() and len(part) < 7 else -1
    return index if 0 <= index <= len(container) else None


def _descend(container: dict[str, Any] | list[Any], key: str | int, following: str) -> Any:
    """What is at `key`, or a new section or list if nothing is."""
    if isinstance(container, list):
        present = container[int(key)] if int(key) < len(container) else None
    else:
        present = container.get(str(key))
    return present if present is not None else ([] if following.isdigit() else {})


def _assign(container: dict[str, Any] | list[Any], key: str | int, value: Any) -> None:
    if isinstance(container, dict):
        container[str(key)] = value
    elif int(key) == len(container):
        container.append(value)
    else:
        container[int(key)] = value


def _mark(tree: Tree, path: KeyPath, setting: Setting) -> None:
    for places in (tree.places, tree.keys):
        for known in [known for known in places if known[: len(path)] == path]:
            del places[known]
    tree.places[path] = setting.place
    for end in range(1, len(path) + 1):
        for places in (tree.places, tree.keys):
            places.setdefault(path[:end], setting.key_place)


def _anchored(config: Config, base: Path) -> Config:
    """`config` with its paths made absolute, so that nothing later depends on the working directory."""
    ca_file = config.origin.tls_ca_file
    cache = config.cache.model_copy(update={"dir": base / config.cache.dir.expanduser()})
    origin = config.origin.model_copy(update={"tls_ca_file": ca_file and base / ca_file.expanduser()})
    outbox = config.outbox.model_copy(update={"dir": base / config.outbox.dir.expanduser()})
    precache, manifest = config.precache, config.precache.manifest
    if isinstance(manifest, Path):
        precache = precache.model_copy(update={"manifest": base / manifest.expanduser()})
    realtime = _anchored_realtime(config.realtime, base)
    access, lines = config.log.access, config.log.access.file
    access = access.model_copy(update={"file": lines and base / lines.expanduser()})
    changed = {
        "cache": cache,
        "origin": origin,
        "outbox": outbox,
        "precache": precache,
        "realtime": realtime,
        "log": config.log.model_copy(update={"access": access}),
    }
    return config.model_copy(update=changed)


def _anchored_realtime(realtime: Realtime, base: Path) -> Realtime:
    kept, key = realtime.recovery.dir, realtime.jwt.public_key_file
    recovery = realtime.recovery.model_copy(update={"dir": kept and base / kept.expanduser()})
    jwt = realtime.jwt.model_copy(update={"public_key_file": key and base / key.expanduser()})
    return realtime.model_copy(update={"recovery": recovery, "jwt": jwt})


def _sources(value: Any, path: KeyPath, tree: Tree) -> Iterator[tuple[str, str]]:
    """The dotted key and source of every leaf. What a section was not given is a default, wherever it is."""
    if isinstance(value, Section):
        for name in type(value).model_fields:
            given = name in value.model_fields_set
            yield from _sources(getattr(value, name), (*path, name), tree if given else Tree())
    elif isinstance(value, tuple) and value and isinstance(value[0], Section):
        for index, entry in enumerate(value):
            yield from _sources(entry, (*path, index), tree)
    else:
        place = tree.place(path)
        yield ".".join(map(str, path)), place.source if place else "default"
