"""Whoever is told of alerts is a real server that fails, stalls and redirects as scripted."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.config.alerts import Webhook as Settings
from proxy.operations.alerts import Rule, Transition
from proxy.operations.webhook import MOST_WAITING, Webhook
from tests.origin import ScriptedOrigin, read_body, reply, silence, steps

NOW = 1_800_000_000.0
FIRING = Transition("response-time", "firing", 0.734, 0.5, NOW, "warning", NOW - 60, 0.8)
RESOLVED = Transition("response-time", "resolved", 0.1, 0.5, NOW + 90, "warning", NOW - 60, 0.8)

TAKEN = steps(read_body(), reply(204))
AWAY = steps(read_body(), reply(503))


class Pauses:
    """A sleep that is over at once, and remembers how long it would have been."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@asynccontextmanager
async def webhook(
    url: str, sleep: Callable[[float], Awaitable[None]] | None = None, **settings: Any
) -> AsyncIterator[Webhook]:
    made = Webhook(
        Settings.model_validate({"url": url, **settings}),
        now=lambda: NOW,
        rule=lambda name: Rule(name, "response_time", 0.5, 60, 60),
        sleep=sleep or Pauses(),
    )
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def settled(hook: Webhook) -> None:
    async with asyncio.timeout(10):
        while hook.waiting:
            await asyncio.sleep(0.005)


@pytest.fixture
async def receiver() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        yield origin


async def test_a_firing_alert_is_told_with_everything_one_needs_to_know(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", TAKEN)
    async with webhook(f"{receiver.url}/hook", token="sesame") as hook:
        hook.tell(FIRING)
        await settled(hook)
        assert hook.results["delivered"] == 1
    (asked,) = receiver.requests
    told = json.loads(asked.body)
    assert told.pop("id")
    assert "734 ms, above 500 ms" in told.pop("text")
    assert told == {
        "alert": "response-time",
        "state": "firing",
        "severity": "warning",
        "value": 0.734,
        "threshold": 0.5,
        "since": "2027-01-15T07:59:00Z",
        "at": "2027-01-15T08:00:00Z",
    }
    assert asked.method == "POST"
    assert asked.header("Authorization") == "Bearer sesame"
    assert asked.header("Content-Type") == "application/json"


async def test_what_is_only_pending_is_nobodys_business(receiver: ScriptedOrigin) -> None:
    async with webhook(receiver.url) as hook:
        for state in ("pending", "inactive"):
            hook.tell(Transition("memory", state, 0.9, 0.8, NOW))
        assert hook.waiting == 0


async def test_a_receiver_that_fails_is_asked_again_with_growing_pauses_and_the_same_id(
    receiver: ScriptedOrigin,
) -> None:
    receiver.on("/hook", AWAY, AWAY, AWAY, TAKEN)
    pauses = Pauses()
    async with webhook(f"{receiver.url}/hook", pauses) as hook:
        hook.tell(FIRING)
        await settled(hook)
        assert hook.last is not None
        assert (hook.last.result, hook.last.attempts) == ("delivered", 4)
    assert len({asked.body for asked in receiver.requests}) == 1
    assert receiver.count("/hook") == 4
    for pause, longest in zip(pauses.seconds, (1, 2, 4), strict=True):
        assert longest / 2 <= pause <= longest


async def test_the_order_holds_although_the_first_fails_at_first(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", AWAY, AWAY, TAKEN)
    async with webhook(f"{receiver.url}/hook") as hook:
        hook.tell(FIRING)
        hook.tell(RESOLVED)
        await settled(hook)
    states = [json.loads(asked.body)["state"] for asked in receiver.requests]
    assert states == ["firing", "firing", "firing", "resolved"]


async def test_after_the_last_attempt_it_is_given_up_and_the_next_one_has_its_turn(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", AWAY, AWAY, AWAY, TAKEN)
    async with webhook(f"{receiver.url}/hook", retries=2) as hook:
        hook.tell(FIRING)
        hook.tell(RESOLVED)
        await settled(hook)
        assert (hook.results["failed"], hook.results["delivered"]) == (1, 1)


async def test_a_refusal_is_not_repeated(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", steps(read_body(), reply(403)))
    async with webhook(f"{receiver.url}/hook") as hook:
        hook.tell(FIRING)
        await settled(hook)
        assert hook.last is not None
        assert (hook.last.result, hook.last.detail) == ("failed", "answered 403")
    assert receiver.count() == 1


async def test_a_redirect_leads_nowhere_else(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", steps(read_body(), reply(307, headers={"Location": f"{receiver.url}/inside"})))
    async with webhook(f"{receiver.url}/hook") as hook:
        hook.tell(FIRING)
        await settled(hook)
        assert hook.last is not None
        assert "redirects are not followed" in hook.last.detail
    assert receiver.count("/inside") == 0


async def test_nobody_there_and_nobody_who_answers_are_tried_again(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", silence(), TAKEN)
    async with webhook(f"{receiver.url}/hook", timeout="200ms") as hook:
        hook.tell(FIRING)
        await settled(hook)
        assert hook.last is not None
        assert (hook.last.result, hook.last.attempts) == ("delivered", 2)
        await receiver.stop()
        hook.tell(RESOLVED)
        await settled(hook)
        assert hook.last.result == "failed"
        assert "no connection" in hook.last.detail


async def test_an_endless_answer_is_not_read_to_its_end(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", steps(read_body(), reply(200, body=b"x" * 2**22)))
    async with webhook(f"{receiver.url}/hook") as hook:
        hook.tell(FIRING)
        await settled(hook)
        assert hook.results["delivered"] == 1


async def test_neither_token_nor_path_is_ever_logged_or_shown(
    receiver: ScriptedOrigin, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await receiver.stop()
    async with webhook(f"{receiver.url}/services/T0/hidden", token="sesame", retries=1) as hook:
        hook.tell(FIRING)
        await settled(hook)
        shown = f"{hook.host} {hook.last}"
    for secret in ("sesame", "hidden"):
        assert secret not in caplog.text
        assert secret not in shown
    assert hook.host == receiver.url


async def test_when_too_many_wait_the_newest_stay(receiver: ScriptedOrigin) -> None:
    begun = asyncio.Event()

    async def forever(_: float) -> None:
        begun.set()
        await asyncio.Event().wait()

    receiver.on("/hook", AWAY)
    async with webhook(f"{receiver.url}/hook", forever) as hook:
        hook.tell(FIRING)
        await begun.wait()
        for _ in range(MOST_WAITING + 20):
            hook.tell(RESOLVED)
        assert hook.waiting == MOST_WAITING
        assert hook.results["dropped"] == 21
        receiver.on("/hook", TAKEN)
    # The end interrupted the pause, and everything that still waited was tried once.
    assert hook.waiting == 0


async def test_the_end_waits_for_a_receiver_that_stalls_no_longer_than_it_may(
    receiver: ScriptedOrigin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.operations.webhook.DRAIN", 0.05)
    receiver.on("/hook", silence())
    async with asyncio.timeout(5), webhook(f"{receiver.url}/hook", timeout="1h") as hook:
        hook.tell(FIRING)
        await receiver.until_asked("/hook")
    assert hook.waiting == 1


async def test_a_test_says_that_it_is_one(receiver: ScriptedOrigin) -> None:
    receiver.on("/hook", TAKEN)
    async with webhook(f"{receiver.url}/hook") as hook:
        hook.test()
        await settled(hook)
    assert json.loads(receiver.requests[0].body)["state"] == "test"


async def test_without_a_url_nothing_is_queued() -> None:
    hook = Webhook(Settings(), now=lambda: NOW, rule=lambda name: Rule(name, "x", 0, 0, 0))
    await hook.start()
    hook.tell(FIRING)
    assert (hook.waiting, hook.host) == (0, "")
    await hook.close()
