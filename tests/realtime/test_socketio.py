"""Socket.IO packets on the wire, and what a client may say when."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from realtime import socketio
from realtime.socketio import Client, Kind, Malformed, Packet


def client(*namespaces: str) -> Client[str]:
    """One that is in these namespaces."""
    found: Client[str] = Client()
    for namespace in namespaces:
        found.receive(f"0{namespace},")
        found.enter(namespace, "in")
    return found


def received(*messages: str | bytes) -> Packet | None:
    """What the messages make, from a client that is in / and /admin."""
    speaker = client("/", "/admin")
    packet = None
    for message in messages:
        assert packet is None
        packet = speaker.receive(message)
    return packet


def refusal(*messages: str | bytes) -> str:
    with pytest.raises(Malformed) as caught:
        received(*messages)
    return caught.value.reason


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0/cars,", Packet(Kind.CONNECT, "/cars")),
        ('0/cars,{"token":"x"}', Packet(Kind.CONNECT, "/cars", {"token": "x"})),
        ("0/cars", Packet(Kind.CONNECT, "/cars")),
        ("1", Packet(Kind.DISCONNECT, "/")),
        ("1/admin,", Packet(Kind.DISCONNECT, "/admin")),
        ('2["hello",1]', Packet(Kind.EVENT, "/", ["hello", 1])),
        ('212["hello"]', Packet(Kind.EVENT, "/", ["hello"], 12)),
        ('2/admin,456["hello",{}]', Packet(Kind.EVENT, "/admin", ["hello", {}], 456)),
        ("30[]", Packet(Kind.ACK, "/", [], 0)),
        ("3/admin,9007199254740992[null]", Packet(Kind.ACK, "/admin", [None], 2**53)),
        ("2[7]", Packet(Kind.EVENT, "/", [7])),
        ('50-["hello"]', Packet(Kind.EVENT, "/", ["hello"])),
        ('2["a",{"x":1,"x":2}]', Packet(Kind.EVENT, "/", ["a", {"x": 2}])),
        (
            '2["a",{"__proto__":{"b":1},"constructor":2}]',
            Packet(Kind.EVENT, "/", ["a", {"__proto__": {"b": 1}, "constructor": 2}]),
        ),
        ('2["a",{"_placeholder":true,"num":0}]', Packet(Kind.EVENT, "/", ["a", {"_placeholder": True, "num": 0}])),
    ],
)
def test_packets_of_one_message_are_understood(text: str, packet: Packet) -> None:
    assert received(text) == packet


def test_attachments_take_the_places_of_their_placeholders() -> None:
    places = ('{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}')
    head = f'52-/admin,7["file",{places[1]},[{places[0]}],{places[1]}]'
    assert received(head, b"zero", b"one") == Packet(Kind.EVENT, "/admin", ["file", b"one", [b"zero"], b"one"], 7)
    assert received('61-3[{"_placeholder":true,"num":0}]', b"") == Packet(Kind.ACK, "/", [b""], 3)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (("",), "packet-type"),
        (("abc",), "packet-type"),
        (("7",), "packet-type"),
        (("٢[]",), "packet-type"),
        (('4{"message":"x"}',), "packet-type"),
        (("2",), "payload"),
        (("2{}",), "payload"),
        (("2[]",), "payload"),
        (("2[null]",), "payload"),
        (("2[true]",), "payload"),
        (('2[["a"]]',), "payload"),
        (('2abc["a"]',), "json"),
        (('2["a"] x',), "json"),
        (('2["a"',), "json"),
        (('2/admin["a"]',), "payload"),
        (('2["a",NaN]',), "json"),
        (('2["a",-Infinity]',), "json"),
        (('2["a",1e999]',), "json"),
        (('2["a",' + "9" * 5000 + "]",), "json"),
        (("0/cars,[]",), "payload"),
        (('0/cars,"x"',), "payload"),
        (("0/cars,null",), "payload"),
        (("1[]",), "payload"),
        (("3[]",), "payload"),
        (('31{"a":1}',), "payload"),
        (('29007199254740993["a"]',), "ack-id"),
        (("2" + "1" * 400 + '["a"]',), "ack-id"),
        (("0/" + "x" * 300,), "namespace"),
        (('5["a"]',), "attachment-count"),
        (('21-["a"]',), "attachment-count"),
        (('511-["a"]',), "attachment-count"),
        (('5999999999999-["a"]',), "attachment-count"),
        (('51-["a"]', b"x"), "attachment-count"),
        (('51-["a",{"_placeholder":true,"num":0}]', '2["b"]'), "attachment-missing"),
        ((b"x",), "attachment-unannounced"),
        (('51-["a",{"_placeholder":true,"num":1}]', b"x"), "placeholder"),
        (('51-["a",{"_placeholder":true,"num":-1}]', b"x"), "placeholder"),
        (('51-["a",{"_placeholder":true,"num":"0"}]', b"x"), "placeholder"),
        (('51-["a",{"_placeholder":true,"num":true}]', b"x"), "placeholder"),
        (('51-["a",{"_placeholder":true}]', b"x"), "placeholder"),
        (('50-["a",{"_placeholder":true,"num":0}]',), "placeholder"),
        (("0",), "connected-twice"),
        (('2/cars,["a"]',), "not-connected"),
        (("1/cars,",), "not-connected"),
        (("3/cars,1[]",), "not-connected"),
    ],
)
def test_what_breaks_the_protocol_has_a_reason(messages: tuple[str | bytes, ...], reason: str) -> None:
    assert refusal(*messages) == reason


@pytest.mark.parametrize("name", sorted(socketio.RESERVED))
def test_events_of_the_libraries_cannot_be_sent(name: str) -> None:
    assert refusal(f'2["{name}"]') == "payload"


def test_nesting_is_limited_whatever_is_nested() -> None:
    for before, after in (("[", "]"), ('{"a":', "}")):
        assert received('2["a",' + before * 99 + "1" + after * 99 + "]") is not None
        for depth in (100, 5_000, 100_000):
            assert refusal('2["a",' + before * depth + "1" + after * depth + "]") in ("depth", "json", "containers")
    assert received('2["a",[' + "[]," * 10_000 + "{}]]") is not None


@pytest.mark.parametrize("head", ["2", "50-", "51-"])
def test_of_a_packet_with_very_many_brackets_nothing_is_parsed(head: str) -> None:
    assert refusal(head + '["a",[' + "[]," * 20_000 + "{}]]") == "containers"


def test_nothing_but_its_answer_comes_between_connect_and_events() -> None:
    speaker: Client[str] = Client()
    speaker.receive("0")
    with pytest.raises(Malformed, match="not-connected"):
        speaker.receive('2["too early"]')
    speaker.enter("/", "in")
    assert speaker.receive('2["in time"]') is not None
    speaker.leave("/")
    assert speaker.receive("0") == Packet(Kind.CONNECT, "/")


def test_what_the_server_says_is_what_the_protocol_document_says() -> None:
    assert socketio.connected("/", {"sid": "x"}) == '0{"sid":"x"}'
    assert socketio.connected("/cars", {"sid": "x", "pid": "y"}) == '0/cars,{"sid":"x","pid":"y"}'
    assert socketio.refused("/cars", "no", {"why": 1}) == '4/cars,{"message":"no","data":{"why":1}}'
    assert socketio.refused("/", "Invalid namespace") == '4{"message":"Invalid namespace"}'
    assert socketio.disconnected("/cars") == "1/cars,"
    assert socketio.event("/", ["hello", "wörld", None]) == ('2["hello","wörld",null]',)
    assert socketio.event("/cars", ["hello"], 5) == ('2/cars,5["hello"]',)
    assert socketio.ack("/", [], 0) == ("30[]",)
    parts = ("52-", '["a",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]')
    assert socketio.event("/", ["a", b"x", [bytearray(b"y")]]) == ("".join(parts), b"x", b"y")
    assert socketio.ack("/cars", [memoryview(b"x")], 3) == ('61-/cars,3[{"_placeholder":true,"num":0}]', b"x")


def test_half_a_surrogate_pair_is_escaped_because_utf_8_has_no_word_for_it() -> None:
    packet = received('2["a","\\ud800 ü"]')
    assert packet is not None
    assert socketio.event("/", packet.data) == ('2["a","\\ud800 \\u00fc"]',)
    assert socketio.event("/", [*packet.data, b"x"])[0] == '51-["a","\\ud800 \\u00fc",{"_placeholder":true,"num":0}]'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_what_json_has_no_word_for_is_the_application_s_mistake(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        socketio.event("/", ["a", value])
    with pytest.raises((ValueError, TypeError)):
        socketio.ack("/", [b"with bytes", value], 1)


def test_a_cycle_or_endless_nesting_is_a_value_error() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (cycle, deep):
        with pytest.raises(ValueError, match=r"Circular|deeply"):
            socketio.event("/", ["a", value])


words = st.text(max_size=20)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
    | st.binary(max_size=20)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4), max_leaves=9
)
events = words.filter(lambda word: word not in socketio.RESERVED)


@given(events, st.lists(values, max_size=4), st.none() | st.integers(0, 2**53), st.sampled_from(("/", "/admin")))
def test_what_is_encoded_is_understood(event: str, args: list[Any], number: int | None, namespace: str) -> None:
    speaker = client("/", "/admin")
    packet = None
    for message in socketio.event(namespace, [event, *args], number):
        if isinstance(message, str):
            message.encode()
        packet = speaker.receive(message, most_attachments=100)
    assert packet == Packet(Kind.EVENT, namespace, [event, *args], number)


@given(
    st.lists(
        st.text(max_size=40)
        | st.binary(max_size=5)
        | st.from_regex(r"\A[0-6]([0-9]-)?(/a,)?[0-9]*[\[{\"a]{0,9}", fullmatch=False)
    )
)
@settings(max_examples=500)
def test_whatever_comes_is_a_packet_or_malformed(messages: list[str | bytes]) -> None:
    speaker = client("/")
    for message in messages:
        packet = understood(speaker, message)
        if isinstance(packet, str):
            assert packet in REASONS
            return
        assert packet is None or packet.namespace.startswith("/")


@given(
    st.tuples(
        st.sampled_from(("2", "20", "2007", "2" + "9" * 15, "2" + "9" * 16, "2" * 40, "21-", "5", "2/,", "3")),
        st.sampled_from((" ", "", "[", '["a",[')),
        (st.lists(values, max_size=3) | values).map(lambda value: json.dumps(value, default=str)),
        st.sampled_from(("", " ", "]", "x", "\n")),
    ).map("".join)
    | st.sampled_from(('2["connect"]', "2[]", "2[7]", "2[true]", '2["a",NaN]', '2["a",1e999]', "2" + "[" * 2000))
    | st.integers(90, 110).map(lambda depth: '2["a",' + "[" * depth + "]" * depth + "]")
)
def test_the_short_way_to_an_event_says_what_the_long_one_says(text: str) -> None:
    packet = socketio._plain_event(text)
    assert packet is None or socketio._parse(text, 10).packet == packet


def understood(speaker: Client[str], message: str | bytes) -> Packet | str | None:
    try:
        return speaker.receive(message)
    except Malformed as error:
        return error.reason


REASONS = {
    "packet-type", "attachment-count", "attachment-missing", "attachment-unannounced", "namespace", "payload", "ack-id",
    "json", "depth", "placeholder", "connected-twice", "not-connected",
}  # fmt: skip


class Conversation(RuleBasedStateMachine):
    """A client that says anything that is well-formed, in any order, to three namespaces."""

    namespaces = st.sampled_from(("/", "/a", "/b"))

    def __init__(self) -> None:
        super().__init__()
        self.client: Client[str] = Client()
        self.asked: set[str] = set()
        self.inside: set[str] = set()
        self.awaited = 0

    def say(self, text: str, allowed: bool) -> None:
        if self.awaited:
            with pytest.raises(Malformed, match="attachment-missing"):
                self.client.receive(text)
        elif allowed:
            assert self.client.receive(text) is not None
        else:
            with pytest.raises(Malformed, match=r"connected-twice|not-connected"):
                self.client.receive(text)

    @rule(namespace=namespaces)
    def connect(self, namespace: str) -> None:
        self.say(f"0{namespace},", namespace not in self.asked)
        if not self.awaited:
            self.asked.add(namespace)

    @rule(namespace=namespaces, yes=st.booleans())
    def answer(self, namespace: str, yes: bool) -> None:
        if namespace not in self.asked - self.inside:
            return
        if yes:
            self.client.enter(namespace, "in")
            self.inside.add(namespace)
        else:
            self.client.leave(namespace)
            self.asked.discard(namespace)

    @rule(namespace=namespaces, packet=st.sampled_from(('2{},["a"]', '2{},1["a"]', "3{},1[]")))
    def speak(self, namespace: str, packet: str) -> None:
        self.say(packet.format(namespace), namespace in self.inside)

    @rule(namespace=namespaces)
    def leave(self, namespace: str) -> None:
        self.say(f"1{namespace},", namespace in self.asked)
        if not self.awaited and namespace in self.inside:
            self.client.leave(namespace)
            self.asked.discard(namespace)
            self.inside.discard(namespace)

    @rule(namespace=namespaces, count=st.integers(1, 3))
    def announce(self, namespace: str, count: int) -> None:
        if not self.awaited and namespace in self.inside:
            places = [{"_placeholder": True, "num": number} for number in range(count)]
            assert self.client.receive(f"5{count}-{namespace},{json.dumps(['a', *places])}") is None
            self.awaited = count

    @rule()
    def attach(self) -> None:
        if not self.awaited:
            with pytest.raises(Malformed, match="attachment-unannounced"):
                self.client.receive(b"x")
            return
        self.awaited -= 1
        packet = self.client.receive(b"x")
        assert (packet is None) == bool(self.awaited)
        assert packet is None or set(packet.data[1:]) == {b"x"}

    @invariant()
    def it_is_where_it_was_let_in(self) -> None:
        assert self.client.namespaces == {name: "in" if name in self.inside else None for name in self.asked}


TestConversation = Conversation.TestCase
