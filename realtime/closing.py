"""PURE: WebSocket close codes (RFC 6455 section 7.4) and our reasons for closing."""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
PROTOCOL_ERROR: Final = 1002
INVALID_TEXT: Final = 1007
POLICY_VIOLATION: Final = 1008
MESSAGE_TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
SERVICE_RESTART: Final = 1012
TRY_AGAIN_LATER: Final = 1013

_CODES = {
    "drain": SERVICE_RESTART,
    "slow-client": TRY_AGAIN_LATER,
    "gave-way": TRY_AGAIN_LATER,
    "invalid-packet": PROTOCOL_ERROR,
    "protocol-error": PROTOCOL_ERROR,
    "invalid-text": INVALID_TEXT,
    "too-large": MESSAGE_TOO_BIG,
    "flood": POLICY_VIOLATION,
    "parse-error": POLICY_VIOLATION,
    "ping-flood": POLICY_VIOLATION,
    "session-taken": POLICY_VIOLATION,
    "internal": INTERNAL_ERROR,
}
_REASONS = {MESSAGE_TOO_BIG: "too-large", INVALID_TEXT: "invalid-text"}


def code_of(reason: str) -> int:
    """The code that a close for this reason bears."""
    return _CODES.get(reason, NORMAL)


def reason_of(code: int | None) -> str:
    """Why a client is refused whose frames ask for this code; None: nobody knows what was wrong with them."""
    return _REASONS.get(code or PROTOCOL_ERROR, "protocol-error")
