"""Where settings come from: the YAML file with a place for every value, the environment, the command line.

YAML is read as its 1.2 core schema with decimal numbers: `on`, `off`, `12:30` and dates are text here, so that
what an operator writes is what the model sees.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from proxy.config.problems import KeyPath, Place, Problem, failure
from proxy.errors import ConfigurationError

MAX_SIZE = 2**20
MAX_DEPTH = 24
MAX_NODES = 50_000
ENVIRONMENT_PREFIX = "CACHEWIRE__"


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: plain values, and for each key path the place of its key and of its value."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    keys: Mapping[KeyPath, Place] = field(default_factory=dict)
    places: Mapping[KeyPath, Place] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Setting:
    """One value from outside the file: `key` is dotted (`routes.0.strategy`), `source` says who set it."""

    key: str
    value: str
    source: str = "--set"

    @property
    def place(self) -> Place:
        label = self.source if self.source.startswith("environment") else f"{self.source} {self.key}"
        return Place(self.source, label, f"{self.key}={self.value}", column=len(self.key) + 1)

    @property
    def key_place(self) -> Place:
        return Place(self.source, self.place.label, self.key, width=len(self.key))


def read_document(path: Path) -> Document:
    """The document in a file. Raises ConfigurationError for one that cannot be read or is not a mapping."""
    name = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_SIZE + 1)
    except FileNotFoundError:
        raise failure(Problem(Place(name), "", "there is no such file", _similar_file(path))) from None
    except OSError as error:
        reason = (error.strerror or "unreadable").lower()
        raise failure(Problem(Place(name), "", f"cannot be read: {reason}", "Name a readable file.")) from None
    if len(content) > MAX_SIZE:
        raise failure(Problem(Place(name), "", "is larger than 1 MiB", "Is it a configuration file?"))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise failure(
            Problem(Place(f"{name}:{line}"), "", "is not UTF-8 text", "Save the file with the encoding UTF-8.")
        ) from None
    return parse_document(text, name)


def parse_document(text: str, name: str) -> Document:
    """The document in a text. Raises ConfigurationError for syntax errors, repeated keys and the like."""
    source = _Source(name, text)
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        what = f"holds the character U+{error.character:04X}, which YAML does not allow"
        raise failure(Problem(Place(f"{name}:{line}"), "", what, "Delete it.")) from None
    except yaml.MarkedYAMLError as error:
        raise failure(_syntax_problem(error, source)) from None
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _NULL):
        return Document(name)
    if not isinstance(root, yaml.MappingNode):
        place = source.place(root)
        raise failure(
            Problem(place, "", "the file is not a mapping", "Write sections, as in `origin:` and below it keys.")
        )
    return _Reading(source).document(root)


def environment_settings(environment: Mapping[str, str]) -> Iterator[Setting]:
    """The settings that `CACHEWIRE__SECTION__KEY` variables make, by name."""
    for name in sorted(environment):
        if name.startswith(ENVIRONMENT_PREFIX):
            key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
            yield Setting(key, environment[name], f"environment {name}")


def parse_override(text: str) -> Setting:
    """The setting that `--set section.key=value` makes. Raises ConfigurationError when there is no `=`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        place = Place("--set", "--set", key)
        raise failure(
            Problem(place, "", "is not a setting", "Write section.key=value, as in --set cache.memory=128MiB")
        )
    return Setting(key.strip(), value)


def parse_value(setting: Setting) -> Any:
    """What a setting's text means: a YAML list, mapping or quoted text, `null` or nothing at all, else plain text.

    Plain text stays text, so that a token of digits is a token; numbers and booleans are parsed by their settings.
    """
    text = setting.value.strip()
    if text in ("", "~", "null"):
        return None
    if text[0] not in "[{'\"":
        return text
    try:
        return parse_document(f"{{value: {text}}}", "").values["value"]
    except (ConfigurationError, KeyError):
        advice = "Close every bracket and quotation mark, as in [a, b], {a: 1} or 'text'."
        raise failure(Problem(setting.place, "", "is not a YAML list, mapping or quoted text", advice)) from None


_TAG = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT, _STR, _MERGE = (
    f"{_TAG}{kind}" for kind in ("null", "bool", "int", "float", "str", "merge")
)


_BRACKETED_ADDRESS = re.compile(
    r"\[(?=[^]]*:[^]]*:)[0-9A-Fa-f:.]+(?:%[\w.-]+)?\]:[0-9]{1,5}(?=[\s,\]}]|\0|\Z)", re.ASCII
)
_LONGEST_ADDRESS = 96


class _Loader(yaml.SafeLoader):
    """Composes nodes only (values are built by _Reading), refuses nesting that would exhaust the stack, and knows
    addresses of IPv6 with a port from lists.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own idiom
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, f"more than {MAX_DEPTH} levels of nesting", mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def fetch_flow_sequence_start(self) -> None:
        # `[::1]:8080` is how everybody writes this address, and as a list with something behind it no YAML at all.
        address = _BRACKETED_ADDRESS.match(self.prefix(_LONGEST_ADDRESS))
        if address is None:
            super().fetch_flow_sequence_start()
            return
        self.save_possible_simple_key()
        self.allow_simple_key = False
        start = self.get_mark()
        self.forward(address.end())
        end = self.get_mark()
        self.tokens.append(yaml.ScalarToken(address[0], True, start, end))


for _kind, _pattern, _starts in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]{1,300}", list("-+0123456789")),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)", list("-+.0123456789")),
    (_MERGE, r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_kind, re.compile(rf"(?:{_pattern})\Z"), _starts)


class _Reading:
    """One walk over a node graph: values, places, and every repeated key or unusable node as a problem."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._nodes = 0
        self._keys: dict[KeyPath, Place] = {}
        self._places: dict[KeyPath, Place] = {}
        self._problems: list[Problem] = []

    def document(self, root: yaml.MappingNode) -> Document:
        values = self._mapping(root, ())
        if self._problems:
            raise failure(*self._problems)
        return Document(self._source.name, values, self._keys, self._places)

    def _value(self, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        # Aliases make a small file a huge tree, and a node that contains itself an endless one.
        if self._nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise failure(
                Problem(
                    self._source.place(node),
                    "",
                    "aliases (`*name`) expand without end",
                    "Write the values out.",
                )
            )
        self._places[path] = self._source.place(node)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            place = self._source.place(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._problems.append(Problem(place, "", "a key is not text", "Write `key: value`."))
                continue
            key: str = key_node.value
            if key in values:
                first = self._keys[*path, key].label
                self._problems.append(
                    Problem(
                        place, (*path, key), "is given twice", f"It is first given at {first}. Keep one of the two."
                    )
                )
                continue
            values[key] = None
            self._keys[*path, key] = place
            values[key] = self._value(value_node, (*path, key))
        for other in merged:
            self._merge(other, path, values)
        return values

    def _merge(self, node: yaml.Node, path: KeyPath, values: dict[str, Any]) -> None:
        """`<<: *name`: what the mapping does not say itself, it has from the other one."""
        if not isinstance(node, yaml.MappingNode):
            place = self._source.place(node)
            self._problems.append(Problem(place, path, "`<<` takes a mapping", "Write `<<: *name`."))
            return
        for key_node, value_node in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.value not in values:
                self._keys[*path, key_node.value] = self._source.place(key_node)
                values[key_node.value] = self._value(value_node, (*path, key_node.value))

    def _scalar(self, node: yaml.Node, path: KeyPath) -> Any:
        text: str = node.value
        match node.tag:
            case tag if tag == _STR:
                return text
            case tag if tag == _NULL:
                return None
            case tag if tag == _BOOL:
                return text.lower() == "true"
            case tag if tag == _INT:
                return int(text)
            case tag if tag == _FLOAT:
                return float(text)
        place = self._places[path]
        self._problems.append(
            Problem(place, path, "has a YAML tag that is not used here", "Leave out what begins with `!`.")
        )
        return None


_SECRET_KEY = re.compile(r"^(\s*)[^#]*?(?:tok|secret|passw|pwd)[\w-]*[\"']?\s*:", re.IGNORECASE)


class _Source:
    """The lines of a text, and which of them continue a secret's value that began on an earlier one."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._lines = text.splitlines()
        self._hidden: list[bool] = []
        indentation: str | None = None
        for line in self._lines:
            hidden = indentation is not None and (not line.strip() or line.startswith(f"{indentation} "))
            self._hidden.append(hidden)
            if match := _SECRET_KEY.match(line):
                indentation = match[1]
            elif not hidden:
                indentation = None
        self._lines.append("")  # what is missing is missing behind the last one
        self._hidden.append(indentation is not None)

    def place(self, node: yaml.Node) -> Place:
        mark, end = node.start_mark, node.end_mark
        one_line = isinstance(node, yaml.ScalarNode) and end.line == mark.line
        return self.place_at(mark, max(end.column - mark.column if one_line else 1, 1))

    def place_at(self, mark: yaml.Mark, width: int = 1) -> Place:
        label, line = f"{self.name}:{mark.line + 1}", min(mark.line, len(self._lines) - 1)
        return Place(label, label, self._lines[line], mark.column, width, hidden=self._hidden[line])


def _syntax_problem(error: yaml.MarkedYAMLError, source: _Source) -> Problem:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Problem(Place(source.name), "", "is not YAML", "")
    place = source.place_at(mark)
    # PyYAML quotes the name of an alias or tag, which on this line may be a piece of a secret.
    quoted = place.hidden or _SECRET_KEY.match(place.text)
    what = "is not YAML" if quoted or not error.problem else f"is not YAML: {_in_words(error.problem)}"
    label = f"{place.label}:{mark.column + 1}"
    return Problem(
        Place(label, label, place.text, place.column, 1, place.hidden), "", what, _syntax_advice(error, place.text)
    )


def _in_words(problem: str) -> str:
    return problem.replace("'\\t'", "tab").replace("<block end>", "the end of the section")


def _syntax_advice(error: yaml.MarkedYAMLError, line: str) -> str:
    problem = error.problem or ""
    if "\\t" in problem or line.lstrip(" ").startswith("\t"):
        return "Indent with spaces; YAML does not allow tabs there."
    if any(word in f"{problem} {error.context}" for word in ("alias", "anchor", "cannot start any token", "tag")):
        return 'A value that begins with one of * & ! % @ ` needs quotes, as in "*.example.com".'
    if "mapping values" in problem:
        return "Text that holds `: ` needs quotes; or is the indentation off?"
    if "quoted scalar" in (error.context or ""):
        return "A quotation mark is not closed."
    if "single document" in (error.context or ""):
        return "One file holds one document; delete the `---` and what does not belong."
    return "Check the indentation, the colons and the quotes of this line and the one above."


def _similar_file(path: Path) -> str:
    try:
        names = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    except OSError:
        names = []
    near = difflib.get_close_matches(path.name, names, 1, 0.8)
    hint = f"Did you mean {path.parent / near[0]}? " if near else ""
    return f"{hint}Name an existing file with --config; without a file every setting has its default."
