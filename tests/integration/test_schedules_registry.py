"""The schedules' scripts against a real Redis: every transition, and those that must not happen."""

import json
import math
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery_sagemaker.tasks.schedules import RunState
from celery_sagemaker.tasks.schedules.registry import Begun, Record, Registry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

NAME = "nightly"


@pytest.fixture
def registry(sagemaker_redis_url: str) -> Iterator[Registry]:
    """Schedules under keys of their own, and one schedule."""
    client = redis.Redis.from_url(sagemaker_redis_url)
    made = Registry(client, f"{{test-{uuid.uuid4().hex}}}:")
    put(made)
    yield made
    client.close()


def put(registry: Registry, settings: str = "{}", **more: Any) -> str:
    """Add the schedule, or change it."""
    given = {"source": "api", "change": True, "dealt": 100.0, "times": {"last_due": 160.0}}
    return registry.put(NAME, settings, **{**given, **more})


def begin(registry: Registry, id_: str, overlap: str = "skip", **more: Any) -> Begun:
    """Deliver the message of a run."""
    late = more.pop("late", False)
    run = {"id": id_, "due": 160, "trigger": "schedule", "kind": "invoke", "missed": 0, **more}
    return registry.begin(NAME, run, overlap, late=late)


def record(registry: Registry) -> Record:
    """The schedule."""
    found = registry.record(NAME)
    assert found is not None
    return found


def states(registry: Registry) -> dict[str, RunState]:
    """The runs' states."""
    return {run.id: run.state for run in registry.runs(NAME, 100)}


def test_a_schedule_is_added_once(registry: Registry) -> None:
    """Another of its name is refused, unless it may be changed; equal settings change nothing."""
    assert put(registry, '{"every":5}', change=False) == "EXISTS"
    assert record(registry).settings == "{}"
    assert put(registry, "{}", dealt=900.0, times={"last_due": 960.0}) == "SAME"
    assert (record(registry).dealt["last_due"], registry.next_time(NAME)) == (100.0, 160.0)
    assert put(registry, '{"every":5}', dealt=900.0, times={"last_due": 960.0}) == "CHANGED"
    assert (record(registry).dealt["last_due"], registry.next_time(NAME)) == (900.0, 960.0)
    assert registry.names() == [NAME]


def test_a_run_is_begun_once_and_again(registry: Registry) -> None:
    """The same message again may start again what was not noted, never another run."""
    assert begin(registry, "a").verdict == "START"
    assert begin(registry, "a").verdict == "START"
    assert registry.note(NAME, "a", "task", "invoke")
    registry.finish(NAME, "a", RunState.SUCCEEDED)
    assert begin(registry, "a").verdict == "LEAVE"
    assert states(registry) == {"a": RunState.SUCCEEDED}
    assert record(registry).running is None


def test_a_run_ends_once(registry: Registry) -> None:
    """The second end is not noted, whoever tries; the first one is the last run."""
    begin(registry, "a")
    ended, following = registry.finish(NAME, "a", RunState.FAILED, {"code": "ModelError"})
    assert ended is not None
    assert (ended.state, ended.reason, following) == (RunState.FAILED, {"code": "ModelError"}, None)
    assert ended.seconds is not None
    assert registry.finish(NAME, "a", RunState.SUCCEEDED) == (None, None)
    assert record(registry).last == ended


def test_overlap_skip(registry: Registry) -> None:
    """What is due meanwhile is skipped, with the reason, and stays so."""
    begin(registry, "a")
    skipped = begin(registry, "b")
    assert skipped.verdict == "LEAVE"
    assert skipped.run is not None
    assert (skipped.run.state, (skipped.run.reason or {})["code"]) == ("SKIPPED", "Overlap")
    registry.finish(NAME, "a", RunState.SUCCEEDED)
    assert begin(registry, "b").verdict == "LEAVE"
    assert begin(registry, "c").verdict == "START"


def test_overlap_queue(registry: Registry) -> None:
    """One waits, and is started by the end of the one before; further ones are skipped."""
    begin(registry, "a", "queue")
    assert begin(registry, "b", "queue").verdict == "LEAVE"
    begin(registry, "c", "queue")
    assert record(registry).waiting == "b"
    assert begin(registry, "b", "queue").verdict == "LEAVE"
    _, following = registry.finish(NAME, "a", RunState.FAILED)
    assert following is not None
    assert (following.id, following.state, following.waited) == ("b", "RUNNING", True)
    assert (record(registry).running, record(registry).waiting) == ("b", None)
    assert begin(registry, "b", "queue").verdict == "START"
    assert states(registry) == {"a": "FAILED", "b": "RUNNING", "c": "SKIPPED"}


def test_overlap_replace(registry: Registry) -> None:
    """The old run is revoked; the new one knows what it has to stop, however often it begins."""
    begin(registry, "a", "replace")
    registry.note(NAME, "a", "task-a", "invoke")
    begun = begin(registry, "b", "replace")
    assert begun.replaced is not None
    assert (begun.replaced.state, begun.verdict) == (RunState.REVOKED, "START")
    again = begin(registry, "b", "replace")
    assert again.run is not None
    assert again.run.replaces == {"id": "a", "kind": "invoke", "target": "task-a"}
    assert registry.finish(NAME, "a", RunState.SUCCEEDED) == (None, None)
    assert record(registry).running == "b"


def test_an_older_run_replaces_no_newer_one(registry: Registry) -> None:
    """Messages that are sent together, after an outage, arrive in any order."""
    begin(registry, "newer", "replace", due=220)
    assert begin(registry, "older", "replace", due=160).verdict == "LEAVE"
    assert states(registry) == {"newer": "RUNNING", "older": "SKIPPED"}


def test_a_replaced_run_that_was_being_started_is_told(registry: Registry) -> None:
    """What it has started meanwhile is not to go on."""
    begin(registry, "a", "replace")
    begin(registry, "b", "replace")
    assert not registry.note(NAME, "a", "task-a", "invoke")


def test_a_paused_schedule_starts_nothing(registry: Registry) -> None:
    """Neither what was under way nor what waits; what somebody asks for it does."""
    begin(registry, "a", "queue")
    begin(registry, "b", "queue")
    assert registry.pause(NAME)
    assert registry.next_time(NAME) is None
    begin(registry, "c", "queue")
    registry.finish(NAME, "a", RunState.SUCCEEDED)
    assert states(registry) == {"a": "SUCCEEDED", "b": "SKIPPED", "c": "SKIPPED"}
    assert begin(registry, "d", trigger="manual").verdict == "START"


def test_a_pause_outlives_a_change(registry: Registry) -> None:
    """And resuming forgets what was due meanwhile; resuming twice forgets nothing more."""
    registry.pause(NAME)
    put(registry, '{"every":5}', times={"last_due": 105.0})
    assert registry.next_time(NAME) is None
    registry.resume(NAME, 500.0, {"last_due": 505.0})
    registry.resume(NAME, 900.0, {"last_due": 905.0})
    assert (record(registry).dealt["last_due"], registry.next_time(NAME)) == (500.0, 505.0)


def test_a_late_run_is_missed(registry: Registry) -> None:
    """It is counted, and not the last run."""
    begin(registry, "a", late=True, missed=2)
    assert states(registry) == {"a": RunState.MISSED}
    assert registry.runs(NAME, 1)[0].missed == 3
    assert (record(registry).missed, record(registry).last) == (1, None)


def test_beat_goes_on_from_what_was_dealt_with(registry: Registry) -> None:
    """Forward only: the second of two beats changes nothing."""
    seen = record(registry)
    assert registry.advance(seen, "last_due", dealt=160, then=220)
    assert not registry.advance(seen, "last_due", dealt=160, then=220)
    assert not registry.advance(seen, "last_due", dealt=100, then=160)
    assert (record(registry).dealt["last_due"], registry.next_time(NAME)) == (160.0, 220.0)


def test_a_change_is_not_undone_by_a_beat_that_looked_before(registry: Registry) -> None:
    """Its times are of the old settings; so are those of one that was paused meanwhile."""
    seen = record(registry)
    put(registry, '{"every":5}', dealt=100.0, times={"last_due": 105.0})
    assert not registry.advance(seen, "last_due", dealt=160, then=220)
    assert registry.next_time(NAME) == 105.0
    seen = record(registry)
    registry.pause(NAME)
    assert not registry.advance(seen, "last_due", dealt=160, then=220)
    assert registry.next_time(NAME) is None


def test_a_schedule_that_came_back_is_another(registry: Registry) -> None:
    """A beat that looked at the one before it was removed has nothing to say of this one."""
    seen = record(registry)
    registry.remove(NAME)
    put(registry, '{"every":5}', dealt=100.0, times={"last_due": 105.0})
    assert not registry.advance(seen, "last_due", dealt=160, then=220)
    assert (record(registry).dealt["last_due"], registry.next_time(NAME)) == (100.0, 105.0)


def test_missed_due_times_are_shown_by_one_run(registry: Registry) -> None:
    """With how many they were."""
    stand_in = {"id": "m", "due": 300, "trigger": "schedule", "kind": "invoke", "missed": 3}
    registry.advance(
        record(registry), "last_due", dealt=300, then=None, missed=3, stand_in=stand_in
    )
    (run,) = registry.runs(NAME, 10)
    assert (run.state, run.missed, record(registry).missed) == (RunState.MISSED, 3, 3)
    assert registry.next_time(NAME) is None


def test_a_removed_schedule_is_forgotten(registry: Registry) -> None:
    """With its runs and its place in RedBeat's index; what was under way finds nothing."""
    begin(registry, "a")
    seen = record(registry)
    assert registry.remove(NAME)
    assert not registry.remove(NAME)
    assert begin(registry, "b").verdict == "GONE"
    assert registry.note(NAME, "a", "task", "invoke")
    assert registry.finish(NAME, "a", RunState.SUCCEEDED) == (None, None)
    assert not registry.advance(seen, "last_due", dealt=160, then=220)
    list(registry.unsaid())
    assert registry.client.keys(f"{registry.base}*") == []


def test_what_is_not_announced_is_known(registry: Registry) -> None:
    """Until it has been said, after each change."""
    begin(registry, "a")
    assert [(name, run.id) for name, run in registry.unsaid()] == [(NAME, "a")]
    registry.said(NAME, "a")
    assert list(registry.unsaid()) == []
    registry.finish(NAME, "a", RunState.SUCCEEDED)
    assert [run.state for _, run in registry.unsaid()] == [RunState.SUCCEEDED]


def test_runs_are_kept_up_to_a_number(registry: Registry) -> None:
    """The newest 200, and whatever is still going on."""
    begin(registry, "going", due=0)
    for number in range(250):
        begin(registry, f"run-{number}", due=number)
    found = registry.runs(NAME, 1_000)
    assert (len(found), found[0].id, found[-1].id) == (201, "run-249", "going")
    assert registry.client.hlen(registry.key(NAME, "runs")) == 201


def test_a_run_s_reason_keeps_its_form(registry: Registry) -> None:
    """Nested members, text beyond ASCII, and nothing where nothing was."""
    begin(registry, "a")
    reason = {"code": "ModelError", "message": "größer: 'x'", "members": {"status": 500, "e": []}}
    ended, _ = registry.finish(NAME, "a", RunState.FAILED, json.loads(json.dumps(reason)))
    assert ended is not None
    assert (ended.reason or {})["message"] == reason["message"]
    assert (ended.reason or {})["members"]["status"] == 500


@pytest.mark.parametrize("message", ["cut \ud83d", "\udc00", "\x00", "\u2028\x7f", "\\ud800"])
def test_a_run_ends_with_any_reason(registry: Registry, message: str) -> None:
    """Also with half of a surrogate pair: a model that cuts its message at a length sends such."""
    begin(registry, "a")
    ended, _ = registry.finish(NAME, "a", RunState.FAILED, {"code": "ModelError", "m": message})
    assert ended is not None
    assert (ended.reason or {})["m"] == message.encode(errors="replace").decode()
    assert record(registry).running is None


def test_a_run_s_reason_may_have_no_number(registry: Registry) -> None:
    """NaN and infinity are no JSON, and JSON that models send has them."""
    begin(registry, "a")
    reason = {"code": "ModelError", "members": {"loss": math.nan, "most": [math.inf]}}
    ended, _ = registry.finish(NAME, "a", RunState.FAILED, reason)
    assert ended is not None
    assert (ended.reason or {})["members"] == {"loss": None, "most": [None]}


#: What a reason's members may be: any JSON value, and texts and numbers that are none.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VALUES, st.text(st.characters(codec=None)))
def test_any_reason_ends_a_run(registry: Registry, value: Any, message: str) -> None:
    """No answer of a model keeps a schedule's run from ending."""
    id_ = uuid.uuid4().hex
    begin(registry, id_)
    reason = {"code": "ModelError", "message": message, "members": {"value": value}}
    ended, _ = registry.finish(NAME, id_, RunState.FAILED, reason)
    assert ended is not None
    assert (ended.reason or {})["message"] == message.encode(errors="replace").decode()
    assert record(registry).running is None
