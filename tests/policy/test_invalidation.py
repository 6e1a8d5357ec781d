"""What an unsafe request makes invalid (RFC 9111 section 4.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.invalidation import invalidated_urls, invalidates
from proxy.policy.matching import KeyRules
from proxy.policy.messages import Fields, Request

POST = Request("POST", "/a/b/c?q=1", "Example.org:80")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW", "get"])
@pytest.mark.parametrize("status", [200, 204, 303, 399])
def test_an_unsafe_or_unknown_method_invalidates_when_it_did_not_fail(method: str, status: int) -> None:
    """RFC 9111 section 4.4."""
    assert invalidates(method, status)


@pytest.mark.parametrize("status", [100, 199, 400, 404, 500, 503])
def test_an_error_invalidates_nothing(status: int) -> None:
    """RFC 9111 section 4.4."""
    assert not invalidates("POST", status)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "QUERY"])
def test_a_safe_method_invalidates_nothing(method: str) -> None:
    """RFC 9110 section 9.2.1, RFC 9111 section 4.4."""
    assert not invalidates(method, 200)


def test_the_target_becomes_invalid_in_its_normal_form() -> None:
    """RFC 9111 section 4.4, RFC 3986 section 6.2."""
    assert invalidated_urls(POST, Fields()) == ("http://example.org/a/b/c?q=1",)


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("http://example.org/x", "http://example.org/x"),
        ("HTTP://EXAMPLE.ORG:80/%7ex#part", "http://example.org/~x"),
        ("http://example.org", "http://example.org/"),
        ("http://example.org?y", "http://example.org/?y"),
        ("//example.org/x", "http://example.org/x"),
        ("/x?y#z", "http://example.org/x?y"),
        ("x", "http://example.org/a/b/x"),
        ("../x", "http://example.org/a/x"),
        ("../../../x", "http://example.org/x"),
        ("./", "http://example.org/a/b/"),
        ("?z", "http://example.org/a/b/c?z"),
        ("?", "http://example.org/a/b/c?"),
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_a_reference_of_the_same_origin_is_resolved_and_becomes_invalid_too(
    name: str, reference: str, url: str
) -> None:
    """RFC 9111 section 4.4, RFC 3986 section 5.2.2."""
    assert invalidated_urls(POST, Fields([(name, reference)])) == ("http://example.org/a/b/c?q=1", url)


@pytest.mark.parametrize(
    "reference",
    [
        "http://other.org/x",
        "http://example.org:81/x",
        "https://example.org/x",
        "//other.org/x",
        "http://u@example.org/x",
        "http:x",
        "mailto:a@example.org",
        "/a b",
        "/a\nb",
        "",
        "#part",
    ],
)
def test_another_origin_or_no_reference_at_all_invalidates_nothing_else(reference: str) -> None:
    """RFC 9111 section 4.4."""
    assert invalidated_urls(POST, Fields([("Location", reference)])) == ("http://example.org/a/b/c?q=1",)


def test_each_url_is_named_once() -> None:
    """RFC 9111 section 4.4."""
    fields = Fields([("Location", "/x"), ("Content-Location", "/./x"), ("Location", "/y")])

    assert invalidated_urls(POST, fields) == (
        "http://example.org/a/b/c?q=1",
        "http://example.org/x",
        "http://example.org/y",
    )


def test_parameters_that_no_key_holds_do_not_hide_what_became_invalid() -> None:
    """RFC 9111 section 4.4."""
    rules = KeyRules("except", ("utm_*",))
    post = Request("POST", "/a?utm_source=x&q=1", "example.org")

    assert invalidated_urls(post, Fields([("Location", "/b?utm_source=x")]), rules) == (
        "http://example.org/a?q=1",
        "http://example.org/b",
    )


def test_a_target_without_a_path_has_no_relatives_of_its_own() -> None:
    """RFC 9111 section 4.4."""
    assert invalidated_urls(Request("BREW", "*", "a"), Fields([("Location", "x")])) == ("http://a*", "http://a/x")


@given(st.text(max_size=30))
def test_no_location_leaves_the_origin_or_crashes(reference: str) -> None:
    """RFC 9111 section 4.4."""
    urls = invalidated_urls(POST, Fields([("Location", reference)]))

    assert all(url.startswith("http://example.org/") for url in urls)
