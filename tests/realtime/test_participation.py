"""Who is let in with which proof, who must leave again, and what is known of them after a return or a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from realtime import participation
from realtime.proofs import Cloakroom, ProofLost, Proofs
from tests.realtime.participants import SECRET, WALL, Slow, World, world
from tests.realtime.talking import Talker, text
from tests.realtime.wire import turns

jwt = pytest.importorskip("jwt", reason="PyJWT is missing: pip install 'pyjwt[crypto]'")


def written(directory: Path) -> bytes:
    """All that is in the journal."""
    return b"".join(path.read_bytes() for path in directory.glob("*.journal"))


class TestEachUserHasAProofOfItsOwn:
    async def test_the_application_is_asked_about_each_with_its_own_token(self) -> None:
        async with world() as here:
            link = await here.come("anna", "ben")
            assert (await link.ask("join_conversation", "B"))["users"] == ["ben"]
            assert sorted(here.application.consents()) == [("B", "for-anna"), ("B", "for-ben")]
            assert (await link.ask("send_message", text("a", "anna", "B")))["reason"] == "not-allowed"
            assert (await link.ask("send_message", text("b", "ben", "B")))["ok"]
            assert (await link.ask("join_conversation", "A"))["users"] == ["anna"]

    async def test_also_when_it_is_to_delete_something_until_one_of_them_may(self) -> None:
        async with world(delete="/messages/{conversation}/{message}") as here:
            link = await here.come("ben", "anna", joins="7")
            sent = await link.ask("send_message", text("a", "ben"))
            here.application.parts["7"] = {"ben"}
            here.application.asked.clear()
            named = {"conversation_id": "7", "message_id": sent["messages"][0]}
            assert (await link.ask("delete_message", named))["ok"]
            assert [token for _, _, token in here.application.asked] == ["for-ben"], "the sender is asked first"
            here.application.parts["7"] = set()
            assert (await link.ask("delete_message", named))["reason"] == "not-allowed"
            assert {token for _, _, token in here.application.asked} == {"for-anna", "for-ben"}

    async def test_the_token_of_the_connection_counts_for_those_who_showed_no_other(self) -> None:
        async with world() as here:
            link = here.arrive(token="for-anna")
            assert (await link.ask("authenticate"))["user"] == {"id": "anna"}
            assert (await link.ask("authenticate", {"token": "for-ben"}))["user"] == {"id": "ben"}
            await link.ask("join_conversation", "7")
            assert sorted(here.application.consents()) == [("7", "for-anna"), ("7", "for-ben")]

    async def test_on_a_full_connection_each_may_authenticate_again_by_token_alone_and_nobody_else(self) -> None:
        users = [f"u{number}" for number in range(10)]
        async with world() as here:
            link = await here.back(await here.come(*users))
            asked = [link.begin("authenticate", {"token": f"for-{user}"}) for user in ("new", *users, "newer")]
            await turns(200)
            said = [link.answered(number) for number in asked]
            assert [each.get("reason") for each in said] == ["too-many-users", *[None] * 10, "too-many-users"]
            assert [each["user"]["id"] for each in said[1:-1]] == users

    async def test_of_two_who_come_at_once_for_the_last_place_one_gets_it(self) -> None:
        async with world() as here:
            link = await here.come(*(f"u{number}" for number in range(9)))
            asked = [link.begin("authenticate", {"token": f"for-{user}"}) for user in ("first", "second", "first")]
            await turns(50)
            assert [link.answered(number).get("reason") for number in asked] == [None, "too-many-users", None]

    async def test_authenticating_again_replaces_the_token(self) -> None:
        async with world() as here:
            link = await here.come("anna", "ben")
            assert (await link.ask("authenticate", {"token": "for-anna.2"}))["user"] == {"id": "anna"}
            assert (await link.ask("authenticate", "ben"))["ok"], "what was shown once need not be shown again"
            await link.ask("join_conversation", "7")
            assert sorted(here.application.consents()) == [("7", "for-anna.2"), ("7", "for-ben")]


class TestAReturn:
    async def test_brings_the_tokens_back(self) -> None:
        async with world(delete="/messages/{conversation}/{message}") as here:
            anna = await here.back(await here.come("anna", joins="7"))
            here.application.consents()
            assert (await anna.ask("join_conversation", "A"))["ok"]
            assert here.application.consents() == [("A", "for-anna")]
            assert (await anna.ask("delete_message", {"conversation_id": "7", "message_id": "x"}))["ok"]

    async def test_brings_them_back_from_a_connection_that_nobody_found_dead(self) -> None:
        async with world() as here:
            anna = await here.back(await here.come("anna", joins="7"), drop=False)
            assert (await anna.ask("join_conversation", "A"))["ok"]

    async def test_with_a_newer_token_goes_on_with_that_one(self) -> None:
        async with world() as here:
            anna = here.arrive(token="for-anna.1")
            await anna.ask("authenticate")
            anna = await here.back(anna, token="for-anna.2")
            assert (await anna.ask("join_conversation", "7"))["ok"]
            assert here.application.consents() == [("7", "for-anna.2")]

    async def test_leaves_no_token_in_the_journal(self, tmp_path: Path) -> None:
        async with world(journal=tmp_path) as here:
            anna = await here.come("anna", joins="7", token="for-bob")
            await here.core.settle()
            await here.back(anna)
            await here.core.settle()
        assert b"anna" in written(tmp_path)
        assert b"for-" not in written(tmp_path)

    async def test_that_does_not_come_in_time_leaves_nothing_behind(self) -> None:
        async with world() as here:
            anna = await here.come("anna")
            anna.drop()
            await turns()
            await here.talking.pass_time(121.0)
            assert len(here.core.chat.participation._cloakroom) == 0
            assert not here.core.chat.alarm.is_set


class TestARestart:
    @asynccontextmanager
    async def restarted(
        self, tmp_path: Path, joins: str = "", **origin: Any
    ) -> AsyncIterator[tuple[World, Talker, Talker]]:
        """A client that was here before, as `anna` by a token of her own, and bob who was not."""
        async with world(journal=tmp_path, **origin) as here:
            anna = await here.come("anna", joins=joins)
            await here.core.settle()
        async with world(journal=tmp_path, **origin) as here:
            yield here, await here.back(anna, drop=False), await here.come("bob", joins="7")

    async def test_is_why_a_question_that_needs_the_token_is_refused_until_it_is_shown_again(
        self, tmp_path: Path
    ) -> None:
        async with self.restarted(tmp_path, "7", delete="/messages/{conversation}/{message}") as (_, anna, _bob):
            refused = await anna.ask("join_conversation", "A")
            assert (refused["reason"], refused["users"]) == ("reauthenticate", ["anna"])
            assert refused["error"].startswith("Authenticate again: ")
            refused = await anna.ask("delete_message", {"conversation_id": "7", "message_id": "x"})
            assert refused["reason"] == "reauthenticate"
            assert (await anna.ask("authenticate", {"token": "for-anna"}))["ok"]
            assert (await anna.ask("join_conversation", "A"))["ok"]

    async def test_loses_nothing_for_those_who_authenticate_on_every_connect(self, tmp_path: Path) -> None:
        async with self.restarted(tmp_path, "7") as (here, anna, bob):
            assert (await bob.ask("send_message", text("a", "bob")))["ok"]
            assert (await anna.ask("authenticate", {"token": "for-anna"}))["ok"]
            for _ in range(10):
                await here.talking.pass_time(5.0)
            assert ("7", "for-anna") in here.application.consents(), "the new process knew of no consent"
            assert (await bob.ask("send_message", text("b", "bob")))["ok"]
            assert anna.contents == ["a", "b"]

    async def test_leaves_time_to_each_of_those_who_share_a_connection(self, tmp_path: Path) -> None:
        async with world(journal=tmp_path) as here:
            link = await here.come("anna", "ben", joins="7")
            await here.core.settle()
        async with world(journal=tmp_path) as here:
            link = await here.back(link, drop=False)
            assert (await link.ask("authenticate", {"token": "for-ben"}))["ok"]
            assert (await link.ask("join_conversation", "7"))["ok"]
            assert (await link.ask("send_message", text("still here", "anna")))["ok"]
            await here.talking.pass_time(1.0)
            assert (await link.ask("authenticate", {"token": "for-anna"}))["ok"]
            assert (await link.ask("send_message", text("a", "anna")))["ok"]
            await here.talking.pass_time(0.0)
            await turns(20)
            assert ("7", "for-anna") in here.application.consents()

    async def test_puts_out_those_who_do_not_and_tells_them(self, tmp_path: Path) -> None:
        async with self.restarted(tmp_path, "7") as (here, anna, bob):
            for _ in range(4):
                await here.talking.pass_time(5.0)
            (told,) = anna.heard("message_error")
            assert (told["reason"], told["conversation_id"]) == ("reauthenticate", "7")
            await bob.ask("send_message", text("a", "bob"))
            assert anna.contents == []

    async def test_asks_with_the_token_that_every_connection_brings_along(self, tmp_path: Path) -> None:
        async with world(journal=tmp_path) as here:
            anna = here.arrive(token="for-anna")
            await anna.ask("authenticate")
            await here.core.settle()
        async with world(journal=tmp_path) as here:
            anna = await here.back(anna, drop=False, token="for-anna")
            assert (await anna.ask("join_conversation", "A"))["ok"]


class TestConsentThatHasAged:
    async def test_is_asked_for_again_when_a_connection_returns_and_not_before(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            here.application.consents()
            anna = await here.back(anna)
            assert here.application.consents() == []
            here.talking.seconds += 31
            await here.back(anna)
            assert here.application.consents() == [("7", "for-anna")]

    async def test_who_has_lost_it_is_told_and_out_of_the_room_and_who_has_not_misses_nothing(self) -> None:
        async with world() as here:
            anna, ben = await here.come("anna", joins="7"), await here.come("ben", joins="7")
            bob = await here.come("bob", joins="7")
            here.talking.seconds += 31
            here.application.parts["7"] = {"ben", "bob"}
            anna.drop()
            ben.drop()
            await turns()
            await bob.ask("send_message", text("meanwhile", "bob"))
            anna, ben = await here.back(anna, drop=False), await here.back(ben, drop=False)
            await here.talking.pass_time(1)
            await bob.ask("send_message", text("afterwards", "bob"))
            assert ben.contents == ["meanwhile", "afterwards"]
            assert anna.contents == []
            (told,) = anna.heard("message_error")
            assert (told["reason"], told["conversation_id"], told["users"]) == ("not-allowed", "7", ["anna"])
            assert (await anna.ask("send_message", text("a", "anna")))["reason"] == "not-joined"
            await here.talking.pass_time(1)
            await here.talking.pass_time(1)
            assert bob.heard("presence_update")[-1]["users"] == ["ben", "bob"]

    async def test_on_a_shared_connection_only_those_who_have_lost_it_are_outside(self) -> None:
        async with world() as here:
            link = await here.come("anna", "ben", joins="7")
            here.talking.seconds += 31
            here.application.parts["7"] = {"ben"}
            link = await here.back(link)
            assert link.heard("message_error")[0]["users"] == ["anna"]
            assert (await link.ask("send_message", text("a", "anna")))["reason"] == "not-allowed"
            assert (await link.ask("send_message", text("a", "ben")))["ok"]

    async def test_without_an_answer_everybody_stays_and_the_question_is_repeated(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            here.talking.seconds += 31
            here.application.away = True
            anna = await here.back(anna)
            for _ in range(4):
                await here.talking.pass_time(5.0)
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]
            assert (await anna.ask("join_conversation", "7"))["ok"], "nobody has said no"
            here.application.away, here.application.parts["7"] = False, set()
            await here.talking.pass_time(5.0)
            await turns(20)
            assert [told["reason"] for told in anna.heard("message_error")] == ["not-allowed"]
            assert (await anna.ask("send_message", text("b", "anna")))["reason"] == "not-joined"

    async def test_is_asked_for_again_when_it_joins_again(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            bob = await here.come("bob", joins="7")
            here.application.parts["7"] = {"bob"}
            assert (await anna.ask("join_conversation", "7"))["ok"], "the last answer still holds"
            here.talking.seconds += 31
            refused = await anna.ask("join_conversation", "7")
            assert (refused["ok"], refused["reason"]) == (False, "not-allowed")
            await bob.ask("send_message", text("a", "bob"))
            assert anna.contents == []

    async def test_a_new_token_while_the_application_is_asked_is_asked_for_itself(self) -> None:
        async with world() as here:
            anna = await here.come("anna", joins="7")
            here.talking.seconds += 31
            here.application.away = True
            anna = await here.back(anna)
            here.application.away = False
            here.application.asked.clear()
            await anna.ask("authenticate", {"token": "for-anna.2"})
            await here.talking.pass_time(0.0)
            await turns(20)
            assert here.application.consents() == [("7", "for-anna.2")]

    async def test_an_answer_about_a_token_that_was_replaced_meanwhile_puts_nobody_out(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(participation, "HOLD", 0.0)
        async with world() as here:
            anna = await here.come("anna", joins="7")
            here.talking.seconds += 31
            said = here.application.holding["for-anna"] = asyncio.Event()
            anna = await here.back(anna)
            await anna.ask("authenticate", {"token": "for-anna.2"})
            said.set()
            await turns(20)
            await here.talking.pass_time(5.0)
            assert anna.heard("message_error") == []
            assert (await anna.ask("send_message", text("a", "anna")))["ok"]


class TestTokensThatExpire:
    @staticmethod
    def token(user: str = "u1", seconds: float = 60) -> str:
        signed: str = jwt.encode({"sub": user, "exp": WALL + seconds}, SECRET, algorithm="HS256")
        return signed

    @classmethod
    async def member(cls, here: World, *users: str, seconds: float = 60) -> Talker:
        talker = here.arrive()
        for user in users:
            assert (await talker.ask("authenticate", {"token": cls.token(user, seconds)}))["ok"]
        assert (await talker.ask("join_conversation", "7"))["ok"]
        for channel in ("news", *(f"of:{user}" for user in users)):
            assert (await talker.ask("subscribe", channel))["ok"]
        return talker

    @pytest.mark.parametrize(
        ("event", "payload", "reason"),
        [
            ("send_message", text("late"), "not-authenticated"),
            ("join_conversation", "8", "not-authenticated"),
            ("join_conversation", "7", "not-authenticated"),
            ("typing_start", "7", "not-authenticated"),
            ("delete_message", {"conversation_id": "7", "message_id": "x"}, "not-joined"),
            ("subscribe", "of:u1", "not-allowed"),
        ],
    )
    async def test_let_nobody_act_any_more(self, event: str, payload: Any, reason: str) -> None:
        async with world(auth="jwt", authorize=None) as here:
            bob, late = await self.member(here, "bob", seconds=600), await self.member(here, "u1")
            await here.talking.pass_time(59.0)
            assert (await late.ask("send_message", text("in time")))["ok"]
            here.talking.seconds += 1.0  # it speaks before any timer does
            assert (await late.ask(event, payload))["reason"] == reason
            (told,) = late.heard("auth_error")
            assert (told["reason"], told["user"], told["left"]) == ("expired", "u1", ["7"])
            await here.talking.pass_time(5.0)
            assert bob.heard("presence_update")[-1]["left"] == ["u1"]
            for channel in ("news", "of:u1", "user:u1", "conversation:7"):
                await here.core.publish({"channel": channel, "event": "hint", "data": channel})
            assert late.heard("hint") == ["news"], "which is open to everybody"
            assert bob.contents == ["in time"]

    async def test_put_out_whoever_only_listens(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            bob, late = await self.member(here, "bob", seconds=600), await self.member(here, "u1")
            assert here.core.chat.participation.deadline == here.talking.seconds + 60.0
            assert here.core.chat.alarm.is_set
            await here.talking.pass_time(59.9)
            assert late.heard("auth_error") == []
            await here.talking.pass_time(0.1)
            (told,) = late.heard("auth_error")
            assert (told["reason"], told["user"], told["left"]) == ("expired", "u1", ["7"])
            assert (await bob.ask("send_message", text("secret", "bob")))["ok"]
            await here.core.publish({"channel": "user:u1", "event": "hint", "data": None})
            assert (late.contents, late.heard("hint")) == ([], [])
            await here.talking.pass_time(600.0)
            assert len(late.heard("auth_error")) == 1, "it is told once"

    async def test_put_out_one_after_the_other_of_those_who_share_a_connection(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            link = await self.member(here, "u1", seconds=50)
            for user, seconds in (("u2", 30), ("u3", 40)):
                assert (await link.ask("authenticate", {"token": self.token(user, seconds)}))["ok"]
            for gone in (["u2"], ["u2", "u3"], ["u2", "u3", "u1"]):
                await here.talking.pass_time(30.0 if len(gone) == 1 else 10.0)
                assert [told["user"] for told in link.heard("auth_error")] == gone
            assert [told["left"] for told in link.heard("auth_error")] == [[], [], ["7"]]
            assert here.core.chat.participation.deadline is None

    async def test_put_out_whoever_only_listens_after_its_return(self, tmp_path: Path) -> None:
        async with world(auth="jwt", authorize=None, journal=tmp_path) as here:
            talker, begun = await here.back(await self.member(here, "u1")), here.talking.seconds
            await here.core.settle()
        async with world(auth="jwt", authorize=None, journal=tmp_path) as here:
            here.talking.seconds = begun + 20.0
            again = await here.back(talker, drop=False)
            assert again.heard("auth_error") == []
            await here.talking.pass_time(40.0)
            assert [told["left"] for told in again.heard("auth_error")] == [["7"]]

    async def test_are_noticed_within_a_minute_when_the_time_of_day_was_put_forward(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            late = await self.member(here, "u1", seconds=3600)
            here.ahead += 3600.0
            await here.talking.pass_time(60.0)
            assert [told["user"] for told in late.heard("auth_error")] == ["u1"]

    async def test_of_a_crowd_are_seen_to_a_few_at_a_time(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            crowd = [await self.member(here, f"u{number}") for number in range(120)]
            here.talking.seconds += 60.0
            told = []
            for _ in range(3):
                here.core.chat.alarm.ring()
                told.append(sum(len(talker.heard("auth_error")) for talker in crowd))
            assert told == [50, 100, 120]

    async def test_let_nobody_in_for_whom_the_application_was_asked_before(self) -> None:
        slow = Slow()
        async with world(slow, auth="jwt") as here:
            link = here.arrive()
            for user, seconds in (("u1", 10), ("u2", 20)):
                assert (await link.ask("authenticate", {"token": self.token(user, seconds)}))["ok"]
            for stays in (["u2"], None):
                slow.may.clear()
                asked = link.begin("join_conversation", f"with {stays}")
                await turns(20)
                await here.talking.pass_time(10.0)
                slow.may.set()
                await turns(20)
                said = link.answered(asked)
                assert (said.get("users"), said.get("reason")) == (stays, None if stays else "not-authenticated")

    async def test_take_nothing_from_the_others_on_their_connection(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            link = await self.member(here, "u1")
            await link.ask("authenticate", {"token": self.token("u2", 600)})
            await here.talking.pass_time(61.0)
            assert (await link.ask("send_message", text("a", "u2")))["ok"]
            assert (await link.ask("send_message", text("b", "u1")))["reason"] == "not-authenticated"
            assert link.contents == ["a"]
            assert link.heard("auth_error")[0]["left"] == []

    async def test_are_renewed_by_authenticating_again(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            talker = await self.member(here, "u1")
            assert (await talker.ask("authenticate", {"token": self.token("u1", 600)}))["ok"]
            await here.talking.pass_time(61.0)
            assert (await talker.ask("send_message", text("a")))["ok"]
            assert talker.heard("auth_error") == []

    @pytest.mark.parametrize("restart", [False, True])
    async def test_bring_nobody_back(self, tmp_path: Path, restart: bool) -> None:
        async with world(auth="jwt", authorize=None, journal=tmp_path) as here:
            talker, begun = await self.member(here, "u1"), here.talking.seconds
            await here.core.settle()
            if not restart:
                here.talking.seconds += 61
                await self.is_no_user(await here.back(talker))
        if restart:
            async with world(auth="jwt", authorize=None, journal=tmp_path) as here:
                here.talking.seconds = begun + 61
                await self.is_no_user(await here.back(talker, drop=False))

    @staticmethod
    async def is_no_user(talker: Talker) -> None:
        assert [(told["reason"], told["left"]) for told in talker.heard("auth_error")] == [("expired", ["7"])]
        assert (await talker.ask("send_message", text("a")))["reason"] == "not-authenticated"
        assert (await talker.ask("join_conversation", "7"))["reason"] == "not-authenticated"
        assert len(talker.heard("auth_error")) == 1, "it is told once"

    async def test_make_room_for_others_on_their_connection(self) -> None:
        async with world(auth="jwt", authorize=None) as here:
            link = await self.member(here, *(f"u{number}" for number in range(10)))
            fresh = {"token": self.token("ben", 600)}
            assert (await link.ask("authenticate", fresh))["reason"] == "too-many-users"
            await here.talking.pass_time(61.0)
            assert (await link.ask("authenticate", fresh))["ok"]


class TestTheCloakroom:
    def test_keeps_what_was_left_for_as_long_as_its_owner_may_return(self) -> None:
        cloakroom, proofs = Cloakroom(120.0), Proofs("abc")
        cloakroom.leave("s1", proofs, now=5.0)
        assert cloakroom.deadline == 125.0
        cloakroom.due(124.9)
        assert cloakroom.take("s1") is proofs
        assert cloakroom.take("s1") is None
        assert cloakroom.deadline is None
        cloakroom.leave("s1", proofs, now=5.0)
        cloakroom.due(125.0)
        assert cloakroom.take("s1") is None

    def test_is_bounded_and_the_longest_lost_are_forgotten(self) -> None:
        cloakroom = Cloakroom(120.0, most_bytes=10_000)
        for number in range(100):
            cloakroom.leave(f"s{number}", Proofs(own={"u": "x" * 700}), now=float(number))
        assert len(cloakroom) == 9
        assert cloakroom.take("s91")
        assert cloakroom.take("s90") is None

    def test_keeps_nothing_where_nobody_returns_or_there_is_nothing_to_keep(self) -> None:
        for cloakroom, proofs in ((Cloakroom(0.0), Proofs("abc")), (Cloakroom(120.0), Proofs())):
            cloakroom.leave("s1", proofs, now=0.0)
            assert len(cloakroom) == 0


def test_proofs_do_not_show_themselves_and_say_what_is_lost() -> None:
    proofs = Proofs("secret-1", {"anna": "secret-2"})
    assert "secret" not in f"{proofs!r}"
    assert (proofs.of("anna", "own"), proofs.of("ben", "greeting"), proofs.of("ben", None)) == (
        "secret-2", "secret-1", None,
    )  # fmt: skip
    with pytest.raises(ProofLost):
        proofs.of("ben", "own")
    with pytest.raises(ProofLost):
        Proofs().of("ben", "greeting")
