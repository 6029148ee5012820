"""Schedules from `add` to the end of a run, in this process: Redis and the endpoint are real."""

import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from botocore.stub import Stubber
from celery import Celery
from celery.beat import Service
from celery.exceptions import ImproperlyConfigured
from celery_sagemaker.config import Settings
from celery_sagemaker.config.schedules import ScheduleSettings
from celery_sagemaker.runtime.exceptions import ModelError
from celery_sagemaker.tasks import deployment, schedules
from celery_sagemaker.tasks.base import HandedBack
from celery_sagemaker.tasks.batch import list_jobs
from celery_sagemaker.tasks.deployment import Deployment
from celery_sagemaker.tasks.exceptions import InvalidSchedule, NoSuchSchedule, ScheduleExists
from celery_sagemaker.tasks.ledger import Run, State
from celery_sagemaker.tasks.schedules import RunState, ending, starting, sync
from celery_sagemaker.tasks.schedules.reading import to_text
from celery_sagemaker.tasks.schedules.task import message
from celery_sagemaker.tasks.schedules.timing import Timing
from celery_sagemaker.workers import create_app, install
from celery_sagemaker.workers.beat import Scheduler, configure
from harness import eventually
from kombu.exceptions import OperationalError


@pytest.fixture
def prefix(sagemaker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """Keys of the test's own."""
    made = f"test-{uuid.uuid4().hex}"
    monkeypatch.setenv("CELERY_SAGEMAKER_PREFIX", made)
    monkeypatch.setenv("CELERY_SAGEMAKER_BEAT__INTERVAL", "1")
    return made


Make = Callable[..., Celery]


@pytest.fixture
def make(prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes an app, whose settings file has some schedules."""
    made = []

    def make(**named: Any) -> Celery:
        settings = Settings.load().model_copy(
            update={"schedules": Settings(schedules=named).schedules}
        )
        app = create_app(settings)
        app.set_current()
        made.append(app)
        return app

    yield make
    for app in made:
        deployment(app).close()
        app.close()


@pytest.fixture
def app(make: Make) -> Celery:
    """An app without schedules in its file."""
    return make()


@pytest.fixture
def parts(app: Celery) -> Deployment:
    """Its parts."""
    return deployment(app)


def deliver(app: Celery, name: str, due: float, run: str, **more: Any) -> dict[str, Any]:
    """Do what the task does when its message is delivered."""
    given = message(name, due, run=run, **more)["message"]
    task: Any = app.tasks["sagemaker.schedule"]
    done: dict[str, Any] = task.start(given)
    return done


def finish(parts: Deployment, id_: str, state: State = State.SUCCEEDED) -> None:
    """End a target as a worker does."""
    status = parts.ledger.status(id_)
    assert status is not None
    run = parts.ledger.begin(id_, status.task, "worker")
    assert isinstance(run, Run)
    reason = None if state is State.SUCCEEDED else ModelError("no").to_json()
    parts.ledger.finish(run, state, reason)


def states(name: str = "often") -> list[str]:
    """States of the runs, oldest first."""
    return [run.state.value for run in reversed(schedules.runs(name))]


def beat(app: Celery) -> Scheduler:
    """A beat that may tick, without its lock."""
    made = Scheduler(app=app)
    made.lock_key = None
    return made


def told(caplog: pytest.LogCaptureFixture, event: str) -> list[str]:
    """The schedules of which a log event tells."""
    return [vars(line)["schedule"] for line in caplog.records if line.getMessage() == event]


def behind(parts: Deployment, name: str, due: float) -> None:
    """Let beat have dealt with due times up to one only, as if it had been away since."""
    parts.schedules.client.hset(parts.schedules.key(name), "last_due", due)
    index = f"{parts.schedules.base}beat::schedule"
    parts.schedules.client.zadd(index, {parts.schedules.entry(name, "last_due"): due})


def test_a_schedule_is_added_and_read(app: Celery) -> None:
    """As it was given; with when it is due next, and no run."""
    made = schedules.add("often", every=60, endpoint="echo", payload="x", jitter=5)
    assert (made.name, made.source, made.paused, made.last) == ("often", "api", False, None)
    assert made.next_due is not None
    assert made.next_due % 60 == 0
    assert schedules.list_all() == [schedules.get("often")] == [made]
    assert schedules.runs("often") == []
    with pytest.raises(ScheduleExists):
        schedules.add("often", every=61, endpoint="echo", payload="x")
    changed = schedules.add("often", every=61, endpoint="echo", payload="x", replace=True)
    assert changed.settings.every == 61


def test_what_is_not_there_is_said(app: Celery) -> None:
    """By each function."""
    calls: list[Callable[[str], Any]] = [
        schedules.get, schedules.pause, schedules.resume, schedules.remove,
        schedules.run_now, schedules.runs,
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NoSuchSchedule):
            call("absent")


def test_an_unknown_endpoint_is_refused(app: Celery) -> None:
    """DescribeEndpoint has the last word, unless the caller does not ask."""
    with pytest.raises(InvalidSchedule, match="no endpoint absent"):
        schedules.add("often", every=60, endpoint="absent", payload="x")
    assert schedules.list_all() == []
    schedules.add("often", every=60, endpoint="absent", payload="x", check=False)


def test_who_may_not_ask_is_told(
    app: Celery, parts: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """Without sagemaker:DescribeEndpoint a schedule is added, with a warning."""
    with Stubber(parts.transport._clients.sagemaker) as stub:
        stub.add_client_error("describe_endpoint", "AccessDeniedException", http_status_code=403)
        schedules.add("often", every=60, endpoint="secret", payload="x")
    (line,) = (line for line in caplog.records if line.getMessage() == "endpoint_not_checked")
    assert vars(line)["endpoint"] == "secret"


@pytest.mark.parametrize(
    "wrong",
    [
        {"options": {"colour": "red"}},
        {"options": {"accept": "a\nb"}},
        {"until": "2020-01-01T00:00:00Z"},
    ],
)
def test_what_no_run_could_be_is_refused(app: Celery, wrong: dict[str, Any]) -> None:
    """When it is added, not at night."""
    with pytest.raises(InvalidSchedule):
        schedules.add("often", **{"every": 60, "endpoint": "echo", "payload": "x", **wrong})
    assert schedules.list_all() == []


def test_a_run_from_its_message_to_its_end(app: Celery, parts: Deployment) -> None:
    """The task is started with filled templates; its end is noticed by the clock."""
    schedules.add(
        "often", every=60, endpoint="echo", payload="{date} {time} {run}", timezone="Asia/Kolkata"
    )
    due = parts.schedules.now() // 60 * 60
    deliver(app, "often", due, "r1")
    (run,) = schedules.runs("often")
    assert (run.state, run.due, run.trigger) == (RunState.RUNNING, due, "schedule")
    assert schedules.get("often").running == "r1"
    assert run.target is not None
    kept = parts.ledger.signature(run.target)
    assert kept is not None
    assert "sagemaker.invoke" in kept
    ending.tick(app)
    assert states() == ["RUNNING"]
    finish(parts, run.target)
    ending.tick(app)
    found = schedules.get("often")
    assert (states(), found.running) == (["SUCCEEDED"], None)
    assert found.last is not None
    assert (found.last.id, found.last.target) == ("r1", run.target)


def test_a_failure_is_the_run_s(app: Celery, parts: Deployment) -> None:
    """With the reason that the ledger has."""
    schedules.add("often", every=60, endpoint="echo", payload="x")
    deliver(app, "often", parts.schedules.now(), "r1")
    finish(parts, schedules.runs("often")[0].target or "", State.FAILED)
    ending.tick(app)
    (run,) = schedules.runs("often")
    assert (run.state, (run.reason or {})["code"]) == (RunState.FAILED, "ModelError")


def test_a_start_that_died_is_made_again(
    app: Celery, parts: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once: the second start finds the ids of the first."""
    schedules.add("often", every=60, endpoint="echo", payload="x")
    now = parts.schedules.now()
    with monkeypatch.context() as patch:
        patch.setattr(parts.schedules, "note", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            deliver(app, "often", now, "r1")
    deliver(app, "often", now, "r1")
    assert parts.ledger.counts()["ACCEPTED"] == 1
    assert len(schedules.runs("often")) == 1


def test_a_start_that_the_broker_does_not_take_is_made_later(
    app: Celery, parts: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on in another delivery of its message; it has not failed."""
    schedules.add("often", every=60, endpoint="echo", payload="x")
    id_ = schedules.run_now("often")
    task: Any = app.tasks["sagemaker.schedule"]
    given = message("often", parts.schedules.now(), run=id_, trigger="manual")
    task.push_request(id=id_, called_directly=False, kwargs=given)
    try:
        task.before_start(id_, (), given)
        with monkeypatch.context() as patch:
            patch.setattr(starting, "start", raising(OperationalError("away")))
            with pytest.raises(HandedBack):
                task.start(given["message"])
    finally:
        task.pop_request()
    status = parts.ledger.status(id_)
    assert status is not None
    assert (status.state, states()) == (State.ACCEPTED, ["RUNNING"])
    assert parts.ledger.begin(id_, task.name, "another") == "PARKED"
    deliver(app, "often", 0, id_, trigger="manual")
    assert schedules.runs("often")[0].target is not None


def raising(error: Exception) -> Callable[..., None]:
    """A function that raises an error."""

    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_batch_job_is_submitted_once(app: Celery, parts: Deployment) -> None:
    """Under the run's client token; its end is the run's."""
    schedules.add(
        "nightly", cron="0 2 * * *", run="batch", endpoint="echo",
        input="s3://b/{date}.jsonl", output="s3://b/out/{date}",
        options={"split_type": "Line", "metadata": {"run": "{run}"}},
    )  # fmt: skip
    due = parts.schedules.now()
    deliver(app, "nightly", due, "r1")
    deliver(app, "nightly", due, "r1")
    (job,) = list_jobs(app=app)
    assert job.metadata == {"run": "r1"}
    assert "{" not in job.input + job.output
    assert schedules.runs("nightly")[0].target == job.id
    parts.registry.reject(job.id, "", [{"code": "NoSuchKey"}], 60)
    ending.tick(app)
    (run,) = schedules.runs("nightly")
    assert (run.state, run.reason) == (RunState.FAILED, {"code": "NoSuchKey"})


@pytest.mark.parametrize(
    "options",
    [
        {"assemble_with": "Glue"},
        {"max_records": 0},
        {"max_records": "many"},
        {"repeatable": "yes"},
        {"expires_in": "soon"},
        {"split_typ": "Line"},
        {"input_filter": "$["},
        {"metadata": {"run": 1}},
    ],
)
def test_a_bad_batch_job_is_refused_where_it_is_added(
    app: Celery, parts: Deployment, options: dict[str, Any]
) -> None:
    """What `batch.submit` would refuse at night is refused now; nothing is written or sent."""
    with pytest.raises(InvalidSchedule):
        schedules.add(
            "nightly", cron="0 2 * * *", run="batch", endpoint="echo", options=options,
            input="s3://b/{date}.jsonl", output="s3://b/out",
        )  # fmt: skip
    assert schedules.list_all() == []
    assert list(list_jobs(app=app)) == []
    assert parts.ledger.counts() == {}


def test_a_bad_batch_job_fails_its_run(app: Celery, parts: Deployment) -> None:
    """What `batch.submit` refuses is the run's reason; nothing waits for it."""
    bad = ScheduleSettings(
        cron="0 2 * * *", run="batch", endpoint="echo",
        input="s3://b/in", output="s3://b/out", options={"assemble_with": "Glue"},
    )  # fmt: skip
    now, text = parts.schedules.now(), to_text(bad)
    parts.schedules.put("nightly", text, source="file", change=False, dealt=now, times={})
    task = app.tasks["sagemaker.schedule"]
    given = message("nightly", parts.schedules.now(), run="r1")
    task.apply(kwargs=given, task_id="r1")
    (run,) = schedules.runs("nightly")
    assert (run.state, (run.reason or {})["code"]) == (RunState.FAILED, "InvalidRequest")
    assert schedules.get("nightly").running is None


def test_a_run_that_has_ended_unnoticed_is_in_nobody_s_way(app: Celery, parts: Deployment) -> None:
    """The next one looks before it is skipped."""
    schedules.add("often", every=60, endpoint="echo", payload="x")
    now = parts.schedules.now()
    deliver(app, "often", now, "r1")
    finish(parts, schedules.runs("often")[0].target or "")
    deliver(app, "often", now + 1, "r2")
    assert states() == ["SUCCEEDED", "RUNNING"]


def test_a_waiting_run_is_started_by_the_clock(app: Celery, parts: Deployment) -> None:
    """Its message is sent by the end of the one before, and again where that has died."""
    schedules.add("often", every=60, endpoint="echo", payload="x", overlap="queue")
    now = parts.schedules.now()
    deliver(app, "often", now, "r1")
    deliver(app, "often", now + 1, "r2")
    first = schedules.runs("often")[-1]
    finish(parts, first.target or "")
    parts.schedules.finish("often", "r1", RunState.SUCCEEDED)  # and the clock dies here
    accepted = parts.ledger.counts()["ACCEPTED"]
    ending.tick(app)
    ending.tick(app)
    assert parts.ledger.counts()["ACCEPTED"] == accepted + 1
    deliver(app, "often", now + 1, "r2")
    assert states() == ["SUCCEEDED", "RUNNING"]
    assert schedules.get("often").waiting is None


def test_a_replaced_run_is_revoked(app: Celery, parts: Deployment) -> None:
    """Its request ends REVOKED in the ledger, and the new one runs."""
    schedules.add("often", every=60, endpoint="echo", payload="x", overlap="replace")
    now = parts.schedules.now()
    deliver(app, "often", now, "r1")
    deliver(app, "often", now + 1, "r2")
    target = schedules.runs("often")[-1].target
    status = parts.ledger.status(target or "")
    assert status is not None
    assert status.state is State.REVOKED
    ending.tick(app)
    assert states() == ["REVOKED", "RUNNING"]


def test_what_was_revoked_before_it_began_ends_its_run(app: Celery, parts: Deployment) -> None:
    """A manual run that is promoted, and whose starting task somebody revokes."""
    schedules.add("often", every=60, endpoint="echo", payload="x", overlap="queue")
    now = parts.schedules.now()
    deliver(app, "often", now, "r1")
    deliver(app, "often", now + 1, "r2")
    parts.schedules.finish("often", "r1", RunState.SUCCEEDED)
    ending.tick(app)
    (starter,) = [
        id_.decode().rpartition(":")[2]
        for id_ in parts.ledger.client.scan_iter(f"{parts.ledger.base}row:*")
        if (found := parts.ledger.status(id_.decode().rpartition(":")[2]))
        and found.task == "sagemaker.schedule"
    ]
    parts.ledger.close(starter, State.REVOKED, {"code": "Revoked"})
    ending.tick(app)
    assert states() == ["SUCCEEDED", "REVOKED"]


def test_run_now_is_a_run_like_any_other(app: Celery, parts: Deployment) -> None:
    """Accepted at once; also where the schedule is paused, and never too late."""
    schedules.add("often", every=60, endpoint="echo", payload="x", misfire="skip", misfire_grace=1)
    schedules.pause("often")
    id_ = schedules.run_now("often")
    assert parts.ledger.signature(id_) is not None
    deliver(app, "often", parts.schedules.now() - 1000, id_, trigger="manual")
    (run,) = schedules.runs("often")
    assert (run.id, run.trigger, run.state) == (id_, "manual", RunState.RUNNING)


def test_beat_sends_before_it_notes(
    app: Celery, parts: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed in between, it sends the same again, and the ledger has one request."""
    schedules.add("often", every=3_600, endpoint="echo", payload="x")
    due = parts.schedules.now() // 3_600 * 3_600
    behind(parts, "often", due - 3_600)
    with monkeypatch.context() as patch:
        patch.setattr(parts.schedules, "advance", lambda *_, **__: 1 / 0)
        beat(app).tick()
    assert parts.ledger.counts() == {"ACCEPTED": 1}
    beat(app).tick()
    beat(app).tick()
    assert parts.ledger.counts() == {"ACCEPTED": 1}
    record = parts.schedules.record("often")
    assert record is not None
    assert record.dealt["last_due"] == due


def test_two_beats_that_both_are_active_send_one_request(app: Celery, parts: Deployment) -> None:
    """Each has looked before the other has noted anything: the ledger has one row."""
    schedules.add("often", every=3_600, endpoint="echo", payload="x")
    behind(parts, "often", parts.schedules.now() // 3_600 * 3_600 - 3_600)
    first, second = beat(app), beat(app)
    entries = [made.schedule["sagemaker:often"] for made in (first, second)]
    for made, entry in zip((first, second), entries, strict=True):
        assert made.maybe_due(entry) > 0
    assert parts.ledger.counts() == {"ACCEPTED": 1}


#: When Berlin's clocks went forward, and back.
CHANGES = [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]


@pytest.mark.parametrize("change", CHANGES, ids=["forward", "back"])
@pytest.mark.parametrize("cron", ["30 2 * * *", "*/30 * * * *", "15 1,2,3 * * *"])
def test_beat_goes_over_the_clock_s_change(
    app: Celery, parts: Deployment, monkeypatch: pytest.MonkeyPatch, change: datetime, cron: str
) -> None:
    """Killed in the middle, too: each due time is sent once, none is left out."""
    schedules.add(
        "often", cron=cron, timezone="Europe/Berlin", endpoint="echo", payload="x",
        misfire_grace=86_400,
    )  # fmt: skip
    start, moment = change - timedelta(hours=26), change
    behind(parts, "often", start.timestamp())
    made = beat(app)
    for step in range(26 * 4 + 10):
        moment = start + timedelta(minutes=15 * step, seconds=1)
        monkeypatch.setattr(app, "now", lambda moment=moment: moment)
        made = beat(app) if abs(moment - change) < timedelta(minutes=30) else made
        made.tick()
    settings = schedules.get("often").settings
    due = list(settings.calendar.between(start.timestamp(), moment.timestamp()))
    timing = Timing(parts.settings.prefix, "often", settings)
    assert parts.ledger.counts() == {"ACCEPTED": len(due)}
    assert all(parts.ledger.status(timing.id_of(time)) for time in due)


def test_beat_keeps_what_it_could_not_send(
    app: Celery, parts: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that is away loses no due time."""
    schedules.add("often", every=3_600, endpoint="echo", payload="x", misfire_grace=86_400)
    behind(parts, "often", parts.schedules.now() - 7_300)
    with monkeypatch.context() as patch:
        patch.setattr(app.tasks["sagemaker.schedule"], "apply_async", lambda **_: 1 / 0)
        beat(app).tick()
    assert parts.ledger.counts() == {}
    beat(app).tick()
    assert parts.ledger.counts()["ACCEPTED"] in {2, 3}


def test_missed_runs_by_policy(app: Celery, parts: Deployment) -> None:
    """Beat was away for ten due times: the newest is sent, or one run says how many there were."""
    now = parts.schedules.now()
    settings: dict[str, Any] = {
        "every": 3_600,
        "endpoint": "echo",
        "payload": "x",
        "misfire_grace": 1,
    }
    for misfire in ("once", "skip"):
        schedules.add(misfire, misfire=misfire, **settings)
        behind(parts, misfire, now // 3_600 * 3_600 - 36_000)
    beat(app).tick()
    assert parts.ledger.counts() == {"ACCEPTED": 1}
    (run,) = schedules.runs("skip")
    assert (run.state, run.missed, schedules.get("skip").missed) == (RunState.MISSED, 10, 10)
    assert schedules.get("once").missed == 9


def test_a_removed_schedule_leaves_beat(app: Celery, parts: Deployment) -> None:
    """Also one that beat was about to look at."""
    schedules.add("often", every=3_600, endpoint="echo", payload="x")
    behind(parts, "often", 0)
    index = f"{parts.schedules.base}beat::schedule"
    schedules.remove("often")
    parts.schedules.client.zadd(index, {parts.schedules.entry("often", "last_due"): 1})
    beat(app).tick()
    assert parts.schedules.client.zcard(index) == 0
    assert parts.ledger.counts() == {}


def test_the_file_s_schedules_follow_the_file(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """Added, changed, removed when beat starts; a pause stays, and so do others' schedules."""
    echo: dict[str, Any] = {"endpoint": "echo", "payload": "x"}
    first = make(a={"every": 60, **echo}, b={"every": 60, **echo})
    Scheduler(app=first)
    schedules.add("mine", every=60, **echo)
    schedules.pause("a")
    second = make(a={"every": 61, **echo}, c={"every": 60, "endpoint": "absent", "payload": "x"})
    Scheduler(app=second)
    found = {s.name: s for s in schedules.list_all()}
    assert set(found) == {"a", "mine"}
    assert (found["a"].settings.every, found["a"].paused, found["a"].source) == (61, True, "file")
    assert found["mine"].source == "api"
    assert told(caplog, "schedule_refused") == ["c"]


def test_a_restart_of_beat_misses_nothing(make: Make) -> None:
    """The same file again leaves due times as they were."""
    app = make(a={"every": 3_600, "endpoint": "echo", "payload": "x"})
    Scheduler(app=app)
    parts = deployment(app)
    behind(parts, "a", parts.schedules.now() // 3_600 * 3_600 - 3_600)
    sync.synchronise(app)
    beat(app).tick()
    assert parts.ledger.counts() == {"ACCEPTED": 1}


def test_an_endpoint_is_warmed_up(app: Celery, parts: Deployment) -> None:
    """By an invocation that is no run, once, before the run; not for one that has begun."""
    schedules.add(
        "nightly", every=100_000, run="batch", endpoint="echo", input="s3://b/in",
        output="s3://b/out", prewarm=100_000, prewarm_payload={"warm": "{date}"},
    )  # fmt: skip
    beat(app).tick()
    beat(app).tick()
    assert parts.ledger.counts() == {"ACCEPTED": 1}
    due = schedules.get("nightly").next_due
    assert due is not None
    deliver(app, "nightly", due, "w1", step="prewarm")
    deliver(app, "nightly", due, "w1", step="prewarm")
    deliver(app, "nightly", due - 100_000, "w2", step="prewarm")
    assert parts.ledger.counts() == {"ACCEPTED": 2}
    assert schedules.runs("nightly") == []


def test_somebody_else_s_app_has_one_beat(prefix: str, sagemaker_redis_url: str) -> None:
    """Its own `beat_schedule` and our schedules, over its own broker."""
    url = sagemaker_redis_url.removesuffix("/0") + "/15"
    shop = install(Celery("shop", broker=url, backend=url, set_as_current=False))
    shop.conf.beat_schedule = {"theirs": {"task": "shop.save", "schedule": 1.0}}
    schedules.add("often", every=3_600, endpoint="echo", payload="x", app=shop)
    parts = deployment(shop)
    behind(parts, "often", parts.schedules.now() // 3_600 * 3_600 - 3_600)
    made = beat(shop)
    with redis.Redis.from_url(url) as broker:
        eventually(lambda: made.tick() > 0 and broker.llen("celery") > 0)
        assert parts.ledger.counts() == {"ACCEPTED": 1}
        broker.delete("celery", "sagemaker.poll")
    made.close()
    parts.close()
    shop.close()


def test_an_app_with_its_own_redbeat_is_told(app: Celery) -> None:
    """Its entries are somewhere else: one beat cannot serve both."""
    app.conf.redbeat_key_prefix = "theirs:"
    with pytest.raises(ImproperlyConfigured, match="beside it"):
        configure(app)


def test_a_lost_lock_is_taken_again(app: Celery, caplog: pytest.LogCaptureFixture) -> None:
    """RedBeat's own scheduler would exit (redbeat#230)."""
    service = Service(app, scheduler_cls=Scheduler)
    made: Any = service.scheduler
    made.tick()
    client = deployment(app).ledger.client
    client.delete(made.lock_key)
    assert made.tick() > 0
    assert "beat_lock_lost" in caplog.text
    made.tick()
    assert client.exists(made.lock_key)
    made.close()
    assert not client.exists(made.lock_key)


def test_a_schedule_of_a_newer_version_stays(
    app: Celery, parts: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """A beat that cannot read it runs the others, and leaves it to a newer one."""
    schedules.add("newer", every=3_600, endpoint="echo", payload="x")
    schedules.add("often", every=3_600, endpoint="echo", payload="x")
    for name in ("newer", "often"):
        behind(parts, name, parts.schedules.now() // 3_600 * 3_600 - 3_600)
    parts.schedules.client.hset(parts.schedules.key("newer"), "settings", '{"colour":"red"}')
    with caplog.at_level(logging.ERROR):
        beat(app).tick()
    assert told(caplog, "schedule_not_understood") == ["newer"]
    assert parts.ledger.counts() == {"ACCEPTED": 1}
    assert parts.schedules.next_time("newer") is not None
