"""Identities and consents end when they end: for those who are away as for those who are here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from realtime import participation
from realtime.revocation import MOST, BadRevocation, Revocation, Revocations
from tests.realtime.participants import SECRET, WALL, World, world
from tests.realtime.talking import Talker, text
from tests.realtime.wire import turns

LONG = 31.0
"""Seconds after which nothing that the application has said is remembered."""


async def away(talker: Talker) -> None:
    talker.drop()
    await turns()


class TestATokenThatExpiresWhileItsConnectionIsAway:
    @staticmethod
    async def member(here: World, *tokens: tuple[str, float]) -> Talker:
        jwt = pytest.importorskip("jwt", reason="PyJWT is missing: pip install 'pyjwt[crypto]'")
        talker = here.arrive()
        for user, seconds in tokens:
            token = jwt.encode({"sub": user, "exp": WALL + seconds}, SECRET, algorithm="HS256")
            assert (await talker.ask("authenticate", {"token": token}))["ok"]
            assert (await talker.ask("subscribe", f"of:{user}"))["ok"]
        assert (await talker.ask("join_conversation", "7"))["ok"]
        return talker

    @staticmethod
    async def say(here: World, bob: Talker, what: str) -> None:
        assert (await bob.ask("send_message", text(what, "bob")))["ok"]
        await here.talking.pass_time(1.0)
        for channel in ("user:anna", "of:anna"):
            await here.core.publish({"channel": channel, "event": "hint", "data": f"{what} {channel}"})

    @pytest.mark.parametrize("restart", [False, True])
    async def test_brings_what_came_before_and_nothing_of_what_came_after(self, tmp_path: Path, restart: bool) -> None:
        async with world(auth="jwt", authorize=None, journal=tmp_path) as here:
            bob, anna = await self.member(here, ("bob", 600)), await self.member(here, ("anna", 10))
            await away(anna)
            await self.say(here, bob, "before")
            await here.talking.pass_time(20.0)
            await self.say(here, bob, "after")
            await here.core.settle()
            if not restart:
                anna = await here.back(anna, drop=False)
                self.has_ended(anna)
        if restart:
            async with world(auth="jwt", authorize=None, journal=tmp_path, after=25.0) as here:
                self.has_ended(await here.back(anna, drop=False))

    @staticmethod
    def has_ended(anna: Talker) -> None:
        assert anna.contents == ["before"]
        assert anna.heard("hint") == ["before user:anna", "before of:anna"]
        (told,) = anna.heard("auth_error")
        assert (told["reason"], told["user"], told["left"]) == ("expired", "anna", ["7"])
        assert anna.events[-1][0] == "auth_error", "after what was still for it"

    async def test_takes_from_its_own_user_alone(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            bob, link = await self.member(here, ("bob", 600)), await self.member(here, ("anna", 10), ("ben", 600))
            await away(link)
            await here.talking.pass_time(20.0)
            await self.say(here, bob, "after")
            await here.core.publish({"channel": "user:ben", "event": "hint", "data": "for ben"})
            link = await here.back(link, drop=False)
            assert link.contents == ["after"], "ben is in the conversation as well"
            assert link.heard("hint") == ["for ben"]
            assert [told["user"] for told in link.heard("auth_error")] == ["anna"]
            assert (await link.ask("send_message", text("still here", "ben")))["ok"]


class TestWhoReturns:
    async def test_hears_nothing_of_what_it_missed_where_the_application_has_said_no_meanwhile(self) -> None:
        async with world() as here:
            anna, bob = await here.come("anna", joins="7A"), await here.come("bob", joins="7")
            await away(anna)
            here.talking.seconds += LONG
            here.application.parts["7"] = {"bob"}
            await bob.ask("send_message", text("secret", "bob"))
            await here.core.publish({"channel": "user:anna", "event": "hint", "data": 1})
            await here.core.publish({"channel": "conversation:A", "event": "hint", "data": 2})
            anna = await here.back(anna, drop=False)
            assert anna.contents == []
            assert anna.heard("hint") == [1, 2], "what it still has a part in is not lost"
            assert [told["reason"] for told in anna.heard("message_error")] == ["not-allowed"]

    async def test_hears_nothing_at_all_where_it_was_logged_out_meanwhile(self) -> None:
        async with world() as here:
            link, bob = await here.come("anna", "ben", joins="7A"), await here.come("bob", joins="7")
            await away(link)
            here.talking.seconds += LONG
            here.application.logged_out.add("anna")
            await bob.ask("send_message", text("for ben", "bob"))
            for channel in ("user:anna", "user:ben", "conversation:A"):
                await here.core.publish({"channel": channel, "event": "hint", "data": channel})
            link = await here.back(link, drop=False)
            assert link.contents == ["for ben"]
            assert link.heard("hint") == ["user:ben"]
            (told,) = link.heard("auth_error")
            assert (told["reason"], told["user"], told["left"]) == ("refused", "anna", ["A"])
            assert (await link.ask("send_message", text("a", "anna")))["reason"] == "not-authenticated"
            assert (await link.ask("subscribe", "user:anna"))["reason"] == "not-allowed"
            assert here.core.stats.auth_refused == {"refused": 1}

    async def test_waits_for_the_answer_and_then_gets_what_it_missed_in_order(self) -> None:
        async with world() as here:
            anna, bob = await here.come("anna", joins="7"), await here.come("bob", joins="7")
            await away(anna)
            await bob.ask("send_message", text("1", "bob"))
            here.talking.seconds += LONG
            here.application.silence = asyncio.Event()
            anna = await here.back(anna, drop=False, waits=True)
            await bob.ask("send_message", text("2", "bob"))
            await turns(20)
            assert anna.sent == []
            here.application.silence.set()
            await turns(50)
            assert anna.contents == ["1", "2"]
            await here.talking.pass_time(1.0)
            await bob.ask("send_message", text("3", "bob"))
            assert anna.contents == ["1", "2", "3"]

    async def test_waits_no_longer_than_a_moment_and_is_asked_about_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(participation, "HOLD", 0.0)
        async with world() as here:
            anna, bob = await here.come("anna", joins="7"), await here.come("bob", joins="7")
            await away(anna)
            await bob.ask("send_message", text("1", "bob"))
            here.talking.seconds += LONG
            here.application.silence = asyncio.Event()
            anna = await here.back(anna, drop=False)
            assert anna.contents == ["1"], "nobody has said no"
            here.application.logged_out.add("anna")
            here.application.silence.set()
            await turns(20)
            assert [told["reason"] for told in anna.heard("auth_error")] == ["refused"]

    async def test_twice_while_it_is_asked_about_is_here_once_and_misses_nothing(self) -> None:
        async with world() as here:
            anna, bob = await here.come("anna", joins="7"), await here.come("bob", joins="7")
            await away(anna)
            await bob.ask("send_message", text("1", "bob"))
            here.talking.seconds += LONG
            here.application.silence = asyncio.Event()
            here.application.asked.clear()
            first = await here.back(anna, drop=False, waits=True)
            second = await here.back(anna, drop=False, waits=True)
            await away(first)
            here.application.silence.set()
            await turns(50)
            assert (first.contents, second.contents) == ([], ["1"])
            assert here.application.consents() == [("7", "for-anna")]

    async def test_and_leaves_while_it_is_asked_about_may_return_once_more(self) -> None:
        async with world() as here:
            anna, bob = await here.come("anna", joins="7"), await here.come("bob", joins="7")
            await away(anna)
            await bob.ask("send_message", text("1", "bob"))
            here.talking.seconds += LONG
            here.application.silence = asyncio.Event()
            await away(await here.back(anna, drop=False, waits=True))
            here.application.silence.set()
            await turns(50)
            anna = await here.back(anna, drop=False)
            assert anna.contents == ["1"]
            assert (await anna.ask("send_message", text("a", "anna")))["ok"], "its token was kept"


class TestARefusedAuthenticate:
    async def test_ends_its_user_with_everything_that_hangs_on_it(self) -> None:
        async with world() as here:
            link, bob = await here.come("anna", "ben", joins="7A"), await here.come("bob", joins="7")
            for channel in ("of:anna", "of:ben"):
                assert (await link.ask("subscribe", channel))["ok"]
            here.talking.seconds += LONG
            here.application.logged_out.add("anna")
            refused = await link.ask("authenticate", {"token": "for-anna"})
            assert (refused["reason"], refused["user"], refused["left"]) == ("refused", "anna", ["A"])
            assert [told["user"] for told in link.heard("auth_error")] == ["anna"]
            assert (await link.ask("send_message", text("a", "anna")))["reason"] == "not-authenticated"
            assert (await link.ask("subscribe", "user:anna"))["reason"] == "not-allowed"
            for channel in ("user:anna", "of:anna", "conversation:A", "user:ben", "of:ben"):
                await here.core.publish({"channel": channel, "event": "hint", "data": channel})
            assert link.heard("hint") == ["user:ben", "of:ben"]
            assert (await link.ask("send_message", text("still here", "ben")))["ok"]
            await here.talking.pass_time(1.0)
            assert bob.heard("presence_update")[-1]["users"] == ["ben", "bob"]

    async def test_ends_whoever_it_names_and_all_who_were_known_by_the_same(self) -> None:
        async with world() as here:
            anna = await here.come("anna")
            here.application.logged_out.add("other")
            assert (await anna.ask("authenticate", {"token": "for-other"}))["reason"] == "refused"
            assert (await anna.ask("join_conversation", "7"))["ok"], "that was about somebody else"
            refused = await anna.ask("authenticate", {"userId": "anna", "token": "for-other"})
            assert (refused["reason"], refused["left"]) == ("refused", ["7"])
            assert (await anna.ask("join_conversation", "7"))["reason"] == "not-authenticated"

    async def test_in_an_outage_ends_nobody(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            here.talking.seconds += LONG
            here.application.away = True
            assert (await anna.ask("authenticate", {"token": "for-anna"}))["reason"] == "origin-away"
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]


class TestARevocation:
    async def test_ends_a_user_at_once_wherever_it_is(self) -> None:
        async with world() as here:
            link, gone = await here.come("anna", "ben", joins="7"), await here.come("anna", joins="7A")
            bob = await here.come("bob", joins="7")
            await away(gone)
            await bob.ask("send_message", text("before", "bob"))
            here.application.logged_out.add("anna")
            assert await here.core.revoke({"user": "anna"}) == 2
            (told,) = link.heard("auth_error")
            assert (told["reason"], told["user"], told["left"]) == ("revoked", "anna", [])
            assert (await link.ask("send_message", text("a", "anna")))["reason"] == "not-authenticated"
            await here.talking.pass_time(1.0)
            await bob.ask("send_message", text("after", "bob"))
            await here.core.publish({"channel": "user:anna", "event": "hint", "data": None})
            gone = await here.back(gone, drop=False)
            assert (link.contents, gone.contents) == (["before", "after"], ["before"])
            assert link.heard("hint") == gone.heard("hint") == []
            assert [told["left"] for told in gone.heard("auth_error")] == [["7", "A"]]
            assert (await gone.ask("authenticate", {"token": "for-anna"}))["reason"] == "refused", (
                "nothing is remembered"
            )
            assert here.core.stats.auth_refused == {"revoked": 2, "refused": 1}

    async def test_also_of_one_who_is_away_outlives_the_process(self, tmp_path: Path) -> None:
        async with world(journal=tmp_path) as here:
            anna, bob = await here.come("anna", joins="7"), await here.come("bob", joins="7")
            await away(anna)
            assert await here.core.revoke({"user": "anna"}) == 1
            await bob.ask("send_message", text("after", "bob"))
            await here.core.settle()
        async with world(journal=tmp_path) as here:
            anna = await here.back(anna, drop=False)
            assert (anna.contents, len(anna.heard("auth_error"))) == ([], 1)
            assert (await anna.ask("join_conversation", "7"))["reason"] == "not-authenticated"

    async def test_takes_a_part_in_one_conversation_and_the_consent_that_was_remembered(self) -> None:
        async with world() as here:
            anna, gone = await here.come("anna", joins="7A"), await here.come("anna", joins="7A")
            bob = await here.come("bob", joins="7")
            await away(gone)
            here.application.parts["7"] = {"bob"}
            assert await here.core.revoke({"user": "anna", "conversation": "7"}) == 2
            assert await here.core.revoke({"user": "anna", "conversation": "7"}) == 0
            await bob.ask("send_message", text("after", "bob"))
            gone = await here.back(gone, drop=False)
            assert anna.contents == gone.contents == []
            for link in (anna, gone):
                (told,) = link.heard("message_error")
                assert (told["reason"], told["conversation_id"], told["users"]) == ("not-allowed", "7", ["anna"])
                assert (await link.ask("join_conversation", "7"))["reason"] == "not-allowed"
                await here.talking.pass_time(1.0)
                assert (await link.ask("send_message", text("a", "anna", "A")))["ok"]

    async def test_holds_for_whoever_is_just_being_let_in(self) -> None:
        async with world() as here:
            anna, late = await here.come("anna"), here.arrive()
            here.application.silence = asyncio.Event()
            joins, enters = anna.begin("join_conversation", "7"), late.begin("authenticate", {"token": "for-anna.2"})
            await turns(20)
            await here.core.revoke({"user": "anna", "conversation": "7"})
            await here.core.revoke({"user": "anna"})
            here.application.silence.set()
            await turns(50)
            assert anna.answered(joins)["reason"] == "not-authenticated"
            assert late.answered(enters)["reason"] == "revoked"
            here.application.parts["7"] = set()
            assert (await late.ask("authenticate", {"token": "for-anna"}))["ok"], "the application says so"
            assert (await late.ask("join_conversation", "7"))["reason"] == "not-allowed", "nothing was remembered"

    async def test_reaches_one_who_is_asked_about_on_its_return(self) -> None:
        async with world() as here:
            anna, bob = await here.come("anna", joins="7"), await here.come("bob", joins="7")
            await away(anna)
            here.talking.seconds += LONG
            here.application.silence = asyncio.Event()
            anna = await here.back(anna, drop=False, waits=True)
            assert await here.core.revoke({"user": "anna"}) == 1
            await bob.ask("send_message", text("after", "bob"))
            here.application.silence.set()
            await turns(50)
            assert (anna.contents, [told["reason"] for told in anna.heard("auth_error")]) == ([], ["revoked"])

    @pytest.mark.parametrize(
        ("document", "why"),
        [
            ([], "A revocation is an object"),
            ({}, "user must be"),
            ({"user": ""}, "user must be"),
            ({"user": "u" * 201}, "user must have at most 200 characters."),
            ({"user": "u1", "conversation": None}, "conversation must be"),
            ({"user": "u1", "room": "7"}, "A revocation has no member 'room'."),
        ],
    )
    async def test_that_makes_no_sense_is_explained(self, document: object, why: str) -> None:
        async with world() as here:
            with pytest.raises(BadRevocation, match=why):
                await here.core.revoke(document)


def test_what_was_revoked_is_known_for_a_while_and_in_doubt_it_was() -> None:
    revocations = Revocations()
    revocations.note(Revocation("anna", "7"))
    assert revocations.since(0, "anna", "7")
    assert not revocations.since(1, "anna", "7")
    assert not revocations.since(0, "anna")
    assert not revocations.since(0, "anna", "8")
    revocations.note(Revocation("anna"))
    assert revocations.since(1, "anna", "8")
    for number in range(MOST):
        revocations.note(Revocation(f"u{number}"))
    assert revocations.since(1, "ben")
    assert not revocations.since(2, "anna")
