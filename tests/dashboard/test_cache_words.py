"""For whom a response is stored and how long it is fresh, in words; and what is hidden."""

from __future__ import annotations

import pytest

from proxy.dashboard.lifetimes import in_words, use
from proxy.dashboard.selection import selected
from proxy.masking import masked_field
from proxy.policy.messages import Fields, Rules, StoredResponse
from tests.dashboard.shelf import NOW, stored


def head(*lines: tuple[str, str], stale_since: float | None = None) -> StoredResponse:
    return StoredResponse(
        key="GET http://a.example/",
        vary=(),
        method="GET",
        url="http://a.example/",
        status=200,
        reason="OK",
        fields=Fields(lines),
        request_time=NOW - 60,
        response_time=NOW - 60,
        length=1,
        checksum=0,
        stale_since=stale_since,
    )


@pytest.mark.parametrize(
    ("line", "rules", "words"),
    [
        (("Cache-Control", "max-age=300"), Rules(), "5 min: the application says so (max-age)."),
        (("Cache-Control", "s-maxage=300"), Rules(), "5 min: the application says so for shared caches (s-maxage)."),
        (("Vary", "Accept"), Rules(max_age=86400.0, assign_lifetime=True), "1 d: expiration.max_age of its route"),
        (("Cache-Control", "max-age=600"), Rules(max_age=300.0), "its route keeps nothing longer than 5 min."),
        (("Vary", "Accept"), Rules(), "Nothing gives it a lifetime"),
        (("Cache-Control", "max-age=300"), None, "Its route is not configured"),
    ],
)
def test_a_lifetime_says_who_gave_it(line: tuple[str, str], rules: Rules | None, words: str) -> None:
    assert words in in_words(head(line), rules, NOW)


def test_a_purge_that_shortened_it_is_named() -> None:
    stored = head(("Cache-Control", "max-age=300"), stale_since=NOW - 30)
    assert in_words(stored, Rules(), NOW).endswith("A purge marked it stale 30 s ago.")


@pytest.mark.parametrize(
    ("lines", "fresh", "words"),
    [
        ([], True, "the origin is not asked"),
        ([("ETag", '"1"')], False, "asked whether it has changed"),
        ([], False, "asked for it anew"),
        ([("Cache-Control", "no-cache")], False, "confirmed before every use (no-cache)"),
        ([("Cache-Control", "must-revalidate")], False, "this may not stand in (must-revalidate)"),
    ],
)
def test_the_next_use_is_told(lines: list[tuple[str, str]], fresh: bool, words: str) -> None:
    assert words in use(head(*lines), fresh)


@pytest.mark.parametrize(
    "name", ["Set-Cookie", "cookie", "Authorization", "X-Auth-Token", "X-CSRF-Token", "x-api-key", "Client-Secret"]
)
def test_a_field_that_identifies_or_opens_something_is_hidden(name: str) -> None:
    assert masked_field(name, "geheim") == "********"


def test_other_fields_are_shown_and_secrets_in_their_urls_are_not() -> None:
    assert masked_field("ETag", '"1"') == '"1"'
    assert masked_field("Location", "/a?token=geheim&b=1") == "/a?token=********&b=1"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ()),
        ({"key": 'GET http://h/ partition="f00"'}, ("one user's own copy: nobody else gets it",)),
        ({"key": 'GET http://h/ headers={"accept-language":"de, en"}'}, ("accept-language: de, en",)),
        ({"key": 'GET http://h/ cookies={"theme":["dark"]}'}, ("cookie theme: ********",)),
        ({"key": "GET http://h/ headers={broken"}, ()),
        ({"vary": (("accept", None), ("cookie", "sha256:1"))}, ("without accept", "cookie: ********")),
        ({"key": "QUERY http://h/ content=1"}, ("the answer to QUERY",)),
        ({"key": "GET http://h/ parts", "vary": ((":part", "0-10/20"),)}, ("only its bytes 0 to 9 of 20",)),
    ],
)
def test_for_whom_it_is_gives_nobody_away(changes: dict[str, object], words: tuple[str, ...]) -> None:
    assert selected(stored("/", **{"key": "GET http://h/", **changes})) == words
