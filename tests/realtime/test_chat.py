"""The chat's rules, one by one, on a clock that stands still."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.authorship import Authorship
from realtime.batching import BUSY
from realtime.hub import Hub
from realtime.limits import Rate
from realtime.origin import OriginAway
from realtime.payloads import (
    Draft,
    Refusal,
    parse_batch,
    parse_claim,
    parse_deletion,
    parse_id,
    parse_message,
    parse_place,
)
from realtime.settings import (
    AuthenticationSettings,
    BatchSettings,
    ChannelRule,
    ChatSettings,
    CoreSettings,
    LimitSettings,
    OriginSettings,
    RecoverySettings,
)
from tests.realtime.talking import Answer, Talker, Talking, answer, talk, text
from tests.realtime.wire import turns


class Gate:
    """An application that answers when it is let: `await gate.asked(1)`, then `gate.answers[0].set_result(...)`."""

    def __init__(self) -> None:
        self.bodies: list[Any] = []
        self.keys: list[str] = []
        self.answers: list[asyncio.Future[Answer]] = []

    async def __call__(
        self, method: str, target: str, fields: list[tuple[str, str]], body: bytes, *_: object
    ) -> Answer:
        self.bodies.append(json.loads(body) if body else target)
        self.keys.append(dict(fields).get("Idempotency-Key", ""))
        self.answers.append(asyncio.get_running_loop().create_future())
        return await self.answers[-1]

    async def asked(self, times: int) -> None:
        async with asyncio.timeout(5):
            while len(self.answers) < times:
                await asyncio.sleep(0)

    def contents(self, number: int) -> list[str]:
        return [message["content"] for message in self.bodies[number]["messages"]]


PERSIST = {"persist": "/messages", "backoff": 60.0}
"""One attempt: patience is over before a second."""


async def _silent(*_: object) -> Answer:
    """An application that never answers."""
    never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
    return await never


class TestWhoMaySpeak:
    async def test_nobody_for_a_user_who_is_not_authenticated_on_the_same_socket(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            refused = await alice.ask("send_message", text("as bob", sender="u2", client_id="c1"))
            assert (refused["ok"], refused["reason"]) == (False, "not-authenticated")
            assert alice.heard("message_error")[0]["client_id"] == "c1"
            assert bob.contents == []

    async def test_nobody_in_a_conversation_that_was_not_joined(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1")
            bob = await talking.member("u2", "7")
            assert (await alice.ask("send_message", text("hello")))["reason"] == "not-joined"
            assert (await alice.ask("typing_start", "7"))["reason"] == "not-joined"
            assert bob.events == [("authenticated", {"user": {"id": "u2"}})]

    async def test_nobody_joins_before_authenticating(self) -> None:
        async with talk() as talking:
            stranger = talking.client()
            assert (await stranger.ask("join_conversation", "7"))["reason"] == "not-authenticated"

    async def test_a_batch_with_one_strangers_message_is_refused_as_a_whole(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7")
            messages = [text("mine"), text("not mine", sender="u2")]
            refused = await alice.ask("send_message_batch", {"conversation_id": "7", "messages": messages})
            assert refused["reason"] == "not-authenticated"
            assert alice.contents == []

    async def test_a_refused_batch_and_its_message_error_name_the_message_at_fault(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7")
            messages = [text("mine"), text("not mine", sender="u2", client_id="b"), text("", client_id="c")]
            for number, named in ((2, {"index": 1, "client_id": "b"}), (3, {"index": 2, "client_id": "c"})):
                batch = {"conversation_id": "7", "messages": messages[:number]}
                refused = await alice.ask("send_message_batch", batch)
                assert refused.items() >= named.items()
                assert alice.heard("message_error")[-1].items() >= named.items()
            alone = await alice.ask("send_message_batch", {"conversation_id": "7", "messages": messages[1:2]})
            assert (alone["index"], alone["client_id"]) == (0, "b")
            assert "index" not in await alice.ask("send_message", messages[1])
            assert "index" not in await alice.ask(
                "send_message_batch", {"conversation_id": "8", "messages": [text("a", conversation="8")]}
            )
            assert alice.contents == []

    async def test_conversations_and_channels_are_bounded_for_each_connection(self) -> None:
        limits = LimitSettings(conversations_per_connection=2, channels_per_connection=1)
        async with talk(chat={"limits": limits}) as talking:
            alice = await talking.member("u1", "1", "2")
            assert (await alice.ask("join_conversation", "3"))["reason"] == "too-many-conversations"
            assert (await alice.ask("join_conversation", "2"))["ok"], "it is there already"
            await alice.ask("leave_conversation", "1")
            assert (await alice.ask("join_conversation", "3"))["ok"]
            assert (await alice.ask("subscribe", "reports"))["ok"]
            assert (await alice.ask("subscribe", "notifications"))["reason"] == "too-many-channels"

    async def test_a_channel_of_a_user_is_open_to_that_user_alone(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1")
            assert (await alice.ask("subscribe", "user:u1"))["ok"]
            assert (await alice.ask("subscribe", "user:u2"))["reason"] == "not-allowed"
            await talking.core.publish({"channel": "user:u1", "event": "hint", "data": 1})
            assert alice.heard("hint") == [1]

    async def test_a_user_named_like_a_pattern_is_not_one(self) -> None:
        async with talk() as talking:
            sly = await talking.member("*")
            assert (await sly.ask("subscribe", "user:u2"))["reason"] == "not-allowed"
            assert (await sly.ask("subscribe", "user:*"))["ok"]


async def no_mallory(method: str, target: str, fields: object, body: bytes, *rest: object) -> Answer:
    """An application in whose conversations mallory has no part; 8 is open to everybody."""
    conversation, _, users = target.removeprefix("/may/").partition("?")
    return answer(status=403 if "mallory" in users and conversation != "8" else 204)


CONSENT = {"authorize": "/may/{conversation}?{users}"}


class TestSharedSockets:
    async def test_whoever_authenticates_after_a_join_takes_part_only_where_the_application_says_so(self) -> None:
        async with talk(no_mallory, origin=CONSENT) as talking:
            bob, alice = await talking.member("bob", "7", "8"), await talking.member("alice", "7", "8")
            admitted = await alice.ask("authenticate", "mallory")
            assert (admitted["ok"], admitted["not_in"]) == (True, ["7"])
            sent = await alice.ask("send_message", text("a", sender="mallory"))
            typed = await alice.ask("typing_start", {"conversation_id": "7", "user_id": "mallory"})
            assert (sent["reason"], typed["reason"]) == ("not-allowed", "not-allowed")
            both = [text("a", sender="alice"), text("b", sender="mallory")]
            batch = await alice.ask("send_message_batch", {"conversation_id": "7", "messages": both})
            assert (batch["reason"], batch["index"]) == ("not-allowed", 1)
            assert (bob.contents, bob.heard("user_typing")) == ([], [])
            assert (await alice.ask("send_message", text("c", sender="mallory", conversation="8")))["ok"]
            assert (await alice.ask("send_message", text("d", sender="alice")))["ok"]
            await talking.pass_time(1)
            online = {update["conversationId"]: update["users"] for update in bob.heard("presence_update")}
            assert online == {"7": ["bob", "alice"], "8": ["bob", "alice", "mallory"]}

    async def test_where_nobody_is_named_the_last_who_takes_part_types(self) -> None:
        async with talk(no_mallory, origin=CONSENT) as talking:
            bob, alice = await talking.member("bob", "7"), await talking.member("alice", "7")
            await alice.ask("authenticate", "mallory")
            assert (await alice.ask("typing_start", "7"))["ok"]
            assert [typing["userId"] for typing in bob.heard("user_typing")] == ["alice"]

    async def test_of_several_who_join_together_those_take_part_who_may(self) -> None:
        async with talk(no_mallory, origin=CONSENT) as talking:
            link = await talking.member("alice")
            await link.ask("authenticate", "mallory")
            assert (await link.ask("join_conversation", "7"))["users"] == ["alice"]
            assert (await link.ask("send_message", text("a", sender="mallory")))["reason"] == "not-allowed"
            assert (await link.ask("send_message", text("a", sender="alice")))["ok"]

    async def test_a_join_says_which_users_of_the_connection_have_no_part_where_there_are_any(self) -> None:
        async with talk(no_mallory, origin=CONSENT) as talking:
            link = await talking.member("alice")
            assert "not_in" not in await link.ask("join_conversation", "7")
            await link.ask("authenticate", "mallory")
            for _ in range(2):
                assert (await link.ask("join_conversation", "7"))["not_in"] == ["mallory"]
            assert "not_in" not in await link.ask("join_conversation", "8")

    async def test_without_an_answer_nobody_takes_part_until_the_next_join(self) -> None:
        away = False

        async def application(*asked: Any) -> Answer:
            if away:
                raise OriginAway("away")
            return answer(status=204)

        async with talk(application, origin=CONSENT) as talking:
            alice = await talking.member("alice", "7")
            away = True
            assert (await alice.ask("authenticate", "ben"))["not_in"] == ["7"]
            assert (await alice.ask("send_message", text("a", sender="ben")))["reason"] == "not-allowed"
            away = False
            assert (await alice.ask("join_conversation", "7"))["users"] == ["alice", "ben"]
            assert (await alice.ask("send_message", text("a", sender="ben")))["ok"]

    async def test_a_returning_connection_has_not_forgotten_who_takes_no_part(self) -> None:
        trusted = AuthenticationSettings(kind="trusted")
        talking = Talking(
            CoreSettings(origin=OriginSettings(authorize=CONSENT["authorize"]), authentication=trusted), no_mallory
        )
        before = Talker(talking.core.hub, "before", {})
        welcome = before.enter()
        for event, payload in (("authenticate", "alice"), ("join_conversation", "7"), ("authenticate", "mallory")):
            assert (await before.ask(event, payload))["ok"]
        before.drop()
        await turns()
        again = Talker(talking.core.hub, "again", {})
        assert again.enter(pid=welcome["pid"])["sid"] == welcome["sid"]
        assert (await again.ask("send_message", text("a", sender="mallory")))["reason"] == "not-allowed"
        assert (await again.ask("send_message", text("a", sender="alice")))["ok"]
        await talking.core.close()

    async def test_authenticating_again_or_leaving_and_coming_back_changes_nothing(self) -> None:
        async with talk(no_mallory, origin=CONSENT) as talking:
            alice = await talking.member("alice", "7")
            for _ in range(2):
                await alice.ask("authenticate", "mallory")
            await alice.ask("authenticate", "alice")
            await alice.ask("leave_conversation", "7")
            await alice.ask("join_conversation", "7")
            assert (await alice.ask("send_message", text("a", sender="mallory")))["reason"] == "not-allowed"
            assert (await alice.ask("send_message", text("a", sender="alice")))["ok"]


class TestTurns:
    async def test_events_wait_for_the_decision_before_them(self) -> None:
        gate = Gate()
        async with talk(gate, auth="origin", origin={"session": "/session"}) as talking:
            alice = talking.client(cookie="session=u1")
            alice.emit("authenticate")
            alice.emit("join_conversation", "7")
            number = alice.begin("send_message", text("in one go"))
            await gate.asked(1)
            assert alice.answered(number) is None
            gate.answers[0].set_result(answer({"user": {"id": "u1"}}))
            await turns(10)
            assert alice.contents == ["in one go"]
            assert alice.heard("message_error") == []

    async def test_a_message_that_waits_for_the_application_holds_up_nobody(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            alice.emit("send_message", text("slow"))
            await gate.asked(1)
            assert (await alice.ask("join_conversation", "8"))["ok"]

    async def test_too_many_waiting_events_are_refused(self) -> None:
        gate = Gate()
        limits = LimitSettings(events=Rate(1.0, 10_000.0))
        async with talk(gate, auth="origin", origin={"session": "/s"}, chat={"limits": limits}) as talking:
            alice = talking.client(cookie="a=b")
            for _ in range(300):
                alice.emit("authenticate")
            assert [error["reason"] for error in alice.heard("auth_error")] == ["rate-limited"] * 43
            assert alice.closed is None

    async def test_who_leaves_while_being_authenticated_is_not_there_afterwards(self) -> None:
        gate = Gate()
        async with talk(gate, auth="origin", origin={"session": "/session"}) as talking:
            alice = talking.client(cookie="session=u1")
            alice.emit("authenticate")
            alice.emit("join_conversation", "7")
            await gate.asked(1)
            alice.close("transport-close")
            gate.answers[0].set_result(answer({"user": {"id": "u1"}}))
            await turns(10)
            assert talking.core.conversations() == []
            assert talking.core.sessions() == []


class TestFloods:
    async def test_events_beyond_the_allowance_are_refused_and_the_next_second_is_another(self) -> None:
        limits = LimitSettings(events=Rate(5.0, 10.0))
        async with talk(chat={"limits": limits}) as talking:
            alice = talking.client()
            for _ in range(15):
                alice.emit("subscribe", "reports")
            errors = alice.heard("message_error")
            assert [(error["reason"], error["retry_after"]) for error in errors] == [("rate-limited", 0.2)] * 5
            talking.seconds += 1
            assert (await alice.ask("subscribe", "reports"))["ok"]
            assert alice.closed is None
            assert talking.core.stats.rate_limited == {"events": 5}

    async def test_an_event_that_does_not_exist_is_answered_and_told(self) -> None:
        async with talk() as talking:
            alice = talking.client()
            answer = await alice.ask("send_mesage" + "e" * 1000, {"content": "x"})
            assert (answer["ok"], answer["reason"], answer["event"][:11]) == (False, "unknown-event", "send_mesage")
            assert answer["error"]
            (told,) = alice.heard("message_error")
            assert told["reason"] == "unknown-event"
            assert len(told["event"]) == 50
            alice.emit("send_mesage")
            alice.say("2[7]")
            assert [error["event"] for error in alice.heard("message_error")[1:]] == ["send_mesage", "7"]
            assert talking.core.stats.events_unknown == 3

    async def test_a_long_event_that_does_not_exist_counts_for_more(self) -> None:
        limits = LimitSettings(events=Rate(5.0, 10.0))
        async with talk(chat={"limits": limits}) as talking:
            alice = talking.client()
            for _ in range(3):
                alice.emit("nope", "x" * 4096)
            reasons = [error["reason"] for error in alice.heard("message_error")]
            assert reasons == ["unknown-event", "unknown-event", "rate-limited"]

    async def test_events_that_do_not_exist_count_like_others(self) -> None:
        limits = LimitSettings(events=Rate(5.0, 10.0))
        async with talk(chat={"limits": limits}) as talking:
            alice = talking.client()
            for _ in range(11):
                alice.emit("nope")
            assert [error["reason"] for error in alice.heard("message_error")] == ["unknown-event"] * 10 + [
                "rate-limited"
            ]
            alice.emit("subscribe", "reports")
            assert talking.core.stats.rate_limited == {"events": 2}
            for _ in range(20):
                alice.emit("nope")
            assert alice.closed == "flood"

    async def test_who_goes_on_regardless_loses_the_connection(self) -> None:
        limits = LimitSettings(events=Rate(5.0, 10.0))
        async with talk(chat={"limits": limits}) as talking:
            alice, bob = talking.client(), talking.client()
            for _ in range(1000):
                alice.emit("subscribe", "reports")
            assert alice.closed == "flood"
            assert len(alice.heard("message_error")) <= 11
            assert (await bob.ask("subscribe", "reports"))["ok"]


class TestMessages:
    async def test_the_first_leaves_at_once_and_the_next_together(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            for content in "abc":
                alice.emit("send_message", text(content))
            assert bob.contents == ["a"]
            await talking.pass_time(0.05)
            assert [len(batch) for batch in bob.heard("new_messages_batch")] == [1, 2]
            assert bob.contents == ["a", "b", "c"]

    async def test_a_batch_for_a_quiet_conversation_is_one_request_and_one_event(self) -> None:
        asked: list[int] = []

        async def persist(method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
            asked.append(len(json.loads(body)["messages"]))
            return answer([{"id": number} for number in range(asked[-1])], 201)

        async with talk(persist, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            messages = [text(str(number)) for number in range(5)]
            await alice.ask("send_message_batch", {"conversation_id": "7", "messages": messages})
            assert asked == [5]
            assert [len(batch) for batch in alice.heard("new_messages_batch")] == [5]

    @pytest.mark.parametrize("way", ["leave_conversation", "gone"])
    async def test_what_waits_leaves_at_once_when_who_said_it_leaves_and_not_when_others_do(self, way: str) -> None:
        async with talk() as talking:
            alice, bob, carol, dave = [await talking.member(f"u{number}", "7") for number in range(1, 5)]

            async def leaves(talker: Talker) -> None:
                if way == "gone":
                    talker.drop()
                else:
                    talker.emit("leave_conversation", "7")
                await turns()

            alice.emit("send_message", text("leaves at once"))
            carol.emit("send_message", text("waits", "u3"))
            await leaves(dave)
            assert bob.contents == ["leaves at once"]
            await leaves(carol)
            assert bob.contents == ["leaves at once", "waits"]

    async def test_a_window_that_opened_while_a_batch_was_persisted_ends_by_itself(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            alice.emit("send_message", text("a"))
            await gate.asked(1)
            talking.seconds += 0.04
            alice.emit("send_message", text("b"))
            await talking.pass_time(0.005)
            gate.answers[0].set_result(answer())
            await turns(10)
            assert talking.core.chat.alarm.is_set, "nobody else would wake it"
            await talking.pass_time(0.05)
            await gate.asked(2)
            assert gate.contents(1) == ["b"]

    async def test_what_arrives_meanwhile_waits_and_order_is_kept(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            for content in "abcd":
                alice.emit("send_message", text(content))
                await talking.pass_time(0.06)
            assert [gate.contents(number) for number in range(len(gate.bodies))] == [["a"]]
            gate.answers[0].set_result(answer())
            await gate.asked(2)
            assert gate.contents(1) == ["b", "c", "d"]
            gate.answers[1].set_result(answer())
            await turns(10)
            assert alice.contents == ["a", "b", "c", "d"]

    async def test_conversations_do_not_wait_for_each_other(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7", "8")
            alice.emit("send_message", text("slow"))
            alice.emit("send_message", text("quick", conversation="8"))
            await gate.asked(2)
            gate.answers[1].set_result(answer())
            await turns(10)
            assert alice.contents == ["quick"]

    async def test_the_acknowledgement_comes_after_persistence_and_not_before(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            number = alice.begin("send_message", text("a"))
            await gate.asked(1)
            assert (alice.answered(number), alice.contents) == (None, [])
            gate.answers[0].set_result(answer({"messages": [{"id": 41, "created_at": "then"}]}, 201))
            await turns(10)
            assert alice.answered(number) == {"ok": True, "messages": [41]}
            (message,) = alice.heard("new_messages_batch")[0]
            assert (message["id"], message["created_at"], message["sender"]) == (41, "then", {"id": "u1"})

    async def test_nor_before_it_would_survive_the_end_of_the_process(self) -> None:
        journaled = asyncio.Event()
        async with talk() as talking:
            talking.core.chat.conversations._settle = journaled.wait  # in place of the hub's journal
            alice = await talking.member("u1", "7")
            number = alice.begin("send_message", text("a"))
            await turns(10)
            assert (alice.answered(number), alice.contents) == (None, ["a"])
            journaled.set()
            await turns(10)
            assert alice.answered(number)["ok"]

    async def test_also_when_only_its_repetition_asks_for_an_answer(self) -> None:
        journaled = asyncio.Event()
        async with talk() as talking:
            talking.core.chat.conversations._settle = journaled.wait
            alice = await talking.member("u1", "7")
            alice.emit("send_message", text("a"))
            alice.emit("send_message", text("b", client_id="c1"))
            await talking.pass_time(0.05)
            number = alice.begin("send_message", text("b", client_id="c1"))
            await turns(10)
            assert (alice.answered(number), alice.contents) == (None, ["a", "b"])
            journaled.set()
            await turns(10)
            assert alice.answered(number)["ok"]

    async def test_messages_whose_answers_nobody_wants_wait_for_no_journal(self) -> None:
        waits = 0

        async def journaled() -> None:
            nonlocal waits
            waits += 1

        async with talk() as talking:
            talking.core.chat.conversations._settle = journaled
            alice = await talking.member("u1", "7")
            alice.emit("send_message", text("a"))
            await turns()
            before = waits
            for content in "bc":
                alice.emit("send_message", text(content))
            await talking.pass_time(0.05)
            assert (alice.contents, waits) == (["a", "b", "c"], before)
            for content in "de":
                alice.begin("send_message", text(content))
            await talking.pass_time(0.05)
            assert (alice.contents[3:], waits) == (["d", "e"], before + 1)

    @pytest.mark.parametrize("said", [None, {}, [], {"messages": [1, 2]}, {"messages": "x"}, {"ids": [9]}, [{"id": 9}]])
    async def test_an_answer_of_another_shape_is_a_success_all_the_same(self, said: Any) -> None:
        async def persist(*_: object) -> Answer:
            return answer(said, 201)

        async with talk(persist, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            assert (await alice.ask("send_message", text("a")))["ok"]
            assert alice.heard("new_messages_batch")[0][0]["id"]

    @pytest.mark.parametrize("said", [
        b'{"messages": [{"id": 9, "score": NaN}]}', b'[{"id": 9, "score": -Infinity}]', b'[{"id": 9, "score": 1e999}]',
        b'[{"id": 9, "note": "\\ud800"}]', b'["\\udfff"]', b'[{"id": "\xff"}]', b"[" * 100_000, b"<p>",
        b'[{"id": 9, "deep": ' + b"[" * 101 + b"]" * 101 + b"}]", b"[" + b"9" * 5000 + b"]",
    ])  # fmt: skip
    async def test_an_answer_that_could_not_be_sent_on_says_nothing(
        self, said: bytes, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def persist(*_: object) -> Answer:
            return 201, [], said

        async with talk(persist, origin=PERSIST, new_id=lambda: "ours") as talking:
            alice = await talking.member("u1", "7")
            caplog.clear()
            assert await alice.ask("send_message", text("a")) == {"ok": True, "messages": ["ours"]}
            assert alice.contents == ["a"]
            assert caplog.text == ""

    async def test_what_an_answer_says_in_pairs_of_surrogates_is_text(self) -> None:
        async def persist(*_: object) -> Answer:
            return 201, [], b'\xef\xbb\xbf[{"id": 0, "mood": "\\ud83d\\ude00"}]'

        async with talk(persist, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            assert (await alice.ask("send_message", text("a")))["messages"] == [0]
            assert alice.heard("new_messages_batch")[0][0]["mood"] == "\U0001f600"

    @pytest.mark.parametrize("id_", [None, "", True, 1.5, {"a": 1}, [1]])
    async def test_an_id_that_is_no_text_and_no_whole_number_is_replaced_by_one_of_ours(self, id_: object) -> None:
        said = {"id": id_, "created_at": None, "rank": 3}

        async def persist(*_: object) -> Answer:
            return answer([said], 201)

        async with talk(persist, origin=PERSIST, new_id=lambda: "ours") as talking:
            alice = await talking.member("u1", "7")
            assert (await alice.ask("send_message", text("a")))["messages"] == ["ours"]
            (message,) = alice.heard("new_messages_batch")[0]
            assert (message["id"], message["rank"]) == ("ours", 3)
            assert message["created_at"] == "2027-01-15T08:00:00.000Z"
            assert (await alice.ask("delete_message", {"conversation_id": "7", "message_id": "ours"}))["ok"]

    @pytest.mark.parametrize(("status", "requests"), [(400, 7), (409, 7), (413, 7), (415, 7), (422, 7),
        (301, 1), (302, 1), (401, 1), (403, 1), (404, 1), (405, 1), (410, 1), (451, 1)])  # fmt: skip
    async def test_a_refused_batch_is_halved_only_where_one_of_its_messages_may_be_why(
        self, status: int, requests: int
    ) -> None:
        asked: list[int] = []

        async def persist(method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
            asked.append(len(json.loads(body)["messages"]))
            return answer({"error": "no"}, status)

        async with talk(persist, origin=PERSIST, chat={"batch": BatchSettings(mode="fixed")}) as talking:
            alice = await talking.member("u1", "7")
            messages = [text(content) for content in "abcd"]
            number = alice.begin("send_message_batch", {"conversation_id": "7", "messages": messages})
            await talking.pass_time(0.05)
            await turns(30)
            told = alice.answered(number)
            assert (told["ok"], told["reason"], told["status"], told["error"]) == (
                False,
                "origin-refused",
                status,
                "no",
            )
            assert len(alice.heard("message_error")) == 4
            assert (asked[0], len(asked)) == (4, requests)

    async def test_a_client_cannot_set_what_is_not_its_own(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7")
            forged: dict[str, Any] = {"id": "1", "sender": {"id": "u2"}, "created_at": "never", "reply_to": 5}
            await alice.ask("send_message", text("a") | forged)
            (message,) = alice.heard("new_messages_batch")[0]
            assert message["sender"] == {"id": "u1"}
            assert (message["id"], message["created_at"]) != ("1", "never")
            assert message["reply_to"] == 5, "the application's own members go along"

    async def test_a_queue_that_is_full_refuses_and_says_when_to_try_again(self) -> None:
        gate = Gate()
        batch = BatchSettings(queued_messages=3)
        async with talk(gate, origin=PERSIST, chat={"batch": batch}) as talking:
            alice = await talking.member("u1", "7", "8")
            for content in "abc":
                alice.emit("send_message", text(content))
            refused = await alice.ask("send_message", text("d"))
            assert (refused["reason"], refused["retry_after"]) == ("queue-full", 1)
            number = alice.begin("send_message", text("other", conversation="8"))
            assert alice.answered(number) is None, "it was taken: each conversation has a queue of its own"

    async def test_all_queues_together_are_bounded_as_well(self) -> None:
        gate = Gate()
        batch = BatchSettings(queued_bytes_in_all=500)
        async with talk(gate, origin=PERSIST, chat={"batch": batch}) as talking:
            alice = await talking.member("u1", "7", "8")
            alice.emit("send_message", text("x" * 200))
            assert (await alice.ask("send_message", text("y" * 200, conversation="8")))["reason"] == "queue-full"
            await gate.asked(1)
            gate.answers[0].set_result(answer())
            await turns(10)
            number = alice.begin("send_message", text("y" * 200, conversation="8"))
            assert alice.answered(number) is None

    async def test_a_failure_finds_its_sender_on_another_connection(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            again = await talking.member("u1")
            alice.emit("send_message", text("a", client_id="c1"))
            await gate.asked(1)
            alice.close("transport-close")
            gate.answers[0].set_exception(OriginAway("away"))
            await turns(10)
            assert [error["client_id"] for error in again.heard("message_error")] == ["c1"]

    async def test_a_retry_bears_the_key_of_the_first_attempt_and_every_batch_its_own(self) -> None:
        gate = Gate()
        async with talk(gate, origin={"persist": "/m", "backoff": 0.0}) as talking:
            alice = await talking.member("u1", "7")
            alice.emit("send_message", text("a"))
            await gate.asked(1)
            gate.answers[0].set_result(answer(status=503))
            await gate.asked(2)
            gate.answers[1].set_result(answer())
            await turns(10)
            await talking.pass_time(1)
            alice.emit("send_message", text("b"))
            await gate.asked(3)
            first, second, third = gate.keys
            assert first == second != third
            assert talking.core.figures().persist_retries == 1

    async def test_users_have_one_allowance_on_all_their_connections(self) -> None:
        limits = LimitSettings(user_messages=Rate(1.0, 3.0))
        async with talk(chat={"limits": limits}) as talking:
            here, there = await talking.member("u1", "7"), await talking.member("u1", "7")
            for content in "ab":
                here.emit("send_message", text(content))
            there.emit("send_message", text("c"))
            refused = await there.ask("send_message", text("d"))
            assert (refused["reason"], refused["retry_after"]) == ("rate-limited", 1.0)
            await talking.pass_time(1)
            assert (await there.ask("client_metrics", {"latency": 1}))["ok"]
            there.emit("send_message", text("e"))
            await talking.pass_time(1)
            assert here.contents == ["a", "b", "c", "e"]

    async def test_a_drain_ends_what_was_taken_and_takes_no_more(self) -> None:
        gate = Gate()
        async with talk(gate, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            taken = alice.begin("send_message", text("a"))
            waiting = alice.begin("send_message", text("b"))
            await gate.asked(1)
            drained = asyncio.ensure_future(talking.core.chat.drain())
            await turns()
            assert (await alice.ask("send_message", text("c")))["reason"] == "shutting-down"
            gate.answers[0].set_result(answer())
            await gate.asked(2)
            gate.answers[1].set_result(answer())
            await asyncio.wait_for(drained, 5)
            assert [alice.answered(number)["ok"] for number in (taken, waiting)] == [True, True]

    async def test_what_the_application_has_not_taken_when_a_drain_gives_up_is_refused_and_told(self) -> None:
        async with talk(_silent, origin=PERSIST) as talking:
            alice = await talking.member("u1", "7")
            asked = alice.begin("send_message", text("asked for", client_id="one"))
            await turns()
            waiting = alice.begin("send_message", text("waiting", client_id="two"))
            await asyncio.wait_for(talking.core.settle(patience=0), 5)
            assert alice.answered(asked)["reason"] == "origin-away"
            assert alice.answered(asked)["may_be_kept"] is True
            assert alice.answered(waiting)["reason"] == "shutting-down"
            told = [(error["client_id"], error["reason"]) for error in alice.heard("message_error")]
            assert told == [("one", "origin-away"), ("two", "shutting-down")]
            assert alice.closed is None
            assert talking.core.chat.conversations.waiting("7") == 0

    async def test_a_batch_that_the_application_has_refused_to_take_so_far_was_certainly_not_kept(self) -> None:
        async def busy(*_: object) -> Answer:
            return answer(status=429)

        async with talk(busy, origin={"persist": "/m", "backoff": 60.0, "patience": 999.0}) as talking:
            alice = await talking.member("u1", "7")
            sent = alice.begin("send_message", text("hello"))
            await turns()
            await asyncio.wait_for(talking.core.settle(patience=0), 5)
            assert alice.answered(sent)["reason"] == "shutting-down"

    async def test_a_batch_that_the_application_has_failed_to_take_so_far_may_have_been_kept(self) -> None:
        async def failing(*_: object) -> Answer:
            return answer(status=500)

        async with talk(failing, origin={"persist": "/m", "backoff": 60.0, "patience": 999.0}) as talking:
            alice = await talking.member("u1", "7")
            sent = alice.begin("send_message", text("hello"))
            await turns()
            await asyncio.wait_for(talking.core.settle(patience=0), 5)
            assert alice.answered(sent)["reason"] == "origin-away"
            assert alice.answered(sent)["may_be_kept"] is True

    async def test_a_message_that_was_kept_is_delivered_when_a_drain_gives_up_on_profiles(self) -> None:
        silent: list[bool] = []

        async def keeps(method: str, *_: object) -> Answer:
            if method == "GET" and silent:
                return await _silent()
            return answer([{"id": 5}] if method == "POST" else [])

        async with talk(keeps, origin=PERSIST | {"profiles": "/profiles"}) as talking:
            alice = await talking.member("u1", "7")
            talking.core.forget_profiles()
            silent.append(True)
            sent = alice.begin("send_message", text("hello"))
            await turns()
            await asyncio.wait_for(talking.core.settle(patience=0), 5)
            assert alice.answered(sent) == {"ok": True, "messages": [5]}
            assert alice.contents == ["hello"]

    async def test_profiles_come_from_the_application_once(self) -> None:
        asked: list[str] = []

        async def ask(method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
            asked.append(target)
            return answer({"profiles": [{"id": "u1", "username": "Ada"}]})

        async with talk(ask, origin={"profiles": "/profiles"}) as talking:
            alice = await talking.member("u1", "7")
            for content in "abc":
                await talking.pass_time(1)
                await alice.ask("send_message", text(content))
            assert alice.heard("authenticated") == [{"user": {"id": "u1", "username": "Ada"}}]
            assert {message["sender"]["username"] for b in alice.heard("new_messages_batch") for message in b} == {
                "Ada"
            }
            assert asked == ["/profiles?ids=u1"]
            await talking.pass_time(301)
            await alice.ask("send_message", text("d"))
            assert len(asked) == 2

    async def test_no_message_waits_for_profiles_that_cannot_be_had(self) -> None:
        async def ask(*_: object) -> Answer:
            raise OriginAway("away")

        async with talk(ask, origin={"profiles": "/profiles"}) as talking:
            alice = await talking.member("u1", "7")
            assert (await alice.ask("send_message", text("a")))["ok"]
            assert alice.heard("new_messages_batch")[0][0]["sender"] == {"id": "u1"}

    async def test_neither_users_nor_messages_wait_for_profiles_that_never_come(self) -> None:
        async def ask(*_: object) -> Answer:
            never: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            return await never

        impatient = {"profiles": "/profiles", "wait_for_profiles": 0.01, "wait_for_own_profile": 0.01}
        async with talk(ask, origin=impatient) as talking:
            alice = await talking.member("u1", "7")
            assert (await alice.ask("send_message", text("a")))["ok"]
            assert alice.heard("new_messages_batch")[0][0]["sender"] == {"id": "u1"}

    async def test_that_profiles_cannot_be_had_is_logged_once_a_minute(self, caplog: pytest.LogCaptureFixture) -> None:
        async def ask(*_: object) -> Answer:
            raise OriginAway("away")

        async with talk(ask, origin={"profiles": "/profiles"}) as talking:
            for user in ("u1", "u2", "u3"):
                await talking.member(user)
            assert caplog.text.count("profiles could not be loaded") == 1
            await talking.pass_time(60)
            await talking.member("u4")
            assert caplog.text.count("profiles could not be loaded") == 2


_PUBLIC = {"id": "u1", "username": "Ada", "name": "Ada L.", "avatar_url": "/a.png"}
_SESSION = {**_PUBLIC, "email": "a@b.c", "phone": 5, "admin": True}


class TestGivingUp:
    """What is given up, or taken, is said to be when a restart would not give it back."""

    @pytest.fixture
    def written(self, monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
        """Set it to have everything written down."""
        event = asyncio.Event()

        async def settled(_: Hub) -> bool:
            await event.wait()
            return True

        monkeypatch.setattr(Hub, "settled", settled)
        return event

    @pytest.mark.parametrize("event", ["leave_conversation", "unsubscribe"])
    async def test_whoever_leaves_is_told_so_once_it_is_written_down(
        self, event: str, written: asyncio.Event, tmp_path: Path
    ) -> None:
        async with talk(recovery=RecoverySettings(), journal_path=tmp_path) as talking:
            alice = await talking.member("u1", "7")
            asked = asyncio.create_task(alice.ask(event, "7"))
            await turns(20)
            assert not asked.done()
            written.set()
            assert (await asked)["ok"]

    async def test_who_revokes_a_user_is_told_so_once_it_is_written_down(
        self, written: asyncio.Event, tmp_path: Path
    ) -> None:
        async with talk(recovery=RecoverySettings(), journal_path=tmp_path) as talking:
            alice = await talking.member("u1", "7")
            revoking = asyncio.create_task(talking.core.revoke({"user": "u1"}))
            await turns(20)
            assert not revoking.done()
            assert alice.heard("auth_error"), "it holds at once"
            written.set()
            assert await revoking == 1


class TestBusyConversations:
    """Whose speakers may be read late, so that they are read together."""

    @staticmethod
    async def busy(talking: Talking, *talkers: Talker) -> None:
        """Let a conversation have windows full of messages."""
        for number in range(4 * BUSY):
            talkers[number % len(talkers)].emit("send_message", text(str(number), f"u{number % len(talkers) + 1}"))
            if number % BUSY == BUSY - 1:
                await talking.pass_time(0.05)
        talkers[0].emit("send_message", text("one more"))

    async def test_those_who_are_in_no_other_conversation_may_be_read_late(self) -> None:
        async with talk() as talking:
            alice, ben = await talking.member("u1", "7"), await talking.member("u2", "7")
            await self.busy(talking, alice, ben)
            assert alice.rests
            assert ben.rests
            assert max(alice.rests + ben.rests) <= talking.seconds + 0.05

    async def test_those_who_are_in_another_one_are_read_at_once_since_that_may_be_quiet(self) -> None:
        async with talk() as talking:
            alice, ben = await talking.member("u1", "7", "quiet"), await talking.member("u2", "7")
            await self.busy(talking, alice, ben)
            assert not alice.rests
            assert ben.rests


class TestWhatOthersLearnOfAUser:
    """The application tells a client everything about itself; the others learn what is there to be displayed."""

    @pytest.mark.parametrize("profiles", [None, "missing", "failing", "slow"])
    async def test_is_what_is_public_while_there_is_no_profile(self, profiles: str | None) -> None:
        async def ask(method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
            if target == "/session":
                return answer({"user": _SESSION})
            if profiles == "slow":
                return await _silent()
            return answer([], 500 if profiles == "failing" else 200)

        asks = {"session": "/session", "profiles": profiles and "/profiles", "wait_for_profiles": 0.001}
        async with talk(ask, auth="origin", origin=asks | {"wait_for_own_profile": 0.001}) as talking:
            alice, bob = await talking.member("u1", "7", cookie="u1"), await talking.member("u1", "7", cookie="u1")
            assert alice.heard("authenticated") == [{"user": _SESSION}]
            assert (await alice.ask("send_message", text("a")))["ok"]
            assert bob.heard("new_messages_batch")[0][0]["sender"] == _PUBLIC

    async def test_is_no_more_in_any_other_event(self) -> None:
        async def ask(method: str, target: str, *_: object) -> Answer:
            return answer({"user": _SESSION})

        chat = {"channels": (ChannelRule("user:{user}"), ChannelRule("reports"))}
        async with talk(ask, auth="origin", origin={"session": "/session"}, chat=chat) as talking:
            bob, alice = talking.client(cookie="u1"), talking.client(cookie="u1")
            for talker in (bob, alice):
                await talker.ask("authenticate")
                seen = len(talker.sent)
                for event in ("join_conversation", "typing_start", "typing_stop", "leave_conversation"):
                    await talker.ask(event, "7")
                    await talking.pass_time(5)
                await talker.ask("subscribe", "user:u1")
                await talker.ask("subscribe", "reports")
                assert "a@b.c" not in str(talker.sent[seen:])
            assert "a@b.c" not in str(bob.sent[seen:])

    async def test_is_no_more_in_what_is_kept_for_a_return(self) -> None:
        async def ask(*_: object) -> Answer:
            return answer({"user": _SESSION})

        async with talk(ask, auth="origin", origin={"session": "/session"}) as talking:
            await talking.member("u1", cookie="u1")
            (member,) = talking.core.chat.members.values()
            assert member.socket.data["users"] == {"u1": _PUBLIC}


class TestDeletions:
    @staticmethod
    async def numbering(method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
        if method == "DELETE":
            return answer(status=204)
        return answer({"ids": [int(message["content"]) for message in json.loads(body)["messages"]]}, 201)

    @pytest.mark.parametrize("named", [41, "41"])
    async def test_a_number_is_told_as_the_number_that_was_delivered(self, named: object) -> None:
        async with talk(self.numbering, origin=PERSIST) as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            await alice.ask("send_message", text("41"))
            told = await alice.ask("delete_message", {"conversation_id": "7", "message_id": named})
            assert told == {"ok": True, "conversation_id": "7", "message_id": 41}
            assert bob.heard("message_deleted") == [{"conversation_id": "7", "message_id": 41}]

    async def test_of_a_message_that_is_not_known_the_id_stays_as_it_was_said(self) -> None:
        async with talk(self.numbering, origin=PERSIST | {"delete": "/messages/{message}"}) as talking:
            alice = await talking.member("u1", "7")
            for named in (5, "5"):
                await alice.ask("delete_message", {"conversation_id": "7", "message_id": named})
            assert [told["message_id"] for told in alice.heard("message_deleted")] == [5, "5"]

    async def test_a_message_of_another_conversation_is_not_deleted_and_nobody_is_asked(self) -> None:
        async with talk(self.numbering, origin=PERSIST | {"delete": "/messages/{message}"}) as talking:
            alice, bob = await talking.member("u1", "7", "8"), await talking.member("u2", "7")
            await alice.ask("send_message", text("41", conversation="8"))
            refused = await alice.ask("delete_message", {"conversation_id": "7", "message_id": 41})
            assert (refused["ok"], refused["reason"]) == (False, "not-allowed")
            assert bob.heard("message_deleted") == []
            assert (await alice.ask("delete_message", {"conversation_id": "8", "message_id": 41}))["ok"]

    def test_a_busy_conversation_does_not_make_the_senders_of_others_forgotten(self) -> None:
        authorship = Authorship()
        authorship.note("quiet", "u1", "first")
        for number in range(20_000):
            authorship.note("busy", "u2", number)
        assert authorship.find("quiet", "first") == ("u1", "first")
        assert authorship.find("busy", "19500") == ("u2", 19500)
        assert authorship.find("busy", "19499") is None
        assert len(authorship) == 501

    def test_all_together_they_are_bounded_and_the_quietest_goes_first(self) -> None:
        authorship = Authorship(each=10, most=20)
        for conversation in ("7", "8", "7", "9"):
            for number in range(8):
                authorship.note(conversation, "u1", f"{conversation}-{number}")
        assert authorship.find("8", "8-0") is None
        assert not authorship.elsewhere("7", "8-0"), "nothing is left of it"
        assert authorship.find("7", "7-0")
        assert len(authorship) == 16

    def test_where_each_conversation_numbers_its_own_no_number_belongs_to_another(self) -> None:
        authorship = Authorship()
        authorship.note("7", "u1", 1)
        assert authorship.elsewhere("8", "1")
        authorship.note("8", "u2", 1)
        assert not authorship.elsewhere("9", "1")
        assert (authorship.find("7", "1"), authorship.find("8", "1")) == (("u1", 1), ("u2", 1))


class TestSigns:
    async def test_where_several_users_share_a_socket_the_last_one_types_unless_another_is_named(self) -> None:
        async with talk() as talking:
            link, bob = await talking.member("u1", "7"), await talking.member("u3", "7")
            await link.ask("authenticate", "u2")
            link.emit("typing_start", "7")
            link.emit("typing_start", {"conversation_id": "7", "userId": "u1"})
            assert [typing["userId"] for typing in bob.heard("user_typing")] == ["u2", "u1"]
            assert (await link.ask("typing_start", {"conversation_id": "7", "userId": "u3"}))["ok"] is False
            assert len(link.heard("user_typing")) == 2, "they are each other's others"

    async def test_typing_stops_by_itself_with_leaving_and_with_the_connection(self) -> None:
        async with talk() as talking:
            bob = await talking.member("u2", "7")
            for end in ("time", "leave_conversation", "gone"):
                alice = await talking.member("u1", "7")
                alice.emit("typing_start", "7")
                if end == "time":
                    await talking.pass_time(3.1)
                elif end == "gone":
                    alice.close("transport-close")
                else:
                    alice.emit(end, "7")
                await talking.pass_time(1)
            assert len(bob.heard("user_typing")) == len(bob.heard("user_stopped_typing")) == 3

    @pytest.mark.parametrize("end", ["gone", "leave_conversation", "typing_stop", "time"])
    async def test_who_stops_typing_is_called_as_when_it_began_however_it_ends(self, end: str) -> None:
        async def ask(*_: object) -> Answer:
            return answer({"profiles": [{"id": "u1", "username": "Ada"}]})

        async with talk(ask, origin={"profiles": "/profiles"}) as talking:
            alice, bob = await talking.member("u1", "7"), await talking.member("u2", "7")
            alice.emit("typing_start", "7")
            if end == "gone":
                alice.close("transport-close")
            elif end != "time":
                alice.emit(end, "7")
            await turns()
            await talking.pass_time(3.1)
            told = {"userId": "u1", "username": "Ada", "conversationId": "7"}
            assert bob.heard("user_typing") == bob.heard("user_stopped_typing") == [told]

    @pytest.mark.parametrize("end", ["gone", "leave_conversation", "typing_stop", "send_message"])
    async def test_a_window_that_ends_does_not_stop_the_typing_in_another_of_the_same_user(self, end: str) -> None:
        async with talk() as talking:
            bob = await talking.member("u2", "7")
            here, there = await talking.member("u1", "7"), await talking.member("u1", "7")
            there.emit("typing_start", "7")
            here.emit("typing_start", "7")
            await talking.pass_time(0.4)
            if end == "gone":
                there.close("transport-close")
            else:
                there.emit(end, text("a") if end == "send_message" else "7")
            await talking.pass_time(0.4)
            assert bob.heard("user_stopped_typing") == []
            here.emit("typing_stop", "7")
            assert len(bob.heard("user_stopped_typing")) == 1

    async def test_a_crowd_that_arrives_together_is_one_event(self) -> None:
        async with talk() as talking:
            members = [await talking.member(f"u{number}", "7") for number in range(20)]
            await talking.pass_time(0.1)
            (update,) = members[0].heard("presence_update")
            assert (update["online"], len(update["joined"]), update["left"]) == (20, 20, [])

    async def test_whoever_comes_back_soon_was_never_gone(self) -> None:
        async with talk() as talking:
            bob, alice = await talking.member("u2", "7"), await talking.member("u1", "7")
            await talking.pass_time(1)
            alice.close("transport-close")
            await talking.pass_time(1)
            alice = await talking.member("u1", "7")
            await talking.pass_time(5)
            assert len(bob.heard("presence_update")) == 1
            alice.emit("leave_conversation", "7")
            await talking.pass_time(1)
            assert bob.heard("presence_update")[1]["left"] == ["u1"]

    async def test_a_session_that_ends_takes_everything_of_its_own_with_it(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", *map(str, range(50)))
            await alice.ask("subscribe", "reports")
            for number in range(50):
                alice.emit("typing_start", str(number))
            alice.close("transport-close")
            for _ in range(3):
                await talking.pass_time(10)
            core = talking.core
            assert (core.sessions(), core.conversations(), core.users()) == ([], [], 0)
            assert not core.chat.alarm.is_set, "nothing is left to wait for"


class TestOperators:
    async def test_see_who_is_there_and_can_throw_them_out(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7")
            (session,) = talking.core.sessions()
            assert (session["users"], session["conversations"], session["peer"]) == (["u1"], 1, "127.0.0.1")
            (conversation,) = talking.core.conversations()
            assert conversation == {"id": "7", "sessions": 1, "online": 1, "waiting": 0}
            assert talking.core.disconnect(alice.sid) is True
            assert alice.closed == "server-disconnect"
            assert talking.core.disconnect(alice.sid) is False

    async def test_can_change_the_settings_of_a_running_core(self) -> None:
        async with talk() as talking:
            alice = await talking.member("u1", "7")
            talking.core.apply(ChatSettings(batch=BatchSettings(mode="fixed", delay=0.2), deliver="single"))
            alice.emit("send_message", text("a"))
            await talking.pass_time(0.1)
            assert alice.heard("new_message") == []
            await talking.pass_time(0.1)
            assert [message["content"] for message in alice.heard("new_message")] == ["a"]

    async def test_see_how_good_connections_are_by_the_worse_of_what_is_known(self) -> None:
        async with talk() as talking:
            alice, bob = await talking.member("u1"), await talking.member("u2")
            alice.round_trip, bob.round_trip = 0.02, 0.02
            assert (await bob.ask("client_metrics", {"latency": 700}))["quality"] == "poor"
            assert tuple(talking.core.quality()) == (1, 0, 1)

    async def test_what_nobody_in_particular_reports_makes_no_connection_look_worse(self) -> None:
        async with talk() as talking:
            stranger = talking.client()
            stranger.round_trip = 0.02
            assert (await stranger.ask("client_metrics", {"latency": 9000}))["quality"] == "excellent"
            assert tuple(talking.core.quality()) == (1, 0, 0)
            stranger.round_trip = 0.7
            assert tuple(talking.core.quality()) == (0, 0, 1)

    async def test_a_report_counts_as_soon_as_somebody_is_authenticated(self) -> None:
        async with talk() as talking:
            client = talking.client()
            client.round_trip = 0.02
            await client.ask("client_metrics", {"latency": 9000})
            await client.ask("authenticate", "u1")
            assert tuple(talking.core.quality()) == (0, 0, 1)

    async def test_deletion_can_be_left_to_the_application(self) -> None:
        gate = Gate()
        delete = "/conversations/{conversation}/messages/{message}?by={users}"
        async with talk(gate, origin={"delete": delete}) as talking:
            alice, bob = await talking.member("u1", "a/b"), await talking.member("u2", "a/b")
            number = alice.begin("delete_message", {"conversation_id": "a/b", "message_id": "5?x"})
            await gate.asked(1)
            assert gate.bodies == ["/conversations/a%2Fb/messages/5%3Fx?by=u1"]
            gate.answers[0].set_result(answer(status=204))
            await turns(10)
            assert alice.answered(number)["ok"]
            assert bob.heard("message_deleted") == [{"conversation_id": "a/b", "message_id": "5?x"}]
            number = alice.begin("delete_message", {"conversation_id": "a/b", "message_id": "6"})
            await gate.asked(2)
            gate.answers[1].set_result(answer(status=403))
            await turns(10)
            assert alice.answered(number)["reason"] == "not-allowed"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words := st.sampled_from(
        ["conversation_id", "sender_id", "content", "message_type", "client_id", "messages", "message_id", "userId",
         "token", "__proto__", "id"]), inner, max_size=8),
    max_leaves=12,
)  # fmt: skip
LIMITS = LimitSettings()


@given(payload=anything)
def test_whatever_a_client_says_is_understood_or_refused_with_a_reason(payload: Any) -> None:
    for parse in (parse_message, parse_batch, parse_deletion, parse_place, parse_claim):
        told = None
        try:
            parse(payload, LIMITS)
        except Refusal as refusal:
            told = refusal.told()
        if told is not None:
            assert told["reason"] in ("invalid", "too-large")
            assert len(json.dumps(told)) < 2000


@pytest.mark.parametrize("id_", [".", "..", "..."])
def test_an_id_of_dots_alone_is_refused_since_it_would_be_another_path(id_: str) -> None:
    with pytest.raises(Refusal, match="more than dots"):
        parse_id(id_, "conversation_id", LIMITS)
    assert parse_id(f"{id_}a", "conversation_id", LIMITS) == f"{id_}a"


@given(content=st.text(max_size=200), more=st.dictionaries(st.text(max_size=10), st.integers(), max_size=5))
def test_a_message_that_is_understood_can_be_sent_on(content: str, more: dict[str, int]) -> None:
    try:
        draft: Draft = parse_message({**more, **text(content)}, LIMITS)
    except Refusal:
        says_nothing = not content and not more
        unsayable = any("\ud800" <= char <= "\udfff" for name in (content, *more) for char in name)
        assert says_nothing or unsayable or "client_id" in more
        return
    assert content or more
    assert json.loads(draft.encoded) == draft.message
    assert draft.message["content"] == content


class Fates:
    """An application that does to each request what it is told to: take it, be away, or refuse a bad message."""

    def __init__(self, fates: list[str]) -> None:
        self.fates = fates
        self.kept: list[str] = []

    async def __call__(self, method: str, target: str, fields: object, body: bytes, *_: object) -> Answer:
        fate = self.fates.pop(0) if self.fates else "take"
        await asyncio.sleep(0)
        if fate == "away":
            raise OriginAway("away")
        contents = [message["content"] for message in json.loads(body)["messages"]]
        if any(content.startswith("bad") for content in contents):
            return answer({"detail": "bad"}, 422)
        self.kept += contents
        return answer({"messages": [{"id": content} for content in contents]}, 201)


actions = st.lists(
    st.tuples(st.sampled_from(["send", "send", "send", "bad", "batch", "wait", "leave"]), st.integers(0, 2)),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(actions=actions, fates=st.lists(st.sampled_from(["take", "take", "away"]), max_size=20))
def test_every_message_ends_in_one_of_two_ways_and_its_sender_knows_which(
    actions: list[tuple[str, int]], fates: list[str]
) -> None:
    asyncio.run(_every_message_ends(actions, fates))


async def _every_message_ends(actions: list[tuple[str, int]], fates: list[str]) -> None:
    application = Fates(fates)
    chat = {"batch": BatchSettings(max_messages=4), "limits": LimitSettings(user_messages=Rate(1e6, 1e6))}
    async with talk(application, origin=PERSIST, chat=chat) as talking:
        senders = [await talking.member(f"u{number}", "7") for number in range(3)]
        reader = await talking.member("reader", "7")
        sent: list[tuple[int, int, list[str]]] = []
        for count, (action, who) in enumerate(actions):
            talker, user = senders[who], f"u{who}"
            if action == "wait":
                await talking.pass_time(0.03)
            elif action == "leave":
                await talker.ask("leave_conversation", "7")
                await talker.ask("join_conversation", "7")
            elif action == "batch":
                contents = [f"m{count}a", f"m{count}b", f"bad{count}"]
                payload = {"conversation_id": "7", "messages": [text(content, user) for content in contents]}
                sent.append((who, talker.begin("send_message_batch", payload), contents))
            else:
                contents = [f"{'bad' if action == 'bad' else 'm'}{count}"]
                sent.append((who, talker.begin("send_message", text(contents[0], user)), contents))
        for _ in range(20):
            await talking.pass_time(0.1)
        await talking.core.chat.drain()
        delivered = reader.contents
        assert delivered == application.kept, "what is kept is delivered, once, in the same order"
        assert delivered == [content for _, _, contents in sent for content in contents if content in delivered]
        for who, number, contents in sent:
            told = senders[who].answered(number)
            assert told is not None, "nobody waits for ever"
            assert [id_ for id_ in told["messages"] if id_ is not None] == [c for c in contents if c in delivered]
            assert told["ok"] is all(content in delivered for content in contents)
