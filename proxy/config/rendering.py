"""A configuration as text: YAML that loads back, the JSON Schema of the file, the reference page."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from proxy.config.effective import concealed, scalar
from proxy.config.model import Config, PrecacheEntry, Route
from proxy.config.problems import KeyPath
from proxy.config.realtime import Channel
from proxy.config.section import Section
from proxy.config.tuning import Remedy
from proxy.config.validation import subsections


def render_yaml(config: Config, sources: Mapping[str, str] | None = None) -> str:
    """Every setting and its value, secrets masked; with `sources`, where each value comes from as a comment."""
    return "\n".join(_section_lines(config.model_dump(mode="json"), (), sources or {})) + "\n"


def json_schema() -> str:
    """The JSON Schema (draft 2020-12) of the configuration file, for editors and checks."""
    schema = Config.model_json_schema(mode="validation")
    _name_defaults(schema, Config)
    for section in _sections(Config):
        _name_defaults(schema["$defs"][section.__name__], section)
    _add_shorthands(schema["$defs"])
    document = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Cachewire configuration"}
    return json.dumps(_untitled(document), indent=2, ensure_ascii=False) + "\n"


def render_reference() -> str:
    """Every key with its default and meaning, as Markdown tables."""
    parts = []
    for path, section in _paths(Config, ""):
        leaves = [name for name in section.model_fields if name not in dict(subsections(section))]
        schema = section.model_json_schema()["properties"]
        if leaves:
            doc = " ".join((section.__doc__ or "").split())
            parts += [f"## `{path}`", "", doc, "", "| key | default | values | meaning |", "|---|---|---|---|"]
            parts += [_row(name, section, schema[name]) for name in leaves]
            parts.append("")
    return "\n".join(parts)


"""Whoever knows one of these may use it."""


def _section_lines(values: Mapping[str, Any], path: KeyPath, sources: Mapping[str, str]) -> Iterator[str]:
    indent = "  " * len(path)
    for name, value in values.items():
        inner: KeyPath = (*path, name)
        if isinstance(value, dict) and not _is_leaf(inner):
            yield f"{indent}{name}:"
            yield from _section_lines(value, inner, sources)
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield f"{indent}{name}:"
            for index, entry in enumerate(value):
                yield from _entry_lines(entry, (*inner, index), sources)
        else:
            shown = scalar(concealed(inner, value))
            yield _commented(f"{indent}{name}: {shown}", sources.get(".".join(map(str, inner))))


def _entry_lines(entry: Mapping[str, Any], path: KeyPath, sources: Mapping[str, str]) -> Iterator[str]:
    """A list entry's lines: those of a section, the first with the dash."""
    indent = "  " * (len(path) - 1)
    for number, line in enumerate(_section_lines(entry, path, sources)):
        yield f"{indent}- {line[len(indent) + 2 :]}" if number == 0 else line


def _is_leaf(path: KeyPath) -> bool:
    """Whether the model takes any keys here, so that the mapping is one value."""
    section: Any = Config
    for part in path:
        if isinstance(part, str):
            section = dict(subsections(section)).get(part)
            if section is None:
                return True
    return False


def _commented(line: str, source: str | None) -> str:
    return line if source is None else f"{line:<44} # {source}"


def _sections(section: type[Section]) -> Iterator[type[Section]]:
    for _, inner in subsections(section):
        yield inner
        yield from _sections(inner)


def _paths(section: type[Section], path: str) -> Iterator[tuple[str, type[Section]]]:
    for name, inner in subsections(section):
        several = typing.get_origin(section.model_fields[name].annotation) is tuple
        inner_path = f"{path}{name}{'[]' if several else ''}"
        yield inner_path, inner
        yield from _paths(inner, f"{inner_path}.")


def _defaults(section: type[Section]) -> dict[str, Any]:
    """The defaults of a section's keys as they are written in a file; required keys are left out."""
    examples: dict[type[Section], dict[str, Any]] = {
        Route: {"strategy": "network-first"},
        PrecacheEntry: {"url": "/"},
        Channel: {"match": "reports"},
        Remedy: {"alert": "response-time"},
    }
    required = examples.get(section, {})
    values = section.model_validate(required).model_dump(mode="json")
    return {name: value for name, value in values.items() if not section.model_fields[name].is_required()}


def _name_defaults(schema: dict[str, Any], section: type[Section]) -> None:
    defaults = _defaults(section)
    if section is Route:
        defaults["name"] = ""
    for name, definition in schema["properties"].items():
        if name in defaults:
            definition["default"] = defaults[name]


def _add_shorthands(definitions: dict[str, Any]) -> None:
    """What a text alone stands for where the model otherwise takes a section."""
    match = definitions["Route"]["properties"]["match"]
    match["anyOf"] = [{"$ref": match.pop("$ref")}, {"type": "string"}]
    definitions["Route"]["properties"]["offline_queue"]["anyOf"].append({"type": "boolean"})
    fallback = definitions["Route"]["properties"]["fallback"]
    fallback["anyOf"] = [{"$ref": fallback.pop("$ref")}, {"type": "string"}]
    entries = definitions["Precache"]["properties"]["manifest"]["oneOf"][0]
    entries["items"] = {"anyOf": [entries["items"], {"type": "string"}]}
    query = definitions["Key"]["properties"]["query"]
    query["anyOf"] = [{"$ref": query.pop("$ref")}, {"enum": definitions["Query"]["properties"]["mode"]["enum"]}]


def _untitled(value: Any) -> Any:
    """The schema without the titles that only repeat a key."""
    if isinstance(value, dict):
        return {key: _untitled(inner) for key, inner in value.items() if key != "title" or not _is_echo(value)}
    return [_untitled(inner) for inner in value] if isinstance(value, list) else value


def _is_echo(schema: Mapping[str, Any]) -> bool:
    return isinstance(schema["title"], str) and "$schema" not in schema


def _row(name: str, section: type[Section], schema: Mapping[str, Any]) -> str:
    known = section.model_fields[name]
    default = "required" if known.is_required() else f"`{scalar(_defaults(section)[name])}`"
    if section is Route and name == "name":
        default = "the path"
    default = {"`[]`": "none", "`{}`": "none"}.get(default, default)
    meaning = " ".join((known.description or "").split())
    return f"| `{name}` | {default} | {_kind(schema)} | {meaning} |"


_EXAMPLES = {"250ms": "duration", "64KiB": "size", "5%": "share", "127.0.0.1:8080": "host:port"}
_TYPES = {"boolean": "true or false", "integer": "number", "array": "list", "object": "mapping", "string": "text"}


def _kind(schema: Mapping[str, Any]) -> str:
    """What kind of value a key takes, in words."""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_kind(choice) for choice in schema["anyOf"])
    if "examples" in schema:
        return _EXAMPLES[schema["examples"][0]]
    return _TYPES.get(schema["type"], "null")
