"""From file, environment and command line to one configuration that knows where each value came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Loaded, load
from proxy.config.source import Setting
from proxy.config.units import Address
from proxy.errors import ConfigurationError


def written(directory: Path, text: str) -> Path:
    path = directory / "config.yaml"
    path.write_text(text)
    return path


def defaults(**environment: str) -> Loaded:
    return load(None, env=environment, overrides=[])


def test_without_a_file_every_setting_has_its_default() -> None:
    loaded = defaults()
    assert loaded.config.server.listen == Address("127.0.0.1", 8080)
    assert set(loaded.sources.values()) == {"default"}


def test_a_value_of_the_file_names_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, "cache:\n  memory: 1MiB\nroutes:\n  - match: /a/**\n    strategy: cache-first\n")
    loaded = load(path, env={}, overrides=[])
    assert loaded.config.cache.memory == 2**20
    assert loaded.sources["cache.memory"] == f"{path}:2"
    assert loaded.sources["routes.0.match.path"] == f"{path}:4"
    assert loaded.sources["routes.0.match.regex"] == "default"
    assert loaded.sources["routes.0.strategy"] == f"{path}:5"
    assert loaded.sources["routes.0.name"] == "default"
    assert loaded.sources["cache.disk"] == "default"


def test_the_environment_overrides_the_file_and_the_command_line_overrides_both(tmp_path: Path) -> None:
    path = written(tmp_path, "cache: {memory: 1MiB, disk: 1GiB, max_object: 1MiB}\n")
    env = {"CACHEWIRE__CACHE__DISK": "2GiB", "CACHEWIRE__CACHE__MAX_OBJECT": "2MiB", "CACHEWIRE": "not ours"}
    loaded = load(path, env=env, overrides=["cache.max_object=3MiB"])
    assert (loaded.config.cache.memory, loaded.config.cache.disk) == (2**20, 2**31)
    assert loaded.config.cache.max_object == 3 * 2**20
    assert loaded.sources["cache.disk"] == "environment CACHEWIRE__CACHE__DISK"
    assert loaded.sources["cache.max_object"] == "--set"


def test_a_path_that_was_left_out_is_a_default_although_its_section_is_there(tmp_path: Path) -> None:
    path = written(tmp_path, "cache: {memory: 1MiB}\nrealtime: {enabled: true}\n")
    sources = load(path, env={}).sources
    assert (sources["cache.dir"], sources["realtime.recovery.dir"]) == ("default", "default")


def test_an_option_of_its_own_name_is_the_source_of_its_value() -> None:
    loaded = load(None, env={}, overrides=[Setting("origin.url", "http://127.0.0.1:9", "--origin")])
    assert loaded.config.origin.url == "http://127.0.0.1:9"
    assert loaded.sources["origin.url"] == "--origin"


def test_a_route_is_overridden_by_its_index_and_the_next_index_appends_one(tmp_path: Path) -> None:
    path = written(tmp_path, "routes:\n  - {name: api, match: /api/**, strategy: network-first}\n")
    overrides = ["routes.0.strategy=cache-first", "routes.1={match: /x, strategy: cache-only}"]
    config = load(path, env={}, overrides=overrides).config
    assert [(route.name, route.strategy) for route in config.routes] == [("api", "cache-first"), ("/x", "cache-only")]


def test_a_token_of_digits_from_the_environment_is_a_token() -> None:
    assert defaults(CACHEWIRE__ADMIN__TOKEN="0123456789").config.admin.token == "0123456789"


def test_an_empty_variable_sets_null() -> None:
    assert defaults(CACHEWIRE__ADMIN__TOKEN="").config.admin.token is None


@pytest.mark.parametrize(("text", "value"), [("off", False), ("false", False), ("on", True), ("yes", True)])
def test_the_usual_words_for_a_boolean_are_understood_from_outside(text: str, value: bool) -> None:
    assert defaults(CACHEWIRE__ORIGIN__PRESERVE_HOST=text).config.origin.preserve_host is value


def test_a_relative_directory_is_taken_from_the_file_it_is_configured_in(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ca.pem").touch()
    path = written(tmp_path / "etc", "cache: {dir: stored}\norigin: {tls_ca_file: ca.pem}\n")
    config = load(path, env={}, overrides=[]).config
    assert config.cache.dir == tmp_path / "etc" / "stored"
    assert config.origin.tls_ca_file == tmp_path / "etc" / "ca.pem"


def test_without_a_file_a_relative_directory_is_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert defaults().config.cache.dir == tmp_path / ".cachewire" / "cache"


def test_an_absolute_directory_stays_where_it_is(tmp_path: Path) -> None:
    path = written(tmp_path, "cache: {dir: /var/cache/edge}\n")
    assert load(path, env={}, overrides=[]).config.cache.dir == Path("/var/cache/edge")


def test_a_section_whose_keys_are_all_commented_out_has_its_defaults(tmp_path: Path) -> None:
    path = written(tmp_path, "server:\n  # listen: 127.0.0.1:80\nlog:\n")
    assert load(path, env={}, overrides=[]).config.server.listen.port == 8080


@pytest.mark.parametrize(
    ("override", "report"),
    [
        ("routes.7.strategy=cache-only", r"--set routes\.7\.strategy: routes: has no entry '7'"),
        ("routes.first.strategy=cache-only", r"--set routes\.first\.strategy: routes: a section of keys is not a list"),
        ("routes.-1.strategy=cache-only", "routes: a section of keys is not a list"),
        ("origin.url.port=1", r"origin\.url: is not a section"),
        ("origin..url=1", "is not a key"),
        ("cache.memory=[1", "is not a YAML list, mapping or quoted text"),
        ("cache.memry=1MiB", r"cache\.memry: unknown key\n.*\n.*\n +Did you mean `memory`\?"),
    ],
)
def test_an_override_that_leads_nowhere_is_refused(tmp_path: Path, override: str, report: str) -> None:
    path = written(tmp_path, "origin: {url: 'http://127.0.0.1:3000'}\n")
    with pytest.raises(ConfigurationError, match=report):
        load(path, env={}, overrides=[override])


def test_the_token_does_not_show_when_a_configuration_is_printed_by_accident() -> None:
    loaded = defaults(CACHEWIRE__ADMIN__TOKEN="hunter2hunter2")
    assert "hunter2" not in repr(loaded)


def test_a_certificate_file_that_is_not_there_is_noticed_before_anything_starts(tmp_path: Path) -> None:
    path = written(tmp_path, "origin: {tls_ca_file: missing.pem}\n")
    with pytest.raises(ConfigurationError, match=r"origin\.tls_ca_file: .*missing\.pem is not a file"):
        load(path, env={}, overrides=[])
