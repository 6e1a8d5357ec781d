"""What clients say, parsed."""

from __future__ import annotations

from typing import Any

import pytest

from realtime.payloads import Refusal, parse_message
from realtime.settings import LimitSettings
from tests.realtime.talking import text


def test_a_text_that_says_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="must not be empty"):
        parse_message(text(""), LimitSettings())


@pytest.mark.parametrize("more", [{"message_type": "image"}, {"attachments": ["/pictures/1"]}])
def test_a_message_that_says_something_otherwise_may_have_no_text(more: dict[str, Any]) -> None:
    assert parse_message(text("", **more), LimitSettings()).message["content"] == ""
