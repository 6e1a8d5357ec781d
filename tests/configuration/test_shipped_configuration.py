"""config.yaml, the JSON Schema and the reference page say what the model says."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder

from proxy.config import Config, Route, load
from proxy.config.rendering import json_schema, render_reference, render_yaml
from proxy.config.shipped import shipped_file
from proxy.config.source import parse_document, read_document
from proxy.config.units import parse_duration, parse_size
from proxy.config.validation import subsections

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config.yaml"


def test_every_scalar_that_the_shipped_file_lists_is_the_models_default() -> None:
    loaded = load(SHIPPED, env={}, overrides=[])
    defaults = Config()
    assert loaded.config.server == defaults.server
    assert loaded.config.admin == defaults.admin
    assert loaded.config.origin == defaults.origin
    assert loaded.config.cache.model_copy(update={"dir": defaults.cache.dir}) == defaults.cache
    assert loaded.config.cache.dir == ROOT / defaults.cache.dir
    assert loaded.config.log == defaults.log
    # What the application is asked depends on the application, as routes do.
    assert loaded.config.realtime.model_copy(update={"origin": defaults.realtime.origin}) == defaults.realtime
    assert loaded.config.realtime.origin.timeout == defaults.realtime.origin.timeout


def test_the_shipped_file_believes_nobody_who_they_are() -> None:
    assert load(SHIPPED, env={}, overrides=[]).config.realtime.auth == "origin"


def test_the_shipped_file_mentions_every_key_outside_routes() -> None:
    values = read_document(SHIPPED).values
    for name, section in subsections(Config):
        if name != "routes":
            assert list(values[name]) == list(section.model_fields)
            for inner, below in subsections(section):
                assert (
                    inner == "manifest" or inner == "channels" or list(values[name][inner]) == list(below.model_fields)
                )


def test_the_comment_above_the_routes_shows_every_key_of_a_route_with_its_default() -> None:
    comment = SHIPPED.read_text().partition("and their defaults:\n#\n")[2].partition("\nroutes:")[0]
    uncommented = "\n".join(line.removeprefix("#") for line in comment.splitlines())
    written = parse_document(f"routes:\n{uncommented}\n", "comment").values["routes"][0]
    assert written == Route(strategy="network-first").model_dump(mode="json")


@pytest.mark.parametrize(
    ("path", "route", "strategy", "timeout", "entries", "age", "credentials"),
    [
        ("/api/auth/session", "auth", "network-first", "3s", 10, "1d", "partition"),
        ("/api/likes", "user-api", "network-first", "5s", 50, "7d", "partition"),
        ("/api/chat/messages/c1", "user-api", "network-first", "5s", 50, "7d", "partition"),
        ("/api/reports", "api", "network-first", "5s", 50, "7d", "partition"),
        ("/uploads/r1-1.jpg", "uploads", "cache-first", None, 100, "30d", "ignore"),
        ("/avatars/u1.png", "images", "cache-first", None, 200, "30d", "ignore"),
        ("/assets/inter.woff2", "fonts", "cache-first", None, 200, "30d", "ignore"),
        ("/assets/app.0a1b.js", "css-js", "stale-while-revalidate", None, 100, "7d", "ignore"),
        ("/assets/app.0a1b.css", "css-js", "stale-while-revalidate", None, 100, "7d", "ignore"),
        ("/reports/r1", "pages", "network-first", "3s", 50, "7d", "partition"),
        ("/", "pages", "network-first", "3s", 50, "7d", "partition"),
    ],
)
def test_each_part_of_the_reference_application_has_its_route(
    path: str, route: str, strategy: str, timeout: str | None, entries: int, age: str, credentials: str
) -> None:
    from proxy.config.checks import route_match
    from proxy.policy.messages import Request

    routes = load(SHIPPED, env={}, overrides=[]).config.routes
    taken = next(each for each in routes if route_match(each.match).matches(Request("GET", path, "h")))
    assert (taken.name, taken.strategy, taken.credentials) == (route, strategy, credentials)
    assert taken.network_timeout == (None if timeout is None else parse_duration(timeout))
    assert taken.expiration.max_entries == entries
    assert taken.expiration.max_age == parse_duration(age)


def test_the_demo_finds_the_shipped_file() -> None:
    assert shipped_file() == SHIPPED


def test_a_wheel_brings_the_shipped_file_inside_the_package(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("proxy/config/shipped.yaml") == SHIPPED.read_bytes()


def test_the_schema_file_is_what_the_model_makes() -> None:
    """If this fails: cachewire config --schema > static/config.schema.json"""
    assert (ROOT / "static" / "config.schema.json").read_text() == json_schema()


def test_the_reference_page_is_what_the_model_makes() -> None:
    """If this fails, replace what follows the marker by the output of: cachewire config --reference"""
    page = (ROOT / "docs" / "configuration.md").read_text()
    marker = "<!-- From here on: cachewire config --reference -->\n\n"
    assert page.partition(marker)[2] == render_reference()


def schema_defaults(schema: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Any]]:
    for definition in schema["$defs"].values():
        for known in definition["properties"].values():
            if "default" in known:
                yield known, known["default"]


def test_the_schema_accepts_its_own_defaults() -> None:
    """Checked for what a default can break: the type, and the pattern of durations and sizes."""
    names = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": float,
        "array": list,
        "object": dict,
        "null": type(None),
    }
    checked = 0
    for known, default in schema_defaults(json.loads(json_schema())):
        types = known.get("type")
        if isinstance(types, str):
            assert type(default) is names[types], known
        if "pattern" in known:
            assert re.search(known["pattern"], default), known
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("text", ["5s", "1h30m", "1.5h", "0"])
def test_the_schemas_duration_pattern_accepts_what_the_parser_accepts(text: str) -> None:
    pattern = json.loads(json_schema())["$defs"]["Server"]["properties"]["idle_timeout"]["pattern"]
    assert re.search(pattern, text)
    assert parse_duration(text) >= 0


@pytest.mark.parametrize("text", ["64KiB", "1.5GiB", "10MB", "512B", "0"])
def test_the_schemas_size_pattern_accepts_what_the_parser_accepts(text: str) -> None:
    pattern = json.loads(json_schema())["$defs"]["Cache"]["properties"]["memory"]["pattern"]
    assert re.search(pattern, text)
    assert parse_size(text) >= 0


def test_printed_defaults_load_back_as_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(render_yaml(Config()))
    config = load(path, env={}, overrides=[]).config
    assert config.model_dump(mode="json", exclude={"cache": {"dir"}, "outbox": {"dir"}}) == Config().model_dump(
        mode="json", exclude={"cache": {"dir"}, "outbox": {"dir"}}
    )


def test_the_effective_configuration_loads_back_and_hides_the_token(tmp_path: Path) -> None:
    loaded = load(SHIPPED, env={"CACHEWIRE__ADMIN__TOKEN": "hunter2"}, overrides=["cache.expiry={image/*: 3d}"])
    text = render_yaml(loaded.config, loaded.sources)
    assert "hunter2" not in text
    assert "********" in text
    assert re.search(r"listen: 127\.0\.0\.1:8080 +# .*config\.yaml:\d+\n", text)
    path = tmp_path / "config.yaml"
    path.write_text(text)
    again = load(path, env={"CACHEWIRE__ADMIN__TOKEN": "hunter2"}, overrides=[])
    assert again.config == loaded.config
