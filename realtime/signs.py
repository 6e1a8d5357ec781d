"""Signs of life in a conversation: who types, and who is there.

The rule of this room: these are true for a moment only. Nothing of it is kept for those who are away, and whoever
comes back is told how it is now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from realtime.alarm import Wake
from realtime.attendance import Attendance
from realtime.audience import Audience
from realtime.deadlines import soonest
from realtime.member import USER, Member
from realtime.namespace import Namespace
from realtime.settings import TypingSettings
from realtime.typing_indicators import TypingChange, TypingIndicators

PRESENCE = "presence_update"


class Signs:
    """Typing indicators and presence, told to the members of conversations."""

    def __init__(
        self,
        namespace: Namespace,
        audience: Audience,
        members: Mapping[str, Member],
        typing: TypingSettings,
        grace: float,
        window: float,
        now: Callable[[], float],
        wake: Wake,
    ) -> None:
        self._namespace = namespace
        self._audience = audience
        self._members = members
        self._typing = TypingIndicators(typing.debounce, typing.stops_after)
        self._attendance = Attendance(grace, window)
        self._names: dict[tuple[str, str], str] = {}  # of those who are known to type, by conversation and user
        self._now = now
        self._wake = wake

    def apply(self, typing: TypingSettings) -> None:
        self._typing.debounce, self._typing.stop_after = typing.debounce, typing.stops_after

    @property
    def deadline(self) -> float | None:
        """When `due` wants to be called next."""
        return soonest(self._typing.deadline, self._attendance.deadline)

    def due(self, now: float) -> None:
        for change in self._typing.due(now):
            self._tell(change)
        updates, caught_up = self._attendance.due(now), self._attendance.caught_up
        for conversation, payload in updates:
            returned = {
                session for update, sessions in caught_up if update.conversation == conversation for session in sessions
            }
            self._audience.tell(conversation, PRESENCE, payload, skip=returned, volatile=True)
        for (conversation, payload), sessions in caught_up:
            here = [id_ for id_ in sessions if id_ in self._members and self._members[id_].joined(conversation)]
            self._namespace.emit(here, PRESENCE, payload, volatile=True)

    def starts(self, conversation: str, user: str, session: str) -> None:
        """This user types, in this session."""
        self._tell(self._typing.start(conversation, user, self._now(), session))
        self._wake(self._typing.deadline)

    def stops(self, conversation: str, users: Iterable[str], session: str) -> None:
        """These users do not type any more in this session: they say so, have sent what they typed, or leave."""
        if not len(self._typing):
            return  # the commonest case, and every message comes through here
        for user in users:
            self._tell(self._typing.stop(conversation, user, self._now(), session))
        self._wake(self._typing.deadline)

    def joined(self, conversation: str, users: Iterable[str], session: str) -> dict[str, Any]:
        """These users are there; how the conversation is now, as `presence_update` tells it."""
        self._attendance.joined(conversation, users, session, self._now())
        self._wake(self._attendance.deadline)
        return self._attendance.payload(conversation)

    def returned(self, conversation: str, users: Iterable[str], session: str, since: float | None) -> None:
        """These users are back in a session that has heard nothing `since`: it is told what is new to it."""
        now = self._now()
        self._attendance.joined(conversation, users, session, now)
        self._attendance.returned(conversation, session, now if since is None else since, now)
        self._wake(self._attendance.deadline)

    def restore(self, members: Iterable[Member]) -> None:
        """These were here when the process before this one ended, and may return."""
        for member in members:
            for conversation in member.conversations:
                self._attendance.restored(conversation, member.users_in(conversation), member.socket.id)
            self._attendance.lost(member.socket.id, self._now())
        self._wake(self._attendance.deadline)

    def left(self, conversation: str, users: Collection[str], session: str) -> None:
        """These users have left, knowingly."""
        self.stops(conversation, users, session)
        self._attendance.left(conversation, users, session, self._now())
        self._wake(self._attendance.deadline)

    def lost(self, session: str) -> None:
        """A session has ended without a word; perhaps it comes back."""
        self._attendance.lost(session, self._now())
        self._wake(self._attendance.deadline)

    def conversations(self) -> Iterable[tuple[str, int]]:
        """Every conversation with somebody in it, and how many users."""
        return self._attendance.conversations()

    def _tell(self, change: TypingChange | None) -> None:
        """Tell the others: not the sockets on which there is nobody else than the one who types."""
        if change is None:
            return
        sockets = self._namespace.members(USER + change.user)
        members = [self._members[socket.id] for socket in sockets if socket.id in self._members]
        payload = {
            "userId": change.user,
            "username": self._name(change, members),
            "conversationId": change.conversation,
        }
        alone = {member.socket.id for member in members if len(member.users) == 1}
        event = "user_typing" if change.typing else "user_stopped_typing"
        self._audience.tell(change.conversation, event, payload, skip=alone, volatile=True)

    def _name(self, change: TypingChange, members: Iterable[Member]) -> str:
        """How the user is displayed: who stops is called as it was when it began, since it may have left meanwhile."""
        place = change.conversation, change.user
        if not change.typing and (name := self._names.pop(place, None)) is not None:
            return name
        name = _username(change.user, members)
        if change.typing:
            self._names[place] = name
        return name


def _username(user: str, members: Iterable[Member]) -> str:
    known = next((member.users[user] for member in members if user in member.users), {})
    names = (known.get(name) for name in ("username", "name"))
    return next((name for name in names if isinstance(name, str) and name), user)
