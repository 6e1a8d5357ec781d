"""How what a user was granted ends: its part in a conversation, or its identity with everything that hangs on it.

The rule of this room: whoever ends is told, and it is counted; of several users on one connection only that one loses.
The same for those who are away: `before` is a time from which on nothing is for them of what they will have missed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from realtime.member import CHANNEL, USER, Member
from realtime.payloads import Refusal
from realtime.publishing import rule_for
from realtime.settings import ChannelRule
from realtime.signs import Signs
from realtime.stats import RealtimeStats, count

if TYPE_CHECKING:
    from realtime.socket import Socket

NEVER: Final = float("-inf")
"""The time before which nothing was sent: whoever is refused on its return gets nothing of what it missed there."""


class Endings:
    """Ends users, and their parts in conversations, on their connections.

    `channels` says which may be subscribed to, `leaves` hears of sockets that leave a conversation; `now` is monotonic,
    `clock` the time of day that tokens expire by.
    """

    def __init__(
        self,
        channels: Callable[[], Sequence[ChannelRule]],
        *,
        signs: Signs,
        leaves: Callable[[Socket, str], None],
        stats: RealtimeStats,
        now: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._channels = channels
        self._signs = signs
        self._leaves = leaves
        self._stats = stats
        self._now = now
        self._clock = clock

    def expire(self, member: Member) -> None:
        """End those users whose tokens have expired, as of then."""
        time = self._clock()
        for user, until in list(member.until.items()):
            if until <= time:
                before = self._now() - (time - until)
                self.end(member, user, Refusal("expired", "The token has expired. Authenticate again."), before)

    def end(self, member: Member, user: str, why: Refusal, before: float | None = None) -> None:
        """End a user, and say so."""
        count(self._stats.auth_refused, why.reason)
        left = self.drop(member, user, before)
        told = Refusal(why.reason, str(why), user=user, left=left)
        member.socket.emit("auth_error", told.told())

    def drop(self, member: Member, user: str, before: float | None = None) -> list[str]:
        """Take from a connection what is this user's alone; the conversations that it is not in any more."""
        left = [name for name in member.conversations if member.takes_part(name, user)]
        for conversation in left:
            self.put_out(member, conversation, [user], before)
        member.drop(user)
        member.socket.leave(USER + user, before)
        for channel in member.channels:
            if rule_for(self._channels(), channel, member.users) is None:
                member.socket.leave(CHANNEL + channel, before)
        member.socket.touch()
        return [name for name in left if not member.joined(name)]

    def turn_away(
        self, member: Member, conversation: str, users: Sequence[str], why: Refusal, before: float | None = None
    ) -> None:
        """Put users out of a conversation, and say so."""
        self.put_out(member, conversation, users, before)
        self._stats.joins_refused += 1
        told = {**why.told(), "conversation_id": conversation, "users": list(users)}
        member.socket.emit("message_error", told)

    def put_out(self, member: Member, conversation: str, users: Sequence[str], before: float | None = None) -> None:
        """These users have no part in a conversation any more; without any that has, the connection leaves it."""
        if set(member.users_in(conversation)) <= set(users):
            self.leave(member, conversation, before)
        else:
            self._signs.left(conversation, users, member.socket.id)
            member.keep_outside(conversation, [*member.outside.get(conversation, ()), *users])
            member.socket.touch()

    def leave(self, member: Member, conversation: str, before: float | None = None) -> None:
        """Let a connection out of a conversation."""
        self._leaves(member.socket, conversation)
        self._signs.left(conversation, member.users_in(conversation), member.socket.id)
        member.keep_outside(conversation, ())
        member.socket.leave(member.room + conversation, before)
