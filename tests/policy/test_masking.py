"""What must not be read off a screen or out of a log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.masking import HIDDEN, masked

SECRET = [
    "token", "access_token", "code", "jwt", "api_key", "key", "KEY", "access-key", "subscription-key", "accessKey",
    "AWSAccessKeyId", "Key-Pair-Id", "filter[key]", "key2", "sig", "x_sig", "urlSig", "sign", "hmac", "signature",
    "X-Amz-Signature", "X-Amz-Credential", "x-amz-date", "X-Goog-Signature", "x-goog-expires",
]  # fmt: skip
HARMLESS = [
    "keyword", "keywords", "monkey", "turkey", "hockey", "keyboard", "Keynote", "design", "signal", "signup", "config",
    "insight", "x-amzing", "amz-x", "page",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET)
def test_the_value_of_a_parameter_that_sounds_like_a_secret_is_hidden(name: str) -> None:
    assert masked(f"/a?{name}=s3cret&b=1") == f"/a?{name}={HIDDEN}&b=1"
    assert masked(f"/a?b=1&{name}=s3cret") == f"/a?b=1&{name}={HIDDEN}"


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_only_contains_a_short_word_for_a_secret_is_left_alone(name: str) -> None:
    assert masked(f"/a?{name}=blue&b=1") == f"/a?{name}=blue&b=1"


def test_a_path_and_a_value_are_no_names() -> None:
    assert masked("/key=1/sig=2?a=key&b=sig") == "/key=1/sig=2?a=key&b=sig"


@given(st.lists(st.sampled_from(SECRET), min_size=1, max_size=6), st.sampled_from("&;"))
def test_no_secret_among_many_is_left(names: list[str], between: str) -> None:
    query = between.join(f"{name}=s3cret" for name in names)
    assert "s3cret" not in masked(f"/a?{query}")
