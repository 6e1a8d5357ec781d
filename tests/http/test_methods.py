"""What other methods mean to the store: HEAD, POST, QUERY, and writes to a group of responses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.edge import Clock, edge_before
from tests.origin import ScriptedOrigin, computed, reply

FRESH = {"Cache-Control": "max-age=60"}


class TestHead:
    """RFC 9111 section 4.3.5."""

    async def test_a_head_that_agrees_freshens_what_is_stored(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.5."""
        origin.on("/a", reply(body=b"one", headers={**FRESH, "ETag": '"v1"'}))
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(61)
            await edge.ask("HEAD", "/a")
            assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")
            assert [asked.method for asked in origin.requests] == ["GET", "HEAD"]

    async def test_a_head_that_differs_invalidates_what_is_stored(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.5."""
        origin.on("/a", reply(body=b"one", headers={**FRESH, "ETag": '"v1"'}), method="GET")
        origin.on("/a", reply(body=b"another", headers={**FRESH, "ETag": '"v2"'}), method="HEAD")
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(61)
            await edge.ask("HEAD", "/a")
            assert "uri-miss" in (await edge.get("/a")).cache_status

    async def test_a_head_that_fails_changes_nothing(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.3.5."""
        origin.on("/a", reply(body=b"one", headers={**FRESH, "ETag": '"v1"'}), method="GET")
        origin.on("/a", reply(404), method="HEAD")
        async with edge_before(origin) as edge:
            await edge.get("/a")
            edge.clock.advance(61)
            await edge.ask("HEAD", "/a")
            assert len(list(edge.app.store.entries())) == 1


class TestPost:
    """RFC 9110 section 9.3.3."""

    async def test_an_answer_that_says_it_is_the_targets_representation_answers_get(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9110 section 9.3.3."""
        origin.on("/a", reply(body=b"posted", headers={**FRESH, "Content-Location": "/a"}), method="POST")
        async with edge_before(origin) as edge:
            assert (await edge.ask("POST", "/a", body=b"x")).body == b"posted"
            await edge.background_done()
            answer = await edge.get("/a")
            assert answer.body == b"posted"
            assert answer.cache_status.startswith("cachewire; hit")

    @pytest.mark.parametrize(
        "headers",
        [FRESH, {"Content-Location": "/a"}, {**FRESH, "Content-Location": "/b"}],
        ids=["no place", "no life", "other"],
    )
    async def test_any_other_answer_is_not_stored(self, origin: ScriptedOrigin, headers: dict[str, str]) -> None:
        """RFC 9110 section 9.3.3."""
        origin.on("/a", reply(body=b"posted", headers=headers))
        async with edge_before(origin) as edge:
            await edge.ask("POST", "/a", body=b"x")
            await edge.background_done()
            assert list(edge.app.store.entries()) == []

    async def test_a_post_is_never_answered_from_the_store(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 9.3.3."""
        origin.on("/a", reply(body=b"posted", headers={**FRESH, "Content-Location": "/a"}))
        async with edge_before(origin) as edge:
            for _ in range(2):
                await edge.ask("POST", "/a", body=b"x")
            assert origin.count("/a") == 2


class TestQuery:
    """The QUERY method: safe, and its content is part of the key."""

    async def test_the_same_content_is_answered_from_the_store_and_another_is_not(self, origin: ScriptedOrigin) -> None:
        """RFC 10008 section 2.7."""
        origin.on("/q", computed(lambda asked: reply(body=lambda got: b"for " + got.body, headers=FRESH)))
        json = {"Content-Type": "application/json"}
        async with edge_before(origin) as edge:
            for body in (b"1", b"2", b"1", b"2"):
                assert (await edge.ask("QUERY", "/q", json, body)).body == b"for " + body
            assert origin.count("/q") == 2
            assert (await edge.ask("QUERY", "/q", {"Content-Type": "text/plain"}, b"1")).body == b"for 1"
            assert origin.count("/q") == 3

    async def test_get_and_query_never_answer_each_other(self, origin: ScriptedOrigin) -> None:
        """RFC 10008 section 2.7."""
        origin.on("/q", reply(body=b"got", headers=FRESH), method="GET")
        origin.on("/q", reply(body=b"queried", headers=FRESH), method="QUERY")
        async with edge_before(origin) as edge:
            for _ in range(2):
                assert (await edge.ask("QUERY", "/q", body=b"")).body == b"queried"
                assert (await edge.get("/q")).body == b"got"

    async def test_chunked_content_is_the_same_content(self, origin: ScriptedOrigin) -> None:
        """RFC 10008 section 2.7."""
        origin.on("/q", reply(body=lambda asked: b"for " + asked.body, headers=FRESH))
        async with edge_before(origin) as edge:
            for _ in range(2):
                client = await edge.connect()
                request = edge.request("QUERY", "/q", {"Transfer-Encoding": "chunked"})
                await client.send(request + b"1\r\nx\r\n0\r\n\r\n")
                assert (await client.receive()).body == b"for x"
                await client.close()
            assert (await edge.ask("QUERY", "/q", body=b"x")).body == b"for x"
            assert origin.count("/q") == 1

    async def test_content_too_large_for_a_key_passes_through_whole(self, origin: ScriptedOrigin) -> None:
        """RFC 10008 section 2.7."""
        origin.on("/q", reply(body=lambda asked: str(len(asked.body)).encode(), headers=FRESH))
        async with edge_before(origin) as edge:
            for count in (1, 2):
                assert (await edge.ask("QUERY", "/q", body=b"x" * (2**20 + 1))).body == b"1048577"
                assert origin.count("/q") == count

    async def test_its_preconditions_are_answered_from_the_store(self, origin: ScriptedOrigin) -> None:
        """RFC 10008 section 2.6."""
        origin.on("/q", reply(body=b"one", headers={**FRESH, "ETag": '"v1"'}))
        async with edge_before(origin) as edge:
            await edge.ask("QUERY", "/q", body=b"x")
            assert (await edge.ask("QUERY", "/q", {"If-None-Match": '"v1"'}, b"x")).status == 304
            assert (await edge.ask("QUERY", "/q", {"Range": "bytes=0-0"}, b"x")).body == b"one"

    async def test_it_invalidates_nothing(self, origin: ScriptedOrigin) -> None:
        """RFC 10008 section 2, RFC 9111 section 4.4."""
        origin.on("/q", reply(body=b"got", headers=FRESH))
        async with edge_before(origin) as edge:
            await edge.get("/q")
            await edge.ask("QUERY", "/q", body=b"x")
            assert (await edge.get("/q")).cache_status.startswith("cachewire; hit")


class TestGroups:
    """RFC 9875."""

    async def test_a_write_invalidates_the_groups_it_names(self, origin: ScriptedOrigin) -> None:
        """RFC 9875 section 3."""
        origin.on("/1", reply(headers={**FRESH, "Cache-Groups": '"red", "blue"'}))
        origin.on("/2", reply(headers={**FRESH, "Cache-Groups": '"green"'}))
        origin.on("/write", reply(204, headers={"Cache-Group-Invalidation": '"blue"'}))
        async with edge_before(origin) as edge:
            await edge.get("/1")
            await edge.get("/2")
            await edge.ask("POST", "/write", body=b"x")
            assert "uri-miss" in (await edge.get("/1")).cache_status
            assert (await edge.get("/2")).cache_status.startswith("cachewire; hit")

    async def test_a_safe_request_or_a_failed_write_invalidates_no_group(self, origin: ScriptedOrigin) -> None:
        """RFC 9875 section 3."""
        origin.on("/1", reply(headers={**FRESH, "Cache-Groups": '"blue"'}))
        origin.on("/x", reply(200, headers={"Cache-Group-Invalidation": '"blue"'}), method="GET")
        origin.on("/x", reply(500, headers={"Cache-Group-Invalidation": '"blue"'}), method="POST")
        async with edge_before(origin) as edge:
            await edge.get("/1")
            await edge.get("/x")
            await edge.ask("POST", "/x", body=b"x")
            assert (await edge.get("/1")).cache_status.startswith("cachewire; hit")

    async def test_a_group_of_another_host_is_another_group(self, origin: ScriptedOrigin) -> None:
        """RFC 9875 section 2.1."""
        origin.on("/1", reply(headers={**FRESH, "Cache-Groups": '"blue"'}))
        origin.on("/write", reply(204, headers={"Cache-Group-Invalidation": '"blue"'}))
        async with edge_before(origin) as edge:
            await edge.get("/1", {"Host": "one.example"})
            await edge.ask("POST", "/write", {"Host": "two.example"}, b"x")
            assert (await edge.get("/1", {"Host": "one.example"})).cache_status.startswith("cachewire; hit")


class TestNoVarySearch:
    async def test_parameters_that_do_not_matter_do_not_split_the_cache(self, origin: ScriptedOrigin) -> None:
        """draft-ietf-httpbis-no-vary-search section 6."""
        origin.on("/s", reply(body=b"one", headers={**FRESH, "No-Vary-Search": 'params=("ref" "t"), key-order'}))
        async with edge_before(origin) as edge:
            await edge.get("/s?q=1&ref=a&p=2")
            for target in ("/s?q=1&p=2", "/s?p=2&q=1&t=9", "/s?ref=b&q=1&p=2"):
                assert (await edge.get(target)).cache_status.startswith("cachewire; hit"), target
            assert "uri-miss" in (await edge.get("/s?q=2&p=2")).cache_status

    async def test_it_is_known_again_after_a_restart(self, origin: ScriptedOrigin, tmp_path: Path) -> None:
        origin.on("/s", reply(body=b"one", headers={**FRESH, "No-Vary-Search": 'params, except=("q")'}))
        host = {"Host": "app.example"}
        clock = Clock()
        async with edge_before(origin, cache_dir=tmp_path, clock=clock) as edge:
            await edge.get("/s?q=1&ref=a", host)
        async with edge_before(origin, cache_dir=tmp_path, clock=clock) as edge:
            assert (await edge.get("/s?q=1&ref=b", host)).cache_status.startswith("cachewire; hit")

    async def test_a_write_invalidates_what_answers_for_its_url_whatever_url_that_was_stored_with(
        self, origin: ScriptedOrigin
    ) -> None:
        """RFC 9111 section 4.4: the target URI is invalidated."""
        origin.on("/s", reply(body=b"one", headers={**FRESH, "No-Vary-Search": 'params=("x")'}))
        async with edge_before(origin) as edge:
            await edge.get("/s?x=1&a=1")
            await edge.get("/s?x=1&a=2")
            await edge.ask("POST", "/s?x=2&a=1", body=b"y")
            assert not (await edge.get("/s?x=3&a=1")).cache_status.startswith("cachewire; hit")
            assert (await edge.get("/s?x=3&a=2")).cache_status.startswith("cachewire; hit")

    async def test_a_write_invalidates_by_the_url_it_was_stored_with(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.4."""
        origin.on("/s", reply(body=b"one", headers={**FRESH, "No-Vary-Search": "params"}))
        async with edge_before(origin) as edge:
            await edge.get("/s?a=1")
            await edge.ask("POST", "/s?a=1", body=b"x")
            assert not (await edge.get("/s?a=1")).cache_status.startswith("cachewire; hit")


class TestOptions:
    """RFC 9110 section 7.6.2."""

    async def test_max_forwards_counts_down_and_ends_here_at_0(self, origin: ScriptedOrigin) -> None:
        """RFC 9110 section 7.6.2."""
        origin.on("/a", reply(204))
        async with edge_before(origin) as edge:
            assert (await edge.ask("OPTIONS", "/a", {"Max-Forwards": "0"})).status == 204
            assert origin.count() == 0
            await edge.ask("OPTIONS", "/a", {"Max-Forwards": "5"})
            assert origin.requests[0].header("Max-Forwards") == "4"


class TestUnknownMethods:
    """RFC 9110 section 16.1: the list of methods is open; RFC 9111 section 4.4: unknown ones count as unsafe."""

    @pytest.mark.parametrize("method", ["FOO", "get", "M-SEARCH", "X" * 64])
    async def test_they_pass_with_their_content_and_invalidate(self, origin: ScriptedOrigin, method: str) -> None:
        """RFC 9110 section 16.1, RFC 9111 section 4.4."""
        origin.on("/a", reply(body=b"one", headers=FRESH), method="GET")
        origin.on("/a", reply(body=lambda asked: b"done " + asked.body), method=method)
        async with edge_before(origin) as edge:
            await edge.get("/a")
            client = await edge.connect()
            await client.send(edge.request(method, "/a", body=b"content"))
            assert (await client.receive()).body == b"done content"
            await client.send(edge.request("GET", "/a"))
            assert "uri-miss" in (await client.receive()).cache_status
            await client.close()
            assert [asked.method for asked in origin.requests] == ["GET", method, "GET"]

    async def test_one_that_fails_invalidates_nothing(self, origin: ScriptedOrigin) -> None:
        """RFC 9111 section 4.4."""
        origin.on("/a", reply(body=b"one", headers=FRESH), method="GET")
        origin.on("/a", reply(405), method="FOO")
        async with edge_before(origin) as edge:
            await edge.get("/a")
            await edge.ask("FOO", "/a")
            assert (await edge.get("/a")).cache_status.startswith("cachewire; hit")
