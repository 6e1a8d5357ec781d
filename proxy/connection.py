"""The client's side of a connection: aiohttp's protocol, made strict and given deadlines.

This file and heads.py are the only ones that touch aiohttp's protocol internals. What aiohttp leaves open and is
closed here: a deadline for the head of a request, bad framing inside a body that would never wake its reader,
trailers that its parser gives to the next request, and clear answers to what cannot be parsed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import StreamReader, web
from aiohttp.http import HttpRequestParser
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import ERROR, MAX_MSG_QUEUE_SIZE, RequestHandler, RequestPayloadError, _ErrInfo

from proxy.errors import RequestRefused
from proxy.heads import head_bytes, problem, problem_body
from proxy.policy.cache_status import cache_status
from proxy.policy.messages import Fields
from proxy.policy.request_id import REQUEST_ID

PARSED_METHODS = frozenset(
    b"ACL BIND CHECKOUT CONNECT COPY DELETE GET HEAD LINK LOCK M-SEARCH MERGE MKACTIVITY MKCALENDAR MKCOL MOVE NOTIFY"
    b" OPTIONS PATCH POST PRI PROPFIND PROPPATCH PURGE PUT QUERY REBIND REPORT SEARCH SOURCE SUBSCRIBE TRACE UNBIND"
    b" UNLINK UNLOCK UNSUBSCRIBE".split()
)
"""The methods that the C parser in front takes (and PRI, which begins what is not HTTP/1.1)."""

STAND_IN = b"M-SEARCH"
"""What a method beyond that list is called while it is parsed: one of the list that means nothing to anybody here."""

FAILED = web.RequestKey("request_id", str)
"""Where the id of an exchange stands that failed for a fault of ours."""

_METHOD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) [/*h]")
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}) ([^\x00-\x20\x7f]{1,1024})")
_TOKEN_FIRST = re.compile(r"b'[!#$%&*+.^_`|~0-9A-Za-z-]+ /")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer to what never became a request. `method` and `target` are what could be read of them, `content` is
    the size of what was said."""

    client: str
    status: int
    reason: str
    request_id: str
    method: str
    target: str
    content: int


Refused = Callable[[Refusal], None]


class ClientConnection(RequestHandler):
    """One connection of a client."""

    __slots__ = (
        "_chunks", "_head_timeout", "_head_timer", "_last_line", "_line", "_line_ended", "_line_length", "_listener",
        "_refused_line", "_refuses_more", "_watched",
    )  # fmt: skip

    def __init__(self, listener: ClientListener, loop: asyncio.AbstractEventLoop, **settings: Any) -> None:
        super().__init__(listener, loop=loop, **settings)
        self._listener = listener
        self._head_timeout = listener.head_timeout
        self._head_timer: asyncio.TimerHandle | None = None
        self._watched: asyncio.Task[Any] | None = None
        self._last_line = 0
        self._line_length = 0
        self._line_ended = False
        self._line = self._refused_line = b""
        self._chunks: StreamReader | None = None
        self._refuses_more = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if len(self._listener.connections) + self._listener.taken_over() > self._listener.max_connections:
            detail = "the edge serves as many connections as it may; try again in a moment"
            self._refuse_at_once(503, "too-many-connections", detail)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._cancel_head_timer()
        super().connection_lost(exc)
        if self._watched is not None:
            self._watched.cancel()

    def data_received(self, data: bytes) -> None:
        if self._refuses_more:
            return
        idle = self._waiter is not None and not self._messages
        waiting = len(self._messages)
        method = b""
        if data and self._chunks is not None and self._chunks.is_eof() and not self._messages:
            self._parser, self._chunks = self._listener.parser(self), None
        if idle and not self._line_ended:
            method = _unheard_of(data) if self._line_length == 0 else b""
            self._measure_line(data)
        if method:
            # The parser knows a closed list of methods, HTTP does not (RFC 9110 section 16.1).
            super().data_received(STAND_IN + data[len(method) :])
            message, payload = self._messages[0] if self._messages else (None, None)
            if message is not None and payload is not None and not isinstance(message, _ErrInfo):
                self._messages[0] = (message._replace(method=method.decode()), payload)
        else:
            super().data_received(data)
        self._drop_what_follows_chunks(waiting)
        if self._messages:
            if idle:
                self._last_line = self._line_length
                self._refused_line = self._line if isinstance(self._messages[0][0], _ErrInfo) else b""
            self._line_length, self._line_ended, self._line = 0, False, b""
            self._cancel_head_timer()
            self._wake_reader_of_broken_body()
        elif idle and data and self._head_timer is None:
            self._await_head()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """While inside, a client that leaves is noticed at once, even if there is nothing to write to it.

        Raises ConnectionResetError then. Without this, a silent source would be read for nobody.
        """
        task = asyncio.current_task()
        assert task is not None
        if self.transport is None:
            raise ConnectionResetError("the client has left before it was answered")
        self._watched = task
        try:
            yield
        except asyncio.CancelledError:
            if self.transport is not None or task.uncancel() > 0:
                raise
            raise ConnectionResetError("the client has left") from None
        finally:
            self._watched = None

    def drain(self) -> None:
        """Take no further request: close now when none is under way, else after it."""
        idle = self._waiter is not None and not self._messages
        self.close()
        if idle:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refused, or an error of ours that nobody caught, as a problem document."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client has left: there is nobody to answer, and nothing of ours has failed
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun and cannot become another") from exc
        status, reason = self._classified(status, exc)
        if isinstance(exc, RequestRefused):
            reason, detail = exc.reason, exc.public
        elif status == 501:
            detail = "this method is not known here"
        elif status >= 500:
            self.log_exception("an exchange failed", exc_info=exc)
            detail = "the edge failed to handle this request; its log says more"
        else:
            detail = _in_our_words(message)
        self._force_close_after_answer()
        if request._message is not ERROR:
            # An exchange that failed: it is recorded under its own id already.
            return problem(request, status, reason, detail, close=True, request_id=request.get(FAILED, ""))
        request_id = self._listener.request_id()
        response = problem(request, status, reason, detail, close=True, request_id=request_id)
        self._refused(status, reason, request_id, self._refused_line, response.content)
        return response

    def _refused(self, status: int, reason: str, request_id: str, line: bytes, content: int) -> None:
        match = _REQUEST_LINE.match(line)
        method, target = (
            ("", "") if match is None else (each.decode("ascii", "backslashreplace") for each in match.groups())
        )
        self._listener.refused(Refusal(_peer(self), status, reason, request_id, method, target, content))

    def _classified(self, status: int, exc: BaseException | None) -> tuple[int, str]:
        if isinstance(exc, LineTooLong):
            # The same error stands for a long target and a long field; what came before tells them apart.
            return (414, "target-too-long") if self._last_line > self.max_line_size else (431, "field-too-long")
        if exc is not None and "Too many headers" in str(exc):
            return 431, "too-many-fields"
        if isinstance(exc, BadHttpMethod) and _TOKEN_FIRST.search(str(exc)):
            return 501, "unknown-method"  # RFC 9110 section 15.6.2: the parser in front knows a closed list
        return status, "malformed" if status < 500 else "internal"

    def _force_close_after_answer(self) -> None:
        self.keep_alive(False)
        self.close()

    # Deadlines

    def _await_head(self) -> None:
        self._head_timer = self._loop.call_later(self._head_timeout, self._head_is_late)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._waiter is not None and not self._messages:
            self._refuse_at_once(408, "head-timeout", "the request head did not arrive in time")

    def _refuse_at_once(self, status: int, reason: str, detail: str) -> None:
        """Answer outside of any request, then close."""
        request_id = self._listener.request_id()
        body = problem_body(status, reason, detail, request_id)
        self._refused(status, reason, request_id, self._line, len(body))
        if self.transport is not None:
            lines = Fields(
                [
                    ("Content-Type", "application/problem+json"),
                    ("Cache-Status", cache_status(detail=reason)),
                    (REQUEST_ID, request_id),
                ]
            )
            self.transport.write(head_bytes(status, "", lines, len(body), keep_alive=False) + body)
        self.force_close()

    # Parsing

    def _measure_line(self, data: bytes) -> None:
        self._line = self._line + data if self._line else data
        end = data.find(b"\n")
        self._line_ended = end >= 0
        self._line_length += end if end >= 0 else len(data)

    def _drop_what_follows_chunks(self, start: int) -> None:
        """Keep trailers out of the next head (RFC 9110 section 6.5.1), of the messages from `start` on.

        The C parser gives the last trailer field of a chunked request to the request behind it. So a parser that has
        seen chunks is replaced before the next request; one that came before its answer is refused, untouched.
        """
        for place in range(start, len(self._messages)):
            message, content = self._messages[place]
            if self._chunks is not None and self._chunks.is_eof():
                while len(self._messages) > place:
                    self._messages.pop()
                refusal = RequestRefused(
                    503, "behind-chunks", "sent behind a chunked request: wait for its answer first"
                )
                self._messages.append((_ErrInfo(refusal.status, refusal, ""), EMPTY_PAYLOAD))
                self._refuses_more = True
                return
            if not isinstance(message, _ErrInfo) and message.chunked:
                self._chunks = content

    def _wake_reader_of_broken_body(self) -> None:
        """Bad chunk framing in a later segment is queued behind the request it belongs to, whose reader waits."""
        last, _ = self._messages[-1]
        request = self._current_request
        if isinstance(last, _ErrInfo) and request is not None and not request.content.is_eof():
            request.content.set_exception(RequestRefused(400, "malformed-body", last.message or "malformed body"))


class ClientListener(web.Server):
    """Makes a ClientConnection for each connection that is accepted.

    `request_id` makes a name for what never became a request.
    `taken_over` counts what counts for the limit besides its own connections: sessions of the realtime core."""

    def __init__(
        self,
        handler: Handler,
        *,
        refused: Refused,
        request_id: Callable[[], str],
        head_timeout: float,
        idle_timeout: float,
        max_connections: int,
        max_head: int,
        max_target: int,
        taken_over: Callable[[], int] = lambda: 0,
    ) -> None:
        super().__init__(handler)
        self.refused = refused
        self.request_id = request_id
        self.head_timeout = head_timeout
        self.max_connections = max_connections
        self.taken_over = taken_over
        self._settings: dict[str, Any] = {
            "keepalive_timeout": idle_timeout,
            "max_line_size": max(max_target, 8190),
            "max_field_size": max_head,
            "max_headers": 256,
            "lingering_time": 2.0,
            "auto_decompress": False,
            "access_log": None,
        }

    def drain(self) -> None:
        """Let every connection end as soon as nothing is under way on it."""
        for connection in list(self.connections):
            if isinstance(connection, ClientConnection):
                connection.drain()

    def parser(self, connection: ClientConnection) -> HttpRequestParser:
        """A parser as a new connection has it."""
        settings = self._settings
        return HttpRequestParser(
            connection,
            asyncio.get_running_loop(),
            connection._read_bufsize,
            max_line_size=settings["max_line_size"],
            max_field_size=settings["max_field_size"],
            max_headers=settings["max_headers"],
            payload_exception=RequestPayloadError,
            auto_decompress=settings["auto_decompress"],
            max_msg_queue_size=MAX_MSG_QUEUE_SIZE,
        )

    def __call__(self) -> ClientConnection:
        return ClientConnection(self, asyncio.get_running_loop(), **self._settings)


def _unheard_of(data: bytes) -> bytes:
    """The method that a head begins with, if it is one the parser would refuse; else nothing."""
    match = _METHOD.match(data)
    return match[1] if match is not None and match[1] not in PARSED_METHODS else b""


def _in_our_words(message: str | None) -> str:
    """What the parser found wrong, without the bytes it quotes."""
    unquoted = (message or "").partition(" when reading: b")[0]
    lines = (line.strip(" :") for line in unquoted.splitlines())
    said = [line for line in lines if line and not re.match(r"b['\"]|\^", line) and "bytearray" not in line]
    return f"the request cannot be understood: {said[0]}" if said else "the request cannot be understood"


def _peer(connection: ClientConnection) -> str:
    peer = connection.peername
    return str(peer[0]) if isinstance(peer, tuple) else ""
