"""Why an exchange went the way it did, in plain words: every reason slug as a sentence.

The rule of this room: a sentence says what happened and, where somebody can change it, what would. A test reads the
slugs off the code and fails when one of them has no sentence here.
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    # From the store
    "fresh": "It was stored and still fresh, so the origin was not asked.",
    "assumed-fresh": "It was stored a moment ago and names no lifetime; cache.heuristic lets it answer meanwhile.",
    "validated": "What was stored was no longer fresh; the origin confirmed that it has not changed.",
    "stale-while-revalidate": "What was stored answered at once, and is being refreshed in the background.",
    "request-max-stale": "What was stored is no longer fresh, but the request says that it takes that (max-stale).",
    "assigned-lifetime": "Stored: the route gives it its lifetime.",
    "explicit-lifetime": "Stored: the application says for how long.",
    "heuristic-lifetime": "Stored: its lifetime is guessed from its Last-Modified.",
    "validator": "Stored to be confirmed: it has an ETag or Last-Modified, but no lifetime.",
    "private": "Stored for this user alone.",
    # The origin had to be asked
    "uri-miss": "Nothing was stored for this URL yet.",
    "vary-miss": "What is stored was selected by other request fields (Vary): another language, coding or type.",
    "miss": "Nothing stored could be used for this request.",
    "stale": "What was stored was no longer fresh, so the origin was asked.",
    "no-freshness": "Nothing gives it a lifetime, so the origin is asked every time. A Cache-Control: max-age from the"
    " application, or the route's expiration.max_age, would change that.",
    "soft-purged": "An operator marked it stale (soft purge), so the origin was asked.",
    "request": "The client wished for a newer answer than the stored one (Cache-Control; a reload does that).",
    "request-no-cache": "The client asked for an answer from the origin (no-cache; a reload does that).",
    "request-max-age": "The client asked for an answer no older than it says (max-age; a reload asks for 0).",
    "request-min-fresh": "The client asked for an answer that stays fresh for longer (min-fresh).",
    "partial": "Only a part was asked for or stored, so the origin gave the rest.",
    "head": "HEAD was asked, and what is stored could not answer it.",
    "precondition": "The request has a condition that only the origin may judge (If-Match, If-Unmodified-Since).",
    "response-no-cache": "The application wants to be asked every time (Cache-Control: no-cache).",
    "must-revalidate": "The application forbids using it once it is no longer fresh (must-revalidate).",
    "proxy-revalidate": "The application forbids using it once it is no longer fresh (proxy-revalidate).",
    "s-maxage": "The application forbids using it once it is no longer fresh (s-maxage means that, too).",
    "max-age": "It is older than the route's expiration.max_age, which bounds every use.",
    # The answer was not kept
    "response-no-store": "Not kept: the application forbids it (Cache-Control: no-store).",
    "response-private": "Not kept: the application says it is one user's own (Cache-Control: private). A route with"
    " credentials: partition keeps a copy for each user.",
    "response-vary": "Not used again: the application answers every request differently (Vary: *).",
    "vary": "Not kept: the application answers every request differently (Vary: *).",
    "vary-any": "Not kept: the application answers every request differently (Vary: *).",
    "set-cookie": "Not kept: the answer sets a cookie. Where everybody may have it, the application leaves the cookie"
    " out or says Cache-Control: public.",
    "credentials": "Not shared: the request has a cookie or Authorization, and the answer does not say that all may"
    " have it. Cache-Control: public would; a route with credentials: partition keeps a copy for each user.",
    "request-no-store": "Not kept: the client asked for that (Cache-Control: no-store).",
    "request-body": "Not kept: a GET with content is not answered from a store.",
    "must-understand": "Not kept: only caches that know this status may (must-understand).",
    "status-not-cacheable": "Not kept: an answer with this status needs a lifetime from the application.",
    "status-of-request": "Not kept: this status judges the request's own Range or Expect.",
    "status-invalid": "Not kept: the status is outside 100 to 599.",
    "not-final": "Not kept: it was no final answer.",
    "not-modified": "Not kept: the origin confirmed what the client has; nothing came to be stored.",
    "route-status": "Not kept: the route's cacheable.statuses leave out this one.",
    "route-field": "Not kept: the answer lacks a field that the route's cacheable.headers ask for.",
    "other-content-type": "Not kept: the route was chosen by a file name, and the answer has another content type.",
    "dot-segments": "Not kept: the path has dot segments, which two servers may understand differently.",
    "too-large": "Not kept: it is larger than cache.max_object, or there was no room.",
    "endless": "Not kept: it is a stream without an end.",
    "keeps-last-good": "The origin answered with an error; the last good answer was kept instead of it.",
    # Nothing is looked up
    "not-cached": "This route goes to the origin and stores nothing (network-only).",
    "method": "It may change something: it goes to the origin, and outdates what is stored.",
    "bypass": "What is stored may not be used for a request with these credentials.",
    "websocket": "A WebSocket, passed through in both directions.",
    "websocket-declined": "The origin declined to open a WebSocket.",
    # The origin failed
    "origin-unreachable": "The origin is away: no connection, or it hung up.",
    "origin-timeout": "The origin did not answer in time.",
    "origin-protocol-error": "What the origin sent is no proper HTTP, so it was not passed on.",
    "origin-error": "The origin gave no usable answer.",
    "body-incomplete": "The content broke off before its end; nothing of it was stored.",
    "not-stored": "The origin may not be asked (cache-only, or the client's only-if-cached), and nothing is stored.",
    "storage": "The store failed to read or write; the log says where.",
    "outbox-full": "The write could not be queued: the outbox is full (outbox.max_writes, outbox.max_bytes).",
    "internal": "The edge itself failed; the log has the details.",
    "client-left": "The client left before the answer was complete.",
    # Why stale was or was not permitted
    "stale-if-error": "Used although not fresh: the application permits that when the origin fails (stale-if-error).",
    "stale-if-error-over": "The time in which the application permits stale answers is over (stale-if-error).",
    "no-stale-if-error": "Nothing permits using it when the origin answers with an error.",
    "stale-while-revalidate-over": "The time for using it while it is refreshed is over (stale-while-revalidate).",
    "no-stale-while-revalidate": "Nothing permits using it while it is refreshed.",
    "strategy-window": "The route's strategy uses it while it is refreshed.",
    "unreachable": "Used although it is not fresh: the origin could not be reached.",
    "fallback": "Used although it is not fresh: the route prefers that to an error.",
    # The edge itself
    "edge": "The edge answered by itself.",
    "local": "The edge answered by itself.",
    "queued": "The origin is away: the write waits in the outbox and is sent when it is back.",
    "polling": "The realtime core answered (long-polling).",
    # Refused
    "loop": "The request has passed here before: origin.url leads back to this edge.",
    "method-not-allowed": "This address can only be read.",
    "purge-token": "A purge without the right token (admin.purge_token).",
    "bad-purge": "A purge that does not say properly what to purge.",
    "bad-url": "A purge of what is no URL.",
    "trace": "TRACE is not served.",
    "connect": "CONNECT is not served: this is no tunnel.",
    "http-version": "Only HTTP/1.1 and HTTP/1.0 are spoken here.",
    "bad-method": "The method is not a word.",
    "unknown-method": "The method is not known here.",
    "malformed": "The request is not proper HTTP.",
    "bad-target": "The request target is not a path.",
    "target-too-long": "The URL is longer than server.max_target.",
    "head-too-large": "The request head is larger than server.max_head.",
    "field-too-long": "One request field is longer than server.max_head allows.",
    "too-many-fields": "The request has too many fields.",
    "bad-field-name": "A request field has no proper name.",
    "bad-field-value": "A request field has characters that may not be there.",
    "missing-host": "The request has no Host.",
    "repeated-host": "The request has more than one Host.",
    "bad-host": "The request's Host is no proper name or address.",
    "both-lengths": "The request gives its length in two ways, which two servers may understand differently.",
    "bad-content-length": "The request's Content-Length is no proper number.",
    "transfer-encoding-1.0": "An HTTP/1.0 request with Transfer-Encoding.",
    "bad-transfer-encoding": "The request's Transfer-Encoding is not exactly chunked.",
    "unknown-transfer-coding": "The request's transfer coding is not known here.",
    "behind-chunks": "A request came behind one whose end was not clear yet.",
    "malformed-body": "The request's content is not framed properly.",
    "body-too-large": "The request's content is larger than server.max_body.",
    "body-too-long": "More content came than the request announced.",
    "body-timeout": "The request's content did not arrive in time (server.body_timeout).",
    "head-timeout": "The request head did not arrive in time (server.head_timeout).",
    "too-many-connections": "More connections than server.max_connections, or than this process may have files.",
    "no-upgrade-field": "A WebSocket handshake without its Upgrade field.",
    "unsendable-request": "The request cannot be passed on as it is.",
    # Refused by the realtime core
    "realtime-full": "The realtime core let nobody new in: all sessions are taken (realtime.max_sessions,"
    " realtime.limits.entering).",
    "realtime-address": "The realtime core let nobody new in from this address: it has its share of all sessions"
    " (realtime.limits.address_share).",
    "realtime-handshakes": "The realtime core let nobody new in from this address: it begins too many sessions a second"
    " (realtime.limits.handshakes).",
    "realtime-draining": "The realtime core let nobody new in: this edge is shutting down.",
    "realtime-session": "The realtime core does not know this session: it has ended, or was of another process. The"
    " client begins a new one by itself.",
    "realtime-transport": "The realtime core does not take this transport, or none was named (realtime.transports).",
    "realtime-protocol": "The realtime core speaks Engine.IO 4 (socket.io-client 3 or newer) and no other.",
    "realtime-method": "The realtime core does not take this method here.",
    "realtime-request": "The realtime core was asked for what does not go together, or was sent what it cannot take.",
    "realtime-forbidden": "A page of another site asked, and realtime.allowed_origins does not name it.",
}

_IN_VERDICT: dict[tuple[str, str], str] = {
    ("hit", "request-max-age"): "It was stored and fresh enough for the client.",
    ("miss", "method"): "What is stored cannot answer this method.",
    ("miss", "bypass"): "What is stored may not be used for a request with these credentials, so the origin was asked.",
    ("local", "websocket"): "A WebSocket of the realtime core was opened.",
    ("refused", "body-incomplete"): "The request's content broke off before its end.",
}

_STOOD_IN = "What was stored stood in for it."
_NOTHING = "Nothing stored could stand in for it."


def sentence(verdict: str, reason: str) -> str:
    """What a verdict's reason means. An unknown slug is shown as it is: the truth, if not in plain words."""
    if not reason:
        return ""
    if (exact := _IN_VERDICT.get((verdict, reason))) is not None:
        return exact
    if reason.startswith("fallback: "):
        return f"{REASONS.get(reason.removeprefix('fallback: '), reason)} The route's fallback page was sent."
    if reason.startswith("origin-"):
        return f"{_of_origin(reason)} {_outcome(verdict)}".strip()
    return REASONS.get(reason, reason)


def _of_origin(reason: str) -> str:
    status = reason.removeprefix("origin-status-")
    return f"The origin answered {status}." if status != reason else REASONS.get(reason, reason)


def _outcome(verdict: str) -> str:
    if verdict in ("stale", "hit"):
        return _STOOD_IN
    return _NOTHING if verdict == "error" else ""
