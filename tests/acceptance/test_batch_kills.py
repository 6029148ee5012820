"""A batch job whose workers are killed, whose Redis restarts, and whose endpoint fails."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.local import redis_server
from celery_sagemaker.local.processes import Child
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks import batch
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from harness import Environment, Worker, behave, calls_of

#: Records of a chunk.
CHUNK = 250

#: Seconds between two kills.
KILL_EVERY = 2.0

#: Looks at the job, each followed by a kill, before a test gives up.
LOOKS = 400

#: Every class of error the service has, some of which pass and some of which do not.
ERRORS = {
    "ServiceUnavailable": 0.02,
    "InternalFailure": 0.02,
    "InternalDependencyException": 0.02,
    "ThrottlingException": 0.02,
    "ModelNotReadyException": 0.02,
    "ModelError:503": 0.02,
    "ModelError:500": 0.01,
    "ModelError:400": 0.005,
    "ValidationError": 0.005,
    "RequestEntityTooLarge": 0.002,
    "reset": 0.002,
    "hang": 0.001,
}

#: Codes that are tried again; the waits are short, so that a test is.
PASSING = (
    "ServiceUnavailable", "InternalFailure", "InternalDependencyException", "ThrottlingException",
    "ModelNotReadyException", "ModelError",
)  # fmt: skip

SETTINGS = {
    "BATCH__CHUNK_RECORDS": str(CHUNK),
    "BATCH__SAVE_SECONDS": "1",
    "TIMEOUTS__READ": "5",
    "RETRIES": json.dumps({code: {"wait_initial": 0.2, "wait_max": 0.5} for code in PASSING}),
}


class Fleet:
    """Two workers, and a Redis of their own that can restart."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.log = folder / "runs.log"
        self._folder = folder
        self._redis: Child = redis_server.start(folder)
        self._redis.wait_until_up()
        self.environment = {
            **environment,
            **{f"CELERY_SAGEMAKER_{name}": value for name, value in SETTINGS.items()},
            "CELERY_SAGEMAKER_BROKER_URL": f"redis://127.0.0.1:{self._redis.port}/0",
            "BATCH_LOG": str(self.log),
        }
        names = ("one", "two")
        self.workers = [
            Worker(self.environment, folder / f"{name}.log", "batching") for name in names
        ]

    def start(self, in_flight: int) -> None:
        """Start the workers that are not running; some leave when Redis restarts."""
        for worker in self.workers:
            if not worker.alive:
                worker.start(CELERY_SAGEMAKER_BATCH__IN_FLIGHT=str(in_flight))

    def restart_redis(self) -> None:
        """Stop Redis, and start it again on its append-only file."""
        port = self._redis.port
        self._redis.stop()
        self._redis = redis_server.start(self._folder, port=port)
        self._redis.wait_until_up()

    def stop(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.kill()
        self._redis.stop()


@pytest.fixture
def fleet(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Fleet]:
    """Two workers that have not started."""
    made = Fleet(environment, tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.stop()


@pytest.fixture
def app(fleet: Fleet) -> Iterator[Celery]:
    """The app of the process that submits."""
    made = create_app(Settings.load())
    made.set_current()
    yield made
    deployment(made).close()
    made.close()


def answered(stack: LocalStack, endpoint: str) -> Counter[int]:
    """How often the model answered for each position."""
    found = (call for call in calls_of(stack, endpoint) if not call["error"])
    return Counter(int(call["inference_id"].rpartition("-")[2]) for call in found)


def killed_runs(log: Path) -> Counter[int]:
    """How many runs of each chunk began and never ended."""
    begun: Counter[int] = Counter()
    for line in log.read_text().splitlines():
        what, chunk, _ = line.split()
        begun[int(chunk)] += {"begin": 1, "saved": 0, "end": -1}[what]
    return +begun


def busy(fleet: Fleet) -> Worker | None:
    """Return a worker that is in the middle of a chunk, and has saved some of one."""
    runs, saved = Counter[int](), set[int]()
    for line in fleet.log.read_text().splitlines() if fleet.log.exists() else ():
        what, _, pid = line.split()
        runs[int(pid)] += {"begin": 1, "saved": 0, "end": -1}[what]
        saved |= {int(pid)} if what == "saved" else set()
    pids = {pid for pid in saved if runs[pid] > 0}
    return next((w for w in fleet.workers if w.alive and w.pid in pids), None)


def run_to_the_end(fleet: Fleet, job: batch.Job, in_flight: int, most: int) -> int:
    """Kill a busy worker every two seconds, `most` in all, and restart Redis after the second.

    Returns:
        How many died.
    """
    kills = 0
    for _ in range(LOOKS):
        try:
            job.wait(KILL_EVERY)
        except TimeoutError:
            worker = busy(fleet) if kills < most else None
            if worker is not None:
                worker.kill()
                kills += 1
                if kills == 2:
                    fleet.restart_redis()
            fleet.start(in_flight)
        else:
            return kills
    raise AssertionError(f"not within {LOOKS * KILL_EVERY} s: {job.status()}")


@pytest.mark.timeout(LOOKS * KILL_EVERY + 60)
@pytest.mark.parametrize(
    ("count", "in_flight", "most"),
    [(2_000, 4, 5), pytest.param(20_000, 16, 1_000, marks=pytest.mark.long)],
)
def test_every_record_has_one_outcome(
    fleet: Fleet,
    app: Celery,
    sagemaker_local: LocalStack,
    tmp_path: Path,
    count: int,
    in_flight: int,
    most: int,
) -> None:
    """Every custom_id comes out once, counts add up, and only killed runs call twice."""
    endpoint = f"flaky-{count}"
    behave(sagemaker_local, endpoint, errors=ERRORS, latency={"uniform": [0.02, 0.2]}, seed=7)
    path = tmp_path / "records.jsonl"
    path.write_text("\n".join(json.dumps({"custom_id": f"id-{n}", "x": n}) for n in range(count)))
    fleet.start(in_flight)
    job = batch.submit(endpoint, input=path, output=f"s3://{sagemaker_local.bucket}/kills")
    kills = run_to_the_end(fleet, job, in_flight, most)
    status = job.status()
    assert (status.state, status.errors) == ("completed", ())
    assert status.request_counts.failed < count / 10, status
    assert kills >= 3, status

    outputs, errors = list(job.results()), list(job.errors())
    ids = Counter(line.id for line in outputs) + Counter(line.id for line in errors)
    assert ids == Counter({f"id-{n}": 1 for n in range(count)})
    counts = status.request_counts
    assert (counts.succeeded, counts.failed, counts.total) == (len(outputs), len(errors), count)
    assert status.error_counts == Counter(line.error.code for line in errors)
    assert all(json.loads(line.output)["x"] == line.position for line in outputs)

    killed = killed_runs(fleet.log)
    assert killed
    for position, times in answered(sagemaker_local, endpoint).items():
        assert times <= 1 + killed[position // CHUNK], (position, times)
