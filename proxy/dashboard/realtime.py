"""The realtime pages, read off the running core, and what an operator does with its sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from proxy.operations.failed_messages import FailedMessages, failed_messages
from proxy.operations.flow import Flow
from proxy.operations.timeline import Timeline
from proxy.realtime_core import RealtimeCore
from webui import realtime_shown as shown
from webui.realtime_listing import conversation_list, conversation_row, session_list, session_row, slowest
from webui.realtime_query import ConversationQuery, SessionQuery
from webui.snapshot import Refused

SLOWEST, LIVELIEST = 10, 10
"""Rows of the lists that stand beside the sessions."""


class RealtimePages:
    """webui's RealtimeSource and RealtimeActions. `realtime` is None where the core is switched off.

    `flow` has the rates of messages, deliveries, batches and batch_messages, and of failed messages by why;
    `now` is the wall clock.
    """

    def __init__(
        self,
        realtime: RealtimeCore | None,
        timeline: Timeline,
        flow: Flow,
        *,
        now: Callable[[], float],
        endpoint: Callable[[], str],
    ) -> None:
        self._realtime = realtime
        self._timeline = timeline
        self._flow = flow
        self._now = now
        self._endpoint = endpoint

    def page(self, query: SessionQuery) -> shown.Realtime:
        """The first page, with the sessions that `query` asks for."""
        if self._realtime is None:
            return shown.Realtime(False, self._endpoint(), shown.SessionList(query, (), 0, 0))
        core, now = self._realtime.core, self._now()
        census, conversations = core.lookout.census(), core.lookout.conversations()
        batch = core.chat.settings.batch
        liveliest = conversation_list(conversations, ConversationQuery()).rows
        return shown.Realtime(
            enabled=True,
            endpoint=self._endpoint(),
            sessions=session_list(census.sessions, query, now),
            websocket=census.websocket,
            polling=census.polling,
            users=census.users,
            quality=shown.Quality(*census.quality),
            trend=[shown.Quality(*minute) for minute in core.lookout.trend()],
            known=core.lookout.known(),
            reports=_reports(asdict(census.reported)),
            totals=self._totals(self._realtime),
            window=shown.Window(batch.mode, batch.delay, batch.max_messages),
            slow=slowest(census.sessions, SLOWEST, now),
            slow_sessions=census.slow,
            queued=census.queued,
            most_queued=core.engine.settings.max_queue,
            conversations=liveliest[:LIVELIEST],
            all_conversations=len(conversations),
            refused=[Refused(**asdict(each)) for each in self._realtime.refused()],
        )

    def failed_messages(self) -> FailedMessages:
        """The chat messages that failed in the last minute, and why."""
        if self._realtime is None:
            return failed_messages({}, {})
        stats = self._realtime.core.stats
        return failed_messages(self._flow.lately(), stats.messages_failed, stats.persist_status)

    def sessions(self, query: SessionQuery) -> shown.SessionList:
        """The sessions alone."""
        if self._realtime is None:
            return shown.SessionList(query, (), 0, 0)
        return session_list(self._realtime.core.lookout.census().sessions, query, self._now())

    def session(self, sid: str) -> shown.Session | None:
        """One session with what it joined and said; None when it is not there."""
        detail = None if self._realtime is None else self._realtime.core.lookout.session(sid)
        if detail is None or self._realtime is None:
            return None
        handshake, report = detail.handshake, detail.report
        return shown.Session(
            row=session_row(detail.line, self._now()),
            since=handshake.at,
            users=list(detail.line.users),
            conversations=detail.conversations,
            channels=detail.channels,
            peer=handshake.peer,
            origin=handshake.headers.get("origin", ""),
            user_agent=handshake.headers.get("user-agent", ""),
            secure=handshake.secure,
            recovered=detail.recovered,
            report=None if report is None else shown.ClientReport(ago=detail.reported_ago or 0.0, **asdict(report)),
            most_queued=self._realtime.core.engine.settings.max_queue,
        )

    def conversations(self, query: ConversationQuery) -> shown.ConversationList:
        """The page of conversations that `query` asks for."""
        if self._realtime is None:
            return shown.ConversationList(query, (), 0, 0)
        return conversation_list(self._realtime.core.lookout.conversations(), query)

    def conversation(self, id_: str) -> shown.Conversation | None:
        """One conversation with its members; None when nobody is in it."""
        detail = None if self._realtime is None else self._realtime.core.lookout.conversation(id_)
        if detail is None:
            return None
        now = self._now()
        sessions = [session_row(line, now) for line in detail.sessions]
        return shown.Conversation(conversation_row(detail.line), detail.users, sessions)

    def disconnect(self, sid: str, *, by: str) -> bool:
        """End one session; its client does not come back by itself."""
        if self._realtime is None or not self._realtime.disconnect(sid):
            return False
        self._timeline.add("realtime", by, "a session was disconnected for good", session=sid[:8])
        return True

    def reconnect(self, sid: str, *, by: str) -> bool:
        """Close the connection of one session; its client comes back and gets what it misses meanwhile."""
        if self._realtime is None or not self._realtime.core.reconnect(sid):
            return False
        self._timeline.add("realtime", by, "a session was made to reconnect", session=sid[:8])
        return True

    def _totals(self, realtime: RealtimeCore) -> shown.Totals:
        stats, rates, failed = realtime.core.figures(), self._flow.rates(), self.failed_messages()
        drops = {kind: count for kind, count in stats.queue_drops.items() if kind != "slow-client"}
        recent = rates["batch_messages"] / rates["batches"] if rates["batches"] else None
        return shown.Totals(
            messages=stats.messages,
            messages_per_second=rates["messages"],
            failed=failed.in_all,
            failed_lately=failed.lately,
            failed_because=failed.because,
            deliveries=stats.deliveries,
            deliveries_per_second=rates["deliveries"],
            batches=stats.batches,
            batch_mean=stats.batch_messages / stats.batches if stats.batches else None,
            recent_batch_mean=recent,
            recovered=stats.recovered,
            recovery_failed=stats.recovery_failed,
            slow_closed=stats.sessions_closed.get("slow-client", 0),
            drops=drops,
        )


def _reports(reported: dict[str, float | int | None]) -> shown.Reports:
    del reported["timed"]
    return shown.Reports(**reported)  # type: ignore[arg-type] # the same names and types on both sides
