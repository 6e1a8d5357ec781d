"""`cachewire warm`: fill the cache by asking for URLs through the public listener, as a browser would."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import click

from proxy.commands.explain import parse_field
from proxy.commands.options import AddressType, config_option
from proxy.errors import CachewireError
from proxy.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from proxy.config.units import Address


@click.command(
    epilog="""\b
Examples:
  cachewire warm / /api/reports /assets/app.css
  cachewire warm --file urls.txt
  sort -u access-paths.txt | cachewire warm --file -
"""
)
@click.argument("urls", nargs=-1, metavar="[URL|PATH]...")
@click.option(
    "--file", "-f", type=click.File(), help="One URL or path per line; # begins a comment; - is standard input."
)
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A request field. Repeatable.")
@click.option("--concurrency", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests at a time.")
@click.option("--listen", type=AddressType(), help="Address of the public listener.  [default: server.listen]")
@config_option
@click.pass_context
def warm(
    ctx: click.Context,
    urls: tuple[str, ...],
    file: TextIO | None,
    headers: tuple[str, ...],
    concurrency: int,
    listen: Address | None,
    path: Path | None,
) -> None:
    """Ask for URLs (or paths) through the running edge, so that it has them stored; a line for each.

    Exit status 1 if any of them failed.
    """
    from proxy.commands.listeners import Listeners, connect

    listeners = Listeners.of(path, listen)
    fields = {**_BROWSER_FIELDS, **dict(parse_field(header) for header in headers)}
    wanted = [listeners.url(text) for text in [*urls, *_listed(file)]]
    if not wanted:
        raise click.UsageError("name at least one URL or path, or a --file of them")
    connect(listeners.public, "server.listen", "--listen").close()
    failed = 0
    for number, fetched in enumerate(_fetch_all(listeners.public, wanted, fields, concurrency), 1):
        failed += fetched.failed
        click.echo(f"[{number:{len(str(len(wanted)))}}/{len(wanted)}] {fetched.line()}")
    if failed:
        click.echo(f"{failed} of {len(wanted)} failed", err=True)
        ctx.exit(1)


# Without Accept-Encoding the stored variant would be one that no browser selects.
_BROWSER_FIELDS = {
    "User-Agent": f"cachewire-warm/{__version__}",
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
}


@dataclass(frozen=True, slots=True)
class _Fetched:
    """What became of one URL. `length` counts bytes, `duration` is seconds; `error` is empty when there was none."""

    url: str
    status: int = 0
    verdict: str = ""
    length: int = 0
    duration: float = 0.0
    error: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.error) or self.status >= 400

    def line(self) -> str:
        if self.error:
            return f"FAILED  {self.url}  {self.error}"
        mark = "FAILED" if self.failed else "ok"
        figures = f"{self.length:>9} B  {self.duration * 1000:6.0f} ms"
        return f"{mark:6}  {self.status}  {self.verdict:32}  {figures}  {self.url}"


def cache_verdict(cache_status: str | None) -> str:
    """The parameters of Cachewire's own member of a Cache-Status field (RFC 9211), its key left out."""
    members = _MEMBER.findall(cache_status or "")
    if not members:
        return "no Cache-Status"
    parameters = [parameter.strip() for parameter in _PARAMETER.findall(members[-1])]
    return "; ".join(parameter for parameter in parameters if not parameter.startswith("key="))


_VALUE = r'(?:"(?:[^"\\]|\\.)*"|[^;,"]*)'
_PARAMETER = re.compile(rf";\s*([a-z*][a-z0-9_.*-]*(?:={_VALUE})?)")
_MEMBER = re.compile(rf"(?:^|,)\s*cachewire((?:\s*;\s*[a-z*][a-z0-9_.*-]*(?:={_VALUE})?)*)")


def _listed(file: TextIO | None) -> Iterator[str]:
    try:
        for line in file or ():
            text = line.strip()
            if text and not text.startswith("#"):
                yield text
    except (OSError, UnicodeDecodeError) as error:
        raise CachewireError(f"the list of URLs cannot be read: {error}") from None


def _fetch_all(public: Address, urls: Sequence[str], fields: dict[str, str], concurrency: int) -> Iterator[_Fetched]:
    with ThreadPoolExecutor(concurrency) as pool:
        asked = [pool.submit(_fetch, public, url, fields) for url in urls]
        try:
            for future in as_completed(asked):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch(public: Address, url: str, fields: dict[str, str]) -> _Fetched:
    from proxy.commands.listeners import connect

    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    started = time.monotonic()
    try:
        connection = connect(public, "server.listen", "--listen")
        try:
            connection.request("GET", target, headers={"Host": parts.netloc, **fields})
            response = connection.getresponse()
            length = _drained(response)
        finally:
            connection.close()
    except (CachewireError, OSError, http.client.HTTPException, ValueError) as error:
        return _Fetched(url, error=str(error) or type(error).__name__)
    verdict = cache_verdict(response.headers.get("Cache-Status"))
    return _Fetched(url, response.status, verdict, length, time.monotonic() - started)


def _drained(response: http.client.HTTPResponse) -> int:
    """Read the body away; how long it was. Raises IncompleteRead when it ended early."""
    expected, length = response.length, 0
    while chunk := response.read(64 * 2**10):
        length += len(chunk)
    if expected is not None and length < expected:
        raise http.client.IncompleteRead(b"", expected - length)
    return length
