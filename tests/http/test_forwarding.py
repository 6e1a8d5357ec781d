"""What goes to the origin and what comes back: every byte of the path, no field of one connection only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.edge import edge_before
from tests.origin import ScriptedOrigin, Wire, head, interim, raw, reply, steps, tell, when


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.default = reply(body=b"ok")
        yield origin


@pytest.mark.parametrize(
    "target", ["/a%2Fb", "/a%2fb/%7Euser", "/a/../b", "//double", "/a;b=c", "/a?b=c?d&&e", "/%C3%A9", "/a?"]
)
async def test_the_path_is_forwarded_as_it_came(origin: ScriptedOrigin, target: str) -> None:
    """RFC 9110 section 7.7."""
    async with edge_before(origin) as edge:
        await edge.get(target)
        assert origin.requests[0].target == target


async def test_an_absolute_target_goes_to_the_origin_in_origin_form_with_its_own_host(origin: ScriptedOrigin) -> None:
    """RFC 9112 section 3.2.2."""
    async with edge_before(origin) as edge:
        await edge.get("http://other.example/a?b", {"Host": "else.example"})
        assert origin.requests[0].target == "/a?b"
        assert origin.requests[0].all("Host") == ["other.example"]


async def test_forwarding_fields_tell_the_origin_about_the_client(origin: ScriptedOrigin) -> None:
    """RFC 7239 section 4, RFC 9110 section 7.6.3."""
    async with edge_before(origin) as edge:
        await edge.get("/a", {"Host": "app.example:8080", "X-Forwarded-For": "6.6.6.6"})
        asked = origin.requests[0]
        assert asked.all("Host") == ["app.example:8080"]
        assert asked.all("X-Forwarded-For") == ["127.0.0.1"]
        assert asked.all("X-Forwarded-Host") == ["app.example:8080"]
        assert asked.all("X-Forwarded-Proto") == ["http"]
        assert asked.header("Forwarded") == 'for=127.0.0.1;host="app.example:8080";proto=http'
        assert (asked.header("Via") or "").startswith("1.1 cachewire")


async def test_a_trusted_proxy_is_believed(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, server={"trusted_proxies": ["127.0.0.0/8"]}) as edge:
        await edge.get("/a", {"X-Forwarded-For": "1.2.3.4", "X-Forwarded-Proto": "https"})
        assert origin.requests[0].header("X-Forwarded-For") == "1.2.3.4, 127.0.0.1"
        assert origin.requests[0].header("X-Forwarded-Proto") == "https"


async def test_fields_of_one_connection_are_not_passed_on(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 7.6.1."""
    origin.on(
        "/a",
        reply(headers={"Connection": "X-Private", "X-Private": "1", "Keep-Alive": "timeout=5", "X-Public": "2"}),
    )
    async with edge_before(origin) as edge:
        answer = await edge.get("/a", {"Connection": "X-Hop", "X-Hop": "1", "TE": "trailers", "X-End": "2"})
        asked = origin.requests[0]
        assert (asked.header("X-Hop"), asked.header("TE"), asked.header("X-End")) == (None, None, "2")
        assert "X-Private" not in answer
        assert "Keep-Alive" not in answer
        assert answer["X-Public"] == "2"
        assert answer["Via"] == "1.1 cachewire"


async def test_nothing_is_added_but_what_tells_of_the_client_and_the_way(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        await edge.get("/a")
        names = {name.lower() for name, _ in origin.requests[0].headers}
        assert names == {
            "host", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded", "via", "cdn-loop",
            "x-request-id",
        }  # fmt: skip


async def test_cookies_of_one_client_never_reach_another_through_the_edge(origin: ScriptedOrigin) -> None:
    origin.on("/login", reply(headers={"Set-Cookie": "session=anna"}))
    async with edge_before(origin) as edge:
        assert (await edge.get("/login"))["Set-Cookie"] == "session=anna"
        await edge.get("/a")
        assert origin.asked("/a")[0].header("Cookie") is None


async def test_bytes_of_a_field_value_survive_the_journey(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 5.5."""
    origin.on("/a", raw(head(200, {"X-Name": "Z\xfcrich \xff", "Content-Length": "0"})))
    async with edge_before(origin) as edge:
        assert (await edge.get("/a"))["X-Name"] == "Z\xfcrich \xff"


async def test_a_request_that_comes_back_to_its_edge_is_a_loop(origin: ScriptedOrigin) -> None:
    """RFC 5842 section 7.2, RFC 9110 section 7.6.3."""
    async with edge_before("http://127.0.0.1:1") as edge:
        via = edge.app.server._edge.name
        assert (await edge.get("/a", {"Via": f"1.1 {via}"})).status == 508


class TestBodies:
    async def test_an_upload_streams_with_its_length(self, origin: ScriptedOrigin) -> None:
        """RFC 9112 section 6.2."""
        async with edge_before(origin) as edge:
            await edge.ask("POST", "/a", body=b"x" * 1_000_000)
            asked = origin.requests[0]
            assert asked.body == b"x" * 1_000_000
            assert asked.header("Content-Length") == "1000000"

    async def test_an_upload_reaches_the_origin_while_it_is_still_coming(self, origin: ScriptedOrigin) -> None:
        arrived = asyncio.Event()

        async def first_part(wire: Wire) -> None:
            await wire.read_part()

        origin.on("/a", steps(first_part, tell(arrived), reply(201)))
        async with edge_before(origin) as edge:
            client = await edge.connect()
            await client.send(edge.request("POST", "/a", {"Transfer-Encoding": "chunked"}) + b"3\r\nabc\r\n")
            await asyncio.wait_for(arrived.wait(), 10)
            await client.send(b"3\r\ndef\r\n0\r\n\r\n")
            assert (await client.receive()).status == 201
            await client.close()
            assert origin.requests[0].body == b"abcdef"

    async def test_a_download_reaches_the_client_while_it_is_still_coming(self, origin: ScriptedOrigin) -> None:
        gate = asyncio.Event()
        start = head(200, {"Content-Length": "6", "Cache-Control": "max-age=60"})
        origin.on("/a", steps(raw(start, b"abc"), when(gate), raw(b"def")))
        async with edge_before(origin) as edge:
            client = await edge.connect()
            await client.send(edge.request("GET", "/a"))
            await client.reader.readuntil(b"\r\n\r\n")
            assert await client.reader.readexactly(3) == b"abc"
            gate.set()
            assert await client.reader.readexactly(3) == b"def"
            await client.close()

    async def test_a_body_of_unknown_length_is_chunked_for_1_1_and_ended_by_closing_for_1_0(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9112 section 6.1, RFC 9112 section 6.3."""
        origin.on("/a", reply(chunks=[b"abc", b"def"]))
        async with edge_before(origin) as edge:
            answer = await edge.get("/a")
            assert (answer["Transfer-Encoding"], answer.body) == ("chunked", b"abcdef")
            client = await edge.connect()
            await client.send(b"GET /b HTTP/1.0\r\nHost: a\r\n\r\n")
            origin.on("/b", reply(chunks=[b"abc", b"def"]))
            answer = await client.receive()
            assert "Transfer-Encoding" not in answer
            assert answer.body == b"abcdef"
            await client.close()

    async def test_a_client_that_waits_for_100_gets_it(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 10.1.1."""
        async with edge_before(origin) as edge:
            client = await edge.connect()
            await client.send(edge.request("POST", "/a", {"Expect": "100-continue", "Content-Length": "3"}))
            assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            await client.send(b"abc")
            assert (await client.receive()).status == 200
            await client.close()
            assert origin.requests[0].body == b"abc"

    async def test_an_early_refusal_by_the_origin_is_passed_on_before_the_upload_ends(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9112 section 9.5."""
        origin.on("/a", reply(413, b"too much", early=True))
        async with edge_before(origin) as edge:
            client = await edge.connect()
            await client.send(edge.request("POST", "/a", {"Content-Length": "1000000"}) + b"x" * 1000)
            assert (await client.receive()).status == 413
            await client.close()

    async def test_early_hints_are_passed_on_to_writers(self, origin: ScriptedOrigin) -> None:
        """RFC 8297 section 2, RFC 9110 section 15.2."""
        origin.on("/a", steps(interim(103, {"Link": "</a.css>"}), reply(200, b"done")))
        async with edge_before(origin) as edge:
            answer = await edge.ask("POST", "/a", body=b"")
            assert answer.interim == [(103, [("Link", "</a.css>")])]
            assert answer.body == b"done"


class TestHead:
    async def test_a_head_is_answered_from_a_stored_get(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 9.3.2, RFC 9111 section 4."""
        origin.on("/a", reply(body=b"12345", headers={"Cache-Control": "max-age=60"}))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            answer = await edge.ask("HEAD", "/a")
            assert answer.cache_status.startswith("cachewire; hit")
            assert answer["Content-Length"] == "5"
            assert answer.body == b""
            assert origin.count("/a") == 1

    async def test_a_head_that_is_not_stored_asks_with_head(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 9.3.2."""
        async with edge_before(origin) as edge:
            answer = await edge.ask("HEAD", "/a")
            assert (answer.status, answer["Content-Length"]) == (200, "2")
            assert origin.requests[0].method == "HEAD"

    async def test_the_connection_stays_usable_after_a_head(self, origin: ScriptedOrigin) -> None:
        """RFC 9112 section 6.3."""
        async with edge_before(origin) as edge:
            client = await edge.connect()
            for method in ("HEAD", "GET", "HEAD"):
                await client.send(edge.request(method, "/a"))
                assert (await client.receive(method)).status == 200
            await client.close()


class TestConditionsAndRanges:
    async def test_a_client_with_the_current_validator_gets_304_from_the_store(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.2."""
        origin.on("/a", reply(body=b"one", headers={"ETag": '"v1"', "Cache-Control": "max-age=60"}))
        async with edge_before(origin) as edge:
            assert (await edge.get("/a", {"If-None-Match": '"v1"'})).status == 304
            assert (await edge.get("/a", {"If-None-Match": 'W/"v1"'})).status == 304
            assert (await edge.get("/a", {"If-None-Match": '"v2"'})).body == b"one"
            assert origin.count("/a") == 1

    async def test_a_range_is_cut_from_the_stored_whole(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 14.2, RFC 9110 section 15.3.7.1, RFC 9110 section 15.5.17."""
        origin.on("/a", reply(body=b"0123456789", headers={"Cache-Control": "max-age=60"}))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            answer = await edge.get("/a", {"Range": "bytes=2-4"})
            assert (answer.status, answer.body) == (206, b"234")
            assert answer["Content-Range"] == "bytes 2-4/10"
            assert (await edge.get("/a", {"Range": "bytes=-3"})).body == b"789"
            unsatisfiable = await edge.get("/a", {"Range": "bytes=10-"})
            assert (unsatisfiable.status, unsatisfiable["Content-Range"]) == (416, "bytes */10")

    async def test_several_ranges_come_as_multipart(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 15.3.7.2."""
        origin.on(
            "/a", reply(body=b"0123456789", headers={"Cache-Control": "max-age=60", "Content-Type": "text/plain"})
        )
        async with edge_before(origin) as edge:
            await edge.get("/a")
            answer = await edge.get("/a", {"Range": "bytes=0-1,8-9"})
            boundary = answer["Content-Type"].partition("boundary=")[2].encode()
            assert answer.complete
            assert answer.body.split(b"--" + boundary)[1].endswith(b"01\r\n")
            assert answer.body.split(b"--" + boundary)[2].endswith(b"89\r\n")

    async def test_a_range_of_what_is_not_stored_is_left_to_the_origin(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 3.3."""
        origin.on("/a", reply(206, b"234", {"Content-Range": "bytes 2-4/10"}))
        async with edge_before(origin) as edge:
            answer = await edge.get("/a", {"Range": "bytes=2-4"})
            assert (answer.status, answer.body) == (206, b"234")
            assert origin.requests[0].header("Range") == "bytes=2-4"
            assert list(edge.app.store.entries()) == []


class TestWrites:
    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
    async def test_a_successful_write_drops_what_it_makes_outdated(self, origin: ScriptedOrigin, method: str) -> None:
        """RFC 9111 section 4.4."""
        fresh = reply(body=b"stored", headers={"Cache-Control": "max-age=60"})
        for target in ("/a", "/b", "/c"):
            origin.on(target, fresh, method="GET")
        origin.on("/a", reply(201, headers={"Location": "/b"}), method=method)
        async with edge_before(origin) as edge:
            for target in ("/a", "/b", "/c"):
                await edge.get(target)
            await edge.ask(method, "/a", body=b"x")
            for target in ("/a", "/b", "/c"):
                await edge.get(target)
            assert [origin.count(target, "GET") for target in ("/a", "/b", "/c")] == [2, 2, 1]

    async def test_a_failed_write_drops_nothing(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.4."""
        origin.on("/a", reply(body=b"stored", headers={"Cache-Control": "max-age=60"}), method="GET")
        origin.on("/a", reply(409), method="POST")
        async with edge_before(origin) as edge:
            await edge.get("/a")
            await edge.ask("POST", "/a", body=b"x")
            assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")

    async def test_a_write_to_a_dead_origin_is_502_and_sent_once(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 9.2.2, RFC 9110 section 15.6.3."""

        async def hang(wire: Wire) -> None:
            wire.reset()

        origin.on("/a", hang)
        async with edge_before(origin) as edge:
            assert (await edge.ask("POST", "/a", body=b"x")).status == 502
            assert origin.count("/a") == 1
