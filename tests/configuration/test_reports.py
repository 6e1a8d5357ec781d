"""Every mistake gets a report of one screen: where, what, and what would be right."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config import load
from proxy.config.checks import overlap_notes, takes_everything
from proxy.errors import ConfigurationError
from proxy.passwords import PasswordHash

Report = Callable[..., str]


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    """The report on a file of this text."""
    monkeypatch.chdir(tmp_path)

    def of(text: str, **environment: str) -> str:
        Path("config.yaml").write_text(textwrap.dedent(text))
        with pytest.raises(ConfigurationError) as caught:
            load(Path("config.yaml"), env=environment, overrides=[])
        return str(caught.value)

    return of


def test_an_unknown_key_shows_its_line_a_caret_and_the_nearest_known_key(report: Report) -> None:
    text = """\
        routes:
          - name: api
            match: /api/**
            strateg: cache-first
        """
    assert report(text).splitlines() == [
        "config.yaml:4: routes[0].strateg: unknown key",
        "    |     strateg: cache-first",
        "    |     ^^^^^^^",
        "    Did you mean `strategy`? Known keys here: name, match, strategy, network_timeout, expiration,",
        "    cacheable, stale_if_error, fallback_on, key, credentials, request_directives, tags,",
        "    offline_queue, fallback.",
    ]


@pytest.mark.parametrize(
    ("key", "suggestion"),
    [
        ("networkTimeoutSeconds: 3", "`network_timeout`"),
        ("handler: NetworkFirst", "`strategy`"),
        ("urlPattern: /x", "`match`"),
        ("maxEntries: 5", "`expiration.max_entries`, one level down"),
        ("ttl: 5s", "`expiration.max_age`, one level down"),
    ],
)
def test_the_words_of_other_products_lead_to_ours(report: Report, key: str, suggestion: str) -> None:
    text = f"routes:\n  - match: /a\n    strategy: cache-first\n    {key}\n"
    assert f"Did you mean {suggestion}?" in report(text)


def test_a_key_in_the_wrong_section_is_told_where_it_belongs(report: Report) -> None:
    assert "Did you mean `server.listen`, one level down?" in report("listen: 127.0.0.1:80\n")


def test_a_strategy_in_workbox_spelling_is_recognised(report: Report) -> None:
    text = report("routes:\n  - {match: /a, strategy: StaleWhileRevalidate}\n")
    assert "routes[0].strategy: 'StaleWhileRevalidate' is not one of the values" in text
    assert "Did you mean `stale-while-revalidate`?" in text


@pytest.mark.parametrize(
    ("text", "head", "advice"),
    [
        ("cache: {memory: 64}", "cache.memory: 64 has no unit", "Write 64KiB or 64MiB"),
        ("server: {idle_timeout: 5}", "server.idle_timeout: 5 has no unit", "Write 5s for seconds"),
        ("server: {idle_timeout: soon}", "'soon' is not a duration", "as in 250ms, 5s"),
        ("server: {listen: 8080}", "server.listen: 8080 is not an address", "as in 127.0.0.1:8080"),
        ("server: {performance_report: maybe}", "'maybe' is neither true nor false", "Write true or false"),
        ("server: {max_connections: many}", "'many' is not a whole number", "without unit"),
        ("server: {max_connections: true}", "true is not a number", "as in 3"),
        ("server: {max_connections: 0}", "0 is out of range", "at least 1"),
        ("server: {workers: 4}", "server.workers: 4 is out of range", "This version runs one edge process"),
        (
            "server: {trusted_proxies: [10.0.0.0/33]}",
            "server.trusted_proxies[0]: '10.0.0.0/33' is not a network",
            "10.0",
        ),
        ("server: {trusted_proxies: 10.0.0.0/8}", "'10.0.0.0/8' is not a list", "[a, b]"),
        ("server: [1]", "server: a list is not a section", "Known keys: listen"),
        ("origin: {url: 'http://h:1/app'}", "'http://h:1/app' is not an origin", "without path"),
        ("origin: {url: 'h:3000'}", "'h:3000' is not an origin", "scheme, host and port"),
        ("origin: {retries: 11}", "origin.retries: 11 is out of range", "at most 10"),
        ("cache: {redis: 'redis://h'}", "cache.redis: is not available in this version", "Leave it null"),
        ("cache: {expiry: {images: 3d}}", "'images' is not a content type", "image/*"),
        ("log: {level: off}", "log.level: 'off' is not one of the values", "debug, info, warning, error"),
        ("routes: [{match: /a}]", "routes[0].strategy: is missing", "network-first, cache-first"),
        ("routes: [{match: /a, strategy: cache-first, name: 5}]", "routes[0].name: 5 is not text", "needs quotes"),
        ("routes: [{match: {methods: [get]}, strategy: cache-first}]", "'get' is not a method", "case-sensitive"),
        ("routes: [{match: '/a/{b', strategy: cache-first}]", "config.yaml:1: routes[0].match.path", ""),
        ("routes: [{match: {path: '/(', regex: true}, strategy: cache-first}]", "routes[0].match.path", ""),
        ("routes: [{strategy: cache-first, key: {headers: ['a b']}}]", "'a b' is not a field name", "name alone"),
        ("routes: [{strategy: cache-first, cacheable: {headers: {a: [1]}}}]", "a list is not text", "Write text"),
        (
            "routes: [{strategy: cache-first, fallback_on: [200]}]",
            "routes[0].fallback_on[0]: 200 is out of range",
            "400",
        ),
        ("origin: {tls_ca_file: [1]}", "origin.tls_ca_file: a list is not a path", "as text"),
        ("cache: {expiry: 3d}", "cache.expiry: '3d' is not a section", "`key: value`"),
        ("admin: {token: ''}", "admin.token: is empty", "leave the key out"),
    ],
)
def test_a_wrong_value_says_what_it_is_and_what_would_be_right(
    report: Report, text: str, head: str, advice: str
) -> None:
    lines = report(text).splitlines()
    assert lines[0].startswith("config.yaml:1: ")
    assert head in lines[0]
    assert "^" in lines[2]
    assert advice in " ".join(lines[3:])


def test_an_origin_that_is_the_edge_itself_is_a_loop(report: Report) -> None:
    for url in ("http://127.0.0.1:8080", "http://localhost:8080/"):
        text = report(f"origin:\n  url: {url}\n")
        assert "config.yaml:2: origin.url: leads back to server.listen (127.0.0.1:8080)" in text


def test_an_edge_on_all_addresses_is_also_on_loopback(report: Report) -> None:
    text = report("server: {listen: '0.0.0.0:3000'}\n")
    assert "config.yaml:1: origin.url: leads back to server.listen (0.0.0.0:3000)" in text


def test_an_origin_on_another_machine_may_have_the_same_port(tmp_path: Path) -> None:
    overrides = ["server.listen=0.0.0.0:3000", "origin.url=http://10.0.0.7:3000"]
    assert load(None, env={}, overrides=overrides).config.origin.url == "http://10.0.0.7:3000"


def test_two_listeners_on_one_address_are_refused(report: Report) -> None:
    assert "admin.listen: is the address of server.listen" in report("admin: {listen: 'localhost:8080'}\n")


def test_two_listeners_may_both_ask_for_any_free_port() -> None:
    overrides = ["server.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0"]
    assert load(None, env={}, overrides=overrides).config.admin.listen.port == 0


def test_an_admin_listener_that_others_can_reach_needs_a_password_or_a_token(report: Report) -> None:
    for listen in ("0.0.0.0:8081", "[::]:8081", "192.168.1.5:8081", "edge.internal:8081"):
        text = report(f"admin: {{listen: '{listen}'}}\n")
        assert "can be reached from other machines, but nobody is asked who they are" in text
        assert "Run `cachewire password`" in text
    overrides = ["admin.listen=0.0.0.0:8081"]
    assert load(None, env={"CACHEWIRE__ADMIN__TOKEN": "long-enough-token"}, overrides=overrides).config.admin.guarded
    hashed = str(PasswordHash.of("correct horse"))
    assert load(None, env={"CACHEWIRE__ADMIN__PASSWORD_HASH": hashed}, overrides=overrides).config.admin.guarded


def test_a_token_that_others_can_try_is_long(report: Report) -> None:
    text = report("admin: {listen: '0.0.0.0:8081', token: fifteen-letters}\n")
    assert "admin.token: has 15 characters, and 0.0.0.0:8081 can be reached from other machines" in text
    assert "16 or longer" in text
    assert "fifteen-letters" not in text
    assert load(None, env={"CACHEWIRE__ADMIN__TOKEN": "short"}, overrides=[]).config.admin.token == "short"


def test_a_password_hash_that_is_none_is_refused_and_not_repeated(report: Report) -> None:
    for wrong in ("correct horse", "scrypt$2$1$1$c2FsdHNhbHQxMjM$" + "a" * 43, "scrypt$1073741824$8$1$"):
        text = report(f"admin:\n  password_hash: '{wrong}'\n")
        assert "config.yaml:2: admin.password_hash: " in text
        assert "cachewire password" in text
        assert wrong not in text


def test_two_routes_of_one_name_are_refused(report: Report) -> None:
    text = report(
        "routes:\n  - {name: a, match: /a, strategy: cache-first}\n  - {name: a, match: /b, strategy: cache-first}\n"
    )
    assert "config.yaml:3: routes[1].name: 'a' is also the name of routes[0]" in text


def test_a_route_that_an_earlier_one_covers_is_told_to_move_before_it(report: Report) -> None:
    text = """\
        routes:
          - match: /api/**
            strategy: network-first
          - name: auth
            match: /api/auth/*
            strategy: network-first
        """
    told = report(text)
    assert "config.yaml:5: routes[1].match: never takes a request: routes[0] `/api/**` (config.yaml:2)" in told
    assert "Reorder: put routes[1] `auth` before routes[0]." in told


def test_two_routes_that_match_the_same_are_refused(report: Report) -> None:
    text = "routes:\n  - {name: a, match: /x, strategy: cache-first}\n  - {name: b, match: /x, strategy: cache-only}\n"
    assert "config.yaml:3: routes[1].match: matches exactly what routes[0] `a` (config.yaml:2) matches" in report(text)


def test_routes_that_share_some_requests_are_a_note_and_no_error() -> None:
    routes = "[{name: u, match: /uploads/**, strategy: cache-first}, {name: i, match: {content_types: [image/*]}, "
    routes += "strategy: cache-first}, {name: rest, strategy: network-first}]"
    config = load(None, env={}, overrides=[f"routes={routes}"]).config
    assert overlap_notes(config.routes) == ["routes[1] `i` may match requests that earlier routes take: routes[0] `u`."]
    assert takes_everything(config.routes)
    assert not takes_everything(config.routes[:2])


SECRET = "hunter2-hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"admin: {{token: [{SECRET}]}}\n",
        f"admin:\n  tokn: {SECRET}\n",
        f"admin:\n  tkoen: {SECRET}\n",
        f"admin:\n  token: *{SECRET}\n",
        f"admin:\n  token: !{SECRET} x\n",
        f"admin:\n  token: >\n    x\n    {SECRET}: y\n\tz\n",
        f'admin:\n  token: "a\n    {SECRET} \\q"\n',
        f"admin: {{token: {SECRET}: x}}\n",
        f"origin: {{url: 'http://user:{SECRET}@h:1'}}\n",
        f"origin: {{url: 'http://user:{SECRET}/@h:1'}}\n",
    ],
)
def test_a_report_never_shows_a_secret(report: Report, text: str) -> None:
    assert "hunter2" not in report(text)


def test_a_report_never_shows_a_secret_of_the_environment_or_the_command_line(report: Report) -> None:
    assert "hunter2" not in report("", CACHEWIRE__ADMIN__TOKN=SECRET)
    for override in (
        f"admin.tokn={SECRET}",
        f"admin.token=[{SECRET}]",
        f"admin.token=[{SECRET}",
        f"admin.token.x={SECRET}",
    ):
        with pytest.raises(ConfigurationError) as caught:
            load(None, env={}, overrides=[override])
        assert "hunter2" not in str(caught.value)


def test_a_report_moves_no_cursor(report: Report) -> None:
    told = report("", CACHEWIRE__LOG__LEVEL="\x1b[2Jinfo\r\n")
    assert told.replace("\n", "").isprintable()


def test_a_hundred_mistakes_still_fit_on_one_screen(report: Report) -> None:
    told = report("server:\n" + "".join(f"  key{number}: {number}\n" for number in range(100)))
    assert len(told.splitlines()) <= 22
    assert "more; mend these first." in told


def test_a_long_line_is_cut_around_its_caret(report: Report) -> None:
    told = report("log: {" + "".join(f"key{number}: 1, " for number in range(200)) + "level: loud}\n")
    assert max(map(len, told.splitlines())) <= 120


def test_problems_come_in_the_order_of_the_file(report: Report) -> None:
    told = report("cache: {memory: 1}\nserver: {max_head: 1}\nlog: {level: x}\n")
    heads = [line.partition(": ")[0] for line in told.splitlines() if line.startswith("config.yaml")]
    assert heads == ["config.yaml:1", "config.yaml:2", "config.yaml:3"]


def test_however_long_a_path_is_the_report_says_what_is_wrong_and_breaks_no_path(report: Report) -> None:
    long = "a-long-name/" * 40
    head = report(f"origin: {{tls_ca_file: {long}missing.pem}}\n").splitlines()[0]
    assert head.startswith("config.yaml:1: origin.tls_ca_file: ")
    assert head.endswith("missing.pem is not a file")
    assert len(head) <= 300
    with pytest.raises(ConfigurationError) as caught:
        Path("config.yaml").touch()
        load(Path.cwd() / "config.yml", env={}, overrides=[])
    assert f"{Path.cwd()}/config.yaml" in str(caught.value)
