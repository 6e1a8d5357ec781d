"""Figures in words, at and around each threshold."""

from __future__ import annotations

import pytest

from proxy.operations import grades


@pytest.mark.parametrize(
    ("seconds", "word"),
    [(None, None), (0.0, "excellent"), (0.0999, "excellent"), (0.1, "good"), (0.5, "good"), (0.501, "poor")],
)
def test_times(seconds: float | None, word: str | None) -> None:
    assert grades.of_time(seconds) == word


@pytest.mark.parametrize(
    ("share", "word"),
    [(None, None), (0.0, "good"), (0.0099, "good"), (0.01, "elevated"), (0.05, "elevated"), (0.051, "poor")],
)
def test_errors(share: float | None, word: str | None) -> None:
    assert grades.of_errors(share) == word


@pytest.mark.parametrize(("rate", "word"), [(None, None), (0.0, "quiet"), (0.1, "quiet"), (0.11, "active")])
def test_messages(rate: float | None, word: str | None) -> None:
    assert grades.of_messages(rate) == word


@pytest.mark.parametrize(("share", "word"), [(None, None), (0.8, "good"), (0.81, "high")])
def test_memory(share: float | None, word: str | None) -> None:
    assert grades.of_memory(share) == word
