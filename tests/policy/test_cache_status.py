"""Cache-Status as RFC 9211 writes it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.cache_status import cache_status


@pytest.mark.parametrize(
    ("said", "member"),
    [
        ({}, "cachewire"),
        ({"hit": True}, "cachewire; hit"),
        ({"hit": True, "ttl": 376}, "cachewire; hit; ttl=376"),
        ({"hit": True, "ttl": -412}, "cachewire; hit; ttl=-412"),
        ({"hit": True, "ttl": 0}, "cachewire; hit; ttl=0"),
        ({"fwd": "uri-miss", "stored": True}, "cachewire; fwd=uri-miss; stored"),
        ({"fwd": "uri-miss", "collapsed": True}, "cachewire; fwd=uri-miss; collapsed"),
        ({"fwd": "stale", "fwd_status": 304}, "cachewire; fwd=stale; fwd-status=304"),
        ({"key": "GET http://a/"}, 'cachewire; key="GET http://a/"'),
        ({"detail": 'say "\\" é\n'}, 'cachewire; detail="say \\"\\\\\\" %C3%A9%0A"'),
        ({"detail": "\udcff"}, 'cachewire; detail="%ED%B3%BF"'),
        ({"hit": True, "ttl": 10**20}, "cachewire; hit; ttl=999999999999999"),
    ],
)
def test_a_member_says_what_the_cache_did(said: dict[str, Any], member: str) -> None:
    """RFC 9211 section 2."""
    assert cache_status(**said) == member


def test_caches_nearer_the_origin_come_first() -> None:
    """RFC 9211 section 2."""
    assert cache_status(hit=True, existing="app; fwd=miss") == "app; fwd=miss, cachewire; hit"
    assert cache_status(hit=True, existing="") == "cachewire; hit"


def test_everything_at_once_is_in_the_order_of_the_rfc() -> None:
    """RFC 9211 section 2."""
    assert (
        cache_status(fwd="miss", fwd_status=200, ttl=1, stored=True, collapsed=True, key="k", detail="d")
        == 'cachewire; fwd=miss; fwd-status=200; ttl=1; stored; collapsed; key="k"; detail="d"'
    )


@pytest.mark.parametrize("said", [{"hit": True, "fwd": "miss"}, {"fwd": "a b"}, {"fwd": ""}, {"fwd": "a\r\nb"}])
def test_a_contradiction_or_a_reason_that_is_no_token_is_a_mistake_of_the_caller(said: dict[str, Any]) -> None:
    """RFC 9211 section 2."""
    with pytest.raises(ValueError, match="give a token such as uri-miss"):
        cache_status(**said)


@given(st.text())
def test_any_text_becomes_one_string_that_reads_back(text: str) -> None:
    """RFC 9211 section 2.8, RFC 9651 section 3.3.3."""
    value = cache_status(detail=text)
    quoted = re.fullmatch(r'cachewire; detail="((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"', value)

    assert quoted is not None
    read = re.sub(r"\\(.)", r"\1", quoted[1])
    assert read == "".join(
        char if " " <= char <= "~" else "".join(f"%{byte:02X}" for byte in char.encode("utf-8", "surrogatepass"))
        for char in text
    )
