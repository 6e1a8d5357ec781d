"""What tells a client that its copy is still good, and what ends the validity of the one that is stored."""

from __future__ import annotations

import pytest

from tests.edge import EdgeUnderTest, Received, edge_before
from tests.origin import ScriptedOrigin, etagged, reply

FRESH = ("Cache-Control", "max-age=3600")
DATE = ("Date", "Fri, 15 Jan 2027 07:50:00 GMT")
MODIFIED = ("Last-Modified", "Fri, 15 Jan 2027 07:00:00 GMT")
TAG = ("ETag", '"v1"')

BEFORE, SAME, AFTER = (f"Fri, 15 Jan 2027 {time} GMT" for time in ("06:59:59", "07:00:00", "07:00:01"))


def is_hit(answer: Received) -> bool:
    return answer.cache_status.startswith("cachewire; hit")


async def stored(edge: EdgeUnderTest, origin: ScriptedOrigin, *headers: tuple[str, str]) -> None:
    origin.on("/a", reply(body=b"one", headers=[FRESH, ("Content-Type", "text/plain"), *headers]))
    await edge.get("/a")


async def status(edge: EdgeUnderTest, **condition: str) -> int:
    """What a hit with this condition is answered, to GET and to HEAD alike."""
    headers = {name.replace("_", "-"): value for name, value in condition.items()}
    answers = [await edge.ask(method, "/a", headers) for method in ("GET", "HEAD")]
    assert all(is_hit(answer) for answer in answers)
    assert answers[0].body == (b"one" if answers[0].status == 200 else b"")
    assert answers[0].status == answers[1].status
    return answers[0].status


class TestIfModifiedSince:
    async def test_it_is_compared_with_last_modified(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.2 and RFC 9110 section 13.1.3."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, DATE, MODIFIED)
            assert await status(edge, If_Modified_Since=BEFORE) == 200
            assert await status(edge, If_Modified_Since=SAME) == 304
            assert await status(edge, If_Modified_Since=AFTER) == 304
            assert origin.count() == 1

    async def test_without_last_modified_it_is_compared_with_date(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, DATE)
            assert await status(edge, If_Modified_Since="Fri, 15 Jan 2027 07:49:59 GMT") == 200
            assert await status(edge, If_Modified_Since="Fri, 15 Jan 2027 07:50:00 GMT") == 304
            assert await status(edge, If_Modified_Since="Fri, 15 Jan 2027 07:50:01 GMT") == 304

    async def test_without_either_it_is_compared_with_the_arrival(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin)
            edge.clock.advance(60)
            assert await status(edge, If_Modified_Since="Fri, 15 Jan 2027 07:59:59 GMT") == 200
            assert await status(edge, If_Modified_Since="Fri, 15 Jan 2027 08:00:00 GMT") == 304

    @pytest.mark.parametrize("since", ["Friday, 15-Jan-27 07:00:00 GMT", "Fri Jan 15 07:00:00 2027"])
    async def test_obsolete_forms_of_a_date_are_read(self, origin: ScriptedOrigin, since: str) -> None:
        """RFC 9110 section 5.6.7."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, DATE, MODIFIED)
            assert await status(edge, If_Modified_Since=since) == 304

    @pytest.mark.parametrize("since", ["", "0", "rubbish", "Fri, 15 Jan 2027 07:00:00 UTC", f"{SAME}, {SAME}"])
    async def test_what_is_no_date_is_ignored(self, origin: ScriptedOrigin, since: str) -> None:
        """RFC 9110 section 13.1.3."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, DATE, MODIFIED)
            assert await status(edge, If_Modified_Since=since) == 200

    async def test_it_does_not_count_beside_if_none_match(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 13.1.3, RFC 9110 section 13.2.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, DATE, MODIFIED, TAG)
            assert await status(edge, If_None_Match='"v0"', If_Modified_Since=AFTER) == 200
            assert await status(edge, If_None_Match='"v1"', If_Modified_Since=BEFORE) == 304
            assert await status(edge, If_Modified_Since=AFTER) == 304

    async def test_it_does_not_count_beside_if_none_match_where_no_tag_is_stored(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 13.1.2, RFC 9110 section 13.2.2."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, DATE, MODIFIED)
            assert await status(edge, If_None_Match='"v1"', If_Modified_Since=AFTER) == 200


class TestIfNoneMatch:
    @pytest.mark.parametrize("tag", ['"v1"', 'W/"v1"'])
    async def test_tags_are_compared_weakly_one_by_one(self, origin: ScriptedOrigin, tag: str) -> None:
        """RFC 9110 section 8.8.3.2, RFC 9110 section 13.1.2."""
        same = ['"v1"', 'W/"v1"', "*", '"v0", "v1"', '"v0",W/"v1" , "v2"', '"a,b", "v1"']
        other = ['"v0"', 'W/"v0", "v2"', '"V1"', '"v1', '"a, \\"v1\\""', '"*"']
        async with edge_before(origin) as edge:
            await stored(edge, origin, ("ETag", tag))
            for named in same:
                assert await status(edge, If_None_Match=named) == 304, named
            for named in other:
                assert await status(edge, If_None_Match=named) == 200, named
            assert origin.count() == 1

    async def test_several_lines_are_one_list(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 5.3."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, TAG)
            answer = await edge.get("/a", [("If-None-Match", '"v0"'), ("If-None-Match", '"v1"')])
            assert answer.status == 304

    async def test_the_304_has_what_a_200_would_have_said_of_the_copy(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 15.4.5."""
        kept = {
            "Cache-Control": "max-age=3600",
            "Content-Location": "/a.txt",
            "Date": "Fri, 15 Jan 2027 07:50:00 GMT",
            "ETag": '"v1"',
            "Expires": "Fri, 15 Jan 2027 09:00:00 GMT",
            "Vary": "X-A",
        }
        async with edge_before(origin, cache={"compression": {"enabled": False}}) as edge:
            await stored(edge, origin, *list(kept.items())[1:])
            answer = await edge.get("/a", {"If-None-Match": '"v1"'})
            assert {name: answer[name] for name in kept} == kept
            assert answer["Age"] == "600"
            assert "Content-Type" not in answer
            assert "Transfer-Encoding" not in answer

    @pytest.mark.parametrize("code", [404, 410, 301, 503])
    async def test_it_is_not_looked_at_where_the_answer_is_no_success(self, origin: ScriptedOrigin, code: int) -> None:
        """RFC 9110 section 13.2.1."""
        origin.on("/a", reply(code, headers=[FRESH, TAG, MODIFIED]))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            for condition in ({"If-None-Match": "*"}, {"If-None-Match": '"v1"'}, {"If-Modified-Since": AFTER}):
                answer = await edge.get("/a", condition)
                assert (answer.status, is_hit(answer)) == (code, True)

    async def test_the_first_to_ask_gets_304_and_the_next_the_whole(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.2: the answer is stored for those who have nothing yet."""
        origin.on("/a", etagged('"v1"', b"one", [FRESH]))
        async with edge_before(origin) as edge:
            assert (await edge.get("/a", {"If-None-Match": '"v1"'})).status == 304
            answer = await edge.get("/a")
            assert (answer.status, answer.body, is_hit(answer)) == (200, b"one", True)
            assert origin.requests[0].header("If-None-Match") is None

    async def test_a_stale_copy_is_validated_by_its_own_tag_and_answers_the_clients(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9111 section 4.3.1, RFC 9111 section 4.3.2."""
        origin.on("/a", etagged('"v1"', b"one", [FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(3601)
            assert (await edge.get("/a", {"If-None-Match": '"v0"'})).body == b"one"
            assert origin.requests[1].header("If-None-Match") == '"v1"'
            edge.clock.advance(3601)
            assert (await edge.get("/a", {"If-None-Match": '"v1"'})).status == 304

    async def test_a_client_ahead_of_the_store_is_told_that_it_is_right(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.3: the new response replaces the stored one, and judges the client's condition."""
        origin.on("/a", etagged('"v1"', b"one", [FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(3601)
            origin.on("/a", etagged('"v2"', b"two", [FRESH]))
            assert (await edge.get("/a", {"If-None-Match": '"v2"'})).status == 304
            answer = await edge.get("/a")
            assert (answer.body, is_hit(answer)) == (b"two", True)

    async def test_both_validators_go_to_the_origin(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.1."""
        async with edge_before(origin) as edge:
            await stored(edge, origin, TAG, MODIFIED, DATE)
            edge.clock.advance(3601)
            await edge.get("/a")
            asked = origin.requests[1]
            assert (asked.header("If-None-Match"), asked.header("If-Modified-Since")) == ('"v1"', SAME)


UNSAFE = ["POST", "PUT", "PATCH", "DELETE", "FOO"]


async def survives(edge: EdgeUnderTest, target: str = "/b/c", **headers: str) -> bool:
    return is_hit(await edge.get(target, headers))


class TestInvalidation:
    @pytest.mark.parametrize("method", UNSAFE)
    async def test_an_unsafe_request_that_succeeds_invalidates_what_it_is_about(
        self, origin: ScriptedOrigin, method: str
    ) -> None:
        """RFC 9111 section 4.4: methods of unknown safety, too."""
        origin.on("/w", reply(headers=[FRESH, ("Vary", "X-A")]), method="GET")
        for target in ("/b/c", "/d", "/e"):
            origin.on(target, reply(headers=[FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/e")
            for code in (200, 201, 204, 303):
                invalid = [("/w", {"X-A": "1"}), ("/w", {"X-A": "2"}), ("/b/c", {}), ("/d", {})]
                for target, headers in invalid:
                    await edge.get(target, headers)
                origin.on("/w", reply(code, headers={"Location": "/b/c", "Content-Location": "/d"}), method=method)
                await edge.ask(method, "/w", body=b"x")
                for target, headers in invalid:
                    assert not await survives(edge, target, **headers), (code, target)
            assert await survives(edge, "/e")

    @pytest.mark.parametrize("name", ["Location", "Content-Location"])
    async def test_every_way_to_write_a_url_of_the_same_origin_counts(self, origin: ScriptedOrigin, name: str) -> None:
        """RFC 9111 section 4.4, RFC 9110 section 4.2.3 and RFC 3986 section 5.2.2."""
        origin.on("/b/c", reply(headers=[FRESH]))
        async with edge_before(origin) as edge:
            port = edge.host.rpartition(":")[2]
            for reference in (
                "/b/c",
                "c",
                "./c",
                "../b/c",
                "/b/c#fragment",
                "/b/%63",
                "/x/../b/c",
                f"http://{edge.host}/b/c",
                f"HTTP://{edge.host}/b/c",
                f"//127.0.0.1:{port}/b/c",
            ):
                await edge.get("/b/c")
                assert await survives(edge)
                origin.on("/b/w", reply(201, headers={name: reference}))
                await edge.ask("POST", "/b/w")
                assert not await survives(edge), reference

    @pytest.mark.parametrize("name", ["Location", "Content-Location"])
    async def test_a_url_of_another_origin_invalidates_nothing(self, origin: ScriptedOrigin, name: str) -> None:
        """RFC 9111 section 4.4: "MUST NOT trigger an invalidation"."""
        origin.on("/b/c", reply(headers=[FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/b/c")
            await edge.get("/b/c", {"Host": "other.example"})
            for reference in (
                "http://other.example/b/c",
                "//other.example/b/c",
                f"https://{edge.host}/b/c",
                "http://127.0.0.1/b/c",
                f"http://other.example@{edge.host}/b/c",
                f"http://{edge.host}@other.example/b/c",
                "http:/b/c",
                "/b/c d",
            ):
                origin.on("/b/w", reply(201, headers={name: reference}))
                await edge.ask("POST", "/b/w")
                assert await survives(edge), reference
                assert await survives(edge, Host="other.example"), reference

    @pytest.mark.parametrize("code", [400, 403, 404, 409, 412, 500, 502, 503])
    async def test_a_failure_invalidates_nothing(self, origin: ScriptedOrigin, code: int) -> None:
        """RFC 9111 section 4.4: "non-error"."""
        origin.on("/w", reply(headers=[FRESH]), method="GET")
        origin.on("/b/c", reply(headers=[FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/w")
            await edge.get("/b/c")
            for method in UNSAFE:
                origin.on("/w", reply(code, headers={"Location": "/b/c", "Content-Location": "/b/c"}), method=method)
                await edge.ask(method, "/w", body=b"x")
            assert await survives(edge, "/w")
            assert await survives(edge)

    async def test_a_write_that_reaches_nobody_invalidates_nothing(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.4."""
        origin.on("/b/c", reply(headers=[FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/b/c")
            await origin.stop()
            assert (await edge.ask("POST", "/b/c", body=b"x")).status == 502
            assert await survives(edge)

    @pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PROPFIND", "SEARCH", "QUERY"])
    async def test_a_safe_request_invalidates_nothing(self, origin: ScriptedOrigin, method: str) -> None:
        """RFC 9111 section 4.4 and RFC 9110 section 9.2.1."""
        origin.on("/b/c", reply(headers=[FRESH]))
        origin.on("/b/c", reply(headers=[FRESH, ("Content-Location", "/b/c")]), method=method)
        async with edge_before(origin) as edge:
            await edge.get("/b/c")
            await edge.ask(method, "/b/c")
            assert await survives(edge)

    async def test_a_query_and_another_host_are_other_resources(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.4: the target URI."""
        origin.on("/b/c", reply(headers=[FRESH]))
        async with edge_before(origin) as edge:
            await edge.get("/b/c?1")
            await edge.get("/b/c", {"Host": "other.example"})
            await edge.ask("POST", "/b/c")
            assert await survives(edge, "/b/c?1")
            assert await survives(edge, Host="other.example")
