"""What clients say, parsed."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.payloads import Refusal, parse_batch, parse_message
from realtime.settings import LimitSettings
from tests.realtime.talking import text


def test_a_text_that_says_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="must not be empty"):
        parse_message(text(""), LimitSettings())


@pytest.mark.parametrize("more", [{"message_type": "image"}, {"attachments": ["/pictures/1"]}])
def test_a_message_that_says_something_otherwise_may_have_no_text(more: dict[str, Any]) -> None:
    assert parse_message(text("", **more), LimitSettings()).message["content"] == ""


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (text(""), {}),
        (text("", client_id="b"), {"client_id": "b"}),
        (text("", client_id=5), {"client_id": "5"}),
        (text("b", client_id=True), {}),
        (text("b", sender="", client_id="b"), {"client_id": "b"}),
        (text("b", conversation=".", client_id="b"), {"client_id": "b"}),
        ("b", {}),
    ],
)
def test_a_batch_is_refused_with_the_place_and_the_name_of_the_first_message_at_fault(
    wrong: object, told: dict[str, Any]
) -> None:
    messages = [text("a", client_id="a"), wrong, text("")]
    with pytest.raises(Refusal) as refused:
        parse_batch({"conversation_id": "7", "messages": messages}, LimitSettings())
    assert refused.value.details == {"conversation_id": "7", "index": 1} | told


def test_a_batch_that_is_no_batch_is_no_single_messages_fault() -> None:
    with pytest.raises(Refusal) as refused:
        parse_batch({"conversation_id": "7", "messages": []}, LimitSettings())
    assert "index" not in refused.value.details


def test_a_message_that_is_refused_alone_has_no_place() -> None:
    with pytest.raises(Refusal) as refused:
        parse_message(text("", client_id="a"), LimitSettings())
    assert refused.value.details == {"conversation_id": "7", "client_id": "a"}
