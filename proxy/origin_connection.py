"""One HTTP/1.1 connection to the origin, one exchange at a time.

The parser notes what the origin's bytes say, the upload copies the request's body; here both are tied to the
transport, to deadlines, and to the one who waits for the answer.
"""

from __future__ import annotations

import asyncio
import os
import select
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, cast

from proxy.deadline import Deadline
from proxy.errors import BodyIncomplete, OriginError, OriginProtocolError, OriginTimeout, OriginUnreachable
from proxy.origin_parser import Head, ResponseParser
from proxy.origin_request import OriginRequest, expects_continue
from proxy.origin_response import OriginResponse
from proxy.origin_upload import Upload
from proxy.policy.messages import Fields, Response
from proxy.tunnel import Tunnel

Interim = Callable[[int, Fields], None]


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes that bound an exchange."""

    response_timeout: float
    body_timeout: float
    idle_timeout: float
    max_head: int


class Owner(Protocol):
    """Who holds the connection and hears of its fate. Each of `idle` and `retired` is called synchronously."""

    def idle(self, connection: OriginConnection) -> None:
        """The exchange has ended and the connection can serve another."""
        ...

    def retired(self, connection: OriginConnection) -> None:
        """The connection will serve no more; called once."""
        ...

    def closed(self, connection: OriginConnection) -> None:
        """Its transport is gone; called once, after `retired`."""
        ...

    def upgraded(self, connection: OriginConnection, tunnel: Tunnel) -> None:
        """The transport belongs to `tunnel` now; called instead of `retired` and `closed`."""
        ...

    def tunnel_closed(self, tunnel: Tunnel) -> None: ...

    def body_broke_off(self, error: BodyIncomplete) -> None: ...


_NONE: Final[frozenset[str]] = frozenset()
_IDLE: Final = 0
_HEAD: Final = 1
_BODY: Final = 2
_RETIRED: Final = 3


class OriginConnection(asyncio.Protocol):
    """A connection: writes a request, reads the answer, guards both with deadlines."""

    __slots__ = (
        "_deadline",
        "_interim",
        "_limits",
        "_loop",
        "_now",
        "_outcome",
        "_owner",
        "_parser",
        "_phase",
        "_poll",
        "_request_time",
        "_response",
        "_switch_head",
        "_transport",
        "_upgrade",
        "_upload",
        "exchanges",
        "response_begun",
    )

    def __init__(self, owner: Owner, limits: Limits, now: Callable[[], float]) -> None:
        self._owner = owner
        self._limits = limits
        self._now = now
        self._loop = asyncio.get_running_loop()
        self._parser = ResponseParser(limits.max_head)
        self._phase = _IDLE
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._deadline = Deadline(self._loop, self._expired)
        self._interim: Interim | None = None
        self._upgrade: frozenset[str] = _NONE
        self._upload: Upload | None = None
        self._outcome: asyncio.Future[OriginResponse | Tunnel] | None = None
        self._response: OriginResponse | None = None
        self._switch_head: Head | None = None
        self._request_time = 0.0
        self.exchanges = 0
        self.response_begun = False

    # -- what the pool and the origin ask for

    async def exchange(
        self, request: OriginRequest, head: bytes, deadline: float, *, interim: Interim | None, upgrade: bool = False
    ) -> OriginResponse | Tunnel:
        """Send `head` and the body of `request`; the final response once its head is complete.

        Raises OriginUnreachable, OriginTimeout (at loop time `deadline`, or when an upload stalls) and
        OriginProtocolError. Cancelled or failed, it leaves the connection retired.
        """
        assert self._transport is not None
        self.exchanges += 1
        self.response_begun = False
        self._phase = _HEAD
        self._parser.begin(request.method)
        self._interim = interim
        self._upgrade = frozenset(_protocols(request.fields)) if upgrade else _NONE
        self._upload = self._response = None
        self._request_time = self._now()
        outcome: asyncio.Future[OriginResponse | Tunnel] = self._loop.create_future()
        self._outcome = outcome
        self._transport.write(head)
        if request.body is None:
            self._deadline.at(deadline)
        else:
            self._deadline.suspend()
            self._upload = Upload(self, self._transport, request.body, request.length, expects_continue(request))
        try:
            return await outcome
        except BaseException:
            # A cancellation can come after the answer: the connection may serve someone else already.
            if self._outcome is outcome:
                self.retire()
            if outcome.done() and not outcome.cancelled() and outcome.exception() is None:
                _abandon(outcome.result())
            raise

    @property
    def reused(self) -> bool:
        """Whether the current exchange is not the connection's first."""
        return self.exchanges > 1

    @property
    def gone(self) -> bool:
        """Whether it is retired."""
        return self._phase == _RETIRED

    @property
    def untouched(self) -> bool:
        """Whether neither a byte of a response has come nor a byte of the request's body been taken."""
        return not self.response_begun and (self._upload is None or not self._upload.consumed)

    @property
    def upload_task(self) -> asyncio.Task[None] | None:
        return None if self._upload is None else self._upload.task

    def quiet(self) -> bool:
        """Whether an idle connection is open and holds no unread bytes or end of stream, not even in the kernel.

        The loop may not have seen yet what has arrived; read after the next request was written, it would pass
        for that request's response.
        """
        if self._phase != _IDLE or self._transport is None or self._transport.is_closing():
            return False
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._poll.poll(0)

    def retire(self) -> None:
        """Close the connection at once. Harmless when it is closed already."""
        if self._phase == _RETIRED:
            return
        self._phase = _RETIRED
        self._deadline.stop()
        if self._upload is not None:
            self._upload.stop()
        if self._transport is not None:
            self._transport.abort()
        self._owner.retired(self)

    def close(self) -> None:
        """Close at once and tell whoever still waits for an answer or its body."""
        if self._phase == _HEAD:
            self._fail(OriginUnreachable("the origin client was closed"))
        elif self._phase == _BODY:
            self._fail(BodyIncomplete("the origin client was closed"))
        else:
            self.retire()

    def pause(self) -> None:
        """Stop reading: whoever reads the body is far behind, and the silence is not the origin's."""
        if self._transport is not None:
            self._transport.pause_reading()
            self._deadline.suspend()

    def resume(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()
            self._deadline.after(self._limits.body_timeout)

    # -- what the upload reports

    def upload_progressed(self) -> None:
        """The next part is the client's to bring, which the server's deadlines judge: not the origin's fault."""
        if self._phase == _HEAD:
            self._deadline.suspend()
        elif self._phase == _BODY:
            self._deadline.after(self._limits.body_timeout)

    def upload_waits_for_origin(self) -> None:
        self._deadline.after(self._limits.body_timeout)

    def upload_finished(self) -> None:
        if self._phase == _HEAD:
            self._deadline.after(self._limits.response_timeout)

    def upload_failed(self, error: Exception) -> None:
        """The client's body broke: its error is the caller's, not the origin's."""
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
        elif self._response is not None:
            self._response.break_off(BodyIncomplete(f"the request body failed during the response: {error}"))
        self.retire()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._phase != _HEAD and self._phase != _BODY:
            # Unasked bytes must never become the answer to the next request.
            self.retire()
            return
        self.response_begun = True
        self._parser.feed(data)
        if self._parser.interims:
            self._announce_interims()
        if self._phase == _HEAD:
            self._look_for_head()
        if self._phase == _BODY:
            self._pass_on()

    def eof_received(self) -> None:
        if self._phase == _BODY and self._transport is not None and _is_authentic_end(self._transport):
            self._parser.end_of_stream()
            if self._parser.complete:
                self._end()

    def pause_writing(self) -> None:
        if self._upload is not None:
            self._upload.pause()

    def resume_writing(self) -> None:
        if self._upload is not None:
            self._upload.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._phase == _HEAD and exc is not None:
            self._read_last_bytes()
        if self._phase == _HEAD:
            self._fail(OriginUnreachable(f"the origin closed the connection before a response head{_because(exc)}"))
        elif self._phase == _BODY:
            self._fail(BodyIncomplete(f"the origin closed the connection inside the response body{_because(exc)}"))
        self.retire()
        self._owner.closed(self)

    # -- what follows from it

    def _look_for_head(self) -> None:
        parser, outcome = self._parser, self._outcome
        assert outcome is not None
        if parser.switched is not None:
            self._switch(parser.switched)
        elif parser.head is not None:
            self._phase = _BODY
            if self._upload is not None:
                self._upload.answered(parser.head.status)
            self._response = OriginResponse(self._response_head(parser.head), parser.length, parser.head.version, self)
            if not outcome.done():
                outcome.set_result(self._response)
        elif parser.error is not None:
            self._fail(OriginProtocolError(_unusable(parser.error)))

    def _pass_on(self) -> None:
        """Give what has come of the body to its reader."""
        parser, response = self._parser, self._response
        assert response is not None
        for part in parser.collect() if parser.parts else ():
            response.receive(part)
        if parser.complete:
            self._end()
        elif parser.error is not None:
            self._fail(BodyIncomplete(_unusable(parser.error)))
        elif not response.paused:
            self._deadline.after(self._limits.body_timeout)

    def _response_head(self, head: Head) -> Response:
        return Response(head.status, head.reason, head.fields, self._request_time, self._now())

    def _announce_interims(self) -> None:
        interims = list(self._parser.interims)
        self._parser.interims.clear()
        if self._parser.switched is not None:
            self._switch_head = interims.pop()
        for head in interims:
            if head.status == 100 and self._upload is not None:
                self._upload.permit()
            if self._interim is not None and self._outcome is not None and not self._outcome.done():
                try:
                    self._interim(head.status, head.fields)
                except Exception as error:
                    self._outcome.set_exception(error)
                    self.retire()

    def _fail(self, error: OriginError | BodyIncomplete) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_exception(error)
        elif self._response is not None and isinstance(error, BodyIncomplete):
            self._response.break_off(error)
            self._owner.body_broke_off(error)
        self.retire()

    def _end(self) -> None:
        """The response is whole: free the connection before anyone has read it."""
        response, self._response = self._response, None
        assert response is not None
        assert self._transport is not None
        reusable = self._parser.keeps_alive and (self._upload is None or self._upload.done)
        response.finish(self._parser.take_trailers())
        if not reusable or self._transport.is_closing():
            self.retire()
            return
        self._phase = _IDLE
        self._outcome = self._interim = self._upload = None
        self._transport.resume_reading()
        self._deadline.after(self._limits.idle_timeout)
        self._owner.idle(self)

    def _switch(self, first: bytes) -> None:
        """Hand the transport to a tunnel, if the origin switched to what was asked for."""
        outcome, head = self._outcome, self._switch_head
        assert outcome is not None
        assert head is not None
        assert self._transport is not None
        chosen = _protocols(head.fields)
        if outcome.done():
            self.retire()
        elif not self._upgrade.issuperset(chosen):
            self._fail(OriginProtocolError(f"the origin switched to {', '.join(chosen)} without being asked"))
        else:
            tunnel = Tunnel(self._response_head(head), self._transport, first, self._owner.tunnel_closed)
            self._deadline.stop()
            self._transport.set_protocol(tunnel)
            self._transport = None
            self._phase = _RETIRED
            self._owner.upgraded(self, tunnel)
            outcome.set_result(tunnel)

    def _read_last_bytes(self) -> None:
        """An answer that arrived before the origin reset the connection under our upload is still an answer.

        The write that hit the reset closes the transport before the loop reads what the kernel holds.
        """
        transport = self._transport
        if transport is None or self._upload is None or transport.get_extra_info("ssl_object") is not None:
            return
        try:
            while self._phase in (_HEAD, _BODY) and (
                data := os.read(transport.get_extra_info("socket").fileno(), 2**16)
            ):
                self.data_received(data)
        except OSError:
            pass  # nothing was left

    def _expired(self) -> None:
        if self._phase == _HEAD:
            stalled = self._upload is not None and not self._upload.done
            self._fail(OriginTimeout(self._late_upload() if stalled else "no response head from the origin in time"))
        elif self._phase == _BODY:
            self._fail(BodyIncomplete(f"the origin was silent for {self._limits.body_timeout:g} s inside the body"))
        else:
            self.retire()

    def _late_upload(self) -> str:
        return f"the origin took none of the request body for {self._limits.body_timeout:g} s"


def _is_authentic_end(transport: asyncio.Transport) -> bool:
    """Whether it is the origin that ended the stream.

    Under TLS only its close_notify says so; anyone on the path can end the TCP stream (RFC 9112 section 9.8).
    asyncio reports both alike, but after a close_notify the session reads as ended, and otherwise wants more.
    """
    session = transport.get_extra_info("ssl_object")
    try:
        return session is None or session.read(1) == b""
    except ssl.SSLError:
        return False


def _protocols(fields: Fields) -> list[str]:
    return [protocol.lower() for protocol in fields.members("Upgrade")]


def _abandon(answer: OriginResponse | Tunnel) -> None:
    if isinstance(answer, Tunnel):
        answer.abort()


def _unusable(detail: str) -> str:
    return f"the origin's response cannot be used: {detail}"


def _because(exc: Exception | None) -> str:
    return "" if exc is None else f" ({exc})"
