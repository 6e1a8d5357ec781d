"""Every reason that the edge can give has a sentence. The reasons are read off the code that gives them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import proxy
from proxy.operations.reasons import REASONS, sentence
from realtime.admission import Refused
from realtime.engineio import Refusal

ROOT = Path(proxy.__file__).parent
SLUG = re.compile(r"[a-z][a-z0-9.]*(-[a-z0-9.]+)*")

CALLS = {
    "Reuse": 2, "Permission": 1, "Storing": 1, "Unshared": 1, "_stored_answer": 2, "_passing": 2, "RequestRefused": 1,
    "_refuse": 1, "_refuse_at_once": 1, "refused": 2,
}  # fmt: skip
"""Whoever is called with a reason, and at which place it stands."""

DECIDING = ("policy/reuse.py", "policy/storing.py", "policy/freshness.py", "lookup.py")
"""Files whose functions answer with a reason or None."""

ELSEWHERE = {
    # what ends the start, and what costs a hit
    "cache-directory-in-use", "damaged-record",
}  # fmt: skip


def _answers_the_public(path: Path) -> bool:
    """Not so the command line, and what answers on the admin listener, which is no exchange of the edge's."""
    rooms = path.relative_to(ROOT).parts[:-1]
    if {"commands", "config", "dashboard", "tuning"} & set(rooms):
        return False
    return path.stem not in ("admin", "alerting", "realtime_core") and not path.stem.endswith("_api")


def _texts(node: ast.AST | None) -> Iterator[str]:
    """The words that an expression may have as its value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from (*_texts(node.body), *_texts(node.orelse))
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts(value)
    elif isinstance(node, ast.Tuple):
        for value in node.elts:
            yield from _texts(value)
    elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "next":
        for inner in ast.walk(node.args[0]):
            if isinstance(inner, ast.comprehension):
                yield from _texts(inner.iter)


def _given(path: Path) -> Iterator[str]:
    """The reasons that one file gives."""
    tree = ast.parse(path.read_text())
    deciding = path.relative_to(ROOT).as_posix() in DECIDING
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            at = CALLS.get(name)
            if at is not None and len(node.args) > at:
                yield from _texts(node.args[at])
            for keyword in node.keywords:
                if keyword.arg == "why" or (keyword.arg == "reason" and name in ("Outcome", *CALLS)):
                    yield from _texts(keyword.value)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {getattr(leaf, "attr", getattr(leaf, "id", "")) for each in targets for leaf in ast.walk(each)}
            if names & {"reason", "why", "fwd"} and path.name not in ("precache.py", "outbox.py", "partial.py"):
                yield from _texts(node.value)
        elif isinstance(node, ast.FunctionDef) and node.returns is not None:
            answers = ("str | None", "str") if deciding else ("tuple[int, str]",)
            if ast.unparse(node.returns) in answers:
                for inner in ast.walk(node):
                    if isinstance(inner, ast.Return):
                        yield from _texts(inner.value)
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.Assign) and getattr(inner.targets[0], "id", "") == "reason":
                    yield from _texts(inner.value)


OF_THE_REALTIME_CORE = {
    f"realtime-{why}" for why in (*get_args(Refused), *(refusal.name.lower() for refusal in Refusal))
}

REASONS_IN_CODE = sorted(
    {text for path in ROOT.rglob("*.py") if _answers_the_public(path) for text in _given(path) if SLUG.fullmatch(text)}
    - ELSEWHERE
    | OF_THE_REALTIME_CORE
)


def test_the_reasons_are_found_where_they_are_given() -> None:
    """Should the code change its ways, this search must not fall silent."""
    known = {
        "uri-miss",
        "set-cookie",
        "must-revalidate",
        "origin-timeout",
        "bad-host",
        "head-timeout",
        "validated",
        "queued",
    }
    assert known <= set(REASONS_IN_CODE)
    assert len(REASONS_IN_CODE) > 90


@pytest.mark.parametrize("reason", REASONS_IN_CODE)
def test_every_reason_has_a_sentence(reason: str) -> None:
    said = sentence("miss", reason)
    assert said != reason, f"add {reason!r} to proxy/operations/reasons.py"
    assert said[0].isupper()
    assert said.endswith(".")


def test_no_sentence_is_about_a_reason_that_nobody_gives() -> None:
    assert set(REASONS) - set(REASONS_IN_CODE) == set()


def test_a_failing_origin_reads_differently_where_something_stood_in() -> None:
    assert sentence("stale", "origin-timeout").endswith("What was stored stood in for it.")
    assert sentence("error", "origin-timeout").endswith("Nothing stored could stand in for it.")
    assert sentence("stale", "origin-status-503").startswith("The origin answered 503.")
    assert "fallback page" in sentence("error", "fallback: origin-unreachable")


def test_what_is_not_known_is_shown_as_it_is() -> None:
    assert sentence("miss", "x-new") == "x-new"
    assert sentence("miss", "") == ""
