"""Cache groups (RFC 9875)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.groups import group_tags, groups, invalidated_groups
from proxy.policy.messages import Fields, Request

POST = Request("POST", "/", "example.org")


def belonging(*values: str) -> Fields:
    return Fields(("Cache-Groups", value) for value in values)


def invalidating(*values: str) -> Fields:
    return Fields(("Cache-Group-Invalidation", value) for value in values)


def test_a_response_belongs_to_the_strings_it_lists_section_2() -> None:
    """RFC 9875 section 2."""
    assert groups(belonging('"ExampleJS";revalidate, "scripts"', '"scripts", ""')) == ("ExampleJS", "scripts", "")


def test_a_response_without_the_field_belongs_to_none() -> None:
    """RFC 9875 section 2."""
    assert groups(Fields()) == ()


@pytest.mark.parametrize("value", ["", "scripts", '"a", b', '"a"; "b"', "1", '("a" "b")', '"a'])
def test_a_field_that_is_no_list_of_strings_names_no_group(value: str) -> None:
    """RFC 9875 section 2, RFC 9651 section 4.2."""
    assert groups(belonging(value)) == ()
    assert invalidated_groups(POST, invalidating(value)) == ()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_the_success_of_an_unsafe_method_invalidates_the_groups_it_names_section_3(method: str) -> None:
    """RFC 9875 section 3."""
    asked = Request(method, "/", "example.org")

    assert invalidated_groups(asked, invalidating('"a", "b"')) == ("a", "b")
    assert invalidated_groups(asked, invalidating('"a"'), status=303) == ("a",)
    assert invalidated_groups(asked, invalidating('"a"'), status=500) == ()
    assert invalidated_groups(asked, Fields()) == ()


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "QUERY"])
def test_on_the_response_to_a_safe_method_the_field_is_ignored_section_3(method: str) -> None:
    """RFC 9875 section 3."""
    assert invalidated_groups(Request(method, "/", "example.org"), invalidating('"a"')) == ()


def test_a_group_is_of_one_origin_section_2_1() -> None:
    """RFC 9875 section 2.1."""
    origins = [
        Request("GET", "/x", "example.org"),
        Request("GET", "/", "example.org:8080"),
        Request("GET", "/", "example.com"),
        Request("GET", "/", "example.org", scheme="https"),
    ]
    same = Request("POST", "/other?q", "EXAMPLE.org:80")

    assert len({group_tags(origin, ["a"]) for origin in origins}) == 4
    assert group_tags(same, ["a", "B"]) == group_tags(origins[0], ["a", "B"])
    assert group_tags(same, ["a"]) != group_tags(same, ["A"])


@given(st.text(max_size=9), st.text(max_size=9))
def test_different_names_never_share_a_tag(one: str, other: str) -> None:
    """RFC 9875 section 2.1."""
    assert (group_tags(POST, [one]) == group_tags(POST, [other])) == (one == other)
