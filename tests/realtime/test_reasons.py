"""Every word that something is counted by is in its closed list. The words are read off the code that counts."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import realtime
from realtime.origin import OriginAway
from realtime.reasons import INVALID, REASONS, SESSION_ENDS
from realtime.stats import RealtimeStats

ROOT = Path(realtime.__file__).parent

CARRIERS_ONLY = {"session-taken", "upgrade-timeout"}
"""Why a WebSocket ends that carries no session."""

NAMED = {
    "Malformed": (0, "invalid"), "InvalidPacket": (0, "invalid"), "AuthenticationRefused": (0, "auth_refused"),
    "_end_with": (0, "sessions_closed"), "close": (0, "sessions_closed"), "_end": (0, "sessions_closed"),
    "flooded": (0, "rate_limited"), "allow": (1, "rate_limited"), "_drop": (1, "queue_drops"),
    "_break": (0, "invalid"),
}  # fmt: skip
"""Whoever is called with a word, at which place it stands, and what it is counted in."""


def _texts(node: ast.AST) -> Iterator[str]:
    """The words that an expression may have as its value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.JoinedStr) and ast.unparse(node).startswith("f'payload-"):
        yield from ("payload-invalid", "payload-too-large")


def _counted() -> Iterator[tuple[str, str]]:
    """Each word with what it is counted in."""
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name == "count" and len(node.args) == 2:
                mapping = getattr(node.args[0], "attr", "")
                yield from ((mapping, text) for text in _texts(node.args[1]))
            elif name in NAMED and len(node.args) > NAMED[name][0]:
                at, mapping = NAMED[name]
                yield from ((mapping, text) for text in _texts(node.args[at]))


COUNTED = sorted({(mapping, text) for mapping, text in _counted() if mapping in REASONS} - {
    ("sessions_closed", text) for text in CARRIERS_ONLY
})  # fmt: skip


def test_the_words_are_found_where_they_are_counted() -> None:
    """Should the code change its ways, this search must not fall silent."""
    known = {("invalid", "json"), ("sessions_closed", "ping-timeout"), ("auth_refused", "bad-token")}
    assert known | {("rate_limited", "user-messages"), ("queue_drops", "conflated")} <= set(COUNTED)
    assert len(COUNTED) > 50


@pytest.mark.parametrize(("mapping", "word"), COUNTED)
def test_what_is_counted_is_in_the_closed_list(mapping: str, word: str) -> None:
    assert word in REASONS[mapping]


@pytest.mark.parametrize("kind", [OriginAway, *OriginAway.__subclasses__()])
def test_why_nobody_could_be_asked_is_in_the_closed_list(kind: type[OriginAway]) -> None:
    assert kind.reason in REASONS["auth_refused"]


def test_every_mapping_of_the_counters_has_its_list() -> None:
    assert {each.name for each in fields(RealtimeStats) if str(each.type).startswith("dict")} == set(REASONS)


def test_no_list_has_a_word_twice() -> None:
    for words in (SESSION_ENDS, INVALID, *REASONS.values()):
        assert len(words) == len(set(words))
