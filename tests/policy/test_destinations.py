"""What a browser wants a response for."""

from __future__ import annotations

import pytest

from proxy.policy.destinations import destination, destination_of_path
from proxy.policy.messages import Fields, Request


def of(target: str = "/x", **fields: str) -> str | None:
    lines = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return destination(Request("GET", target, "app.example", Fields(lines)))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("document", "html"),
        ("iframe", "html"),
        ("image", "image"),
        ("style", "style"),
        ("script", "script"),
        ("serviceworker", "script"),
        ("font", "font"),
        ("video", "media"),
        ("empty", "data"),
        ("Document", "html"),
    ],
)
def test_sec_fetch_dest_is_believed_first(said: str, expected: str) -> None:
    assert of("/logo.png", Sec_Fetch_Dest=said, Accept="text/css") == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "html"),
        ("image/avif,image/webp,image/apng,image/svg+xml,*/*;q=0.8", "image"),
        ("text/css,*/*;q=0.1", "style"),
        ("application/json, text/plain, */*", "data"),
        ("application/vnd.api+json", "data"),
        ("video/webm;q=0.9", "media"),
        ("*/*, text/html", "html"),
    ],
)
def test_else_what_accept_names_first(accept: str, expected: str) -> None:
    """RFC 9110 section 12.5.1."""
    assert of("/thing", Accept=accept) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [("/app.js", "script"), ("/inter.woff2?v=1", "font"), ("/a.JPG", "image"), ("/a.json", "data"), ("/a", None)],
)
def test_else_the_extension(target: str, expected: str | None) -> None:
    assert of(target, Accept="*/*") == expected
    assert of(target, Sec_Fetch_Dest="unheard-of") == expected


def test_a_paths_own_extension_names_its_destination() -> None:
    assert [destination_of_path(path) for path in ("/offline.html", "/offline.svg", "/offline")] == [
        "html",
        "image",
        None,
    ]
