"""Which fields of a message reach the other side: of a connection, of a trailer section, of the edge's own."""

from __future__ import annotations

import pytest

from tests.edge import EdgeUnderTest, edge_before
from tests.origin import Asked, ScriptedOrigin, reply

FRESH = ("Cache-Control", "max-age=600")
OF_ONE_CONNECTION = [
    ("Keep-Alive", "timeout=5, max=9"),
    ("Proxy-Authenticate", "Basic"),
    ("Proxy-Authentication-Info", "x=1"),
    ("Proxy-Authorization", "Basic eDp5"),
    ("Proxy-Connection", "keep-alive"),
    ("TE", "trailers"),
    ("Trailer", "X-Sum"),
]

SECTION = [("X-Sum", "1"), ("Cache-Control", "no-store"), ("Set-Cookie", "a=b"), ("ETag", '"t"'), ("Vary", "*")]
"""The trailers of an origin that thinks too late of what it should have said."""


def names(headers: list[tuple[str, str]]) -> set[str]:
    return {name.lower() for name, _ in headers}


class TestFieldsOfOneConnection:
    async def test_a_clients_stay_here(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.1, RFC 9110 section 11.7."""
        async with edge_before(origin) as edge:
            for method in ("GET", "POST", "HEAD"):
                await edge.ask(method, "/a", OF_ONE_CONNECTION)
        for asked in origin.requests:
            assert not names(asked.headers) & names(OF_ONE_CONNECTION)

    async def test_an_origins_stay_here_whether_its_answer_is_stored_or_not(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.1, RFC 9110 section 11.7, RFC 9111 section 3.1."""
        origin.on("/stored", reply(headers=[FRESH, *OF_ONE_CONNECTION]))
        origin.on("/passed", reply(headers=[("Cache-Control", "no-store"), *OF_ONE_CONNECTION]))
        async with edge_before(origin) as edge:
            for target in ("/stored", "/stored", "/passed"):
                assert not names((await edge.get(target)).headers) & names(OF_ONE_CONNECTION)

    async def test_what_only_begins_like_one_passes(self, origin: ScriptedOrigin) -> None:
        """RFC 9209 section 2: Proxy-Status is for everybody."""
        origin.on("/a", reply(headers=[FRESH, ("Proxy-Status", "inner; error=dns_timeout"), ("Keep", "1")]))
        async with edge_before(origin) as edge:
            for _ in range(2):
                answer = await edge.get("/a", {"Proxy-Features": "1"})
                assert (answer["Proxy-Status"], answer["Keep"]) == ("inner; error=dns_timeout", "1")
            assert origin.requests[0].header("Proxy-Features") == "1"

    @pytest.mark.parametrize("listed", ["X-One, X-Two", "x-one,X-TWO", "close, X-One, , X-Two"])
    async def test_what_connection_lists_goes_no_further(self, origin: ScriptedOrigin, listed: str) -> None:
        """RFC 9110 section 7.6.1, RFC 9111 section 3.1."""
        fields = [("X-One", "1"), ("X-Two", "2"), ("X-Three", "3"), ("Connection", listed)]
        origin.on("/a", reply(headers=[FRESH, *fields]))
        async with edge_before(origin) as edge:
            for _ in range(2):
                got = names((await edge.get("/a", fields)).headers)
                assert "x-three" in got
                assert not got & {"x-one", "x-two"}
        sent = names(origin.requests[0].headers)
        assert "x-three" in sent
        assert not sent & {"x-one", "x-two", "connection"}

    async def test_connection_on_several_lines_is_one_list(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 5.3, RFC 9110 section 7.6.1."""
        fields = [("Connection", "X-One"), ("X-One", "1"), ("X-Two", "2"), ("Connection", "X-Two")]
        origin.on("/a", reply(headers=[FRESH, *fields]))
        async with edge_before(origin) as edge:
            assert not names((await edge.get("/a", fields)).headers) & {"x-one", "x-two"}
        assert not names(origin.requests[0].headers) & {"x-one", "x-two"}

    async def test_nobody_takes_away_by_it_what_is_meant_for_all(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.1: "A sender MUST NOT send a connection option corresponding to" such a field."""
        listed = ("Connection", "Cache-Control, Vary, ETag, Content-Type, Authorization, Cookie, Host, X-Forwarded-For")
        answered = [FRESH, ("Vary", "X-A"), ("ETag", '"v1"'), ("Content-Type", "text/x")]
        asked = [("Authorization", "Bearer x"), ("Cookie", "a=b"), ("Cache-Control", "max-age=9")]
        origin.on("/a", reply(headers=[*answered, listed]))
        async with edge_before(origin) as edge:
            assert names(answered) <= names((await edge.get("/a", [*asked, listed])).headers)
        assert names(asked) | {"host", "x-forwarded-for"} <= names(origin.requests[0].headers)


class TestTrailers:
    """RFC 9112 section 7.1.2: who takes the chunked coding away "MAY selectively retain or discard" them. All go."""

    async def read(self, edge: EdgeUnderTest, version: bytes = b"1.1") -> tuple[str, bytes]:
        """Head and raw body of an answer from a connection of its own."""
        client = await edge.connect()
        request = edge.request("GET", "/a", {"TE": "trailers", "Connection": "close, TE"})
        await client.send(request.replace(b"HTTP/1.1", b"HTTP/" + version, 1))
        head, _, body = (await client.closed()).partition(b"\r\n\r\n")
        await client.close()
        return head.decode("latin-1").lower(), body

    @pytest.mark.parametrize("cache_control", ["max-age=600", "no-store"])
    async def test_an_origins_reach_no_client_and_never_its_head(
        self, origin: ScriptedOrigin, cache_control: str
    ) -> None:
        """RFC 9110 section 6.5.1: they must not be merged into the head unless their definition allows it."""
        headers = [("Cache-Control", cache_control), ("Trailer", "X-Sum, ETag")]
        origin.on("/a", reply(headers=headers, chunks=[b"one", b"two"], trailers=SECTION))
        async with edge_before(origin) as edge:
            for _ in range(2):
                head, body = await self.read(edge)
                # The second may have been stored whole by then, and have a length.
                assert body in (b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n", b"6\r\nonetwo\r\n0\r\n\r\n", b"onetwo")
                said = {line.partition(":")[0] for line in head.split("\r\n")}
                assert not said & {"trailer", "x-sum", "set-cookie", "etag", "vary"}
                assert f"\r\ncache-control: {cache_control}\r\n" in head
                await edge.background_done()

    async def test_a_body_with_trailers_is_stored_by_what_its_head_says(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 6.5.1: what directs caching is not for trailers."""
        origin.on("/a", reply(headers=[FRESH], chunks=[b"one"], trailers=SECTION))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            answer = await edge.get("/a", {"X-A": "1"})
            assert (answer.body, answer.cache_status.startswith("cachewire; hit")) == (b"one", True)
            assert not {"x-sum", "set-cookie", "etag"} & names(answer.headers)

    async def test_a_client_without_chunks_gets_the_body_alone(self, origin: ScriptedOrigin) -> None:
        """RFC 9112 section 7.1.2."""
        origin.on("/a", reply(chunks=[b"one"], trailers=SECTION))
        async with edge_before(origin) as edge:
            assert (await self.read(edge, b"1.0"))[1] == b"one"

    @pytest.mark.parametrize("method", ["POST", "PUT", "QUERY"])
    async def test_a_clients_reach_no_origin_and_its_body_does(self, origin: ScriptedOrigin, method: str) -> None:
        """RFC 9110 section 6.5.1, RFC 9110 section 6.5.2."""
        origin.on("/a", reply(body=b"done"))
        async with edge_before(origin) as edge:
            client = await edge.connect()
            headers = {"Transfer-Encoding": "chunked", "Trailer": "X-Sum"}
            trailers = b"Authorization: Bearer x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Sum: 1\r\n"
            await client.send(edge.request(method, "/a", headers) + b"3\r\nabc\r\n0\r\n" + trailers + b"\r\n")
            assert (await client.receive()).body == b"done"
            await client.close()
        asked = origin.requests[0]
        assert (asked.body, asked.complete, asked.trailers) == (b"abc", True, [])
        assert not {"authorization", "trailer", "x-sum"} & names(asked.headers)
        assert asked.header("X-Forwarded-For") == "127.0.0.1"

    @pytest.mark.parametrize(
        ("trailer", "status"),
        [
            (b"Content-Length: 3\r\n", 400),
            (b"Transfer-Encoding: chunked\r\n", 400),
            (b"no field\r\n", 400),
            (b"X-Sum : 1\r\n", 400),
            (b" folded: 1\r\n", 400),
            (b"X-Sum: " + b"1" * 40_000 + b"\r\n", 431),
            (b"X-Sum: 1\r\n" * 4_000, 431),
        ],
        ids=["length", "coding", "no field", "space", "folded", "too long", "too many"],
    )
    async def test_a_section_that_cannot_be_one_is_refused(
        self, origin: ScriptedOrigin, trailer: bytes, status: int
    ) -> None:
        """RFC 9112 section 5.1, RFC 9112 section 6.3, RFC 9112 section 7.1.2."""
        origin.on("/a", reply(body=b"done"))
        async with edge_before(origin) as edge:
            client = await edge.connect()
            request = edge.request("POST", "/a", {"Transfer-Encoding": "chunked"})
            await client.send(request + b"3\r\nabc\r\n0\r\n" + trailer + b"\r\n")
            answer = await client.receive()
            assert (answer.status, answer["Connection"]) == (status, "close")
            await client.close()


class TestVia:
    async def test_an_answer_names_the_edge_once_after_those_before_it(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.3."""
        origin.on("/a", reply(headers=[FRESH, ("Via", "1.0 inner"), ("Via", "1.1 middle (x)")]))
        async with edge_before(origin) as edge:
            for reason in ("fwd", "hit"):
                answer = await edge.get("/a")
                assert answer.cache_status.startswith(f"cachewire; {reason}")
                assert answer["Via"] == "1.0 inner, 1.1 middle (x), 1.1 cachewire"

    async def test_a_request_names_the_edge_after_those_before_it(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.3."""
        async with edge_before(origin) as edge:
            await edge.get("/a", [("Via", "1.1 one"), ("Via", "2 two")])
            assert asked_via(origin.requests[0])[:2] == ["1.1 one", "2 two"]
            assert len(asked_via(origin.requests[0])) == 3

    async def test_a_304_and_a_part_name_it_too(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.3."""
        origin.on("/a", reply(body=b"one", headers=[FRESH, ("ETag", '"v1"')]))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(5)
            for headers, status in (({"If-None-Match": "*"}, 304), ({"Range": "bytes=0-0"}, 206)):
                answer = await edge.get("/a", headers)
                assert (answer.status, answer["Via"], answer["Age"]) == (status, "1.1 cachewire", "5")


async def test_a_hit_has_the_fields_that_came_with_it_in_their_order(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 3.1 and RFC 9110 section 5.3."""
    sent = [("X-B", "1"), ("Link", "<a>"), ("X-Empty", ""), ("Link", "<b>"), ("X-A", "2"), ("Unheard-Of", "\xff")]
    origin.on("/a", reply(headers=[FRESH, *sent]))
    async with edge_before(origin) as edge:
        for _ in range(2):
            wanted = names(sent)
            answer = await edge.get("/a")
            assert [(name, value) for name, value in answer.headers if name.lower() in wanted] == sent


def asked_via(asked: Asked) -> list[str]:
    return (asked.header("Via") or "").split(", ")


LEAKING = {"Authorization": "Bearer x", "Cookie": "a=b", "Range": "bytes=0-0", "Host": "evil", "Connection": "close"}


@pytest.mark.parametrize("name", LEAKING)
@pytest.mark.parametrize("together", [True, False], ids=["in one segment", "after the answer"])
async def test_a_trailer_never_becomes_a_field_of_the_next_request(
    origin: ScriptedOrigin, name: str, together: bool
) -> None:
    """RFC 9110 section 6.5.1."""
    origin.default = reply(body=b"whole")
    async with edge_before(origin) as edge:
        client = await edge.connect()
        chunked = edge.request("POST", "/w", {"Transfer-Encoding": "chunked"})
        first = chunked + f"3\r\nabc\r\n0\r\n{name}: {LEAKING[name]}\r\n\r\n".encode()
        second = edge.request("GET", "/a")
        await client.send(first + (second if together else b""))
        if together:
            await client.closed()
            assert origin.count("/a") == 0
        else:
            assert (await client.receive("POST")).status == 200
            await client.send(second)
            answer = await client.receive()
            assert (answer.status, answer.body) == (200, b"whole")
            (asked,) = origin.asked("/a")
            assert LEAKING[name] not in asked.all(name)
        await client.close()


@pytest.mark.parametrize(
    ("method", "lines"),
    [("GET", [("Cache-Control", "no-store")]), ("GET", [("Set-Cookie", "a=b")]), ("POST", []), ("HEAD", [])],
)
async def test_what_is_only_passed_on_gets_a_date_too(
    origin: ScriptedOrigin, method: str, lines: list[tuple[str, str]]
) -> None:
    """RFC 9110 section 6.6.1."""
    origin.on("/a", reply(headers=lines))
    async with edge_before(origin) as edge:
        assert "Date" in await edge.ask(method, "/a", body=b"1" if method == "POST" else None)


async def test_a_chunked_request_leaves_its_connection_good_for_more(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 9.3."""
    async with edge_before(origin) as edge:
        client = await edge.connect()
        for number in range(3):
            head = edge.request("POST", f"/{number}", {"Transfer-Encoding": "chunked"})
            for part in (head, b"3\r\nabc\r\n", b"0\r\n\r\n"):
                await client.send(part)
            await client.receive("POST")
            assert origin.asked(f"/{number}")[0].body == b"abc"
        await client.close()


async def test_what_is_sent_behind_a_chunked_request_without_waiting_is_refused_in_its_turn(
    origin: ScriptedOrigin,
) -> None:
    """RFC 9112 section 9.3.2."""
    origin.default = reply()
    async with edge_before(origin) as edge:
        client = await edge.connect()
        chunked = edge.request("POST", "/2", {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n0\r\n\r\n"
        await client.send(edge.request("GET", "/1") + chunked + edge.request("GET", "/3"))
        answers = [await client.receive(), await client.receive("POST"), await client.receive()]
        assert [answer.status for answer in answers] == [200, 200, 503]
        assert answers[-1]["Connection"] == "close"
        assert await client.closed() == b""
        assert (origin.count("/2"), origin.count("/3")) == (1, 0)
        await client.close()
