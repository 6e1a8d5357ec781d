"""Plain values become a Config, or problems that name the key, the place and what would be right."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from proxy.config.model import Config
from proxy.config.problems import KeyPath, Place, Problem, failure, sounds_secret, written
from proxy.config.section import Section


@dataclass(slots=True)
class Tree:
    """Plain values of all sources merged, and for each key path where its key and its value were written."""

    values: dict[str, Any] = field(default_factory=dict)
    keys: dict[KeyPath, Place] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place | None:
        """Where the value at `path`, or else the nearest section around it, was written."""
        return _nearest(self.places, path)

    def key_place(self, path: KeyPath) -> Place | None:
        """Where the key at `path` was written."""
        return self.keys.get(path) or self.place(path)


def validate(tree: Tree) -> Config:
    """The configuration that the values make. Raises ConfigurationError that reports every problem."""
    try:
        return Config.model_validate(tree.values)
    except ValidationError as error:
        details = error.errors(include_url=False)
        misspelt = {(*path[:-1], near) for path in _unknown(details) for near in _near(path)}
        problems = [_problem(detail, tree) for detail in details if detail["loc"] not in misspelt]
        raise failure(*sorted(problems, key=_by_place)) from None


def sentences(error: ValidationError, at: KeyPath) -> list[str]:
    """What is wrong with a section that was not read from a file, and what would be right; `at` is its key path."""
    problems = [
        _problem({**detail, "loc": (*at, *detail["loc"])}, Tree()) for detail in error.errors(include_url=False)
    ]
    return [f"{written(problem.key[len(at) :])}: {problem.what}. {problem.advice}".strip(": ") for problem in problems]


def section_at(path: KeyPath) -> type[Section] | None:
    """The section of the model at a key path, list indexes included; None where there is no section."""
    section: type[Section] | None = Config
    for part in path:
        if isinstance(part, int):
            continue
        known = section.model_fields.get(part) if section else None
        section = _section_of(known.annotation) if known else None
    return section


def subsections(section: type[Section]) -> Iterator[tuple[str, type[Section]]]:
    """The keys of a section that hold sections, or lists of them."""
    for name, known in section.model_fields.items():
        if inner := _section_of(known.annotation):
            yield name, inner


def validated(key: str, given: Any) -> Any:
    """The value of one dotted key when it is set to `given`. Raises ValueError that says what would be right."""
    path = key.split(".")
    values = given
    for part in reversed(path):
        values = {part: values}
    try:
        value: Any = Config.model_validate(values)
    except ValidationError as error:
        what, advice = _wrong_value(error.errors(include_url=False)[0], tuple(path))
        raise ValueError(f"{what}; {advice[:1].lower()}{advice[1:].removesuffix('.')}" if advice else what) from None
    for part in path:
        value = getattr(value, part)
    return value


# What people who come from Workbox, nginx or Varnish write.
_OTHER_NAMES = {
    "handler": "strategy",
    "urlpattern": "match",
    "pattern": "path",
    "ttl": "max_age",
    "maxageseconds": "max_age",
    "networktimeoutseconds": "network_timeout",
    "upstream": "origin",
    "backend": "origin",
    "target": "url",
    "bind": "listen",
    "port": "listen",
}


# What pydantic puts into a path to say where it was in the model rather than in the file.
_NO_KEYS = ("[key]", "[list]", "[file]")


def _problem(detail: ErrorDetails, tree: Tree) -> Problem:
    path: KeyPath = tuple(part for part in detail["loc"] if part not in _NO_KEYS)
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path, tree)
    place = tree.place(path) or Place("the configuration")
    if detail["type"] == "missing":
        return Problem(place, path, "is missing", _values_advice(path))
    what, advice = _wrong_value(detail, path)
    return Problem(place, path, what, advice)


def _unknown(details: Sequence[ErrorDetails]) -> Iterator[KeyPath]:
    return (detail["loc"] for detail in details if detail["type"] == "extra_forbidden")


def _unknown_key(path: KeyPath, tree: Tree) -> Problem:
    section = section_at(path[:-1]) or Config
    near = _near(path)
    advice = f"Known keys here: {', '.join(section.model_fields)}."
    if near:
        advice = f"Did you mean `{near[0]}`? {advice}"
    elif deeper := list(_inside(section, _word(str(path[-1])))):
        advice = f"Did you mean `{deeper[0]}`, one level down? {advice}"
    place = tree.key_place(path) or Place("the configuration")
    if any(sounds_secret(name) for name in near):
        place = replace(place, hidden=True)
    return Problem(place, path, "unknown key", advice)


def _near(path: KeyPath) -> list[str]:
    """The known key that an unknown one was probably meant to be, if any."""
    section = section_at(path[:-1]) or Config
    known, word = list(section.model_fields), _word(str(path[-1]))
    same = [name for name in known if _word(name) == word] or [name for name in known if name == _OTHER_NAMES.get(word)]
    if same or list(_inside(section, word)):
        return same
    return difflib.get_close_matches(str(path[-1]).lower(), known, 1, 0.6)


def _inside(section: type[Section], word: str) -> Iterator[str]:
    """Dotted names of keys with this word, one level below a section."""
    for name, inner in subsections(section):
        for key in inner.model_fields:
            if _word(key) == word or key == _OTHER_NAMES.get(word):
                yield f"{name}.{key}"


def _word(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _wrong_value(detail: ErrorDetails, path: KeyPath) -> tuple[str, str]:
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    secret = any(isinstance(part, str) and sounds_secret(part) for part in path)
    shown = "the value" if secret else _shown(given)
    match kind:
        case "value_error":
            what, _, advice = str(context["error"]).partition("; ")
            return what, advice and f"{advice[0].upper()}{advice[1:]}."
        case "literal_error":
            return f"{shown} is not one of the values", _values_advice(path, given)
        case "string_type":
            return f"{shown} is not text", "Write text; a number or a word like true needs quotes to be text."
        case "string_too_short":
            least = detail.get("ctx", {}).get("min_length", 1)
            if least > 1:
                return "is too short", f"Write at least {least} characters."
            return "is empty", "Write a value, or leave the key out."
        case "bool_type" | "bool_parsing":
            return f"{shown} is neither true nor false", "Write true or false."
        case "int_type" | "int_parsing" | "int_from_float" | "int_parsing_size":
            return f"{shown} is not a whole number", "Write a whole number without unit, as in 3."
        case "greater_than_equal" | "less_than_equal":
            return f"{shown} is out of range", _range_advice(path, context)
        case "model_type" | "dict_type" | "model_attributes_type":
            return f"{shown} is not a section", _section_advice(path)
        case "tuple_type" | "list_type":
            return f"{shown} is not a list", "Write a list, as in [a, b], or one `- item` per line."
        case "path_type":
            return f"{shown} is not a path", "Write a path as text."
        case "none_required":
            return "is not available in this version", "Leave it null."
    return f"{shown} is not valid: {detail['msg'].lower()}", ""


def _section_advice(path: KeyPath) -> str:
    section = section_at(path)
    keys = f" Known keys: {', '.join(section.model_fields)}." if section else ""
    return f"Write `key: value` lines below it, indented.{keys}"


def _range_advice(path: KeyPath, context: Mapping[str, Any]) -> str:
    if path == ("server", "workers"):
        return "This version runs one edge process; write 1."
    bounds = {"ge": "at least", "le": "at most"}
    return (
        "Write a number of " + " and ".join(f"{bounds[key]} {context[key]}" for key in context if key in bounds) + "."
    )


def _values_advice(path: KeyPath, given: Any = None) -> str:
    section = section_at(path[:-1])
    known = section.model_fields.get(str(path[-1])) if section else None
    values = [value for value in typing.get_args(known.annotation) if isinstance(value, str)] if known else []
    if not values or (known and typing.get_origin(known.annotation) is not Literal):
        return f"Write it: `{path[-1]}: ...`."
    near = [value for value in values if _word(value) == _word(str(given))]
    near = near or difflib.get_close_matches(str(given).lower(), values, 1, 0.5)
    question = f"Did you mean `{near[0]}`? " if near and given is not None else ""
    return f"{question}The values are {', '.join(values)}."


def _shown(given: Any) -> str:
    match given:
        case None:
            return "an empty value"
        case bool():
            return "true" if given else "false"
        case dict() | Section():
            return "a section of keys"
        case list() | tuple():
            return "a list"
    text = repr(given)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _section_of(annotation: Any) -> type[Section] | None:
    if (
        isinstance(annotation, type)
        and not isinstance(annotation, types.GenericAlias)
        and issubclass(annotation, Section)
    ):
        return annotation
    for argument in typing.get_args(annotation):
        if inner := _section_of(argument):
            return inner
    return None


def _nearest(places: Mapping[KeyPath, Place], path: KeyPath) -> Place | None:
    for end in range(len(path), 0, -1):
        if place := places.get(path[:end]):
            return place
    return None


def _by_place(problem: Problem) -> tuple[str, int, str]:
    source, _, line = problem.place.source.rpartition(":")
    return (source, int(line), "") if line.isdigit() else (problem.place.source, 0, written(problem.key))
