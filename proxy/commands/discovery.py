"""What `cachewire warm` finds to ask for: the URLs of a sitemap, and the assets of a page."""

from __future__ import annotations

import gzip
import io
import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit
from xml.parsers import expat

from proxy.errors import CachewireError

LARGEST_SITEMAP = 50 * 2**20
"""The sitemap protocol's own bound, unpacked."""

MOST_URLS = 50_000


def sitemap_urls(content: bytes, name: str) -> tuple[list[str], bool]:
    """The URLs that a sitemap lists, and whether they are of further sitemaps (it is an index).

    `content` is XML, plain or gzip, or one URL per line. Raises CachewireError that names it.
    """
    if content.startswith(b"\x1f\x8b"):
        content = _unpacked(content, name)
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _lines(content, name), False
    sitemap = _Sitemap()
    try:
        sitemap.parse(content)
    except expat.ExpatError as error:
        raise CachewireError(f"the sitemap {name} is not XML: {error}") from None
    if sitemap.root not in ("urlset", "sitemapindex"):
        raise CachewireError(f"{name} is no sitemap: its root is <{sitemap.root}>, not <urlset> or <sitemapindex>")
    return sitemap.urls, sitemap.root == "sitemapindex"


def page_assets(html: str, url: str) -> list[str]:
    """The absolute URLs of what the page at `url` loads from its own host, in their order, each once."""
    page = _Page()
    page.feed(html)
    page.close()
    return _resolved(page.references, urljoin(url, page.base) if page.base else url, url)


def stylesheet_assets(css: str, url: str) -> list[str]:
    """The absolute URLs of what the stylesheet at `url` loads from its own host: url() and @import."""
    return _resolved(_css_references(css), url, url)


_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_REFERENCE = re.compile(
    r"""url\(\s*(?:"([^"]*)"|'([^']*)'|([^"'()\s]+))\s*\)|@import\s+(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE
)


def _css_references(css: str) -> list[str]:
    return [next(filter(None, match.groups()), "") for match in _CSS_REFERENCE.finditer(_COMMENT.sub(" ", css))]


def _resolved(references: Iterable[str], base: str, url: str) -> list[str]:
    """References as absolute URLs of `url`'s host, each once, without `url` itself."""
    host = urlsplit(url).netloc
    found: dict[str, None] = {}
    for reference in filter(str.strip, references):
        try:
            absolute = urldefrag(urljoin(base, reference.strip()))[0]
            parts = urlsplit(absolute)
        except ValueError:
            continue  # what no URL parser understands, no browser loads
        if parts.scheme in ("http", "https") and parts.netloc == host and absolute != urldefrag(url)[0]:
            found[absolute] = None
    return list(found)


def _unpacked(content: bytes, name: str) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(LARGEST_SITEMAP + 1)
    except (OSError, EOFError) as error:
        raise CachewireError(f"the sitemap {name} cannot be unpacked: {error}") from None
    if len(unpacked) > LARGEST_SITEMAP:
        raise CachewireError(f"the sitemap {name} unpacks to more than {LARGEST_SITEMAP} bytes")
    return unpacked


def _lines(content: bytes, name: str) -> list[str]:
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise CachewireError(f"{name} is neither XML nor text in UTF-8") from None
    return [line for line in lines if line and not line.startswith("#")][:MOST_URLS]


class _Sitemap:
    """A reader of <urlset> and <sitemapindex>; anything else in the document is passed over."""

    def __init__(self) -> None:
        self.root = ""
        self.urls: list[str] = []
        self._path: list[str] = []
        self._text = ""

    def parse(self, content: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        # Entities can grow a small document into gigabytes, and no sitemap declares any.
        parser.EntityDeclHandler = _refuse_entity
        parser.Parse(content, True)

    def _start(self, name: str, _attributes: dict[str, str]) -> None:
        self._path.append(name.rpartition(" ")[2])
        self.root = self.root or self._path[0]
        self._text = ""

    def _characters(self, text: str) -> None:
        self._text += text

    def _end(self, _name: str) -> None:
        # <image:loc> and the like are deeper.
        listed = self._path in (["urlset", "url", "loc"], ["sitemapindex", "sitemap", "loc"])
        if listed and self._text.strip() and len(self.urls) < MOST_URLS:
            self.urls.append(self._text.strip())
        self._path.pop()
        self._text = ""


def _refuse_entity(*_: object) -> None:
    raise CachewireError("the sitemap declares entities, which none needs")


class _Page(HTMLParser):
    """Collects what a browser loads by itself while it shows a page."""

    def __init__(self) -> None:
        super().__init__()
        self.base = ""
        self.references: list[str] = []
        self._in_style = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value for name, value in attrs if value}
        if tag == "base" and not self.base:
            self.base = values.get("href", "")
        self.references += _loaded(tag, values)
        self.references += _css_references(values.get("style", ""))
        self._in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.references += _css_references(data)


_LOADED_LINKS = frozenset(
    ("stylesheet", "icon", "apple-touch-icon", "mask-icon", "manifest", "preload", "modulepreload", "prefetch")
)
_SOURCES = {
    "script": "src",
    "img": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "track": "src",
    "embed": "src",
    "iframe": "src",
    "input": "src",
    "object": "data",
    "image": "href",
    "use": "href",
}


def _loaded(tag: str, values: dict[str, str]) -> Iterator[str]:
    if tag == "link" and _LOADED_LINKS.intersection(values.get("rel", "").lower().split()):
        yield values.get("href", "")
        yield from _srcset(values.get("imagesrcset", ""))
    if (name := _SOURCES.get(tag)) is not None and name in values:
        yield values[name]
    if tag == "video" and "poster" in values:
        yield values["poster"]
    if tag in ("img", "source"):
        yield from _srcset(values.get("srcset", ""))


def _srcset(value: str) -> Iterator[str]:
    """The URLs of a srcset: each up to a space, its descriptor up to a comma (HTML standard, "parse a srcset")."""
    position = 0
    while match := re.compile(r"[\s,]*(\S+)").match(value, position):
        position = match.end()
        if match[1].endswith(","):
            yield match[1].rstrip(",")
            continue
        yield match[1]
        comma = value.find(",", position)
        position = len(value) if comma < 0 else comma
