"""Conversations by polling, messages in batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

Client = TestClient[Any, Any]
Fetch = Callable[..., Awaitable[Any]]


def batch(*contents: str, sender: str = "u1", conversation: str = "c1") -> dict[str, Any]:
    messages = [{"sender_id": sender, "content": text, "message_type": "text", "client_id": text} for text in contents]
    return {"conversation_id": conversation, "messages": messages}


async def test_everybody_takes_part_in_some_conversation(fetch: Fetch) -> None:
    seen = set()
    for number in range(1, 51):
        conversations = (await fetch(f"/api/chat/conversations?user=u{number}"))["conversations"]
        assert conversations
        for conversation in conversations:
            assert f"u{number}" in {member["id"] for member in conversation["participants"]}
            seen.add(conversation["id"])
    assert seen == {f"c{number}" for number in range(1, 13)}


async def test_the_pages_of_a_conversation_join_in_order(fetch: Fetch) -> None:
    first, second = [await fetch(f"/api/chat/messages/c1?per_page=15&page={page}") for page in (1, 2)]
    ids = [message["id"] for message in second["messages"] + first["messages"]]
    assert ids == sorted(ids)
    assert len(set(ids)) == 30 < first["total"]


async def test_a_batch_is_stored_in_order_and_answered_with_senders(fetch: Fetch) -> None:
    written = await fetch("/api/chat/messages/batch", 201, method="POST", json=batch("one", "two", "three"))
    assert [message["content"] for message in written["messages"]] == ["one", "two", "three"]
    assert {message["sender"]["id"] for message in written["messages"]} == {"u1"}
    latest = await fetch("/api/chat/messages/c1?per_page=3")
    assert latest["messages"] == written["messages"]
    conversations = (await fetch("/api/chat/conversations?user=u1"))["conversations"]
    assert conversations[0]["id"] == "c1"
    assert conversations[0]["last_message"]["content"] == "three"


async def test_a_repeated_batch_is_stored_once(origin: Client, fetch: Fetch) -> None:
    before = (await fetch("/api/chat/messages/c1"))["total"]
    headers = {"Idempotency-Key": "batch-1"}
    answers = []
    for expected in (None, "true"):
        async with origin.post("/api/chat/messages/batch", json=batch("a", "b"), headers=headers) as response:
            assert response.status == 201
            assert response.headers.get("Idempotency-Replayed") == expected
            answers.append(await response.json())
    assert answers[0] == answers[1]
    assert (await fetch("/api/chat/messages/c1"))["total"] == before + 2


async def test_a_message_that_comes_again_in_another_batch_is_stored_once(fetch: Fetch) -> None:
    before = (await fetch("/api/chat/messages/c1"))["total"]
    first = await fetch("/api/chat/messages/batch", 201, method="POST", json=batch("a", "b"))
    again = await fetch("/api/chat/messages/batch", 201, method="POST", json=batch("c", "a", "c"))
    assert [message["content"] for message in again["messages"]] == ["c", "a", "c"]
    assert again["messages"][1] == first["messages"][0]
    assert (await fetch("/api/chat/messages/c1"))["total"] == before + 3


async def test_one_bad_message_keeps_the_whole_batch_out(fetch: Fetch) -> None:
    before = (await fetch("/api/chat/messages/c1"))["total"]
    body = batch("fine", "bad")
    body["messages"][1]["content"] = " "
    problem = await fetch("/api/chat/messages/batch", 400, method="POST", json=body)
    assert problem["detail"].startswith("messages[1]: content")
    stranger = batch("fine", "intruder")
    members = set(range(1, 51)) - await members_of(fetch, "c1")
    stranger["messages"][1]["sender_id"] = f"u{min(members)}"
    await fetch("/api/chat/messages/batch", 422, method="POST", json=stranger)
    assert (await fetch("/api/chat/messages/c1"))["total"] == before


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"messages": []}, "1 to 200"),
        ({"messages": "hello"}, "1 to 200"),
        ({"messages": [7]}, "messages[0] must be an object"),
        ({"messages": [{"sender_id": "u1", "content": "x", "message_type": "video"}]}, "text, image, location"),
        ({"messages": [{"content": "x"}]}, "sender_id must be a user id"),
        ({"conversation_id": None}, "conversation_id"),
    ],
)
async def test_a_malformed_batch_is_a_bad_request(fetch: Fetch, change: dict[str, Any], advice: str) -> None:
    problem = await fetch("/api/chat/messages/batch", 400, method="POST", json=batch("x") | change)
    assert advice in problem["detail"]


async def test_a_conversation_that_does_not_exist_is_a_404(fetch: Fetch) -> None:
    await fetch("/api/chat/messages/c99", 404)
    await fetch("/api/chat/messages/batch", 404, method="POST", json=batch("x", conversation="c99"))


async def test_a_session_reads_and_writes_only_where_its_user_takes_part(fetch: Fetch) -> None:
    outsider = f"u{min(set(range(1, 51)) - await members_of(fetch, 'c1'))}"
    await fetch("/api/auth/login", method="POST", json={"user": outsider})
    await fetch("/api/chat/messages/c1", 403)
    await fetch("/api/chat/messages/batch", 403, method="POST", json=batch("as somebody else"))


async def test_polling_an_unchanged_conversation_costs_one_query(origin: Client, fetch: Fetch) -> None:
    async with origin.get("/api/chat/messages/c1") as response:
        tag = response.headers["ETag"]
    await fetch("/demo/stats/reset", method="POST")
    async with origin.get("/api/chat/messages/c1", headers={"If-None-Match": tag}) as response:
        assert response.status == 304
    assert (await fetch("/demo/stats"))["sql_queries"] == 1
    await fetch("/api/chat/messages/batch", 201, method="POST", json=batch("new"))
    async with origin.get("/api/chat/messages/c1", headers={"If-None-Match": tag}) as response:
        assert response.status == 200


async def members_of(fetch: Fetch, conversation: str) -> set[int]:
    members = set()
    for number in range(1, 51):
        mine = (await fetch(f"/api/chat/conversations?user=u{number}"))["conversations"]
        if conversation in {one["id"] for one in mine}:
            members.add(number)
    return members
