"""`cachewire warm`: fill the cache by asking for URLs through the public listener, as a browser would."""

from __future__ import annotations

import http.client
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import click

from proxy.commands.discovery import LARGEST_SITEMAP, page_assets, sitemap_urls, stylesheet_assets
from proxy.commands.explain import parse_field
from proxy.commands.options import AddressType, config_option
from proxy.errors import CachewireError
from proxy.version import __version__

if TYPE_CHECKING:
    from proxy.commands.listeners import Listeners
    from proxy.config.units import Address


@click.command(
    epilog="""\b
Examples:
  cachewire warm / /api/reports /assets/app.css
  cachewire warm --sitemap /sitemap.xml
  cachewire warm --crawl / --crawl /reports
  cachewire warm --file urls.txt
  sort -u access-paths.txt | cachewire warm --file -
"""
)
@click.argument("urls", nargs=-1, metavar="[URL|PATH]...")
@click.option(
    "--file", "-f", type=click.File(), help="One URL or path per line; # begins a comment; - is standard input."
)
@click.option(
    "--sitemap", multiple=True, metavar="URL|FILE", help="Every URL of a sitemap, or of an index of them. Repeatable."
)
@click.option("--crawl", multiple=True, metavar="URL|PATH", help="A page and the assets it loads. Repeatable.")
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'", help="A request field. Repeatable.")
@click.option("--concurrency", type=click.IntRange(1, 32), default=4, show_default=True, help="Requests at a time.")
@click.option("--listen", type=AddressType(), help="Address of the public listener.  [default: server.listen]")
@config_option
@click.pass_context
def warm(
    ctx: click.Context,
    urls: tuple[str, ...],
    file: TextIO | None,
    sitemap: tuple[str, ...],
    crawl: tuple[str, ...],
    headers: tuple[str, ...],
    concurrency: int,
    listen: Address | None,
    path: Path | None,
) -> None:
    """Ask for URLs (or paths) through the running edge, so that it has them stored: a progress bar on a terminal, else
    a line for each.

    Exit status 1 if any of them failed.
    """
    from proxy.commands.listeners import Listeners, connect

    listeners = Listeners.of(path, listen)
    fields = {**_BROWSER_FIELDS, **dict(parse_field(header) for header in headers)}
    wanted = [listeners.url(text) for text in [*urls, *_listed(file)]]
    if not wanted and not sitemap and not crawl:
        raise click.UsageError("name at least one URL or path, a --file or --sitemap of them, or a page to --crawl")
    connect(listeners.public, "server.listen", "--listen").close()
    wanted += [listeners.url(url) for name in sitemap for url in _of_sitemap(listeners, name, fields)]
    wanted += [url for page in crawl for url in _of_page(listeners, listeners.url(page), fields)]
    wanted = list(dict.fromkeys(wanted))
    failed = _report(_fetch_all(listeners.public, wanted, fields, concurrency), len(wanted))
    if failed:
        click.echo(f"{failed} of {len(wanted)} failed", err=True)
        ctx.exit(1)


def _report(fetched: Iterator[_Fetched], count: int) -> int:
    """Show what becomes of each URL; how many failed."""
    if not sys.stdout.isatty():
        return sum(_told(one, number, count) for number, one in enumerate(fetched, 1))
    failures = []
    stored = 0
    with click.progressbar(length=count, label="warming", show_pos=True) as bar:
        for one in fetched:
            bar.update(1)
            stored += one.length
            if one.failed:
                failures.append(one)
    for one in failures:
        click.echo(one.line())
    click.echo(f"{count - len(failures)} of {count} asked for, {stored} bytes")
    return len(failures)


def _told(fetched: _Fetched, number: int, count: int) -> bool:
    click.echo(f"[{number:{len(str(count))}}/{count}] {fetched.line()}")
    return fetched.failed


def _of_sitemap(listeners: Listeners, name: str, fields: dict[str, str]) -> Iterator[str]:
    """The URLs of a sitemap file or URL, and of the sitemaps it refers to."""
    file = Path(name)
    pending, seen = [name], {name}
    while pending:
        source = pending.pop(0)
        if source == name and file.is_file():
            content = _file(file)
        else:
            content = _read(listeners.public, listeners.url(source), fields)
        urls, is_index = sitemap_urls(content, source)
        if not is_index:
            yield from urls
            continue
        pending += [url for url in dict.fromkeys(urls) if url not in seen]
        seen.update(urls)
        if len(seen) > _MOST_SITEMAPS:
            raise CachewireError(f"the sitemap {name} refers to more than {_MOST_SITEMAPS} others")


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CachewireError(f"the sitemap {path} cannot be read: {error.strerror or error}") from None


def _of_page(listeners: Listeners, url: str, fields: dict[str, str]) -> list[str]:
    """A page, what it loads, and what its stylesheets load."""
    content = _read(listeners.public, url, {**fields, "Accept": "text/html,*/*;q=0.8"})
    found = dict.fromkeys([url, *page_assets(content.decode("utf-8", "replace"), url)])
    sheets = [asset for asset in found if _is_stylesheet(asset)]
    for sheet in sheets:  # grows while it is read: stylesheets import each other
        if len(sheets) > _MOST_STYLESHEETS:
            break
        fetched, css = _asked(listeners.public, sheet, {**fields, "Accept-Encoding": "identity"}, keep=LARGEST_SITEMAP)
        if not fetched.failed:
            new = [asset for asset in stylesheet_assets(css.decode("utf-8", "replace"), sheet) if asset not in found]
            found |= dict.fromkeys(new)
            sheets += filter(_is_stylesheet, new)
    return list(found)


def _is_stylesheet(url: str) -> bool:
    return urlsplit(url).path.endswith(".css")


def _read(public: Address, url: str, fields: dict[str, str]) -> bytes:
    """The content of what is to be read rather than warmed. Raises CachewireError."""
    fetched, content = _asked(public, url, {**fields, "Accept-Encoding": "identity"}, keep=LARGEST_SITEMAP)
    if fetched.failed:
        raise CachewireError(f"{url} cannot be read: {fetched.error or f'it is answered {fetched.status}'}")
    return content


_MOST_SITEMAPS = 1000
_MOST_STYLESHEETS = 200

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
    return _asked(public, url, fields)[0]


def _asked(public: Address, url: str, fields: dict[str, str], *, keep: int = 0) -> tuple[_Fetched, bytes]:
    """What became of a URL, and the first `keep` bytes of its content."""
    from proxy.commands.listeners import connect

    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    started = time.monotonic()
    try:
        connection = connect(public, "server.listen", "--listen")
        try:
            connection.request("GET", target, headers={"Host": parts.netloc, **fields})
            response = connection.getresponse()
            content, length = _drained(response, keep)
        finally:
            connection.close()
    except (CachewireError, OSError, http.client.HTTPException, ValueError) as error:
        return _Fetched(url, error=str(error) or type(error).__name__), b""
    verdict = cache_verdict(response.headers.get("Cache-Status"))
    return _Fetched(url, response.status, verdict, length, time.monotonic() - started), content


def _drained(response: http.client.HTTPResponse, keep: int) -> tuple[bytes, int]:
    """Read the body away: its first `keep` bytes, and its length. Raises IncompleteRead when it ended early."""
    expected, length = response.length, 0
    kept = bytearray()
    while chunk := response.read(64 * 2**10):
        length += len(chunk)
        kept += chunk[: keep - len(kept)]
    if expected is not None and length < expected:
        raise http.client.IncompleteRead(b"", expected - length)
    return bytes(kept), length
