"""Stored text is negotiated in the coding a client prefers (RFC 9110 sections 8.4, 8.8.3.3, 12.5.3 and 14.2)."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import brotli
import pytest
import zstandard

import proxy.compression
from proxy.app import App
from proxy.background import Background
from proxy.compression import CODERS
from proxy.config.model import Config
from proxy.policy.codings import LARGEST
from tests.coding import DECODE, HEADERS, TEXT, compressed, wanting
from tests.edge import CACHE_FIRST, edge_before
from tests.origin import ScriptedOrigin, etagged, reply


@pytest.fixture
async def origin() -> AsyncIterator[ScriptedOrigin]:
    async with ScriptedOrigin() as origin:
        origin.on("/a", reply(body=TEXT, headers={**HEADERS, "ETag": '"x"'}))
        yield origin


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_the_first_hit_is_plain_and_later_ones_are_coded(origin: ScriptedOrigin, coding: str) -> None:
    """RFC 9110 section 8.4, RFC 9110 section 12.5.3."""
    async with edge_before(origin) as edge:
        miss = await edge.get("/a", wanting(coding))
        await edge.background_done()
        first = await edge.get("/a", wanting(coding))
        await edge.background_done()
        later = await edge.get("/a", wanting(coding))
        assert (miss.body, first.body) == (TEXT, TEXT)
        assert "Content-Encoding" not in first
        assert later["Content-Encoding"] == coding
        assert DECODE[coding](later.body) == TEXT
        assert len(later.body) < len(TEXT) / 5
        assert later["Content-Length"] == str(len(later.body))
        assert later["Content-Type"] == "text/html"
        assert "hit" in later.cache_status
        assert origin.count("/a") == 1


async def test_a_miss_alone_makes_no_copy(origin: ScriptedOrigin) -> None:
    async with edge_before(origin) as edge:
        await edge.get("/a", wanting("br"))
        await edge.background_done()
        assert len(list(edge.app.store.entries())) == 1


async def test_a_hit_that_accepts_no_coding_makes_no_copy(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 12.5.3."""
    async with edge_before(origin) as edge:
        for fields in ({}, wanting("identity"), wanting("gzip;q=0"), wanting("deflate")):
            await edge.get("/a", fields)
            await edge.background_done()
        assert len(list(edge.app.store.entries())) == 1


async def test_every_representation_says_that_it_varies_by_accept_encoding(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 12.5.5."""
    async with edge_before(origin) as edge:
        miss = await edge.get("/a")
        coded = await compressed(edge)
        plain = await edge.get("/a")
        assert [answer["Vary"] for answer in (miss, coded, plain)] == ["Accept-Encoding"] * 3
        assert plain.body == TEXT


async def test_each_client_gets_the_coding_it_prefers_and_the_second_best_until_then(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 12.4.2, RFC 9110 section 12.5.3."""
    async with edge_before(origin) as edge:
        await compressed(edge, coding="gzip")
        both = wanting("gzip, br")
        assert (await edge.get("/a", both))["Content-Encoding"] == "gzip"
        await edge.background_done()
        assert (await edge.get("/a", both))["Content-Encoding"] == "br"
        assert (await edge.get("/a", wanting("gzip, br;q=0.5")))["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in await edge.get("/a", wanting("identity, br;q=0.5"))


async def test_the_copy_has_a_tag_of_its_own_that_validates(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 8.8.3.3, RFC 9110 section 13.1.2."""
    async with edge_before(origin) as edge:
        coded = await compressed(edge)
        plain = await edge.get("/a")
        assert plain["ETag"] == '"x"'
        assert coded["ETag"].startswith('"x-br-')
        for tag in (coded["ETag"], f"W/{coded['ETag']}", f'"y", {coded["ETag"]}'):
            answer = await edge.get("/a", wanting("br", If_None_Match=tag))
            assert (answer.status, answer["ETag"], answer["Vary"]) == (304, coded["ETag"], "Accept-Encoding")
        assert (await edge.get("/a", wanting("br", If_None_Match='"y"'))).status == 200


async def test_who_holds_the_plain_representation_is_told_that_it_is_still_good(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 13.1.2."""
    async with edge_before(origin) as edge:
        await compressed(edge)
        answer = await edge.get("/a", wanting("br", If_None_Match='"x"'))
        assert (answer.status, answer["ETag"]) == (304, '"x"')


async def test_a_copys_tag_does_not_validate_for_a_client_that_cannot_decode_it(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 8.8.3.3."""
    async with edge_before(origin) as edge:
        tag = (await compressed(edge))["ETag"]
        assert (await edge.get("/a", {"If-None-Match": tag})).body == TEXT
        assert (await edge.get("/a", wanting("gzip", If_None_Match=tag))).status == 200


async def test_a_copys_tag_validates_when_the_copy_is_gone_and_its_source_is_still_the_same(
    origin: ScriptedOrigin,
) -> None:
    """RFC 9110 section 13.1.2."""
    async with edge_before(origin) as edge:
        tag = (await compressed(edge))["ETag"]
        await edge.app.store.remove(lambda _: True, tag="content-coding:br")
        assert len(list(edge.app.store.entries())) == 1
        assert (await edge.get("/a", wanting("br", If_None_Match=tag))).status == 304


async def test_after_a_validation_with_the_origin_the_copy_serves_on(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.3.4: a 304 changes fields, not bytes."""
    origin.on("/v", etagged('"x"', TEXT, {**HEADERS, "X-Note": "n"}))
    async with edge_before(origin) as edge:
        before = await compressed(edge, "/v")
        edge.clock.advance(61)
        after = await edge.get("/v", wanting("br", If_None_Match=before["ETag"]))
        again = await edge.get("/v", wanting("br"))
        assert origin.count("/v") == 2
        assert (after.status, after["ETag"]) == (304, before["ETag"])
        assert (again["Content-Encoding"], again.body, again["Age"]) == ("br", before.body, "0")


async def test_a_weak_tag_stays_weak_and_without_one_the_copy_gets_a_weak_one(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 8.8.1."""
    origin.on("/weak", reply(body=TEXT, headers={**HEADERS, "ETag": 'W/"x"'}))
    origin.on("/none", reply(body=TEXT, headers=HEADERS))
    async with edge_before(origin) as edge:
        assert (await compressed(edge, "/weak"))["ETag"].startswith('W/"x-br-')
        none = await compressed(edge, "/none")
        assert none["ETag"].startswith('W/"br-')
        assert "ETag" not in await edge.get("/none")
        assert (await edge.get("/none", wanting("br", If_None_Match=none["ETag"]))).status == 304


async def test_ranges_are_of_the_copys_own_bytes(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 14.2: of the selected representation."""
    async with edge_before(origin) as edge:
        coded = await compressed(edge)
        size = len(coded.body)
        part = await edge.get("/a", wanting("br", Range="bytes=10-29"))
        assert (part.status, part.body, part["Content-Range"]) == (206, coded.body[10:30], f"bytes 10-29/{size}")
        assert (part["Content-Encoding"], part["ETag"]) == ("br", coded["ETag"])
        rest = await edge.get("/a", wanting("br", Range="bytes=30-", If_Range=coded["ETag"]))
        assert (rest.status, rest.body) == (206, coded.body[30:])
        several = await edge.get("/a", wanting("br", Range="bytes=0-4,-5"))
        assert several.status == 206
        assert coded.body[:5] in several.body
        assert coded.body[-5:] in several.body
        assert (await edge.get("/a", wanting("br", Range=f"bytes={size}-"))).status == 416


async def test_a_download_that_began_plain_is_continued_plain(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 13.1.5: If-Range names the representation of which there is a part."""
    async with edge_before(origin) as edge:
        await compressed(edge)
        rest = await edge.get("/a", wanting("br", Range="bytes=1000-", If_Range='"x"'))
        assert (rest.status, rest.body) == (206, TEXT[1000:])
        assert "Content-Encoding" not in rest


async def test_a_part_of_something_else_gets_the_whole(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 13.1.5."""
    async with edge_before(origin) as edge:
        coded = await compressed(edge)
        answer = await edge.get("/a", wanting("br", Range="bytes=1000-", If_Range='"y"'))
        assert (answer.status, answer.body) == (200, coded.body)


@pytest.mark.parametrize("headers", [{"ETag": 'W/"x"'}, {"Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}])
async def test_without_a_strong_tag_ranges_are_never_of_a_copy(origin: ScriptedOrigin, headers: dict[str, str]) -> None:
    """RFC 9110 section 8.8.1, RFC 9110 section 14.2."""
    origin.on("/r", reply(body=TEXT, headers={**HEADERS, **headers}))
    async with edge_before(origin) as edge:
        assert (await compressed(edge, "/r"))["Content-Encoding"] == "br"
        part = await edge.get("/r", wanting("br", Range="bytes=10-29"))
        assert (part.status, part.body) == (206, TEXT[10:30])
        assert "Content-Encoding" not in part


async def test_head_has_the_fields_of_the_copy_and_no_body(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 9.3.2."""
    async with edge_before(origin) as edge:
        coded = await compressed(edge)
        answer = await edge.ask("HEAD", "/a", wanting("br"))
        assert [answer[name] for name in ("Content-Encoding", "ETag", "Content-Length")] == [
            "br",
            coded["ETag"],
            str(len(coded.body)),
        ]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (TEXT, {**HEADERS, "Cache-Control": "max-age=60, no-transform"}),
        (TEXT, {**HEADERS, "Content-Encoding": "br"}),
        (TEXT, {**HEADERS, "Repr-Digest": "sha-256=:AA==:"}),
        (TEXT, {**HEADERS, "Content-Type": "image/png"}),
        (TEXT[:511], HEADERS),
    ],
    ids=["no-transform", "coded", "digest", "image", "small"],
)
async def test_what_must_not_be_coded_is_answered_as_it_came(
    origin: ScriptedOrigin, body: bytes, headers: dict[str, str]
) -> None:
    """RFC 9110 section 7.7: digests (RFC 9530) would break."""
    origin.on("/b", reply(body=body, headers={**headers, "ETag": '"x"'}))
    async with edge_before(origin) as edge:
        answer = await compressed(edge, "/b")
        assert (answer.body, answer["ETag"], "Vary" in answer) == (body, '"x"', False)
        assert answer["Cache-Control"] == headers["Cache-Control"]
        assert len(list(edge.app.store.entries())) == 1


async def test_switched_off_nothing_is_coded_and_nothing_varies(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, cache={"compression": {"enabled": False}}) as edge:
        answer = await compressed(edge)
        assert (answer.body, "Vary" in answer) == (TEXT, False)


async def test_only_configured_codings_are_made(origin: ScriptedOrigin) -> None:
    async with edge_before(origin, cache={"compression": {"codings": ["gzip"], "minimum": "10KiB"}}) as edge:
        assert "Content-Encoding" not in await compressed(edge, coding="gzip")
        origin.on("/long", reply(body=TEXT * 2, headers=HEADERS))
        assert (await compressed(edge, "/long", "br, gzip"))["Content-Encoding"] == "gzip"


async def test_an_edit_of_what_was_read_coded_meets_the_origins_own_tag(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 13.1.1."""
    async with edge_before(origin) as edge:
        tag = (await compressed(edge))["ETag"]
        await edge.ask("PUT", "/a", {"If-Match": tag}, body=b"news")
        assert origin.requests[-1].header("If-Match") == f'{tag}, "x"'


async def test_each_variant_is_coded_for_itself(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.1."""
    origin.on(
        "/l",
        reply(
            body=lambda asked: TEXT + (asked.header("Accept-Language") or "").encode(),
            headers={**HEADERS, "Vary": "Accept-Language"},
        ),
    )
    async with edge_before(origin) as edge:
        for language in ("de", "fr"):
            answer = await compressed(edge, "/l", Accept_Language=language)
            assert brotli.decompress(answer.body) == TEXT + language.encode()
            assert answer["Vary"] == "Accept-Language, Accept-Encoding"


async def test_a_stale_answer_is_coded_too_when_the_origin_is_away(origin: ScriptedOrigin) -> None:
    """RFC 9111 section 4.2.4."""
    async with edge_before(origin) as edge:
        await compressed(edge)
        edge.clock.advance(61)
        await origin.stop()
        answer = await edge.get("/a", wanting("br"))
        assert (answer["Content-Encoding"], "stale" in answer.cache_status) == ("br", True)


async def test_what_is_one_users_own_is_never_compressed(origin: ScriptedOrigin) -> None:
    """RFC 9110 section 17.6: compression beside secrets tells them by the length (BREACH)."""
    routes = [{"name": "all", "match": "/**", "strategy": "cache-first", "credentials": "partition"}]
    async with edge_before(origin, routes=routes) as edge:
        answer = await compressed(edge, Cookie="session=anna")
        assert (answer.body, "Vary" in answer) == (TEXT, False)
        assert len(list(edge.app.store.entries())) == 1


def test_gzip_is_there_without_any_library_and_equal_bytes_give_equal_bytes() -> None:
    assert "gzip" in CODERS
    for coding, encode in CODERS.items():
        assert encode(TEXT) == encode(TEXT)
        assert DECODE[coding](encode(TEXT)) == TEXT


def test_zstd_keeps_to_windows_that_every_client_must_support() -> None:
    """RFC 9659 section 3: at most 8 MiB."""
    frame = CODERS["zstd"](random.Random(1).randbytes(LARGEST))
    assert zstandard.get_frame_parameters(frame).window_size <= 8 * 2**20


def test_a_missing_library_is_said_once_and_its_coding_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(proxy.compression, "CODERS", {"gzip": CODERS["gzip"]})
    config = Config.model_validate({"cache": {"disk": 0}, "routes": CACHE_FIRST})
    with caplog.at_level("INFO"):
        proxy.compression.Compression(App(config).store, Background(), ("br", "gzip"), 512)
    assert caplog.messages == ["no library for br: install cachewire[compression]"]
