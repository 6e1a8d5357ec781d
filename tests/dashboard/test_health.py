"""One verdict, one sentence."""

from __future__ import annotations

from dataclasses import replace

from proxy.dashboard.overview import covered
from webui.formats import age
from webui.frame import ORDER
from webui.health import judge
from webui.snapshot import FailedMessages, Origin, Refused

UP = Origin("http://127.0.0.1:3000", "up")
DOWN = replace(UP, state="down", since=900.0)
UNKNOWN = replace(UP, state="unknown")


def test_an_origin_that_answers_without_errors_is_healthy() -> None:
    assert judge(UP, now=1000, requests=5, error_ratio=0.0).state == "healthy"


def test_before_the_first_request_the_edge_is_waiting() -> None:
    assert judge(UNKNOWN, now=1000, requests=0, error_ratio=None).state == "waiting"


def test_hits_from_a_warm_store_are_healthy_although_the_origin_was_not_asked() -> None:
    assert judge(UNKNOWN, now=1000, requests=5, error_ratio=0.0).state == "healthy"


def test_an_origin_that_is_away_degrades_while_the_store_stands_in() -> None:
    health = judge(DOWN, now=1000, requests=5, error_ratio=0.0)
    assert health.state == "degraded"
    assert health.sentence == "The origin has been down for 1 min; stored responses stand in."
    assert "http://127.0.0.1:3000" in health.advice


def test_an_origin_that_is_away_fails_when_clients_see_errors() -> None:
    health = judge(DOWN, now=1000, requests=5, error_ratio=0.4)
    assert health.state == "failing"
    assert "40.0 %" in health.sentence


def test_errors_of_an_origin_that_answers_degrade_and_then_fail() -> None:
    assert judge(UP, now=1000, requests=500, error_ratio=0.009).state == "healthy"
    assert judge(UP, now=1000, requests=500, error_ratio=0.01).state == "degraded"
    assert judge(UP, now=1000, requests=500, error_ratio=0.05).state == "failing"


REFUSED = Refused(
    "address", "One address may have so many.", "Raise it.", 69_583, 70_000, whence="from one address (::1)"
)


def test_refused_newcomers_are_named_with_the_limit_and_where_they_come_from() -> None:
    health = judge(UP, now=1000, requests=500, error_ratio=0.0, refused=REFUSED)
    assert health.state == "degraded"
    assert "refuses newcomers: 69,583 in the last minute, from one address (::1)" in health.sentence
    assert health.advice == "One address may have so many. Raise it."
    nobody = replace(REFUSED, everybody=True)
    assert judge(UP, now=1000, requests=500, error_ratio=0.0, refused=nobody).state == "failing"
    over = replace(REFUSED, lately=0)
    assert judge(UP, now=1000, requests=500, error_ratio=0.0, refused=over).state == "healthy"


def test_errors_that_hit_everybody_come_before_refused_newcomers() -> None:
    health = judge(UP, now=1000, requests=500, error_ratio=0.5, refused=REFUSED)
    assert (health.state, "server errors" in health.sentence) == ("failing", True)


def test_an_origin_that_gave_no_error_is_not_blamed() -> None:
    assert "origin answers" in judge(UP, now=1000, requests=500, error_ratio=0.5, origin_errors=3).advice
    assert "None of them is the origin's" in judge(UP, now=1000, requests=500, error_ratio=0.5, origin_errors=0).advice


def test_errors_from_before_the_origin_came_back_are_said_to_be_over() -> None:
    back = replace(UP, since=988.0)
    health = judge(back, now=1000, requests=500, error_ratio=0.5, recovered_ratio=0.0)
    assert (health.state, health.sentence) == ("degraded", "Recovering: the origin answers again since 12 s.")
    assert "50.0 % of the answers in the last 1 min" in health.advice
    again = judge(back, now=1000, requests=500, error_ratio=0.5, recovered_ratio=0.3)
    assert again.state == "failing"


def test_a_disk_tier_that_is_off_is_said_to_need_a_restart() -> None:
    health = judge(UP, now=1000, requests=5, error_ratio=0.0, storage_errors=1, disk_off=True)
    assert (health.state, health.sentence) == ("degraded", "The disk cache is off until a restart.")


def test_a_journal_that_cannot_be_written_degrades_and_says_who_would_miss_something() -> None:
    health = judge(UP, now=1000, requests=5, error_ratio=0.0, journal_lost=True)
    assert (health.state, [mend.path for mend in health.mends]) == ("degraded", ["/realtime"])
    assert (
        health.sentence == "The realtime journal cannot be written: after a restart nobody would get what they missed."
    )
    assert "realtime.recovery.dir" in health.advice


def test_failures_of_the_store_degrade() -> None:
    assert judge(UP, now=1000, requests=5, error_ratio=0.0, storage_errors=1).state == "degraded"


def test_writes_that_wait_are_offered_only_where_a_route_keeps_writes() -> None:
    for errors in (0.0, 0.4):
        offered = judge(DOWN, now=1000, requests=5, error_ratio=errors).mends
        assert "outbox" in [mend.page for mend in offered]
        offered = judge(DOWN, now=1000, requests=5, error_ratio=errors, queues=False).mends
        assert offered
        assert "outbox" not in [mend.page for mend in offered]


def test_whatever_is_wrong_names_the_pages_where_it_can_be_looked_at() -> None:
    for health in (
        judge(DOWN, now=1000, requests=5, error_ratio=0.4),
        judge(DOWN, now=1000, requests=5, error_ratio=0.0),
        judge(UP, now=1000, requests=5, error_ratio=0.2),
        judge(UP, now=1000, requests=5, error_ratio=0.02),
        judge(UP, now=1000, requests=5, error_ratio=0.0, storage_errors=1),
        judge(UP, now=1000, requests=5, error_ratio=0.0, refused=REFUSED),
        judge(UP, now=1000, requests=5, error_ratio=0.2, recovered_ratio=0.0),
    ):
        assert health.mends
        assert all(mend.page in ORDER and mend.path.startswith(f"/{mend.page}") for mend in health.mends)
    assert judge(UP, now=1000, requests=5, error_ratio=0.0).mends == ()


REFUSED_MESSAGES = FailedMessages(30, 40, "the application refused them (lately with 422)", refused=True)


def test_chat_messages_that_fail_are_said_with_how_many_why_and_where_to_look() -> None:
    health = judge(UP, now=1000, requests=5, error_ratio=0.0, failed=REFUSED_MESSAGES)
    assert health.state == "failing"
    assert health.sentence == (
        "Chat messages fail: 30 of 40 in the last minute. The application refused them (lately with 422)."
    )
    assert "realtime.origin.persist" in health.advice
    assert [mend.path for mend in health.mends] == ["/realtime/conversations?sort=failed"]
    some = replace(REFUSED_MESSAGES, lately=4)
    assert judge(UP, now=1000, requests=5, error_ratio=0.0, failed=some).state == "degraded"
    none = replace(REFUSED_MESSAGES, lately=0)
    assert judge(UP, now=1000, requests=5, error_ratio=0.0, failed=none).state == "healthy"


def test_messages_that_fail_are_said_beside_an_origin_that_is_away() -> None:
    health = judge(DOWN, now=1000, requests=5, error_ratio=0.5, failed=REFUSED_MESSAGES)
    assert "origin has been down" in health.sentence
    assert "30 of 40" in health.advice
    assert "/realtime/conversations?sort=failed" in [mend.path for mend in health.mends]


def test_accepted_writes_that_were_given_up_degrade_and_lead_to_the_outbox() -> None:
    health = judge(UP, now=1000, requests=5, error_ratio=0.0, dead_writes=4)
    assert (health.state, health.mends[0].path) == ("degraded", "/outbox?show=dead")
    assert health.sentence == "4 accepted writes were given up: the origin did not take them."
    assert judge(UP, now=1000, requests=5, error_ratio=0.0, dead_writes=0).state == "healthy"


def test_a_window_of_a_minute_is_called_a_minute_whatever_of_its_last_second_has_passed() -> None:
    assert {age(covered(seconds)) for seconds in (59.0, 59.3, 59.999, 60.0)} == {"1 min"}
    assert age(covered(21.6)) == "21 s"
