"""Schedules over real beats and workers that are killed: no run is lost, and none happens twice."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.s3 import S3Location
from celery_sagemaker.tasks import batch, deployment, schedules
from celery_sagemaker.tasks.schedules import Run, RunState
from channels_harness import OwnRedis
from harness import Environment, Worker, behave, calls, calls_of, eventually

pytestmark = pytest.mark.timeout(240)

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")

#: Seconds between two looks of the tests' beats; their lock lives five times as long.
INTERVAL = 1

#: Runs that a test reads.
ALL = 200


class Beat:
    """A beat process."""

    def __init__(self, environment: Environment, log: Path) -> None:
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it need not be ready yet."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*CLI, "beat"],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has written so far."""
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    @property
    def sent(self) -> int:
        """How many messages it says that it has sent."""
        return self.output.count("Sending due task")

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            if self.alive:
                self.signal(signal.SIGKILL)
            self._process.wait()

    def stop(self) -> int:
        """SIGTERM; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(20)


@pytest.fixture
def environment(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The tests' own, with a quick beat."""
    monkeypatch.setenv("CELERY_SAGEMAKER_BEAT__INTERVAL", str(INTERVAL))
    return {**environment, "CELERY_SAGEMAKER_BEAT__INTERVAL": str(INTERVAL)}


Make = Callable[[], Beat]


@pytest.fixture
def make_beat(environment: Environment, tmp_path: Path) -> Iterator[Make]:
    """Makes beats that are killed at the end."""
    made: list[Beat] = []

    def make() -> Beat:
        made.append(Beat(environment, tmp_path / f"beat-{len(made)}.log"))
        return made[-1]

    yield make
    for beat in made:
        beat.kill()


@pytest.fixture
def beat(make_beat: Make) -> Beat:
    """One beat, not started yet."""
    return make_beat()


def ended(name: str, *states: RunState) -> list[Run]:
    """The runs in one of some states."""
    wanted = states or (RunState.SUCCEEDED,)
    return [run for run in schedules.runs(name, ALL) if run.state in wanted]


def accounted(stack: LocalStack, name: str, every: int) -> list[Run]:
    """Assert that each due time had its one run, and each run its one call.

    Returns:
        The runs, oldest first, up to the newest that has succeeded.
    """
    found = schedules.runs(name, ALL)[::-1]
    while found and found[-1].state is not RunState.SUCCEEDED:
        found.pop()
    dues = [run.due for run in found if run.trigger == "schedule"]
    assert sorted(dues) == dues
    assert [after - before for before, after in pairwise(dues)] == [every] * (len(dues) - 1)
    expected = {run.target: 1 for run in found if run.target}
    assert calls(stack, *map(str, expected)) == expected
    started = {run.state for run in found if run.target}
    assert started <= {RunState.SUCCEEDED}, started
    return found


def complete(name: str, every: int) -> bool:
    """Whether each due time after the first has its run, or is counted as missed by one."""
    *runs, first = schedules.runs(name, ALL)
    counted = sum(run.missed + (run.state is not RunState.MISSED) for run in runs)
    return counted == (runs[0].due - first.due) / every


def test_every_kind_runs(
    app: Celery, worker: Worker, beat: Beat, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """Again and again, each once; templates filled, results where they always are."""
    bucket = sagemaker_local.bucket
    parts = deployment(app)
    behave(sagemaker_local, "said", target="models:words")
    location = S3Location.parse(f"s3://{bucket}/scheduled/in.jsonl")
    parts.store.put(location, b'{"x": 1}\n{"x": 2}\n', "application/jsonlines")
    worker.start()
    beat.start()
    schedules.add("invoke", every=2, endpoint="echo", payload={"run": "{run}"})
    schedules.add("async", every=3, run="invoke_async", endpoint="echo", payload="{due}")
    schedules.add("stream", every=2, run="stream", endpoint="said", payload="the {date}")
    schedules.add(
        "batch", every=3, run="batch", endpoint="echo", input=str(location),
        output=f"s3://{bucket}/scheduled/{{date}}", options={"split_type": "Line"},
    )  # fmt: skip
    cold = behave(sagemaker_local, "prewarmed")
    schedules.add(
        "rare", every=6, endpoint=cold, payload="x", prewarm=4, prewarm_payload={"warm": "{run}"}
    )
    names = ("invoke", "async", "stream", "batch")
    eventually(lambda: all(len(ended(name)) >= 2 for name in names))
    for name, every in (("invoke", 2), ("stream", 2), ("async", 3)):
        runs = accounted(sagemaker_local, name, every)
        assert all(run.seconds is not None for run in runs if run.target)
    last = ended("invoke")[0]
    assert app.AsyncResult(str(last.target)).get(timeout=10)["body"] == {
        "text": f'{{"run": "{last.id}"}}'
    }
    jobs = [batch.Job(str(run.target), app).status() for run in ended("batch")]
    assert {job.id for job in jobs} <= {job.id for job in batch.list_jobs(app=app)}
    assert all(job.request_counts.succeeded == 2 for job in jobs)
    assert len({job.id for job in jobs}) == len(jobs)
    # A busy machine falls behind with all of them, and what is behind comes too late to warm.
    for name in names:
        schedules.pause(name)
    eventually(lambda: warmed(sagemaker_local, cold))
    accounted(sagemaker_local, "rare", 6)


def warmed(stack: LocalStack, endpoint: str) -> bool:
    """Whether a call of its own came 4 s before a run; asserts that none came twice."""
    runs = schedules.runs("rare", ALL)
    targets = {run.target for run in runs}
    found = [c for c in calls_of(stack, endpoint) if c["inference_id"] not in targets]
    assert len(found) == len({call["inference_id"] for call in found})
    return any(
        run.due - 4.1 < call["time"] < run.due
        for run in runs
        for call in found
        if run.state is RunState.SUCCEEDED
    )


def test_beat_is_killed_and_comes_back(
    app: Celery, worker: Worker, beat: Beat, sagemaker_local: LocalStack
) -> None:
    """What was due meanwhile is sent; beyond the grace, what the misfire policy says."""
    behave(sagemaker_local, "echo-again")
    given: dict[str, Any] = {"every": 2, "endpoint": "echo-again", "payload": "x"}
    schedules.add("graced", **given)
    schedules.add("once", misfire_grace=1, **given)
    schedules.add("skip", misfire_grace=1, misfire="skip", **given)
    worker.start()
    beat.start()
    eventually(lambda: len(ended("graced")) >= 2)
    beat.kill()
    beat.start()  # its predecessor's lock has to run out
    before = {name: len(ended(name)) for name in ("graced", "once", "skip")}
    eventually(lambda: all(len(ended(name)) >= n + 2 for name, n in before.items()))
    graced = accounted(sagemaker_local, "graced", 2)
    assert not [run for run in graced if run.state is RunState.MISSED]
    for name in ("once", "skip"):
        eventually(lambda name=name: complete(name, 2))  # type: ignore[misc]
        assert schedules.get(name).missed > 0
        targets = [str(run.target) for run in ended(name)]
        assert calls(sagemaker_local, *targets) == dict.fromkeys(targets, 1)
    assert beat.stop() == 0


def test_two_beats_are_as_good_as_one(
    app: Celery, worker: Worker, make_beat: Make, sagemaker_local: LocalStack
) -> None:
    """One stands by. It takes over from one that hangs, and what that one sends late is refused."""
    behave(sagemaker_local, "echo-twice")
    schedules.add("often", every=1, endpoint="echo-twice", payload="x")
    first, second = make_beat(), make_beat()
    worker.start()
    first.start()
    eventually(lambda: first.sent >= 2)
    second.start()
    eventually(lambda: "beat: Starting" in second.output and first.sent >= 4)
    assert second.sent == 0
    first.signal(signal.SIGSTOP)
    eventually(lambda: second.sent >= 2)
    first.signal(signal.SIGCONT)
    eventually(lambda: "beat_lock_lost" in first.output)
    count = len(ended("often"))
    eventually(lambda: len(ended("often")) >= count + 2)
    accounted(sagemaker_local, "often", 1)
    assert first.alive


class TestOutage:
    """Redis is killed, and comes back."""

    @pytest.fixture
    def environment(
        self, environment: Environment, own_redis: OwnRedis, monkeypatch: pytest.MonkeyPatch
    ) -> Environment:
        """The tests' own, but for Redis."""
        monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", own_redis.url)
        return {**environment, "CELERY_SAGEMAKER_BROKER_URL": own_redis.url}

    @pytest.fixture
    def worker(self, environment: Environment, tmp_path: Path) -> Iterator[Worker]:
        """A worker as Redis' default user."""
        made = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app")
        yield made
        made.kill()

    @pytest.mark.parametrize("seconds", [3, pytest.param(30, marks=pytest.mark.long)])
    def test_redis_goes_away(
        self,
        app: Celery,
        worker: Worker,
        beat: Beat,
        own_redis: OwnRedis,
        sagemaker_local: LocalStack,
        seconds: int,
    ) -> None:
        """Beat lives on; every due time has its one run, and every run its one call."""
        endpoint = behave(sagemaker_local, f"echo-{seconds}")
        schedules.add("often", every=1, endpoint=endpoint, payload="x")
        worker.start()
        beat.start()
        eventually(lambda: len(ended("often")) >= 3)
        own_redis.kill()
        back = time.monotonic() + seconds
        eventually(lambda: time.monotonic() >= back)
        own_redis.start()
        returned = time.time()

        def recovered() -> bool:
            if not worker.alive:
                worker.start()  # kombu#582
            assert beat.alive, beat.output
            return len([run for run in ended("often") if run.due > returned]) >= 3

        eventually(recovered, 60)
        accounted(sagemaker_local, "often", 1)


#: What becomes of three runs, each of which is asked for while the one before goes on.
OVERLAPS = {
    "skip": ["SUCCEEDED", "SKIPPED", "SKIPPED"],
    "queue": ["SUCCEEDED", "SUCCEEDED", "SKIPPED"],
    "replace": ["REVOKED", "REVOKED", "SUCCEEDED"],
}


@pytest.mark.parametrize("policies", [("skip", "queue"), ("replace",)], ids=str)
def test_overlap(
    app: Celery,
    worker: Worker,
    sagemaker_local: LocalStack,
    tmp_path: Path,
    policies: tuple[str, ...],
) -> None:
    """What comes while a run is going on is skipped, waits, or takes its place."""
    gate = tmp_path / "gate"
    endpoints = {p: behave(sagemaker_local, f"gated-{p}", target="models:gated") for p in policies}
    for policy, endpoint in endpoints.items():
        schedules.add(
            policy, cron="0 0 1 1 *", endpoint=endpoint, payload=str(gate), overlap=policy
        )
    worker.start()
    for number in range(3):
        for policy in policies:
            schedules.run_now(policy)
        eventually(lambda n=number: all(len(schedules.runs(p)) == n + 1 for p in policies))  # type: ignore[misc]
        eventually(lambda: all(calls_of(sagemaker_local, e) for e in endpoints.values()))
    gate.touch()
    eventually(lambda: all(r.state.final for p in policies for r in schedules.runs(p)))
    for policy, endpoint in endpoints.items():
        runs = schedules.runs(policy)[::-1]
        assert [run.state.value for run in runs] == OVERLAPS[policy], policy
        started = {str(run.target) for run in runs if run.target}
        made = Counter(call["inference_id"] for call in calls_of(sagemaker_local, endpoint))
        assert set(made.values()) == {1}
        assert {str(r.target) for r in runs if r.state == "SUCCEEDED"} <= set(made) <= started


def test_pausing_ending_and_removing(
    app: Celery, worker: Worker, beat: Beat, sagemaker_local: LocalStack
) -> None:
    """Nothing new begins, as three runs of another schedule show; what goes on, goes on."""
    endpoint = behave(sagemaker_local, "echo-paused")
    given: dict[str, Any] = {"every": 1, "endpoint": endpoint, "payload": "x"}
    until = int(time.time()) + 8
    for name in ("witness", "paused", "removed"):
        schedules.add(name, **given)
    schedules.add("over", until=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)), **given)
    worker.start()
    beat.start()
    eventually(lambda: all(ended(name) for name in ("witness", "paused", "removed", "over")))

    def witnessed(runs: int = 3) -> None:
        count = len(ended("witness"))
        eventually(lambda: len(ended("witness")) >= count + runs)

    schedules.pause("paused")
    schedules.remove("removed")
    paused_at = time.time()
    witnessed()
    assert max(run.due for run in schedules.runs("paused", ALL)) <= paused_at
    assert schedules.get("paused").next_due is None
    manual = schedules.run_now("paused")
    eventually(lambda: any(run.id == manual for run in ended("paused")))
    resumed_at = time.time()
    schedules.resume("paused")
    eventually(lambda: ended("paused")[0].due > resumed_at)
    assert not [r for r in schedules.runs("paused", ALL) if paused_at + 1 < r.due < resumed_at - 1
                and r.trigger == "schedule"]  # fmt: skip
    eventually(lambda: schedules.get("over").next_due is None)
    assert max(run.due for run in schedules.runs("over", ALL)) <= until
    assert [s.name for s in schedules.list_all()] == ["over", "paused", "witness"]
    made = Counter(call["inference_id"] for call in calls_of(sagemaker_local, endpoint))
    assert set(made.values()) == {1}


#: Steps of a start after which its worker is killed; all but one in the long tests.
STEPS = [
    "run_started",
    *(
        pytest.param(s, marks=pytest.mark.long)
        for s in ("begun", "run_begun", "run_noted", "finished")
    ),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_dies_in_the_middle_of_a_start(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path, step: str
) -> None:
    """Wherever it is: the run is started by another worker, once."""
    schedules.add("often", cron="0 0 1 1 *", endpoint="echo", payload="x")
    once = tmp_path / "once"
    once.touch()
    id_ = schedules.run_now("often")
    crash = {"CRASH_AT": step, "CRASH_ACTION": "kill", "CRASH_ONCE": str(once)}
    worker.start(**crash)
    eventually(lambda: not once.exists())
    worker.wait_for_death()
    worker.start(**crash)
    eventually(lambda: bool(ended("often")))
    (run,) = schedules.runs("often")
    assert run.id == id_
    assert calls(sagemaker_local, str(run.target)) == {run.target: 1}
