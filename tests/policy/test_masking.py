"""What must not be read off a screen or out of a log."""

from __future__ import annotations

import time

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


@pytest.mark.parametrize("piece", ["?", "?%", "?token", "?%74oken&", ";key", "://", "?a=b?", "@?"])
def test_a_long_target_costs_no_more_than_its_length(piece: str) -> None:
    began = time.process_time()
    masked("/?" + piece * (16_000 // len(piece)) + "%@")
    assert time.process_time() - began < 1


@pytest.mark.parametrize("name", SECRET)
def test_a_name_is_read_as_the_origin_decodes_it(name: str) -> None:
    encoded = "".join(f"%{ord(each):02x}" for each in name)
    for written in (encoded, encoded[:3] + name[1:], name[:-1] + encoded[-3:]):
        assert masked(f"/a?b=1&{written}=s3cret&c=2") == f"/a?b=1&{written}={HIDDEN}&c=2"


@pytest.mark.parametrize("name", HARMLESS)
def test_an_encoded_name_that_is_harmless_is_left_alone(name: str) -> None:
    encoded = "".join(f"%{ord(each):02x}" for each in name)
    assert masked(f"/a?{encoded}=blue&b=%74oken") == f"/a?{encoded}=blue&b=%74oken"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:pa55@shop.example/a?b=1", f"http://{HIDDEN}@shop.example/a?b=1"),
        ("http://user:pa@55@shop.example", f"http://{HIDDEN}@shop.example"),
        ("/a?next=https://user:pa55@shop.example/", f"/a?next=https://{HIDDEN}@shop.example/"),
        ("http://shop.example/@someone?to=a@b", "http://shop.example/@someone?to=a@b"),
        ("/a@b", "/a@b"),
    ],
)
def test_user_and_password_of_a_url_are_hidden(url: str, shown: str) -> None:
    assert masked(url) == shown


@given(st.lists(st.sampled_from(SECRET), min_size=1, max_size=6), st.sampled_from("&;"))
def test_no_secret_among_many_is_left(names: list[str], between: str) -> None:
    query = between.join(f"{name}=s3cret" for name in names)
    assert "s3cret" not in masked(f"/a?{query}")
