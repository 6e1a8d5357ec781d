"""An application on the hub: what its handlers are given, and what its clients get."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from realtime.hub import Disconnected, Hub, Namespace, Refused, Socket
from realtime.later import Later
from realtime.limits import Rate
from realtime.settings import HubSettings, RecoverySettings
from realtime.stats import RealtimeStats
from tests.realtime.wire import Wire, messages, turns


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def hub_with(recovery: RecoverySettings | None = None, *, clock: Clock | None = None, **settings: Any) -> Hub:
    return Hub(HubSettings(recovery=recovery, **settings), RealtimeStats(), now=clock or Clock())


@pytest.fixture
async def hub() -> Hub:
    return hub_with()


@pytest.fixture
def root(hub: Hub) -> Namespace:
    return hub.namespace()


def only(namespace: Namespace) -> Socket:
    (socket,) = namespace.sockets.values()
    return socket


# Connecting


async def test_a_client_is_let_in_under_an_id_of_its_own(hub: Hub, root: Namespace) -> None:
    first, second = Wire(hub).enter(), Wire(hub).enter()
    assert list(root.sockets) == [first["sid"], second["sid"]]
    assert set(first) == {"sid"}


@pytest.mark.parametrize("said", [("1", "0"), ("0/x,",)])
async def test_who_enters_and_leaves_without_end_is_closed(said: tuple[str, ...]) -> None:
    clock = Clock()
    hub = hub_with(connects=Rate(1.0, 4.0), clock=clock)
    hub.namespace()
    wire = Wire(hub)
    wire.say("0", *said * 3)
    assert wire.closed is None
    clock.seconds += 1.0
    wire.say(*said)
    assert wire.closed is None
    wire.say(*said)
    assert wire.closed == "flood"
    assert hub.stats.rate_limited == {"connects": 1}


async def test_an_unknown_namespace_is_refused_and_the_connection_stays(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.say("0/nowhere,", "0")
    assert wire.sent[0] == '4/nowhere,{"message":"Invalid namespace"}'
    assert wire.sent[1] == f'0{{"sid":"{only(root).id}"}}'


async def test_an_application_may_refuse(hub: Hub, root: Namespace) -> None:
    @root.on("connect")
    def connect(socket: Socket, auth: Any) -> None:
        socket.join("room")
        socket.emit("never sent")
        if auth != {"token": "right"}:
            raise Refused("wrong token", {"retry": False})

    wire = Wire(hub)
    wire.say('0{"token":"wrong"}')
    assert wire.taken() == ['4{"message":"wrong token","data":{"retry":false}}']
    assert not root.sockets
    assert not root.members("room")
    wire.enter(token="right")
    assert wire.taken() == ['2["never sent"]']


async def test_a_connect_handler_that_fails_refuses_without_telling_why(
    hub: Hub, root: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    @root.on("connect")
    async def connect(socket: Socket) -> None:
        raise KeyError("secret")

    wire = Wire(hub)
    wire.say("0")
    await turns()
    assert wire.sent == ['4{"message":"Internal error"}']
    assert hub.stats.handler_errors == 1
    assert "secret" in caplog.text


async def test_a_refusal_that_json_has_no_word_for_is_still_one(hub: Hub, root: Namespace) -> None:
    @root.on("connect")
    def connect(socket: Socket) -> None:
        raise Refused("no", object())

    wire = Wire(hub)
    wire.say("0")
    assert wire.taken() == ['4{"message":"Internal error"}']


@pytest.mark.parametrize("later", [True, False])
async def test_who_is_thrown_out_by_the_connect_handler_was_there_first(hub: Hub, root: Namespace, later: bool) -> None:
    reasons: list[str] = []
    root.on("disconnect")(lambda socket, reason: reasons.append(reason))

    @root.on("connect")
    async def connect(socket: Socket) -> None:
        socket.emit("banned")
        socket.disconnect()
        if later:
            await asyncio.sleep(0)

    wire = Wire(hub)
    wire.say("0")
    await turns()
    first, *rest = wire.taken()
    assert str(first).startswith('0{"sid":')
    assert rest == ['2["banned"]', "1"]
    assert (reasons, len(root.sockets), wire.closed) == (["server-disconnect"], 0, None)
    wire.say("0")
    await turns()
    assert len(reasons) == 2


async def test_nothing_overtakes_the_answer_to_connect(hub: Hub, root: Namespace) -> None:
    admitted = asyncio.Event()

    @root.on("connect")
    async def connect(socket: Socket) -> None:
        socket.join("room")
        socket.emit("from the handler")
        await admitted.wait()

    wire = Wire(hub)
    wire.say("0")
    await turns()
    assert root.emit("room", "from others") == 1
    assert wire.taken() == []
    admitted.set()
    await turns()
    assert wire.taken() == [f'0{{"sid":"{only(root).id}"}}', '2["from the handler"]', '2["from others"]']
    root.emit("room", "later")
    assert wire.taken() == ['2["later"]']


async def test_a_client_that_leaves_while_it_is_let_in_is_said_goodbye_to_after_that(hub: Hub, root: Namespace) -> None:
    admitted = asyncio.Event()
    told: list[str] = []

    @root.on("connect")
    async def connect(socket: Socket) -> None:
        await admitted.wait()
        told.append("connect")

    @root.on("disconnect")
    def disconnect(socket: Socket, reason: str) -> None:
        told.append(reason)

    wire = Wire(hub)
    wire.say("0")
    wire.drop()
    await turns()
    admitted.set()
    await turns()
    assert told == ["connect", "connection-lost"]
    assert not root.sockets
    assert not hub.peers


async def test_who_is_thrown_out_after_leaving_is_said_goodbye_to_once(hub: Hub, root: Namespace) -> None:
    reasons: list[str] = []
    root.on("disconnect")(lambda socket, reason: reasons.append(reason))
    gone = asyncio.Event()

    @root.on("connect")
    async def connect(socket: Socket) -> None:
        await gone.wait()
        socket.disconnect()

    wire = Wire(hub)
    wire.say("0")
    wire.drop()
    await turns()
    gone.set()
    await turns()
    assert (reasons, len(root.sockets)) == (["connection-lost"], 0)


async def test_who_does_not_connect_in_time_is_closed() -> None:
    wire = Wire(hub_with(connect_timeout=0.01))
    async with asyncio.timeout(5):
        while wire.closed is None:
            await asyncio.sleep(0)
    assert wire.closed == "connect-timeout"


async def test_who_is_let_in_may_be_silent_for_ever() -> None:
    hub = hub_with(connect_timeout=0.01)
    hub.namespace()
    late, silent = Wire(hub), Wire(hub)
    silent.enter()
    async with asyncio.timeout(5):
        while late.closed is None:
            await asyncio.sleep(0)
    assert silent.closed is None


async def test_leaving_a_namespace_keeps_the_connection_and_the_others(hub: Hub, root: Namespace) -> None:
    cars = hub.namespace("/cars")
    reasons: list[str] = []
    root.on("disconnect")(lambda socket, reason: reasons.append(reason))
    wire = Wire(hub)
    wire.enter()
    wire.enter("/cars")
    wire.say("1")
    assert reasons == ["client-disconnect"]
    assert (len(root.sockets), len(cars.sockets), wire.closed) == (0, 1, None)
    wire.enter()
    assert len(root.sockets) == 1


@pytest.mark.parametrize("message", ["abc", '2["unconnected"]', b"x", "0", "2{}", '2["connect"]'])
async def test_who_breaks_the_protocol_is_closed_and_counted(message: str | bytes) -> None:
    clock = Clock()
    hub = hub_with(clock=clock)
    hub.namespace()
    reasons: list[str] = []
    hub.namespace("/cars").on("disconnect")(lambda socket, reason: reasons.append(reason))
    wire = Wire(hub)
    wire.enter("/cars")
    if message == "0":
        wire.enter()
        clock.seconds += 10.0
    wire.say(message, '2/cars,["not heard any more"]')
    await turns()
    assert wire.closed == "parse-error"
    assert reasons == ["parse-error"]
    assert sum(hub.stats.invalid.values()) == 1
    assert hub.stats.events_unknown == 0


# Events


async def test_a_handler_is_called_with_what_came_however_many_that_are(hub: Hub, root: Namespace) -> None:
    calls: list[tuple[Any, ...]] = []
    root.on("two")(lambda socket, a, b: calls.append((a, b)))
    root.on("some")(lambda socket, a, b=7: calls.append((a, b)))
    root.on("all")(lambda socket, *args: calls.append(args))
    root.on("none")(lambda socket: calls.append(()))
    wire = Wire(hub)
    wire.enter()
    wire.say('2["two"]', '2["two",1,2,3]', '2["some",1]', '2["some"]', '2["all",1,2]', '2["none",1]')
    assert calls == [(None, None), (1, 2), (1, 7), (None, 7), (1, 2), ()]
    assert hub.stats.handler_errors == 0


async def test_a_function_that_no_client_can_call_is_refused_at_once(root: Namespace) -> None:
    def needs_a_name(socket: Socket, *, name: str) -> None:
        """Nothing can be given by name."""

    for function in (lambda: None, needs_a_name):
        with pytest.raises(ValueError, match=r"socket|name"):
            root.on("event")(function)


async def test_an_event_has_one_handler(root: Namespace) -> None:
    root.on("event")(lambda socket: None)
    with pytest.raises(ValueError, match="handler already"):
        root.on("event")(lambda socket: None)


@pytest.mark.parametrize(
    ("returned", "acknowledged"),
    [(None, "31[]"), ((1, 2), "31[1,2]"), ((), "31[]"), ([1, 2], "31[[1,2]]"), ({"ok": True}, '31[{"ok":true}]')],
)
async def test_what_a_handler_returns_is_the_acknowledgement(
    hub: Hub, root: Namespace, returned: Any, acknowledged: str
) -> None:
    async def later() -> Any:
        await asyncio.sleep(0)
        return returned

    async def at_last(socket: Socket) -> Any:
        return await later()

    def promised(socket: Socket) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, returned)
        return future

    root.on("plain")(lambda socket: returned)
    root.on("coroutine")(at_last)
    root.on("future")(promised)
    wire = Wire(hub)
    wire.enter()
    for event in ("plain", "coroutine", "future"):
        wire.say(f'2["{event}"]', f'21["{event}"]')
        await turns()
        assert wire.taken() == [acknowledged], event


class Promise(Later[Any]):
    """An answer that a test gives."""

    def keep(self, value: Any) -> None:
        self.value = value
        self.became_known()

    def answer(self) -> Any:
        return self.value


async def test_an_answer_may_be_known_later_or_at_once(hub: Hub, root: Namespace) -> None:
    promise = Promise()
    root.on("ask")(lambda socket: promise)
    wire = Wire(hub)
    wire.enter()
    wire.say('21["ask"]', '22["ask"]')
    assert wire.taken() == []
    promise.keep({"ok": True})
    wire.say('23["ask"]')
    assert wire.taken() == ['31[{"ok":true}]', '32[{"ok":true}]', '33[{"ok":true}]']


async def test_an_answer_is_wanted_unless_nobody_asked_for_it(hub: Hub, root: Namespace) -> None:
    asked, unasked, both = Promise(), Promise(), Promise()
    root.on("ask")(lambda socket, which: (asked, unasked, both)[which])
    wire = Wire(hub)
    wire.enter()
    wire.say('21["ask",0]', '2["ask",1]', '22["ask",2]', '2["ask",2]')
    assert [answer.wanted for answer in (asked, unasked, both)] == [True, False, True]


async def test_an_answer_for_a_client_that_has_left_is_nobody_s(hub: Hub, root: Namespace) -> None:
    promise = Promise()
    root.on("ask")(lambda socket: promise)
    wire = Wire(hub)
    wire.enter()
    wire.say('21["ask"]', "1")
    promise.keep(1)
    assert wire.taken() == []


async def test_bytes_come_and_go(hub: Hub, root: Namespace) -> None:
    root.on("echo")(lambda socket, *args: args)
    wire = Wire(hub)
    wire.enter()
    wire.say('51-4["echo",{"x":{"_placeholder":true,"num":0}}]', b"\x00\x01")
    assert wire.taken() == ['61-4[{"x":{"_placeholder":true,"num":0}}]', b"\x00\x01"]


async def test_what_a_client_sends_first_starts_first(hub: Hub, root: Namespace) -> None:
    order: list[str] = []

    @root.on("slow")
    async def slow(socket: Socket, name: str) -> None:
        order.append(f"{name} begins")
        await asyncio.sleep(0)
        order.append(f"{name} ends")

    root.on("quick")(lambda socket: order.append("quick"))
    root.on("disconnect")(lambda socket, reason: order.append(reason))
    wire = Wire(hub)
    wire.enter()
    wire.say('2["slow","a"]', '2["quick"]', '2["slow","b"]', '2["quick"]')
    wire.drop()
    await turns(10)
    begun = [entry for entry in order if not entry.endswith("ends")]
    assert begun == ["a begins", "quick", "b begins", "quick", "transport-close"]


async def test_a_handler_that_fails_is_counted_and_logged_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    hub = hub_with(clock=clock)
    root = hub.namespace()

    def fails(socket: Socket) -> None:
        raise RuntimeError("broken")

    root.on("fails")(fails)
    root.on("unspeakable")(lambda socket: object())
    wire = Wire(hub)
    wire.enter()
    with caplog.at_level(logging.ERROR):
        wire.say(*['21["fails"]'] * 5, '22["unspeakable"]')
        assert [record.message for record in caplog.records] == [
            "the handler of 'fails' failed",
            "the handler of 'unspeakable' failed",
        ]
        clock.seconds += 60.0
        wire.say('2["fails"]')
    assert len(caplog.records) == 3
    assert hub.stats.handler_errors == 7
    assert wire.taken() == []


async def test_futures_and_farewells_that_fail_are_counted_too(hub: Hub, root: Namespace) -> None:
    def fails(socket: Socket, cancelled: bool) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if cancelled:
            future.cancel()
        else:
            future.set_exception(RuntimeError("broken"))
        return future

    async def fails_later(socket: Socket, reason: str) -> None:
        raise RuntimeError("broken")

    root.on("future")(fails)
    root.on("disconnect")(fails_later)
    wire = Wire(hub)
    wire.enter()
    wire.say('21["future",false]', '22["future",true]')
    await turns()
    assert (wire.taken(), hub.stats.handler_errors) == ([], 1)
    wire.drop()
    await turns()
    assert hub.stats.handler_errors == 2


async def test_a_farewell_that_fails_leaves_nothing_behind(hub: Hub, root: Namespace) -> None:
    def fails(socket: Socket) -> None:
        raise RuntimeError("broken")

    root.on("disconnect")(fails)
    wire = Wire(hub)
    wire.enter()
    wire.drop()
    await turns()
    assert (hub.stats.handler_errors, len(root.sockets), hub.peers) == (1, 0, set())


async def test_what_the_application_has_under_way_ends_with_the_hub(hub: Hub, root: Namespace) -> None:
    ended: list[str] = []

    @root.on("long")
    async def long(socket: Socket) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("long")

    wire = Wire(hub)
    wire.enter()
    wire.say('2["long"]')
    await turns()
    await hub.close()
    assert ended == ["long"]


async def test_a_namespace_has_a_name_that_can_be_on_the_wire(hub: Hub) -> None:
    assert hub.namespace("/cars") is hub.namespace("/cars")
    for name in ("cars", "", "/a,b"):
        with pytest.raises(ValueError, match="namespace"):
            hub.namespace(name)


async def test_unknown_events_are_counted_or_fall_back(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    wire.say('21["unknown",1]', "2[5]")
    assert (wire.taken(), hub.stats.events_unknown) == ([], 2)
    root.fallback(lambda socket, event, *args: [event, *args])
    wire.say('21["unknown",1]')
    assert wire.taken() == ['31[["unknown",1]]']


async def test_the_words_of_the_protocol_cannot_be_emitted(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    for send in (root.emit, only(root).emit):
        with pytest.raises(ValueError, match="protocol"):
            send(*((None,) if send == root.emit else ()), "disconnect")
    with pytest.raises(ValueError, match="protocol"):
        await only(root).call("connect")


# Asking clients


async def test_a_client_can_be_asked(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    asked = asyncio.create_task(only(root).call("how many?", "cars"))
    await turns()
    (question,) = wire.taken()
    assert isinstance(question, str)
    number = question[1 : question.index("[")]
    wire.say(f"3{number}[4,[5]]")
    assert await asked == [4, [5]]
    wire.say(f"3{number}[4]", "3777[]")
    assert hub.stats.invalid == {"ack-unexpected": 2}
    assert wire.closed is None


async def test_who_asks_is_told_when_nobody_answers_any_more(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    socket = only(root)
    with pytest.raises(TimeoutError):
        await socket.call("anybody?", timeout=0.0)
    asked = asyncio.create_task(socket.call("anybody?"))
    await turns()
    wire.drop()
    with pytest.raises(Disconnected):
        await asked
    with pytest.raises(Disconnected):
        await socket.call("anybody?")


# Rooms


async def test_a_broadcast_is_one_object_for_all_its_members(hub: Hub, root: Namespace) -> None:
    wires = [Wire(hub) for _ in range(3)]
    for wire in wires:
        wire.enter()
    for socket in list(root.sockets.values())[:2]:
        socket.join("room")
    assert root.emit("room", "news", {"a": 1}, volatile=True, conflate="k") == 2
    (sent,), (same,) = wires[0].outgoing[1:], wires[1].outgoing[1:]
    assert sent is same
    assert (messages(sent), sent.volatile, sent.conflate) == (['2["news",{"a":1}]'], True, "k")
    assert wires[2].sent == []


async def test_a_broadcast_reaches_everyone_meant_once(hub: Hub, root: Namespace) -> None:
    wires = {name: Wire(hub) for name in ("ann", "bob", "cid")}
    ids = {name: wire.enter()["sid"] for name, wire in wires.items()}
    for name, rooms in {"ann": ["cars", "boats"], "bob": ["cars"]}.items():
        for room in rooms:
            root.sockets[ids[name]].join(room)

    def reached(rooms: Any, **flags: Any) -> set[str]:
        count = root.emit(rooms, "x", **flags)
        names = [name for name, wire in wires.items() for _ in wire.taken()]
        assert len(names) == count
        return set(names)

    assert reached("cars") == {"ann", "bob"}
    assert reached(["cars", "boats"]) == {"ann", "bob"}
    assert reached(None) == {"ann", "bob", "cid"}
    assert reached(None, skip={ids["ann"]}) == {"bob", "cid"}
    assert reached(None, skip=ids["ann"]) == {"bob", "cid"}
    assert reached("cars", skip=[ids["ann"], ids["bob"]]) == set()
    assert reached("nowhere") == set()
    assert reached([]) == set()
    assert reached(ids["cid"]) == {"cid"}
    assert reached(["boats", ids["cid"]]) == {"ann", "cid"}


async def test_rooms_forget_who_leaves(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    socket = only(root)
    socket.join("a")
    socket.join("a")
    socket.join("b")
    assert set(socket.rooms) == {"a", "b"}
    assert list(root.members("a")) == [socket]
    socket.leave("a")
    socket.leave("a")
    assert set(socket.rooms) == {"b"}
    wire.drop()
    await turns()
    assert not root.members("b")
    socket.join("c")
    socket.emit("to nobody")
    assert not root.members("c")
    assert (hub.peers, wire.taken()) == (set(), [])


async def test_a_member_may_end_in_the_middle_of_a_broadcast(hub: Hub, root: Namespace) -> None:
    wires = [Wire(hub) for _ in range(3)]
    for wire in wires:
        wire.enter()
    sockets = list(root.sockets.values())
    for socket in sockets:
        socket.join("room")
    send = wires[0].send

    def send_and_end(outgoing: Any) -> None:
        send(outgoing)
        sockets[1].disconnect()

    wires[0].send = send_and_end  # type: ignore[method-assign]
    root.emit("room", "x")
    assert wires[2].taken() == ['2["x"]']


async def test_a_client_can_be_thrown_out_of_one_namespace_or_all(hub: Hub, root: Namespace) -> None:
    hub.namespace("/cars")
    reasons: list[str] = []
    root.on("disconnect")(lambda socket, reason: reasons.append(reason))
    wire = Wire(hub)
    wire.enter()
    wire.enter("/cars")
    socket = only(root)
    socket.disconnect()
    socket.disconnect()
    assert (wire.taken(), wire.closed, reasons) == (["1"], None, ["server-disconnect"])
    only(hub.namespace("/cars")).disconnect(close=True)
    await turns()
    assert (wire.taken(), wire.closed, hub.peers) == (["1/cars,"], "server-disconnect", set())


async def test_who_is_thrown_out_of_all_namespaces_returns_to_none() -> None:
    hub = hub_with(RecoverySettings())
    reasons: list[str] = []
    pids: dict[str, str] = {}
    wire = Wire(hub)
    for name in ("/", "/cars"):
        hub.namespace(name).on("disconnect")(lambda socket, reason: reasons.append(reason))
        pids[name] = wire.enter(name)["pid"]
    only(hub.namespace()).disconnect(close=True)
    await turns()
    assert (wire.taken(), wire.closed) == (["1", "1/cars,"], "server-disconnect")
    assert reasons == ["server-disconnect", "server-disconnect"]
    again = Wire(hub)
    for name, pid in pids.items():
        assert again.enter(name, pid=pid)["pid"] != pid
    await hub.close()


# Recovery


class Returning:
    """A client of the kind that comes back: it shows its secret, and the last offset it has heard."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.wire = Wire(hub)
        self.auth: dict[str, Any] = {}
        self.heard: list[Any] = []
        self.known = self.wire.enter()
        self.listen()

    def listen(self) -> None:
        """Take what was sent, as the reference client does: the last argument, if it is text, is an offset."""
        for message in self.wire.taken():
            event, *args = Wire.event(message)
            if isinstance(([event, *args])[-1], str):
                self.auth["offset"] = ([event, *args])[-1]
            self.heard.append(event)

    def again(self) -> dict[str, Any]:
        """Connect anew; the server's answer."""
        self.wire = Wire(self.hub)
        self.auth["pid"] = self.known["pid"]
        self.known = self.wire.enter(**self.auth)
        self.listen()
        return self.known


async def test_a_client_that_returns_is_the_same_and_has_missed_nothing() -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()
    seen: list[tuple[str, bool, Any, set[str]]] = []

    @root.on("connect")
    def connect(socket: Socket, auth: Any) -> None:
        seen.append((socket.id, socket.recovered, auth, set(socket.rooms)))
        if not socket.recovered:
            socket.join("room")
            socket.data["user"] = {"id": 7}

    @root.on("disconnect")
    def disconnect(socket: Socket, reason: str) -> None:
        socket.data["user"].clear()
        socket.leave("room")

    client = Returning(hub)
    root.emit("room", "one")
    client.listen()
    client.wire.drop()
    await turns()
    assert root.emit("room", "two") == 0
    first = client.known
    assert client.again() == first
    root.emit("room", "three")
    client.listen()
    assert client.heard == ["one", "two", "three"]
    assert seen == [(first["sid"], False, None, set()), (first["sid"], True, None, {"room"})]
    assert only(root).data == {"user": {"id": 7}}
    assert (hub.stats.recovered, hub.stats.recovery_failed) == (1, 0)
    await hub.close()


async def test_a_client_may_be_back_before_its_former_connection_is_found_dead() -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()
    told: list[str] = []

    @root.on("connect")
    def connect(socket: Socket) -> None:
        told.append("connect")
        socket.join("room")

    root.on("disconnect")(lambda socket, reason: told.append(reason))
    client = Returning(hub)
    former = client.wire
    former.send = lambda outgoing: None  # type: ignore[method-assign]
    root.emit("room", "into the void")
    client.again()
    await turns()
    assert client.heard == ["into the void"]
    assert former.closed == "replaced"
    assert told == ["connect", "replaced", "connect"]
    assert root.emit("room", "x") == 1
    await hub.close()


async def test_what_is_sent_while_a_returning_client_is_let_in_comes_after_what_it_missed() -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()
    admitted = asyncio.Event()

    @root.on("connect")
    async def connect(socket: Socket) -> None:
        if socket.recovered:
            await admitted.wait()
        else:
            socket.join("room")

    wire = Wire(hub)
    wire.say("0")
    await turns()
    pid = Wire.payload(wire.taken()[0])["pid"]
    wire.drop()
    await turns()
    root.emit("room", "missed")
    wire = Wire(hub)
    wire.say(f'0{{"pid":"{pid}"}}')
    await turns()
    root.emit("room", "meanwhile")
    assert wire.taken() == []
    # This connection is lost too before the client is let in, and then everything comes over the next.
    wire.drop()
    await turns()
    root.emit("room", "later")
    wire = Wire(hub)
    wire.say(f'0{{"pid":"{pid}"}}')
    admitted.set()
    await turns()
    assert [Wire.event(message)[0] for message in wire.taken()[1:]] == ["missed", "meanwhile", "later"]
    await hub.close()


async def test_who_left_or_was_thrown_out_or_broke_the_protocol_does_not_return() -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()
    for end in (
        lambda client: client.wire.say("1"),
        lambda client: root.sockets[client.known["sid"]].disconnect(),
        lambda client: client.wire.say("broken"),
    ):
        client = Returning(hub)
        former = client.known
        end(client)
        await turns()
        assert client.again() != former
    assert hub.stats.recovery_failed == 3
    await hub.close()


async def test_every_event_that_ends_in_text_carries_an_offset_because_the_client_takes_the_text_for_one() -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()
    client = Returning(hub)
    root.emit(None, "kept")
    root.emit(None, "volatile", "text", volatile=True)
    root.emit(None, "volatile", volatile=True)
    root.emit(None, "volatile", 7, volatile=True)
    client.listen()
    client.wire.drop()
    await turns()
    root.emit(None, "volatile", volatile=True)
    root.emit(None, "missed", "text")
    client.again()
    assert client.heard == ["kept", "volatile", "volatile", "volatile", "missed"]
    assert hub.stats.recovered == 1
    await hub.close()


async def test_who_does_not_return_is_forgotten_without_being_asked_for() -> None:
    clock = Clock()
    hub = hub_with(RecoverySettings(window=0.1), clock=clock)
    hub.namespace()
    recovery = hub.recovery("/")
    client = Returning(hub)
    client.wire.drop()
    await turns()
    assert recovery is not None
    assert recovery.away == 1
    clock.seconds += 1.0
    async with asyncio.timeout(10):
        while recovery.away:
            await asyncio.sleep(0.01)
    await hub.close()


async def test_data_that_json_has_no_word_for_makes_a_client_begin_anew(caplog: pytest.LogCaptureFixture) -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()
    client = Returning(hub)
    only(root).data["lock"] = object()
    client.wire.drop()
    await turns()
    former = client.known
    assert client.again() != former
    assert "'data'" in caplog.text
    await hub.close()


async def test_a_refused_return_is_the_end_of_it() -> None:
    hub = hub_with(RecoverySettings())
    root = hub.namespace()

    @root.on("connect")
    def connect(socket: Socket) -> None:
        if socket.recovered:
            raise Refused("not any more")

    client = Returning(hub)
    client.wire.drop()
    await turns()
    wire = Wire(hub)
    wire.say(f'0{{"pid":"{client.known["pid"]}"}}')
    assert wire.taken() == ['4{"message":"not any more"}']
    former = client.known
    assert client.again() != former
    await hub.close()


def announced(count: int, event: str = "file") -> str:
    """A packet that `count` attachments belong to."""
    return f"5{count}-" + json.dumps([event, *({"_placeholder": True, "num": number} for number in range(count))])


async def test_the_attachments_of_a_packet_are_bounded_together() -> None:
    hub = hub_with(max_attached=1000)
    given: list[object] = []
    hub.namespace().on("file")(lambda _, *args: given.extend(args))
    wire = Wire(hub)
    wire.enter()
    wire.say(announced(2), b"x" * 400, b"y" * 600)
    assert given == [b"x" * 400, b"y" * 600]
    wire.say(announced(3), b"x" * 400, b"y" * 601)
    assert wire.closed == "too-large"
    assert hub.stats.invalid == {"attachments-too-large": 1}


async def test_attachments_that_do_not_come_end_the_connection_after_a_while() -> None:
    hub = hub_with(attachments_timeout=0.01)
    hub.namespace().on("file")(lambda *_: None)
    patient, late = Wire(hub, "patient"), Wire(hub, "late")
    for wire in (patient, late):
        wire.enter()
        wire.say(announced(2), b"x")
    patient.say(b"y")
    async with asyncio.timeout(5):
        while late.closed is None:
            await asyncio.sleep(0.001)
    assert (late.closed, patient.closed) == ("parse-error", None)
    assert hub.stats.invalid == {"attachments-late": 1}


@pytest.mark.parametrize("packet", ['2["a"]', '21["a"]', "31[]", "1"])
async def test_what_was_on_its_way_when_a_client_left_a_namespace_is_ignored(packet: str) -> None:
    clock = Clock()
    hub = hub_with(clock=clock)
    hub.namespace()
    wire = Wire(hub)
    wire.enter()
    wire.say("1", packet)
    assert (wire.closed, hub.stats.invalid) == (None, {"namespace-left": 1})
    clock.seconds += 6
    wire.say(packet)
    assert wire.closed == "parse-error", "by now it knows"


async def test_attachments_on_their_way_to_a_namespace_that_was_left_are_ignored_too(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    wire.say("1", announced(1), b"x")
    assert wire.closed is None
    wire.enter()
    assert len(root.sockets) == 1, "and the client may come again"


async def test_what_was_on_its_way_when_the_server_threw_a_client_out_is_ignored(hub: Hub, root: Namespace) -> None:
    wire = Wire(hub)
    wire.enter()
    next(iter(root.sockets.values())).disconnect()
    wire.say('2["a"]')
    assert wire.closed is None


async def test_who_comes_and_goes_without_a_word_makes_nobody_who_said_something_forgotten() -> None:
    hub = hub_with(RecoverySettings(sessions=8, share=1.0))
    hub.namespace().on("connect")(lambda socket, auth: socket.join("room") if auth else None)
    honest = Wire(hub, "honest")
    pid = honest.enter(name="ann")["pid"]
    honest.drop()
    await turns()
    for number in range(50):
        stranger = Wire(hub, f"stranger {number}")
        stranger.enter()
        stranger.drop()
        await turns()
    assert Wire(hub, "again").enter(pid=pid)["pid"] == pid
    assert hub.given_up == {"blank": 43}


async def test_acknowledgements_that_nobody_waits_for_end_the_connection_when_there_are_too_many() -> None:
    hub = hub_with(acks=Rate(1.0, 5.0))
    hub.namespace()
    few, many, long = (Wire(hub, name) for name in ("few", "many", "long"))
    for wire in (few, many, long):
        wire.enter()
    few.say(*["37[]"] * 5)
    many.say(*["37[]"] * 6)
    long.say('37["' + "x" * 6000 + '"]')
    assert (few.closed, many.closed, long.closed) == (None, "flood", "flood")
    assert hub.stats.rate_limited == {"acks": 2}
