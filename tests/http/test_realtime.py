"""The realtime core inside the edge: its path, what it asks the origin, what the edge tells its channels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.operations.held import Held
from proxy.realtime_core import RealtimeCore
from tests.edge import PATIENCE, EdgeUnderTest, edge_before
from tests.live import LiveClient, connected, member, message
from tests.origin import ScriptedOrigin, Wire, head, raw, reply, steps, when
from webui.query import CacheQuery

POLL = "/socket.io/?EIO=4&transport=polling"
TRUSTED: dict[str, Any] = {"auth": "trusted", "origin": {"persist": "/messages", "patience": 0}}


async def keep(wire: Wire) -> None:
    """An application that keeps messages: it answers them with ids of its own."""
    body = json.loads(await wire.read_body())
    kept = [{**one, "id": number, "created_at": "now"} for number, one in enumerate(body["messages"], 1)]
    where = {"Location": f"/of/{body['conversation_id']}"}
    await reply(201, json.dumps({"messages": kept}).encode(), where)(wire)


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"one", headers={"Cache-Control": "max-age=60"})
        origin.on("/messages", keep)
        yield origin


@pytest.fixture
async def edge(origin: ScriptedOrigin) -> AsyncIterator[EdgeUnderTest]:
    async with edge_before(origin, realtime=TRUSTED) as edge:
        yield edge


def url(edge: EdgeUnderTest) -> str:
    return f"http://{edge.host}"


async def admin(edge: EdgeUnderTest, method: str, path: str, expected: int = 200, **options: Any) -> Any:
    where = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, where, **options) as response:
        assert response.status == expected, await response.text()
        return await response.json(content_type=None)


async def publish(edge: EdgeUnderTest, expected: int = 200, **publication: Any) -> Any:
    return await admin(edge, "POST", "/api/realtime/publish", expected, json=publication)


def no_space(record: object) -> bytes:
    raise OSError(28, "No space left on device")


async def journal_available(edge: EdgeUnderTest) -> float:
    where = f"http://{edge.app.admin_address}/metrics"
    async with aiohttp.ClientSession() as session, session.get(where) as response:
        families = text_string_to_metric_families(await response.text())
        return next(f.samples[0].value for f in families if f.name == "cachewire_realtime_journal_available")


async def overview(edge: EdgeUnderTest) -> str:
    where = f"http://{edge.app.admin_address}/"
    async with aiohttp.ClientSession() as session, session.get(where) as response:
        page = await response.text()
    return "degraded" if "The realtime journal cannot be written" in page else "healthy"


async def revoke(edge: EdgeUnderTest, expected: int = 200, **revocation: Any) -> Any:
    return await admin(edge, "POST", "/api/realtime/revoke", expected, json=revocation)


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.002)


class TestPath:
    async def test_polling_is_answered_here_and_never_reaches_the_origin(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        answer = await edge.get(POLL)
        assert answer.status == 200
        handshake = json.loads(answer.body[1:])
        assert (handshake["pingInterval"], handshake["pingTimeout"], handshake["maxPayload"]) == (25000, 60000, 1000000)
        assert handshake["upgrades"] == ["websocket"]
        assert origin.count() == 0
        (outcome,) = edge.app.ledger.recent(1)
        assert (outcome.route, outcome.verdict, outcome.reason) == ("(realtime)", "local", "polling")

    async def test_a_handshake_is_one_outcome_that_slows_no_average(self, edge: EdgeUnderTest) -> None:
        async with connected(url(edge)):
            (outcome,) = edge.app.ledger.recent(1)
            assert (outcome.route, outcome.reason, outcome.status) == ("(realtime)", "websocket", 101)
        assert edge.app.performance()["averageResponseTime"] == 0

    @pytest.mark.parametrize("target", ["/socket.io/?EIO=3&transport=polling", "/socket.io?EIO=4&transport=none"])
    async def test_what_the_protocol_refuses_is_refused_here(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin, target: str
    ) -> None:
        answer = await edge.get(target)
        assert answer.status == 400
        assert "code" in json.loads(answer.body)
        assert origin.count() == 0

    async def test_what_lies_below_the_path_is_the_applications(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        assert (await edge.get("/socket.io/socket.io.js")).body == b"one"
        assert origin.count("/socket.io/socket.io.js") == 1

    async def test_it_is_explained(self, edge: EdgeUnderTest) -> None:
        explained = await admin(edge, "GET", "/api/explain", params={"url": POLL})
        assert explained["route"] == "(realtime)"
        assert "ahead of all routes" in explained["lines"][0]

    async def test_a_newcomer_beyond_a_limit_is_refused_in_words_and_nobody_blames_the_origin(
        self, origin: ScriptedOrigin
    ) -> None:
        few = {**TRUSTED, "max_sessions": 2}  # of which one address may have one
        async with edge_before(origin, realtime=few) as edge, connected(url(edge)) as client:
            await client.emit("authenticate", {"userId": "anna"})
            for _ in range(20):
                assert (await edge.get(POLL)).status == 503
            outcome = edge.app.ledger.recent(1)[0]
            assert (outcome.verdict, outcome.reason) == ("refused", "realtime-address")
            rates = edge.app.ledger.rates(60)
            assert (rates.failure_ratio, rates.origin_errors) == (0.0, 0)
            assert rates.error_ratio is not None
            assert rates.error_ratio > 0.9
            assert not edge.app.ledger._failed
            health = edge.app.control_room._overview.overview().health
            assert health.state == "degraded"
            assert health.sentence == (
                "The realtime core refuses newcomers: 20 in the last minute, from one address (127.0.0.1)."
            )
            assert "1 of 2 (realtime.max_sessions)" in health.advice
            explained = await admin(edge, "GET", "/api/explain", params={"url": POLL})
            assert explained["lines"][1] == "1 of 2 sessions are open (realtime.max_sessions)."
            assert "20 were refused" in explained["lines"][2]
            told = await admin(edge, "GET", "/api/traffic", params={"verdict": "refused"})
            assert told["found"] == 20
            assert "realtime.limits.address_share" in told["exchanges"][0]["why"]

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("/socket.io/?EIO=3&transport=polling", "realtime-protocol"),
            ("/socket.io/?EIO=4&transport=polling&sid=gone", "realtime-session"),
        ],
    )
    async def test_what_the_core_refuses_is_no_answer_of_its_own_in_the_traffic(
        self, edge: EdgeUnderTest, target: str, reason: str
    ) -> None:
        await edge.get(target)
        outcome = edge.app.ledger.recent(1)[0]
        assert (outcome.verdict, outcome.reason, outcome.limited) == ("refused", reason, False)

    async def test_another_path_can_be_chosen(self, origin: ScriptedOrigin) -> None:
        async with edge_before(origin, realtime={"path": "/live"}) as edge:
            assert (await edge.get(POLL)).body == b"one"
            async with connected(url(edge), path="/live/"):
                pass

    async def test_switched_off_the_path_is_the_applications(self, origin: ScriptedOrigin) -> None:
        async with edge_before(origin, realtime={"enabled": False}) as edge:
            assert (await edge.get(POLL)).body == b"one"
            assert (await admin(edge, "GET", "/api/realtime"))["enabled"] is False
            await publish(edge, 409, channel="reports", event="x")

    async def test_a_page_of_another_site_may_not_connect(self, edge: EdgeUnderTest) -> None:
        foreign = {"Origin": "https://evil.example"}
        assert (await edge.get(POLL, foreign)).status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with connected(url(edge), headers=foreign):
                pass
        async with connected(url(edge), headers={"Origin": url(edge)}):
            pass


class TestPeers:
    @pytest.mark.parametrize(("trusted", "peer"), [([], "127.0.0.1"), (["127.0.0.0/8"], "198.51.100.1")])
    async def test_a_session_is_of_the_client_behind_trusted_proxies_and_of_nobody_who_only_claims_so(
        self, origin: ScriptedOrigin, trusted: list[str], peer: str
    ) -> None:
        said = {"X-Forwarded-For": "203.0.113.9, 198.51.100.1"}
        async with (
            edge_before(origin, server={"trusted_proxies": trusted}, realtime=TRUSTED) as edge,
            connected(url(edge), headers=said),
        ):
            (session,) = (await admin(edge, "GET", "/api/realtime"))["sessions"]
            assert session["peer"] == peer


class TestConnections:
    async def test_websockets_count_as_active_connections_until_they_end(self, edge: EdgeUnderTest) -> None:
        before = edge.app.performance()["connectionsActive"]
        async with connected(url(edge)):
            assert edge.app.performance()["connectionsActive"] == before + 1
            assert value(await metrics(edge), "cachewire_realtime_sessions", transport="websocket") == 1
        await until(lambda: edge.app.performance()["connectionsActive"] == before)

    async def test_websockets_count_for_the_limit_of_connections(self, origin: ScriptedOrigin) -> None:
        async with edge_before(origin, server={"max_connections": 1}) as edge, connected(url(edge)):
            answer = await edge.get("/a")
            assert answer.status == 503
            assert b"too-many-connections" in answer.body

    async def test_polling_sessions_that_hold_no_connection_do_not_count_for_it(self, origin: ScriptedOrigin) -> None:
        async with edge_before(origin, server={"max_connections": 3}) as edge:
            for _ in range(4):
                await polled(edge)
            assert (await edge.get("/a")).status == 200

    async def test_a_drain_tells_every_client_and_ends_in_time(self, edge: EdgeUnderTest) -> None:
        async with connected(url(edge)) as client:
            async with asyncio.timeout(PATIENCE):
                await edge.app.drain()
            # Closed without a packet 41, which would tell it to stay away.
            assert await client.closed() == "connection"

    async def test_a_post_of_which_the_rest_does_not_come_does_not_hold_up_a_drain(
        self, origin: ScriptedOrigin
    ) -> None:
        async with edge_before(origin, server={"drain_timeout": "60s"}, realtime=TRUSTED) as edge:
            client = await edge.connect()
            post = f"POST {POLL}&sid={await polled(edge)} HTTP/1.1\r\nHost: {edge.host}\r\nContent-Length: 100\r\n\r\n4"
            await client.send(post.encode())
            await until(lambda: edge.app.server.busy)
            async with asyncio.timeout(PATIENCE):
                await edge.app.drain()
            client.leave()

    async def test_a_poll_that_waits_is_answered_when_the_edge_drains(self, edge: EdgeUnderTest) -> None:
        sid = await polled(edge)
        poll = asyncio.ensure_future(edge.get(f"{POLL}&sid={sid}"))
        await until(lambda: edge.app.ledger.in_flight == 1)
        async with asyncio.timeout(PATIENCE):
            await edge.app.drain()
            assert (await poll).body == b"1"

    async def test_a_poll_of_a_client_that_left_is_given_up_at_once_and_its_session_with_it(
        self, edge: EdgeUnderTest
    ) -> None:
        sid = await polled(edge)
        client = await edge.connect()
        await client.send(edge.request("GET", f"{POLL}&sid={sid}"))
        await until(lambda: edge.app.ledger.in_flight == 1)
        client.leave()
        await until(lambda: edge.app.ledger.in_flight == 0)
        assert edge.app.ledger.recent(1)[0].reason == "client-left"
        assert (await edge.get(f"{POLL}&sid={sid}")).status == 400
        assert (await admin(edge, "GET", "/api/realtime"))["counters"]["sessions_closed"] == {"transport-error": 1}

    async def test_sessions_are_served_and_newcomers_taken_while_a_drain_waits_for_other_exchanges(
        self, origin: ScriptedOrigin
    ) -> None:
        gate = asyncio.Event()
        origin.on("/slow", steps(raw(head(200, {"Content-Length": "6"}), b"abc"), when(gate), raw(b"def")))
        async with (
            edge_before(origin, realtime=TRUSTED, server={"drain_timeout": "60s"}) as edge,
            connected(url(edge)) as anna,
            aiohttp.ClientSession() as session,
        ):
            response = await session.get(f"{url(edge)}/slow")
            draining = asyncio.ensure_future(edge.app.drain())
            await until(lambda: not edge.app.ready)
            await member(anna, "u1", "c1")
            async with connected(url(edge)) as ben:
                await member(ben, "u2", "c1")
                assert (await anna.ask("send_message", message("c1", "u1", "still here")))["ok"]
                assert [one["content"] for one in await ben.heard("new_messages_batch")] == ["still here"]
                gate.set()
                assert await response.read() == b"abcdef"
                assert await anna.closed() == await ben.closed() == "connection"
            await draining

    async def test_however_many_sessions_there_are_they_are_closed_within_half_a_second(
        self, edge: EdgeUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert edge.app.realtime is not None
        spread: list[float] = []

        async def drained(over: float) -> None:
            spread.append(over)

        monkeypatch.setattr(edge.app.realtime.core.engine, "drain", drained)
        for sessions in (2000, 100_000):
            monkeypatch.setattr(RealtimeCore, "open_sessions", sessions)
            await edge.app.realtime.leave()
        assert spread == [0.25, 0.5]
        monkeypatch.undo()

    async def test_an_operator_can_see_sessions_and_end_one(self, edge: EdgeUnderTest) -> None:
        async with connected(url(edge)) as client:
            await member(client, "u1", "c1")
            report = await admin(edge, "GET", "/api/realtime")
            assert [session["sid"] for session in report["sessions"]] == [client.sid]
            assert [one["id"] for one in report["conversations"]] == ["c1"]
            await admin(edge, "DELETE", f"/api/realtime/sessions/{client.sid}")
            await client.closed()
            await admin(edge, "DELETE", f"/api/realtime/sessions/{client.sid}", 404)


class TestQuestions:
    async def test_a_batch_is_persisted_and_delivered_with_what_the_application_says(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        async with connected(url(edge)) as anna, connected(url(edge)) as ben:
            await member(anna, "u1", "c1")
            await member(ben, "u2", "c1")
            answer = await anna.ask("send_message", message("c1", "u1", "hello"))
            assert answer["ok"] is True
            (delivered,) = await ben.heard("new_messages_batch")
            assert (delivered["id"], delivered["content"], delivered["created_at"]) == (1, "hello", "now")
        (asked,) = origin.asked("/messages")
        assert asked.header("Host") == edge.host
        assert asked.header("Idempotency-Key")
        assert json.loads(asked.body)["conversation_id"] == "c1"
        assert edge.app.performance()["messagesProcessed"] == 1

    async def test_a_batch_is_a_write_that_makes_outdated_what_its_answer_names(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        for _ in range(2):
            await edge.get("/of/c1")
        assert origin.count("/of/c1") == 1
        async with connected(url(edge)) as anna:
            await member(anna, "u1", "c1")
            assert (await anna.ask("send_message", message("c1", "u1", "hello")))["ok"]
        await edge.get("/of/c1")
        assert origin.count("/of/c1") == 2

    async def test_the_sender_learns_that_the_application_is_away_and_can_send_again(
        self, edge: EdgeUnderTest, origin: ScriptedOrigin
    ) -> None:
        async with connected(url(edge)) as anna:
            await member(anna, "u1", "c1")
            await origin.stop()
            answer = await anna.ask("send_message", message("c1", "u1", "lost?"))
            assert answer["ok"] is False
            assert answer["error"]
            await origin.start()
            assert (await anna.ask("send_message", message("c1", "u1", "again")))["ok"] is True

    async def test_who_a_client_is_says_the_application(self, origin: ScriptedOrigin) -> None:
        async def session(wire: Wire) -> None:
            user = {"id": "u7", "username": "seven"} if wire.request.header("Cookie") == "session=7" else None
            await reply(200, json.dumps({"user": user}).encode())(wire)

        origin.on("/session", session)
        async with edge_before(origin, realtime={"origin": {"session": "/session"}}) as edge:
            async with connected(url(edge), headers={"Cookie": "session=7"}) as known:
                await known.emit("authenticate", "u7")
                assert (await known.heard("authenticated"))["user"]["username"] == "seven"
            async with connected(url(edge)) as stranger:
                await stranger.emit("authenticate", "u7")
                await stranger.heard("auth_error")

    async def test_without_configuration_nobody_is_believed_and_the_error_says_why(
        self, origin: ScriptedOrigin
    ) -> None:
        async with edge_before(origin) as edge, connected(url(edge)) as client:
            await client.emit("authenticate", "u7")
            assert "realtime.origin.session" in (await client.heard("auth_error"))["message"]


class TestRevoking:
    async def test_ends_a_user_and_leaves_a_line_on_the_timeline(self, edge: EdgeUnderTest) -> None:
        async with connected(url(edge)) as client:
            await client.ask("authenticate", "u7")
            assert await revoke(edge, user="u7") == {"sessions": 1}
            assert (await client.heard("auth_error"))["reason"] == "revoked"
            assert await revoke(edge, user="u7", conversation="c1") == {"sessions": 0}
        assert edge.app.control_room.timeline.events(1)[0].text == "a user's part in a conversation was revoked"

    @pytest.mark.parametrize("revocation", [{}, {"user": []}, {"user": "u7", "conversation": ""}, {"users": "u7"}])
    async def test_that_makes_no_sense_is_explained(self, edge: EdgeUnderTest, revocation: dict[str, Any]) -> None:
        answer = await revoke(edge, 400, **revocation)
        assert answer["title"] == "bad-revocation"
        assert answer["detail"]


class TestChannels:
    async def test_a_publication_reaches_who_subscribed(self, edge: EdgeUnderTest) -> None:
        async with connected(url(edge)) as client:
            await subscribe(client, "notifications")
            await publish(edge, channel="notifications", event="notice", data={"text": "rain"})
            assert (await client.heard("notice")) == {"text": "rain"}

    async def test_a_publication_purges_its_tags(self, origin: ScriptedOrigin, edge: EdgeUnderTest) -> None:
        tagged = {"Cache-Control": "max-age=60", "Surrogate-Key": "reports"}
        origin.on("/r", reply(body=b"old", headers=tagged), reply(body=b"new", headers=tagged))
        await edge.get("/r")
        answer = await publish(edge, channel="reports", event="report", data={"id": 1}, purge_tags=["reports"])
        assert answer["purged"] == 1
        assert (await edge.get("/r")).body == b"new"

    async def test_a_publication_says_whether_it_would_survive_a_crash_and_operators_hear_when_nothing_would(
        self, origin: ScriptedOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Held, "EVERY", 0.0)
        recovery = {"dir": str(tmp_path), "window": "1s"}  # it is swept eight times in its window
        async with edge_before(origin, realtime={**TRUSTED, "recovery": recovery}) as edge, connected(url(edge)) as one:
            await subscribe(one, "notifications")
            news: dict[str, Any] = {"channel": "notifications", "event": "notice", "data": 1}
            assert await publish(edge, **news) == {"sessions": 1, "purged": 0, "durable": True}
            assert (await journal_available(edge), await overview(edge)) == (1, "healthy")
            with monkeypatch.context() as full:
                full.setattr("realtime.journal._line", no_space)
                assert await publish(edge, **news) == {"sessions": 1, "purged": 0, "durable": False}
                assert (await journal_available(edge), await overview(edge)) == (0, "degraded")
            monkeypatch.setattr("realtime.journal.RETRY", 0.0)
            async with asyncio.timeout(PATIENCE):
                while not await journal_available(edge):
                    await asyncio.sleep(0.01)
            assert (await publish(edge, **news))["durable"]

    @pytest.mark.parametrize(
        "publication", [{}, {"channel": 7}, {"channel": "reports", "loud": True}, {"channel": "", "event": "x"}]
    )
    async def test_a_publication_that_makes_no_sense_is_explained(
        self, edge: EdgeUnderTest, publication: dict[str, Any]
    ) -> None:
        answer = await publish(edge, 400, **publication)
        assert answer["title"] == "bad-publication"
        assert answer["detail"]

    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"NaN", "data is no number that JSON has a word for."),
            (b'{"a": [1e999]}', "data['a'][0] is no number that JSON has a word for."),
            (b"[" * 3000 + b"]" * 3000, "the body is nested too deeply"),
            (b"9" * 5000, "the body has a number of too many digits"),
        ],
    )
    async def test_what_cannot_be_sent_is_refused_with_what_and_where_it_is(
        self, edge: EdgeUnderTest, data: bytes, said: str
    ) -> None:
        body = b'{"channel": "reports", "event": "e", "data": ' + data + b"}"
        answer = await admin(edge, "POST", "/api/realtime/publish", 400, data=body)
        assert answer["detail"] == said

    async def test_who_watches_a_path_hears_that_its_stored_response_has_changed_but_no_query_of_others(
        self, origin: ScriptedOrigin, edge: EdgeUnderTest
    ) -> None:
        origin.on("/a", *(reply(body=body, headers={"Cache-Control": "max-age=60"}) for body in (b"one", b"four")))
        async with connected(url(edge)) as client:
            await subscribe(client, "cache:/a")
            await edge.get("/a?tok=secret")
            edge.clock.advance(61)
            await edge.get("/a?tok=secret")
            update = await client.heard("cache_updated")
        assert (update["path"], update["reason"]) == ("/a", "length")
        assert update["url"].endswith("/a")
        assert "secret" not in json.dumps(update)

    @pytest.mark.parametrize("way", ["api", "dashboard", "purge", "publication"])
    async def test_who_watches_a_path_hears_of_its_purge_and_finds_the_new_answer(
        self, origin: ScriptedOrigin, way: str
    ) -> None:
        tagged = {"Cache-Control": "max-age=60", "Surrogate-Key": "reports"}
        origin.on("/r", reply(body=b"old", headers=tagged), reply(body=b"new", headers=tagged))
        async with (
            edge_before(origin, realtime=TRUSTED, admin={"purge_token": "purge-token-for-tests"}) as edge,
            connected(url(edge)) as client,
        ):
            await subscribe(client, "cache:/r")
            for path in ("/r?tok=secret", "/other"):
                await edge.get(path)
            await edge.background_done()
            if way == "api":
                await admin(edge, "POST", "/api/cache/purge", json={"everything": True})
            elif way == "dashboard":
                assert await edge.app.control_room._cache.purge(CacheQuery(), by="anna") == 2
            elif way == "purge":
                token = {"Authorization": "Bearer purge-token-for-tests", "Purge": "prefix"}
                assert (await edge.ask("PURGE", "/r", token)).status == 200
            else:
                await publish(edge, channel="reports", event="report", data={}, purge_tags=["reports"])
            update = await client.heard("cache_updated")
            assert (update["path"], update["reason"]) == ("/r", "purged")
            assert "secret" not in json.dumps(update)
            assert (await edge.get("/r?tok=secret")).body == b"new"

    async def test_a_purge_says_nothing_of_paths_that_nobody_watches(
        self, edge: EdgeUnderTest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert edge.app.realtime is not None
        told: list[str] = []
        monkeypatch.setattr(edge.app.realtime.core, "tell", lambda publication: told.append(publication.channel))
        for number in range(20):
            await edge.get(f"/{number}")
        await edge.background_done()
        async with connected(url(edge)) as client:
            await subscribe(client, "cache:/7")
            await admin(edge, "POST", "/api/cache/purge", json={"everything": True})
        assert told == ["cache:/7"]

    async def test_the_sender_of_a_queued_write_hears_that_it_was_delivered(self, origin: ScriptedOrigin) -> None:
        routes = [{"name": "all", "match": "/**", "strategy": "network-only", "offline_queue": True}]
        async with edge_before(origin, routes=routes, realtime=TRUSTED) as edge, connected(url(edge)) as client:
            await origin.stop()
            queued = json.loads((await edge.ask("POST", "/notes", body=b"x")).body)
            await subscribe(client, f"outbox:{queued['id']}")
            await origin.start()
            await admin(edge, "POST", f"/api/outbox/{queued['id']}/retry")
            done = await client.heard("queued_write_done")
        assert (done["id"], done["status"], done["response_status"]) == (queued["id"], "done", 200)


async def test_the_series_keep_the_naming_rules_and_count(edge: EdgeUnderTest) -> None:
    async with connected(url(edge)) as anna:
        await member(anna, "u1", "c1")
        await anna.ask("send_message", message("c1", "u1", "hello"))
        families = await metrics(edge)
    ours = {name: family for name, family in families.items() if name.startswith("cachewire_realtime_")}
    assert len(ours) > 20
    for family in ours.values():
        assert family.documentation.endswith(".")
    assert value(families, "cachewire_realtime_messages_total") == 1
    assert value(families, "cachewire_realtime_sessions_opened_total") == 1


async def polled(edge: EdgeUnderTest) -> str:
    """The id of a new session of long-polling."""
    return str(json.loads((await edge.get(POLL)).body[1:])["sid"])


async def metrics(edge: EdgeUnderTest) -> dict[str, Any]:
    where = f"http://{edge.app.admin_address}/metrics"
    async with aiohttp.ClientSession() as session, session.get(where) as response:
        text = await response.text()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(families: dict[str, Any], name: str, **labels: str) -> float:
    for family in families.values():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"{name}{labels} is not exposed")


async def subscribe(client: LiveClient, channel: str) -> None:
    await client.emit("authenticate", "u1")
    await client.heard("authenticated")
    assert (await client.ask("subscribe", channel))["ok"]
