"""The data every start begins with. The same seed, the same rows, on every machine."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from demo import vocabulary as words
from demo.database import Database

USERS = 50
REPORTS = 200
CONVERSATIONS = 12
LATEST = datetime(2026, 6, 15, 17, 30, tzinfo=UTC)
"""The moment of the youngest seeded row: fixed, or two starts would differ."""


def timestamp(moment: datetime) -> str:
    """A moment as this application writes it: ISO 8601 in UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def photo_count(report: int) -> int:
    """How many photos the seeded report of this number has."""
    return 1 + (report * 7919 % 10 > 5) + (report * 104729 % 10 > 7)


def report_moment(report: int) -> datetime:
    """When the seeded report of this number was made: r200 last, about two a day before that."""
    return LATEST - timedelta(minutes=(REPORTS - report) * 700 + report * 37 % 300)


def plant(database: Database) -> None:
    """Fill an empty database. What this costs is not the application's doing and is not counted."""
    before = database.statements
    source = random.Random(2024)
    with database.transaction():
        _users(database, source)
        _reports(database, source)
        _conversations(database, source)
    database.statements = before


def _users(database: Database, source: random.Random) -> None:
    rows = []
    for number in range(1, USERS + 1):
        first = words.FIRST_NAMES[(number - 1) % len(words.FIRST_NAMES)]
        last = words.LAST_NAMES[(number * 7 + number // 26) % len(words.LAST_NAMES)]
        joined = LATEST - timedelta(days=400 + source.randrange(700))
        row = (f"u{number}", f"{first}.{last}".lower(), f"{first} {last}", source.choice(words.DISTRICTS))
        rows.append((*row, source.choice(words.BIOS), timestamp(joined)))
    sql = "INSERT INTO users (id, username, full_name, place, bio, joined_at) VALUES (?, ?, ?, ?, ?, ?)"
    database.write_rows(sql, rows)


def _reports(database: Database, source: random.Random) -> None:
    reports: list[tuple[str | int, ...]] = []
    photos, likes = [], []
    comments: list[tuple[str, str, str, str]] = []
    for number in range(1, REPORTS + 1):
        report, moment = f"r{number}", report_moment(number)
        reports.append((number, report, *_report(source, number), timestamp(moment)))
        photos += [(report, photo) for photo in range(1, photo_count(number) + 1)]
        likes += [(report, f"u{user}") for user in source.sample(range(1, USERS + 1), source.randrange(24))]
        for _ in range(source.choice((0, 1, 1, 2, 3, 4, 6))):
            moment += timedelta(minutes=source.randrange(3, 60))
            comments.append((report, _somebody(source), source.choice(words.COMMENTS), timestamp(moment)))
    database.write_rows(
        "INSERT INTO reports (number, id, author_id, category, title, text, place, status, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        reports,
    )
    database.write_rows("INSERT INTO photos (report_id, number) VALUES (?, ?)", photos)
    database.write_rows("INSERT INTO likes (report_id, user_id) VALUES (?, ?)", likes)
    database.write_rows(
        "INSERT INTO comments (report_id, author_id, text, created_at) VALUES (?, ?, ?, ?)",
        sorted(comments, key=itemgetter(3)),
    )


def _report(source: random.Random, number: int) -> tuple[str, str, str, str, str, str]:
    category = source.choice(words.CATEGORIES)
    street = source.choice(words.STREETS)
    title = source.choice(words.TITLES[category]).format(street=street)
    remarks = source.sample(words.REMARKS, source.randrange(1, 3))
    text = " ".join((source.choice(words.DETAILS[category]), *remarks))
    # The older a report, the likelier somebody has dealt with it.
    weights = (1, 2, 8) if number < REPORTS // 2 else (6, 3, 2)
    status = source.choices(words.STATUSES, weights)[0]
    return _somebody(source), category, title, text, f"{street}, {source.choice(words.DISTRICTS)}", status


def _conversations(database: Database, source: random.Random) -> None:
    participants = []
    messages: list[tuple[str, str, str, str, str]] = []
    for number in range(1, CONVERSATIONS + 1):
        conversation = f"c{number}"
        # Everybody is somewhere: u1…u50 are dealt out in turn, some join a second conversation.
        members = {f"u{user}" for user in range(number, USERS + 1, CONVERSATIONS)}
        members |= {_somebody(source) for _ in range(5)}
        participants += [(conversation, user) for user in sorted(members)]
        moment = LATEST - timedelta(hours=source.randrange(30, 60))
        start = source.randrange(len(words.MESSAGES))
        for line in range(source.randrange(40, 90)):
            moment += timedelta(seconds=source.randrange(15, 1500))
            content = words.MESSAGES[(start + line) % len(words.MESSAGES)]
            writer = source.choice(sorted(members))
            messages.append((conversation, writer, content, "text", timestamp(min(moment, LATEST))))
    titles = [(f"c{number}", title) for number, title in enumerate(words.CONVERSATIONS, 1)]
    database.write_rows("INSERT INTO conversations (id, title) VALUES (?, ?)", titles)
    database.write_rows("INSERT INTO participants (conversation_id, user_id) VALUES (?, ?)", participants)
    database.write_rows(
        "INSERT INTO messages (conversation_id, sender_id, content, message_type, created_at) VALUES (?, ?, ?, ?, ?)",
        sorted(messages, key=itemgetter(4)),
    )


def _somebody(source: random.Random) -> str:
    return f"u{source.randrange(1, USERS + 1)}"
