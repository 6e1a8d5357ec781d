"""Background sync through the real edge: writes that cannot reach the origin are kept and delivered in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge import PATIENCE, Clock, EdgeUnderTest, Received, edge_before
from tests.origin import ScriptedOrigin, computed, hang_up, reply, reset, silence, steps, tell, when

JSON = {"Content-Type": "application/json"}


class Naps:
    """A sleep that ends when the test says so; the clock has then moved on by what was asked for."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.asked: list[float] = []
        self._begun = asyncio.Condition()
        self._end: asyncio.Future[None] | None = None

    async def __call__(self, seconds: float) -> None:
        async with self._begun:
            self.asked.append(seconds)
            self._end = asyncio.get_running_loop().create_future()
            self._begun.notify_all()
        await self._end

    async def until(self, count: int) -> None:
        """Until it was called `count` times."""
        async with asyncio.timeout(PATIENCE), self._begun:
            await self._begun.wait_for(lambda: len(self.asked) >= count)

    async def end(self) -> None:
        assert self._end is not None
        self.clock.advance(self.asked[-1])
        self._end.set_result(None)


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(201, b"written")
        yield origin


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def naps(clock: Clock) -> Naps:
    return Naps(clock)


def route(queue: Any = True, **more: Any) -> list[dict[str, Any]]:
    return [{"name": "all", "match": "/**", "strategy": "cache-first", "offline_queue": queue, **more}]


@asynccontextmanager
async def queueing(
    origin: ScriptedOrigin, naps: Naps, queue: Any = True, /, **settings: Any
) -> AsyncIterator[EdgeUnderTest]:
    settings = {"routes": route(queue), **settings, "origin": {"retries": 0, **settings.get("origin", {})}}
    async with edge_before(origin, clock=naps.clock, sleep=naps, **settings) as edge:
        yield edge


async def post(edge: EdgeUnderTest, target: str, body: bytes = b"hello", **fields: str) -> Received:
    headers = {name.replace("_", "-"): value for name, value in fields.items()}
    return await edge.ask("POST", target, {**JSON, **headers}, body)


async def status(edge: EdgeUnderTest, queued: Received) -> dict[str, Any]:
    answer = await edge.get(queued["Location"])
    assert answer.status == 200
    return dict(json.loads(answer.body))


async def admin(edge: EdgeUnderTest, method: str, path: str, expected: int = 200) -> Any:
    url = f"http://{edge.app.admin_address}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url) as response:
        assert response.status == expected
        return await response.json(content_type=None)


async def report(edge: EdgeUnderTest) -> Any:
    return await admin(edge, "GET", "/api/outbox")


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def moved_on(edge: EdgeUnderTest, naps: Naps, count: int) -> bool:
    """Another pause has begun, or there is nothing to wait for any more."""
    return len(naps.asked) > count or depth(edge) == 0


def depth(edge: EdgeUnderTest) -> int:
    assert edge.app.outbox is not None
    return edge.app.outbox.counts.queued


class TestANewWrite:
    async def test_passes_through_while_the_origin_answers(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            answer = await post(edge, "/messages")
            assert (answer.status, answer.body) == (201, b"written")
            assert (await report(edge))["counts"] == {"queued": 0, "done": 0, "dead": 0}
            assert "Location" not in answer

    async def test_is_accepted_with_202_when_there_is_no_connection(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """RFC 9110 section 15.3.3."""
        async with queueing(origin, naps) as edge:
            await origin.stop()
            answer = await post(edge, "/messages")
            document = json.loads(answer.body)
            assert answer.status == 202
            assert document == {
                "id": document["id"],
                "status": "queued",
                "status_url": f"/.cachewire/outbox/{document['id']}",
            }
            assert answer["Location"] == document["status_url"]
            assert answer["Cache-Control"] == "no-store"
            assert answer["Content-Type"] == "application/json"
            assert answer["Idempotency-Key"].startswith('"')
            assert 'fwd=method; detail="queued"' in answer.cache_status
            assert len(document["id"]) >= 20

    @pytest.mark.parametrize("script", [hang_up(), reset(), steps(hang_up())])
    async def test_is_accepted_when_the_connection_breaks_before_an_answer(
        self, origin: ScriptedOrigin, naps: Naps, script: Any
    ) -> None:
        origin.on("/messages", script)
        async with queueing(origin, naps) as edge:
            assert (await post(edge, "/messages")).status == 202

    async def test_is_accepted_when_no_answer_comes_in_time(self, origin: ScriptedOrigin, naps: Naps) -> None:
        origin.on("/messages", silence())
        async with queueing(origin, naps, origin={"response_timeout": "50ms"}) as edge:
            assert (await post(edge, "/messages")).status == 202

    @pytest.mark.parametrize("code", [502, 503, 504])
    async def test_is_accepted_when_a_gateway_says_that_the_application_is_away(
        self, origin: ScriptedOrigin, naps: Naps, code: int
    ) -> None:
        origin.on("/messages", reply(code, b"sorry"))
        async with queueing(origin, naps) as edge:
            answer = await post(edge, "/messages")
            assert answer.status == 202
            assert f"fwd-status={code}" in answer.cache_status

    @pytest.mark.parametrize("code", [400, 404, 409, 422, 500, 501])
    async def test_gets_the_applications_own_answer_however_bad(
        self, origin: ScriptedOrigin, naps: Naps, code: int
    ) -> None:
        origin.on("/messages", reply(code, b"sorry"))
        async with queueing(origin, naps) as edge:
            answer = await post(edge, "/messages")
            assert (answer.status, answer.body) == (code, b"sorry")
            assert depth(edge) == 0

    async def test_is_not_queued_on_other_routes(self, origin: ScriptedOrigin, naps: Naps) -> None:
        routes = [{"match": "/queued/**", "strategy": "network-only", "offline_queue": True}, *route(False)]
        async with queueing(origin, naps, routes=routes) as edge:
            await origin.stop()
            assert (await post(edge, "/other")).status == 502
            assert (await post(edge, "/queued/a")).status == 202

    async def test_other_methods_are_never_queued(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            for method in ("GET", "OPTIONS", "PURGE"):
                assert (await edge.ask(method, "/messages")).status == 502

    @pytest.mark.parametrize("name", ["Cookie", "Authorization"])
    async def test_with_credentials_it_fails_unless_the_route_says_otherwise(
        self, origin: ScriptedOrigin, naps: Naps, name: str
    ) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            assert (await edge.ask("POST", "/messages", {name: "secret"}, b"x")).status == 502

    async def test_a_body_beyond_max_body_passes_through_and_fails_as_before(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        async with queueing(origin, naps, {"max_body": "10B"}) as edge:
            assert (await post(edge, "/messages", b"x" * 11)).status == 201
            chunked = {"Transfer-Encoding": "chunked"}
            body = b"8\r\n12345678\r\n8\r\nabcdefgh\r\n0\r\n\r\n"
            assert (await edge.ask("POST", "/messages", chunked, body)).status == 201
            assert [asked.body for asked in origin.requests] == [b"x" * 11, b"12345678abcdefgh"]
            await origin.stop()
            assert (await post(edge, "/messages", b"x" * 11)).status == 502
            assert (await edge.ask("POST", "/messages", chunked, body)).status == 502
            assert (await post(edge, "/messages", b"x" * 10)).status == 202

    async def test_the_clients_own_key_goes_with_every_attempt(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """draft-ietf-httpapi-idempotency-key-header section 2."""
        origin.on("/messages", reply(503), reply(201))
        async with queueing(origin, naps) as edge:
            answer = await post(edge, "/messages", Idempotency_Key='"mine"')
            assert answer["Idempotency-Key"] == '"mine"'
            await naps.until(1)
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert [asked.all("Idempotency-Key") for asked in origin.requests] == [['"mine"']] * 2

    async def test_one_without_a_key_gets_one_that_stays_the_same(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """draft-ietf-httpapi-idempotency-key-header section 2.2."""
        origin.on("/messages", reply(503), reply(201))
        async with queueing(origin, naps) as edge:
            answer = await post(edge, "/messages")
            await naps.until(1)
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            keys = [asked.header("Idempotency-Key") for asked in origin.requests]
            assert keys == [answer["Idempotency-Key"]] * 2

    async def test_a_clients_own_repetition_is_queued_once(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """draft-ietf-httpapi-idempotency-key-header section 2.4."""
        async with queueing(origin, naps) as edge:
            await origin.stop()
            first = await post(edge, "/messages", Idempotency_Key="k")
            second = await post(edge, "/messages", Idempotency_Key="k")
            assert first["Location"] == second["Location"]
            assert depth(edge) == 1

    async def test_a_full_outbox_leaves_the_failure_as_it_was(self, origin: ScriptedOrigin, naps: Naps) -> None:
        origin.default = reply(503, b"the origin's own page")
        outbox = {"max_writes": 1}
        async with queueing(origin, naps, outbox=outbox) as edge:
            outbox_dir = edge.app.config.outbox.dir
            assert (outbox_dir / "outbox.db").exists()
            assert (await post(edge, "/1")).status == 202
            await naps.until(1)
            answer = await post(edge, "/2")
            assert answer.status == 502
            assert "127.0.0.1" not in answer.body.decode()


class TestDelivery:
    async def test_what_was_queued_arrives_whole_and_in_order(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            for number in range(5):
                answer = await post(edge, f"/messages?n={number}", b"%d" % number * 1000)
                assert answer.status == 202
            assert depth(edge) == 5
            await origin.start()
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert [asked.target for asked in origin.requests] == [f"/messages?n={number}" for number in range(5)]
            assert [asked.body for asked in origin.requests] == [b"%d" % number * 1000 for number in range(5)]
            assert {asked.header("Content-Type") for asked in origin.requests} == {"application/json"}
            assert {asked.header("Host") for asked in origin.requests} == {edge.host}

    async def test_the_pauses_double_until_the_origin_is_back(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            await post(edge, "/messages")
            for count in range(1, 6):
                await naps.until(count)
                await naps.end()
            await naps.until(6)
            for attempt, pause in enumerate(naps.asked):
                assert 2**attempt / 2 <= pause <= 2**attempt

    async def test_nothing_overtakes_a_write_that_waits(self, origin: ScriptedOrigin, naps: Naps) -> None:
        origin.on("/first", reply(503), reply(201))
        async with queueing(origin, naps) as edge:
            assert (await post(edge, "/first")).status == 202
            await naps.until(1)
            assert (await post(edge, "/second")).status == 202
            assert origin.count("/second") == 0
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert [asked.target for asked in origin.requests] == ["/first", "/first", "/second"]

    async def test_a_write_that_comes_while_the_queue_is_delivered_waits_its_turn_and_gets_a_live_answer(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        reached, gate = asyncio.Event(), asyncio.Event()
        origin.on("/first", reply(503), steps(tell(reached), when(gate, reply(201))))
        async with queueing(origin, naps) as edge:
            await post(edge, "/first")
            await naps.until(1)
            await naps.end()
            await reached.wait()
            second = asyncio.create_task(post(edge, "/second"))
            await asyncio.sleep(0.05)
            assert origin.count("/second") == 0
            gate.set()
            assert (await second).status == 201
            assert [asked.target for asked in origin.requests] == ["/first", "/first", "/second"]

    async def test_traffic_that_finds_the_origin_back_ends_the_pause(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            await post(edge, "/messages")
            await naps.until(1)
            await origin.start()
            assert (await edge.get("/page")).status == 201
            await eventually(lambda: depth(edge) == 0)
            assert origin.count("/messages") == 1

    async def test_an_origin_that_names_a_time_is_not_asked_before(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """RFC 9110 section 10.2.3."""
        origin.on("/messages", reply(503), reply(503, headers={"Retry-After": "90"}))
        async with queueing(origin, naps) as edge:
            await post(edge, "/messages")
            await naps.until(1)
            await naps.end()
            await naps.until(2)
            assert naps.asked[1] == pytest.approx(90)

    async def test_the_time_that_the_first_answer_names_counts_too(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """RFC 9110 section 10.2.3."""
        origin.on("/messages", reply(503, headers={"Retry-After": "90"}))
        async with queueing(origin, naps) as edge:
            await post(edge, "/messages")
            await naps.until(1)
            assert naps.asked[0] == pytest.approx(90)

    async def test_a_success_is_told_and_what_it_made_outdated_is_dropped(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        """RFC 9111 section 4.4."""
        origin.on("/rooms/1", reply(body=b"one", headers={"Cache-Control": "max-age=600"}), method="GET")
        origin.on("/rooms/1", reply(503), reply(200), method="POST")
        async with queueing(origin, naps) as edge:
            await edge.get("/rooms/1")
            queued = await post(edge, "/rooms/1")
            assert (await edge.get("/rooms/1")).cache_status.startswith("cachewire; hit")
            assert (await status(edge, queued))["status"] == "queued"
            await naps.until(1)
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            told = await status(edge, queued)
            assert (told["status"], told["response_status"], told["attempts"]) == ("done", 200, 2)
            assert "fwd=uri-miss" in (await edge.get("/rooms/1")).cache_status

    async def test_a_refusal_is_a_dead_letter_with_the_beginning_of_the_answer(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        origin.on("/bad", reply(503), reply(422, b"no such room " * 1000))
        async with queueing(origin, naps) as edge:
            queued = await post(edge, "/bad")
            await naps.until(1)
            await post(edge, "/good")
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert (await status(edge, queued))["status"] == "dead"
            assert origin.count("/good") == 1
            letter = next(each for each in (await report(edge))["writes"] if each["status"] == "dead")
            assert (letter["response_status"], letter["last_error"]) == (422, "the origin answered 422")
            assert letter["answer"] == ("no such room " * 1000)[:4096]

    async def test_a_write_that_is_given_up_stands_in_the_timeline_and_degrades_the_verdict(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        origin.on("/bad?token=abc", reply(503), reply(404))
        async with queueing(origin, naps) as edge:
            await post(edge, "/bad?token=abc")
            await naps.until(1)
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            (event,) = (await admin(edge, "GET", "/api/timeline?kind=outbox"))["events"]
            assert event["text"] == "POST /bad?token=******** was given up: the origin answered 404"
            assert event["by"] == "automatic"
            overview = f"http://{edge.app.admin_address}/"
            async with aiohttp.ClientSession() as session, session.get(overview) as response:
                page = await response.text()
            assert "1 accepted write was given up" in page
            assert 'href="/outbox?show=dead"' in page

    async def test_after_its_retention_a_write_is_a_dead_letter(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps, {"retention": "10s"}) as edge:
            await origin.stop()
            queued = await post(edge, "/messages")
            await naps.until(1)
            for count in range(1, 40):
                await naps.end()
                await eventually(partial(moved_on, edge, naps, count))
                if not depth(edge):
                    break
            assert sum(naps.asked) == pytest.approx(10, abs=0.001)
            assert (await status(edge, queued))["status"] == "dead"
            (letter,) = (await report(edge))["writes"]
            assert "retention ended" in letter["last_error"]

    async def test_chunked_bodies_and_empty_ones_and_deletes_are_delivered_as_they_were(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            chunked = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            await edge.ask("PUT", "/chunked", {"Transfer-Encoding": "chunked", "Expect": "100-continue"}, chunked)
            await edge.ask("DELETE", "/gone")
            await edge.ask("POST", "/empty", {"Content-Length": "0"})
            await origin.start()
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert [(asked.method, asked.target, asked.body) for asked in origin.requests] == [
                ("PUT", "/chunked", b"abcde"),
                ("DELETE", "/gone", b""),
                ("POST", "/empty", b""),
            ]
            assert origin.requests[0].header("Content-Length") == "5"
            assert origin.requests[0].header("Expect") is None

    async def test_where_the_route_says_so_credentials_are_delivered_and_never_shown(
        self, origin: ScriptedOrigin, naps: Naps, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("DEBUG")
        async with queueing(origin, naps, {"credentials": True}) as edge:
            await origin.stop()
            await post(edge, "/messages", Authorization="Bearer c0nfidential", Cookie="session=c0nfidential")
            listed = await report(edge)
            assert listed["writes"][0]["credentials"] is True
            assert "c0nfidential" not in json.dumps(listed)
            await origin.start()
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert origin.requests[0].header("Authorization") == "Bearer c0nfidential"
            assert origin.requests[0].header("Cookie") == "session=c0nfidential"
        assert "c0nfidential" not in caplog.text

    async def test_the_queue_survives_an_orderly_restart(
        self, origin: ScriptedOrigin, naps: Naps, tmp_path: Path
    ) -> None:
        outbox = {"dir": str(tmp_path / "outbox")}
        async with queueing(origin, naps, outbox=outbox) as edge:
            await origin.stop()
            queued = await post(edge, "/messages")
        await origin.start()
        naps.clock.advance(10)
        # The route does not queue any more, but what was promised is delivered.
        async with queueing(origin, naps, False, outbox=outbox) as edge:
            await eventually(lambda: depth(edge) == 0)
            assert (await status(edge, queued))["status"] == "done"
        assert origin.count("/messages") == 1


class TestStatusPage:
    async def test_nobody_learns_anything_without_the_id(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            for id_ in ("", "guess", "../outbox", "a" * 24):
                answer = await edge.get(f"/.cachewire/outbox/{id_}")
                assert answer.status == 404
                assert json.loads(answer.body)["reason"] == "no-such-write"
            assert origin.count() == 0

    async def test_it_holds_nothing_of_the_request(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            answer = await edge.get((await post(edge, "/secret-path?q=1", b"content"))["Location"])
            assert set(json.loads(answer.body)) == {
                "id", "status", "accepted_at", "attempts", "response_status", "settled_at",
            }  # fmt: skip
            assert answer["Cache-Control"] == "no-store"

    async def test_it_can_only_be_read(self, origin: ScriptedOrigin, naps: Naps) -> None:
        """RFC 9110 section 15.5.6."""
        async with queueing(origin, naps) as edge:
            await origin.stop()
            location = (await post(edge, "/messages"))["Location"]
            assert (await edge.ask("DELETE", location)).status == 405
            assert (await edge.ask("HEAD", location)).status == 200
            assert depth(edge) == 1

    async def test_without_a_queueing_route_the_path_is_the_applications(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        async with queueing(origin, naps, False) as edge:
            assert (await edge.get("/.cachewire/outbox/x")).status == 201


class TestAdminApi:
    async def test_the_queue_is_listed_with_ages_attempts_and_the_last_error(
        self, origin: ScriptedOrigin, naps: Naps
    ) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            await post(edge, "/messages?n=1")
            await naps.until(1)
            naps.clock.advance(0.25)
            listed = await report(edge)
            assert listed["counts"] == {"queued": 1, "done": 0, "dead": 0}
            assert (listed["oldest_age"], listed["backing_off"]) == (0.25, True)
            (write,) = listed["writes"]
            assert write["method"] == "POST"
            assert write["url"] == f"http://{edge.host}/messages?n=1"
            assert (write["age"], write["attempts"], write["length"]) == (0.25, 1, 5)
            assert write["last_error"] == "origin-unreachable"
            assert write["next_attempt_in"] == pytest.approx(naps.asked[0] - 0.25, abs=0.002)

    async def test_metrics_and_dashboard_show_what_waits(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            await post(edge, "/messages")
            naps.clock.advance(5)
            base = f"http://{edge.app.admin_address}"
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{base}/metrics") as response:
                    text = await response.text()
                async with session.get(base) as response:
                    page = await response.text()
            assert 'cachewire_outbox_writes{state="queued"} 1.0' in text
            assert "cachewire_outbox_oldest_seconds 5.0" in text
            assert 'id="outbox">1 waiting (5s)' in page.replace("5 s", "5s")

    async def test_retry_ends_the_pause(self, origin: ScriptedOrigin, naps: Naps) -> None:
        origin.on("/messages", reply(503), reply(201))
        async with queueing(origin, naps) as edge:
            id_ = json.loads((await post(edge, "/messages")).body)["id"]
            await naps.until(1)
            await admin(edge, "POST", f"/api/outbox/{id_}/retry")
            await eventually(lambda: depth(edge) == 0)
            assert origin.count("/messages") == 2

    async def test_retry_sends_a_dead_letter_again(self, origin: ScriptedOrigin, naps: Naps) -> None:
        origin.on("/messages", reply(503), reply(409), reply(201))
        async with queueing(origin, naps) as edge:
            queued = await post(edge, "/messages")
            await naps.until(1)
            await naps.end()
            await eventually(lambda: depth(edge) == 0)
            assert (await status(edge, queued))["status"] == "dead"
            await admin(edge, "POST", f"/api/outbox/{json.loads(queued.body)['id']}/retry")
            await eventually(lambda: origin.count("/messages") == 3 and depth(edge) == 0)
            assert (await status(edge, queued))["status"] == "done"

    async def test_a_deleted_write_is_not_sent_and_the_next_one_is(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await origin.stop()
            first = await post(edge, "/first")
            await naps.until(1)
            await post(edge, "/second")
            await admin(edge, "DELETE", f"/api/outbox/{json.loads(first.body)['id']}")
            await origin.start()
            assert edge.app.outbox is not None
            edge.app.outbox.wake()
            await eventually(lambda: origin.count("/second") == 1 and depth(edge) == 0)
            assert origin.count("/first") == 0

    async def test_what_is_not_there_is_404_and_a_bad_limit_is_400(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps) as edge:
            await admin(edge, "POST", "/api/outbox/x/retry", 404)
            await admin(edge, "DELETE", "/api/outbox/x", 404)
            for limit in ("0", "x", "99999", ""):
                await admin(edge, "GET", f"/api/outbox?limit={limit}", 400)

    async def test_without_a_queue_the_list_is_empty(self, origin: ScriptedOrigin, naps: Naps) -> None:
        async with queueing(origin, naps, False) as edge:
            assert (await report(edge))["writes"] == []
            await admin(edge, "POST", "/api/outbox/x/retry", 404)


async def test_writes_of_many_clients_at_once_are_all_kept(origin: ScriptedOrigin, naps: Naps) -> None:
    origin.default = computed(lambda asked: reply(201))
    async with queueing(origin, naps) as edge:
        await origin.stop()
        answers = await asyncio.gather(*(post(edge, f"/{number}") for number in range(40)))
        assert {answer.status for answer in answers} == {202}
        assert len({answer["Location"] for answer in answers}) == 40
        await origin.start()
        edge.app.outbox.wake()  # type: ignore[union-attr] # there is one
        await eventually(lambda: depth(edge) == 0)
        assert sorted(asked.target for asked in origin.requests) == sorted(f"/{number}" for number in range(40))
