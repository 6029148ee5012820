"""What is done about due times: which are sent, which were missed, and under which ids."""

from typing import Any

import pytest
from celery_sagemaker.config.schedules import ScheduleSettings
from celery_sagemaker.tasks.schedules.task import message, well_formed
from celery_sagemaker.tasks.schedules.timing import Timing
from hypothesis import given
from hypothesis import strategies as st


def timing(**settings: Any) -> Timing:
    """A schedule due every minute, unless told otherwise."""
    given = {"every": 60, "endpoint": "e", "payload": "x", **settings}
    return Timing("prefix", "name", ScheduleSettings(**given))


def test_nothing_is_done_before_its_time() -> None:
    """And the next look is at the due time."""
    found = timing()
    assert found.plan(120, 179.9) is None
    assert found.then(120) == 180


def test_what_is_due_is_sent() -> None:
    """Once: the next plan follows from where this one ended."""
    plan = timing().plan(120, 180)
    assert plan is not None
    assert (plan.send, plan.dealt, plan.then, plan.missed) == ([180], 180, 240, 0)
    assert timing().plan(plan.dealt, 180) is None


def test_all_within_the_grace_are_sent() -> None:
    """A short outage loses nothing."""
    plan = timing(misfire_grace=300).plan(0, 310)
    assert plan is not None
    assert (plan.send, plan.missed) == ([60, 120, 180, 240, 300], 0)


def test_the_newest_missed_one_runs_once() -> None:
    """After a long outage; it says how many were missed before it."""
    plan = timing(every=600, misfire_grace=60).plan(0, 6_100)
    assert plan is not None
    assert (plan.send, plan.missed, plan.stand_in) == ([6_000], 9, None)


def test_missed_ones_give_way_to_one_in_time() -> None:
    """The newest is in time: it is sent, and one stands for those that were missed."""
    plan = timing(every=600, misfire_grace=60).plan(0, 6_030)
    assert plan is not None
    assert (plan.send, plan.missed, plan.stand_in) == ([6_000], 9, 5_400)


def test_missed_ones_are_skipped() -> None:
    """By the policy `skip`, all of them; one of them stands for them."""
    plan = timing(every=600, misfire_grace=60, misfire="skip").plan(0, 6_100)
    assert plan is not None
    assert (plan.send, plan.missed, plan.stand_in, plan.then) == ([], 10, 6_000, 6_600)


def test_a_message_that_waited_too_long_is_late() -> None:
    """By `skip` after the grace; by `once` only when the next run has had its time too."""
    skip, once = timing(misfire="skip", misfire_grace=10), timing(misfire_grace=10)
    assert [skip.late(60, 70), skip.late(60, 71)] == [False, True]
    assert [once.late(60, 119), once.late(60, 120)] == [False, True]


def test_nothing_is_due_after_the_end() -> None:
    """The last due time is the end itself."""
    found = timing(until="1970-01-01T00:02:00Z")
    plan = found.plan(60, 10_000)
    assert plan is not None
    assert (plan.send or plan.stand_in, plan.dealt, plan.then) == ([120], 120, None)
    assert found.then(120) is None


def test_an_end_without_a_zone_is_in_the_schedule_s() -> None:
    """00:02 in Berlin was 23:02 in UTC."""
    found = timing(until="1970-01-02T00:02:00", timezone="Europe/Berlin")
    assert found.settings.ends_at == 86_400 - 3_600 + 120


def test_a_disabled_schedule_is_never_due() -> None:
    """Neither its runs nor what warms up before them."""
    found = timing(enabled=False, prewarm=30, prewarm_payload="x")
    assert found.times(0) == {"last_due": None, "last_prewarm": None}


@given(st.integers(0, 10_000_000), st.integers(0, 59))
def test_jitter_is_the_run_s_own(due: int, jitter: int) -> None:
    """Whoever asks, and whenever: at most so many seconds, always the same."""
    due = due * 60
    first, again = timing(jitter=jitter), timing(jitter=jitter)
    assert first.fires(due) == again.fires(due)
    assert 0 <= first.fires(due) - due <= jitter


def test_jitter_differs_between_runs_and_schedules() -> None:
    """That is what it is for."""
    found = timing(jitter=59)
    other = Timing("prefix", "other", found.settings)
    dues = range(0, 6_000, 60)
    assert len({found.fires(due) - due for due in dues}) > 20
    assert [found.fires(due) for due in dues] != [other.fires(due) for due in dues]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(0, 59))
def test_however_often_beat_looks_each_due_time_is_sent_once(steps: list[int], jitter: int) -> None:
    """Within the grace: none twice, none left out, in order."""
    found = timing(jitter=jitter, misfire_grace=100_000)
    sent: list[int] = []
    now = dealt = 0
    for step in steps:
        now += step
        plan = found.plan(dealt, now)
        if plan is not None:
            sent += plan.send
            dealt = plan.dealt
    ripe = [due for due in found.settings.calendar.between(0, now) if found.fires(due) <= now]
    assert sent == ripe


@given(st.integers(0, 100_000), st.integers(0, 100_000), st.sampled_from(["once", "skip"]))
def test_what_is_not_sent_is_counted(dealt: int, outage: int, misfire: str) -> None:
    """Sent and missed add up to what was due."""
    found = timing(misfire=misfire, misfire_grace=120)
    now = dealt + outage
    plan = found.plan(dealt, now)
    due = list(found.settings.calendar.between(dealt, now))
    assert (0 if plan is None else len(plan.send) + plan.missed) == len(due)


def test_ids_follow_from_the_due_time() -> None:
    """The same for the same; others for another due time, step, schedule or deployment."""
    found = timing()
    others = {
        found.id_of(60),
        found.id_of(120),
        found.id_of(60, "prewarm"),
        Timing("prefix", "other", found.settings).id_of(60),
        Timing("other", "name", found.settings).id_of(60),
    }
    assert timing().id_of(60) == found.id_of(60)
    assert len(others) == 5
    assert all(len(id_) == 32 for id_ in others)


def test_an_endpoint_is_warmed_up_before_the_run() -> None:
    """So many seconds before it begins, once."""
    found = timing(every=600, prewarm=100, prewarm_payload="x")
    assert found.prewarms(0) == 500
    plan = found.plan_prewarm(0, 500)
    assert plan is not None
    assert (plan.send, plan.dealt, plan.then) == ([600], 600, 1_100)
    assert found.plan_prewarm(plan.dealt, 599) is None


def test_nothing_is_warmed_up_for_a_run_that_has_begun() -> None:
    """After an outage only the run itself is made up for."""
    plan = timing(every=600, prewarm=100, prewarm_payload="x").plan_prewarm(0, 610)
    assert plan is not None
    assert (list(plan.send), plan.then) == ([], 1_100)


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"version": True},
        {"version": "1"},
        {"schedule": ["often"]},
        {"schedule": "a b"},
        {"run": None},
        {"run": "\\"},
        {"due": "now"},
        {"due": float("nan")},
        {"due": 1e300},
        {"missed": -1},
        {"missed": None},
        {"trigger": ["schedule"]},
        {"step": "jump"},
        {"more": 1},
    ],
    ids=repr,
)
def test_what_is_no_message_of_a_schedule(wrong: dict[str, object]) -> None:
    """It is refused as a whole: nothing is looked up by it, and it ends no run."""
    good = message("often", 1_800_000_000, run="run")["message"]
    assert well_formed(good)
    assert not well_formed({**good, **wrong})


@pytest.mark.parametrize("missing", sorted(message("often", 0, run="run")["message"]))
def test_a_message_of_a_schedule_is_whole(missing: str) -> None:
    """None of its members may be absent; and it is an object."""
    good = message("often", 0, run="run")["message"]
    assert not well_formed({name: value for name, value in good.items() if name != missing})
    assert not well_formed(None)
    assert not well_formed([good])
