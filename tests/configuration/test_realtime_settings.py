"""The realtime part of the configuration: what cannot work is said before anything is started."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from proxy.config import load
from proxy.config.checks import realtime_notes
from proxy.errors import ConfigurationError

LONG = "realtime.jwt.secret=0123456789abcdef0123456789abcdef"


def complaint(*overrides: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load(None, env={}, overrides=overrides)
    return str(refused.value)


@pytest.fixture
def with_jwt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())


def test_without_the_extra_tokens_are_an_error_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert "pip install 'cachewire[jwt]'" in complaint("realtime.auth=jwt", LONG)


@pytest.mark.usefixtures("with_jwt")
@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "realtime.jwt.secret: is not set"),
        ([LONG, "realtime.jwt.algorithms=[HS256, RS256]"], "mixes algorithms"),
        (["realtime.jwt.algorithms=[RS256]"], "realtime.jwt.public_key_file: is not a file"),
        (["realtime.jwt.algorithms=[none]"], "'none' is not one of the values"),
        (["realtime.jwt.secret=short"], "at least 16 characters"),
    ],
)
def test_tokens_that_could_not_be_verified_are_an_error(overrides: list[str], said: str) -> None:
    assert said in complaint("realtime.auth=jwt", *overrides)


@pytest.mark.usefixtures("with_jwt")
def test_what_only_tokens_need_is_not_asked_for_when_there_are_none() -> None:
    load(None, env={}, overrides=["realtime.jwt.algorithms=[RS256]"])
    load(None, env={}, overrides=["realtime.auth=jwt", "realtime.enabled=false"])


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("realtime.path=socket.io", "Write it as in /socket.io/"),
        ("realtime.path=/", "Write it as in /socket.io/"),
        ("realtime.allowed_origins=[example.org]", "Write scheme and host"),
        ("realtime.allowed_origins=['https://*.example.org']", "Write scheme and host"),
        ("realtime.channels=[{match: 'conversation:*'}]", "is not the name of channels"),
        ("realtime.origin.persist=http://elsewhere/x", "is not a path of the application"),
        ("realtime.redis=redis://localhost", "not available in this version"),
        ("realtime.batch.mode=clever", "The values are adaptive, fixed"),
        ("realtime.ping_interval=25", "Write 25s"),
    ],
)
def test_a_wrong_value_is_explained(override: str, said: str) -> None:
    assert said in complaint(override)


def test_the_paths_end_is_added_and_files_are_found_beside_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("realtime: {path: /live, recovery: {dir: kept}, jwt: {public_key_file: key.pem}}\n")
    realtime = load(file, env={}).config.realtime
    assert realtime.path == "/live/"
    assert realtime.recovery.dir == tmp_path / "kept"
    assert realtime.jwt.public_key_file == tmp_path / "key.pem"


@pytest.mark.parametrize(
    ("overrides", "notes"),
    [
        ([], ["nobody can authenticate"]),
        (["realtime.origin.session=/me"], []),
        (["realtime.enabled=false"], []),
        (["realtime.auth=trusted", "realtime.allowed_origins=['*']"], ["believed", "any web page"]),
    ],
)
def test_what_works_but_is_hardly_meant_is_noted(overrides: list[str], notes: list[str]) -> None:
    given = realtime_notes(load(None, env={}, overrides=overrides).config.realtime)
    assert len(given) == len(notes)
    assert all(word in note for word, note in zip(notes, given, strict=True))
