"""Every test of what a standard rules begins its docstring with the section that rules it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CITATION = r"(RFC \d{4,5}|draft-ietf-[a-z-]+) section \d+(\.\d+)*"
FORM = re.compile(rf"{CITATION}(, {CITATION})*(\.|: .+)")

OWN: dict[str, tuple[str, ...]] = {
    "http/test_interim.py": (),
    "http/test_methods.py": ("TestNoVarySearch.*_restart",),
    "http/test_partial.py": ("*_purge_*",),
    "policy/test_cache_status.py": (),
    "policy/test_dates.py": ("*_without_a_reference_*", "*_clamped"),
    "policy/test_directives.py": ("*_in_failures", "*_linear_time"),
    "policy/test_forwarding.py": ("*_x_forwarded_for", "*_underscores_*", "*_trusted_proxys_scheme_*"),
    "policy/test_framing.py": (),
    "policy/test_freshness.py": ("TestAssignedLifetime.*", "*assigned*", "*_route*", "*_purge_*", "*_switched_off"),
    "policy/test_groups.py": (),
    "policy/test_invalidation.py": (),
    "policy/test_matching.py": (
        "*_route_*", "*_semicolon_*", "*_query_mode_*", "*_header*", "*_cookie*", "*_partition*", "*_linear_time",
    ),
    "policy/test_methods.py": (),
    "policy/test_negotiation.py": (),
    "policy/test_no_vary_search.py": ("*_a_key_says_*", "*_route_*", "*_imitate_*"),
    "policy/test_parts.py": (),
    "policy/test_ranges.py": (),
    "policy/test_reuse.py": (
        "*_purge*", "*_routes_max_age_*", "*_declares_fresh", "*_strategy_*", "*_network_first_*",
        "TestCredentials.*_copy*", "*_public_asset_*",
    ),
    "policy/test_storing.py": (
        "*_error_page_*", "*_its_statuses_*", "*_required_field_*", "*_partition*", "*_are_credentials",
        "*_public_asset_*",
    ),
    "policy/test_structured.py": (),
    "policy/test_targeted.py": (),
    "policy/test_validation.py": ("*_routes_rules_*", "*_cookie_in_a_304_*", "*_unquoted_tag_*", "*_linear_time"),
}  # fmt: skip
"""The files about standards, each with those of its tests that no standard rules: what is the product's own."""


def documented(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The name of each test, behind that of its class, with its docstring."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from documented(node.body, f"{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield prefix + node.name, ast.get_docstring(node) or ""


@pytest.mark.parametrize("file", OWN)
def test_every_test_of_a_standards_rule_names_its_section(file: str) -> None:
    tests = list(documented(ast.parse((TESTS / file).read_text(encoding="utf-8")).body))
    without = {name for name, docstring in tests if FORM.match(docstring) is None}

    assert tests
    assert {name for name in without if not any(fnmatchcase(name, own) for own in OWN[file])} == set()
    assert [own for own in OWN[file] if not any(fnmatchcase(name, own) for name in without)] == []


@pytest.mark.parametrize("file", sorted(each.relative_to(TESTS).as_posix() for each in TESTS.glob("*/test_*.py")))
def test_a_section_is_always_named_in_the_same_form(file: str) -> None:
    for name, docstring in documented(ast.parse((TESTS / file).read_text(encoding="utf-8")).body):
        if docstring.startswith(("RFC", "draft-", "Section", "section")):
            assert FORM.match(docstring), f"{name}: {docstring}"
