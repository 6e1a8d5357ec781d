"""The bytes of a response, strictly parsed; no I/O.

The rule of this room: the callbacks of the C parser only note what they saw. What follows from it is decided
after `feed`, by whoever owns the connection. llhttp refuses malformed heads; what it lets pass (versions,
Transfer-Encoding other than chunked, sizes) is refused here.
"""

from __future__ import annotations

from typing import NamedTuple

import httptools

from proxy.policy.framing import check_response_framing
from proxy.policy.messages import Fields

_NO_FIELDS = Fields()


class Head(NamedTuple):
    """The head of a response. `version` is "1.0" or "1.1"."""

    status: int
    reason: str
    version: str
    fields: Fields


class ResponseParser:
    """Notes what the bytes of one exchange's response say.

    `interims`: 1xx responses not yet collected, in order. `head`: the final one. `parts`: body not yet collected.
    `complete`: the response has ended; `excess`: bytes came after its end, so the connection is spoiled.
    `switched`: what followed the head of a 101. `error`: why the bytes are unusable, for good.
    """

    __slots__ = (
        "_fields",
        "_head_size",
        "_httptools",
        "_max_head",
        "_method",
        "_reason",
        "_unaccounted",
        "complete",
        "error",
        "excess",
        "head",
        "interims",
        "parts",
        "switched",
        "until_close",
    )

    def __init__(self, max_head: int) -> None:
        self._max_head = max_head
        self._httptools: httptools.HttpResponseParser | None = None
        self._fields: list[tuple[bytes, bytes]] = []
        self.interims: list[Head] = []
        self.parts: list[bytes] = []
        self.begin("GET")

    def begin(self, method: str) -> None:
        """Expect the response to a request of this method."""
        if self._httptools is None:
            self._httptools = httptools.HttpResponseParser(self)
        self._method = method
        self._reason = b""
        self._head_size = self._unaccounted = 0
        self.head: Head | None = None
        self.switched: bytes | None = None
        self.error: str | None = None
        self.complete = self.excess = self.until_close = False

    def feed(self, data: bytes) -> None:
        """Parse the next bytes; never raises. After the end of a response they can only spoil the connection."""
        assert self._httptools is not None
        self._unaccounted += len(data)
        try:
            self._httptools.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.switched = data[upgrade.args[0] :]
            return
        except httptools.HttpParserError as error:
            if self.complete:
                self.excess = True
            elif self.error is None:
                self.error = f"not HTTP: {error}"
        # llhttp holds back an unfinished line, however long; this bounds it, in heads and in trailers.
        if self._unaccounted > self._max_head and not self.complete and self.error is None:
            self.error = f"a head, trailer section or chunk line is larger than {self._max_head} bytes"

    def end_of_stream(self) -> None:
        """The origin announced that no more will come, which ends a body without other framing whole."""
        if self.head is not None and self.until_close and self.error is None:
            self.complete = True

    def collect(self) -> list[bytes]:
        """The parts of the body that came since the last call."""
        parts, self.parts = self.parts, []
        return parts

    @property
    def length(self) -> int | None:
        """How many bytes the body will have, if the head says; 0 where there can be no body."""
        assert self.head is not None
        if self._bodiless():
            return 0
        announced = self.head.fields.first("Content-Length")
        return None if announced is None else int(announced)

    @property
    def keeps_alive(self) -> bool:
        """Whether the origin will answer another request on this connection (RFC 9112 section 9.3)."""
        if self.head is None or not self.complete or self.excess or self.until_close:
            return False
        options = [option.lower() for option in self.head.fields.members("Connection")]
        return "close" not in options and (self.head.version == "1.1" or "keep-alive" in options)

    def take_trailers(self) -> Fields:
        """The trailer section, once the response is complete; leaves the parser ready for `begin`."""
        trailers = _NO_FIELDS
        if self._fields:
            trailers = Fields.from_raw(self._fields)
            self._fields.clear()
        if self._method == "HEAD":
            # llhttp still waits for the body that a GET would have had.
            self._httptools = None
        return trailers

    # -- callbacks of httptools

    def on_message_begin(self) -> None:
        self.excess = self.excess or self.complete
        self._fields.clear()
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._max_head:
            raise self._too_large()
        if not self.complete:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        self._unaccounted = 0
        if self.complete:
            self.excess = True
            return
        head = self._note_head()
        if head.status < 200:
            self.interims.append(head)
            return
        # Without these, Content-Length is all there is, and llhttp lets only a single number pass.
        if "Transfer-Encoding" in head.fields or head.status == 204:
            problem = check_response_framing(head.status, head.fields)
            if problem is not None:
                raise self._refusal(problem)
        self.head = head
        self._head_size = 0
        self.complete = self._method == "HEAD"
        self.until_close = not (
            self._bodiless() or "Content-Length" in head.fields or "Transfer-Encoding" in head.fields
        )

    def on_chunk_header(self) -> None:
        self._unaccounted = 0
        self.excess = self.excess or self.complete

    def on_body(self, part: bytes) -> None:
        self._unaccounted = 0
        if self.complete:
            self.excess = True
        else:
            self.parts.append(part)

    def on_message_complete(self) -> None:
        self._unaccounted = 0
        if self.head is not None:
            self.complete = True

    # -- details

    def _note_head(self) -> Head:
        assert self._httptools is not None
        status = self._httptools.get_status_code()
        version = self._httptools.get_http_version()
        if version not in ("1.1", "1.0"):
            raise self._refusal(f"it speaks HTTP/{version}, which cannot answer an HTTP/1.1 request")
        if status < 100:
            raise self._refusal(f"the status {status:03d} does not exist")
        if status == 101 and not self._httptools.should_upgrade():
            raise self._refusal("101 without an Upgrade field and its Connection option")
        self._head_size += len(self._reason) + 17  # interim heads without fields add up too
        if self._head_size > self._max_head:
            raise self._too_large()
        fields = Fields.from_raw(self._fields)
        self._fields.clear()
        if version == "1.0" and "Transfer-Encoding" in fields:
            # RFC 9112 section 6.1: its framing counts as faulty.
            raise self._refusal("it uses Transfer-Encoding in HTTP/1.0")
        return Head(status, self._reason.decode("latin-1"), version, fields)

    def _too_large(self) -> ValueError:
        return self._refusal(f"its head or trailer section is larger than {self._max_head} bytes")

    def _bodiless(self) -> bool:
        """RFC 9112 section 6.3, rule 1."""
        return self._method == "HEAD" or (self.head is not None and self.head.status in (204, 304))

    def _refusal(self, detail: str) -> ValueError:
        """Stops the C parser, which tells its caller only that a callback failed; `error` keeps why."""
        self.error = detail
        return ValueError(detail)
