from __future__ import annotations

import pytest

from realtime.cross_site import may_connect


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "shop.example"),
        ("https://shop.example", "shop.example"),
        ("http://shop.example", "shop.example"),
        ("https://shop.example:443", "shop.example"),
        ("https://shop.example", "shop.example:443"),
        ("http://Shop.Example:3000", "shop.example:3000"),
        ("http://[::1]:3000", "[::1]:3000"),
    ],
)
def test_a_page_of_the_same_host_and_a_client_that_is_no_page_may_connect(origin: str | None, host: str) -> None:
    assert may_connect(origin, host, ())


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://evil-shop.example",
        "https://shop.example:8443",
        "http://shop.example:443",
        "https://user@shop.example",
        "file://shop.example",
        "https://",
        "shop.example",
        "null",
        "",
    ],
)
def test_any_other_page_may_not(origin: str) -> None:
    assert not may_connect(origin, "shop.example", ())
    assert not may_connect(origin, "", ())


def test_an_allowed_origin_is_compared_as_a_whole_whatever_its_case_and_default_port() -> None:
    allowed = ("https://App.example/", "http://localhost:5173")
    assert may_connect("https://app.example:443", "api.example", allowed)
    assert may_connect("http://localhost:5173", "api.example", allowed)
    assert not may_connect("http://app.example", "api.example", allowed)
    assert not may_connect("http://localhost:51730", "api.example", allowed)
    assert not may_connect("null", "api.example", allowed)


def test_a_star_lets_every_page_in() -> None:
    assert may_connect("https://evil.example", "shop.example", ("*",))
    assert may_connect("null", "shop.example", ("*",))
