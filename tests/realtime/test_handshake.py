"""Which requests begin a session, and how the others are refused."""

from __future__ import annotations

import asyncio
import json

import pytest

from realtime import admission
from realtime.limits import Rate
from tests.edge import Received
from tests.engine import PATH, EngineUnderTest, engine_with, head

POLLING = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

TRANSPORT = (0, "Transport unknown")
SESSION = (1, "Session ID unknown")
METHOD = (2, "Bad handshake method")
REQUEST = (3, "Bad request")
FORBIDDEN = (4, "Forbidden")
PROTOCOL = (5, "Unsupported protocol version")


def refusal(answer: Received) -> tuple[int, str]:
    assert answer["Content-Type"] == "application/json"
    body = json.loads(answer.body)
    assert list(body) == ["code", "message"]
    return body["code"], body["message"]


async def test_polling_is_answered_with_the_open_packet_alone(engine: EngineUnderTest) -> None:
    answer = await engine.request(POLLING)
    assert (answer.status, answer["Content-Type"]) == (200, "text/plain; charset=UTF-8")
    assert json.loads(answer.body[1:]) == {
        "sid": engine.last.connection.sid,
        "upgrades": ["websocket"],
        "pingInterval": 25000,
        "pingTimeout": 60000,
        "maxPayload": 10000,
    }
    assert engine.last.connection.transport == "polling"


async def test_websocket_is_answered_with_an_open_packet_that_offers_no_upgrade(engine: EngineUnderTest) -> None:
    async with await engine.websocket() as websocket:
        packet = await websocket.text()
        assert packet[0] == "0"
        assert json.loads(packet[1:])["upgrades"] == []
        assert engine.last.connection.transport == "websocket"


async def test_the_key_is_answered_as_in_the_rfc(engine: EngineUnderTest) -> None:
    client = await engine.connect()
    await client.send(head(f"{PATH}?{WEBSOCKET}", engine.host, headers=UPGRADE))
    answer = await client.receive()
    assert answer.status == 101
    assert answer["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    client.leave()


@pytest.mark.parametrize(
    ("method", "query", "expected"),
    [
        ("GET", "transport=polling", PROTOCOL),
        ("GET", "EIO=abc&transport=polling", PROTOCOL),
        ("GET", "EIO=3&transport=polling", PROTOCOL),
        ("GET", "EIO=3&transport=websocket", PROTOCOL),
        ("GET", "EIO=4", TRANSPORT),
        ("GET", "", TRANSPORT),
        ("GET", "EIO=4&transport=abc", TRANSPORT),
        ("GET", f"{POLLING}&sid=abc", SESSION),
        ("GET", f"{POLLING}&sid=", SESSION),
        ("POST", f"{POLLING}&sid=abc", SESSION),
        ("POST", POLLING, METHOD),
        ("PUT", POLLING, METHOD),
        ("HEAD", POLLING, METHOD),
        ("DELETE", f"{POLLING}&sid=abc", METHOD),
        ("GET", WEBSOCKET, REQUEST),
    ],
)
async def test_what_is_no_handshake_is_refused(
    engine: EngineUnderTest, method: str, query: str, expected: tuple[int, str]
) -> None:
    answer = await engine.request(query, method)
    assert answer.status == 400
    if method != "HEAD":
        assert refusal(answer) == expected
    assert engine.receivers == []
    assert sum(engine.stats.invalid.values()) == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("transport=websocket", PROTOCOL),
        ("EIO=3&transport=websocket", PROTOCOL),
        ("EIO=4", TRANSPORT),
        ("EIO=4&transport=abc", TRANSPORT),
        (f"{WEBSOCKET}&sid=abc", SESSION),
        (POLLING, REQUEST),
    ],
)
async def test_a_websocket_is_refused_before_it_is_one(
    engine: EngineUnderTest, query: str, expected: tuple[int, str]
) -> None:
    answer = await engine.request(query, headers=UPGRADE)
    assert (answer.status, refusal(answer)) == (400, expected)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("Sec-WebSocket-Version: 13", "Sec-WebSocket-Version: 8"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: short"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", ""),
    ],
)
async def test_a_websocket_handshake_that_is_none_is_refused(engine: EngineUnderTest, good: str, bad: str) -> None:
    answer = await engine.request(WEBSOCKET, headers=UPGRADE.replace(good, bad))
    assert (answer.status, refusal(answer), answer["Sec-WebSocket-Version"]) == (400, REQUEST, "13")
    assert engine.receivers == []


async def test_a_websocket_handshake_with_a_body_is_refused(engine: EngineUnderTest) -> None:
    answer = await engine.request(WEBSOCKET, headers=UPGRADE, body=b"hello")
    assert (answer.status, refusal(answer)) == (400, REQUEST)


async def test_a_page_needs_the_host_it_asks(engine: EngineUnderTest) -> None:
    client = await engine.connect()
    await client.send(f"GET {PATH}?{POLLING} HTTP/1.0\r\nOrigin: https://evil.example\r\n\r\n".encode())
    assert (await client.receive()).status == 403
    client.leave()


async def test_a_transport_that_is_switched_off_is_unknown() -> None:
    async with engine_with(transports=("websocket",)) as engine:
        assert refusal(await engine.request(POLLING)) == TRANSPORT
    async with engine_with(transports=("polling",)) as engine:
        assert (await engine.polling()).handshake["upgrades"] == []


async def test_who_polls_already_goes_on_when_newcomers_may_not_any_more() -> None:
    async with engine_with() as engine:
        client = await engine.polling()
        engine.engine.admit(transports=("websocket",), compression=None)
        await client.post("4still here")
        assert await engine.last.message() == "still here"
        assert refusal(await engine.request(POLLING)) == TRANSPORT
        engine.engine.admit(transports=("polling",), compression=None)
        assert (await engine.polling()).handshake["upgrades"] == []
        sid = engine.last.connection.sid
        assert refusal(await engine.request(f"{WEBSOCKET}&sid={sid}", headers=UPGRADE)) == TRANSPORT


async def test_the_receiver_learns_how_the_session_was_asked_for(engine: EngineUnderTest) -> None:
    await engine.request(f"{POLLING}&room=a%20b&t=1", headers="Cookie: a=1\r\nX-Two: 1\r\nx-two: 2\r\n")
    handshake = engine.last.connection.handshake
    assert handshake.path == PATH
    assert handshake.query == {"EIO": "4", "transport": "polling", "room": "a b", "t": "1"}
    assert handshake.headers["cookie"] == "a=1"
    assert handshake.headers["x-two"] == "1, 2"
    assert (handshake.peer, handshake.secure) == ("127.0.0.1", False)


@pytest.mark.parametrize("upgrade", ["", UPGRADE])
async def test_a_page_of_another_site_may_not_connect(engine: EngineUnderTest, upgrade: str) -> None:
    query = WEBSOCKET if upgrade else POLLING
    answer = await engine.request(query, headers=f"Origin: https://evil.example\r\n{upgrade}")
    assert (answer.status, refusal(answer)) == (403, FORBIDDEN)
    assert "Access-Control-Allow-Origin" not in answer
    answer = await engine.request(query, "OPTIONS", headers="Origin: https://evil.example\r\n")
    assert answer.status == 403


async def test_a_forwarded_host_proves_nothing(engine: EngineUnderTest) -> None:
    headers = "Origin: https://evil.example\r\nX-Forwarded-Host: evil.example\r\n"
    assert (await engine.request(POLLING, headers=headers)).status == 403


async def test_a_page_of_the_same_host_needs_no_permission_to_read(engine: EngineUnderTest) -> None:
    answer = await engine.request(POLLING, headers=f"Origin: http://{engine.host}\r\n")
    assert answer.status == 200
    assert "Access-Control-Allow-Origin" not in answer


async def test_a_page_of_an_allowed_site_may_read_every_answer() -> None:
    headers = "Origin: https://app.example\r\n"
    async with engine_with(allowed_origins=("https://app.example",)) as engine:
        opened = await engine.request(POLLING, headers=headers)
        sid = engine.last.connection.sid
        posted = await engine.request(f"{POLLING}&sid={sid}", "POST", headers=headers, body=b"4a")
        engine.last.send("b")
        polled = await engine.request(f"{POLLING}&sid={sid}", headers=headers)
        refused = await engine.request(f"{POLLING}&sid=x", headers=headers)
        preflight = await engine.request(
            POLLING, "OPTIONS", headers=f"{headers}Access-Control-Request-Headers: x-token\r\n"
        )
        for answer in (opened, posted, polled, refused, preflight):
            assert answer["Access-Control-Allow-Origin"] == "https://app.example"
            assert answer["Access-Control-Allow-Credentials"] == "true"
            assert answer["Vary"] == "Origin"
        assert preflight.status == 204
        assert preflight["Access-Control-Allow-Headers"] == "x-token"
        assert "POST" in preflight["Access-Control-Allow-Methods"]


async def test_where_all_sites_are_allowed_none_may_use_credentials() -> None:
    async with engine_with(allowed_origins=("*",)) as engine:
        answer = await engine.request(POLLING, headers="Origin: https://evil.example\r\n")
        assert answer["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer


async def test_beyond_the_number_of_sessions_a_client_is_told_to_come_back_later() -> None:
    async with engine_with(max_sessions=1) as engine:
        await engine.polling()
        for headers, query in (("", POLLING), (UPGRADE, WEBSOCKET)):
            answer = await engine.request(query, headers=headers)
            assert answer.status == 503
            assert int(answer["Retry-After"]) > 0


async def test_a_silent_session_gives_way_to_a_newcomer_and_one_that_is_in_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "GRACE", 0.0)
    async with engine_with(max_sessions=2, address_share=1.0) as engine, await engine.session() as inside:
        engine.last.connection.entered()
        async with await engine.session() as silent:
            waiting = engine.last
            await engine.polling()
            assert await waiting.end() == "gave-way"
            assert await silent.close_code() == 1013
        await inside.send("4still here")
        assert await engine.receivers[0].message() == "still here"


async def test_too_many_handshakes_of_one_address_are_told_when_to_come_again() -> None:
    async with engine_with(handshakes=Rate(0.1, 2.0)) as engine:
        assert [(await engine.request(POLLING)).status for _ in range(2)] == [200, 200]
        for headers, query in (("", POLLING), (UPGRADE, WEBSOCKET)):
            answer = await engine.request(query, headers=headers)
            assert (answer.status, answer["Retry-After"]) == (429, "2")
        assert engine.stats.sessions_refused == {"handshakes": 2}


async def test_a_handshake_too_early_waits_for_its_turn() -> None:
    async with engine_with(handshakes=Rate(20.0, 1.0)) as engine:
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(engine.request(POLLING) for _ in range(5)))
        assert {answer.status for answer in answers} == {200}
        assert asyncio.get_running_loop().time() - began >= 0.19
        waiting = asyncio.create_task(engine.session())
        async with await waiting as websocket:
            await websocket.send("4hello")
            assert await engine.last.message() == "hello"


async def test_an_address_is_refused_beyond_its_share_and_counted() -> None:
    async with engine_with(max_sessions=4) as engine, await engine.session(), await engine.session():
        for receiver in engine.receivers:
            receiver.connection.entered()
        assert (await engine.request(POLLING)).status == 503
        assert engine.stats.sessions_refused == {"address": 1}
