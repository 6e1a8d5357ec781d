"""The limit of open files follows the connections that the configuration allows."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from proxy.descriptors import provide


@pytest.fixture(autouse=True)
def _modest() -> Iterator[None]:
    """A process that may open 700 files, and would be allowed more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (700, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_that_is_too_low_is_raised_to_what_is_wanted() -> None:
    assert provide(900) == 900
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 900


def test_a_limit_that_suffices_is_left_alone() -> None:
    assert provide(600) == 600
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 700


def test_what_the_system_does_not_grant_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (700, 800))
    monkeypatch.setattr(resource, "setrlimit", lambda _what, limits: given.append(limits))
    assert provide(900) == 800
    assert given == [(800, 800)]
    monkeypatch.undo()
