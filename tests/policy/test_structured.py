"""Structured fields, read as a whole or not at all (RFC 9651)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.structured import dictionary, strings


def test_a_dictionary_maps_keys_to_values_without_their_parameters() -> None:
    """RFC 9651 section 3.2."""
    members = dictionary(['a=1;x=2, b, c="t";q, d=1.5', "e=(1 2);p"])

    assert members == {"a": 1, "b": True, "c": "t", "d": Decimal("1.5"), "e": (1, 2)}


def test_of_a_key_given_several_times_the_last_value_counts_rfc_9651_section_3_2() -> None:
    """RFC 9651 section 3.2."""
    assert dictionary(["a=1, b=2", "a=3"]) == {"a": 3, "b": 2}


def test_an_empty_field_is_an_empty_dictionary_and_an_empty_list() -> None:
    """RFC 9651 section 4.2."""
    assert dictionary([""]) == {}
    assert strings([""]) == ()


@pytest.mark.parametrize("value", ["A=1", "a=1,", "a==1", "a=1 b=2", "a=é", "a='1'", "=1", "a=1, ,b", "\xff", "Ā=1"])
def test_a_malformed_dictionary_is_none_rfc_9651_section_4_2(value: str) -> None:
    """RFC 9651 section 4.2."""
    assert dictionary([value]) is None


def test_a_list_of_strings_keeps_its_order_over_all_lines() -> None:
    """RFC 9651 section 3.1."""
    assert strings(['"b";x, "a"', '"b"']) == ("b", "a", "b")


@pytest.mark.parametrize("value", ["a", '"a", b', '("a")', "1", '"a" "b"', '"a', "'a'", '"é"'])
def test_a_list_with_anything_but_strings_is_none(value: str) -> None:
    """RFC 9875 section 2."""
    assert strings([value]) is None


@given(st.lists(st.text(max_size=20), max_size=3))
def test_any_text_is_read_without_an_error(lines: list[str]) -> None:
    """RFC 9651 section 4.2."""
    dictionary(lines)
    strings(lines)


@given(st.lists(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)), min_size=1))
def test_strings_that_are_written_properly_are_read_back(texts: list[str]) -> None:
    """RFC 9651 section 3.3.3."""
    written = ['"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' for text in texts]

    assert strings(written) == tuple(texts)
