"""Batch jobs from submit to their end, run in this process: Redis, S3 and the endpoint are real."""

import json
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.runtime.s3 import S3Location
from celery_sagemaker.tasks import batch, deployment
from celery_sagemaker.tasks.batch import JobState, schedule
from celery_sagemaker.tasks.batch.awaited import Awaited
from celery_sagemaker.tasks.batch.chunk import run_chunk
from celery_sagemaker.tasks.batch.collection import _found
from celery_sagemaker.tasks.batch.finalize import finalize
from celery_sagemaker.tasks.batch.plan import plan
from celery_sagemaker.tasks.batch.records.results import read_manifest
from celery_sagemaker.tasks.batch.registry import Report
from celery_sagemaker.tasks.deployment import Deployment
from celery_sagemaker.tasks.exceptions import UnknownJob
from celery_sagemaker.workers import create_app
from harness import behave, calls_of, eventually
from kombu.exceptions import OperationalError


@pytest.fixture
def app(sagemaker_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Celery]:
    """An app whose keys are this test's own."""
    monkeypatch.setenv("CELERY_SAGEMAKER_PREFIX", f"test-{uuid.uuid4().hex}")
    monkeypatch.setenv("CELERY_SAGEMAKER_BATCH__CHUNK_RECORDS", "10")
    monkeypatch.setenv("CELERY_SAGEMAKER_RETRIES", '{"ModelError": {"attempts": 1}}')
    made = create_app(Settings.load())
    made.set_current()
    yield made
    deployment(made).close()
    made.close()


@pytest.fixture
def parts(app: Celery) -> Deployment:
    """The app's parts, with two slots for chunks."""
    made = deployment(app)
    made.registry.register("test", 2, 600.0)
    return made


@pytest.fixture
def out(sagemaker_local: LocalStack) -> str:
    """Where jobs write."""
    return f"s3://{sagemaker_local.bucket}/flow"


def records(folder: Path, count: int, bad: tuple[int, ...] = ()) -> Path:
    """A file of records, some of them bad."""
    path = folder / f"{uuid.uuid4().hex}.jsonl"
    made = [{"custom_id": f"id-{n}", "x": "bad" if n in bad else n} for n in range(count)]
    path.write_text("".join(json.dumps(one) + "\n" for one in made))
    return path


def drive(parts: Deployment, *jobs: batch.Job) -> None:
    """Do what workers do, until nothing can go on."""
    for job in jobs:
        plan(parts, job.id)
        add_up(job)
    while given := parts.registry.dispatch():
        for one in given:
            run_chunk(parts, one)
        for job in jobs:
            add_up(job)
    for id_ in parts.registry.to_finalize(60.0):
        finalize(parts, id_)
    for job in jobs:
        add_up(job)


def add_up(job: batch.Job) -> None:
    """The counts' sum is the total, always."""
    counts = job.status().request_counts
    others = (counts.processing, counts.succeeded, counts.failed, counts.cancelled, counts.expired)
    assert sum(others) == counts.total
    assert min(others) >= 0


def test_results_come_in_order(parts: Deployment, out: str, tmp_path: Path) -> None:
    """With `ordered` in the input's order; the manifest is there and adds up."""
    job = batch.submit("echo", input=records(tmp_path, 35), output=out)
    drive(parts, job)
    status = job.status()
    assert status.state is JobState.COMPLETED
    assert status.output == f"{out}/{job.id}"
    assert [line.position for line in job.results(ordered=True)] == list(range(35))
    manifest = read_manifest(parts.store, S3Location.parse(status.output))
    assert manifest.job["request_counts"]["succeeded"] == 35
    assert sum(part.succeeded for part in manifest.parts) == 35


def test_a_bad_record_costs_its_neighbours_nothing(
    parts: Deployment, sagemaker_local: LocalStack, out: str, tmp_path: Path
) -> None:
    """With MultiRecord, a failed request is cut in halves until the bad records are alone."""
    endpoint = behave(sagemaker_local, f"p{uuid.uuid4().hex}", target="batch_models:picky")
    job = batch.submit(
        endpoint, input=records(tmp_path, 30, bad=(3, 17)), output=out,
        batch_strategy="MultiRecord", max_records=8,
    )  # fmt: skip
    drive(parts, job)
    counts = job.status().request_counts
    assert (counts.succeeded, counts.failed) == (28, 2)
    assert {line.id: line.error.code for line in job.errors()} == {
        "id-3": "ModelError", "id-17": "ModelError",
    }  # fmt: skip
    assert {line.id: line.json()["x"] for line in job.results()} == {
        f"id-{n}": n for n in range(30) if n not in {3, 17}
    }
    assert len(calls_of(sagemaker_local, endpoint)) < 30


def test_failed_records_are_done_again_alone(
    parts: Deployment, sagemaker_local: LocalStack, out: str, tmp_path: Path
) -> None:
    """`retry_failed` makes a job of them, with their ids and positions; the others are not sent."""
    endpoint = behave(sagemaker_local, f"p{uuid.uuid4().hex}", target="batch_models:picky")
    job = batch.submit(endpoint, input=records(tmp_path, 30, bad=(0, 9, 25)), output=out)
    drive(parts, job)
    behave(sagemaker_local, endpoint)
    before = len(calls_of(sagemaker_local, endpoint))
    again = job.retry_failed()
    drive(parts, again)
    assert again.status().request_counts.total == 3
    assert [(line.id, line.position) for line in again.results(ordered=True)] == [
        ("id-0", 0), ("id-9", 9), ("id-25", 25),
    ]  # fmt: skip
    assert len(calls_of(sagemaker_local, endpoint)) - before == 3
    with pytest.raises(InvalidRequest, match="No record"):
        again.retry_failed()


def test_bad_input_is_listed(parts: Deployment, out: str, tmp_path: Path) -> None:
    """The job fails while validating, with each line that is wrong; nothing was called."""
    path = tmp_path / "wrong.jsonl"
    path.write_text('{"custom_id": "a"}\nnot json\n{"custom_id": "a"}\n{}')
    job = batch.submit("echo", input=path, output=out)
    drive(parts, job)
    status = job.status()
    assert status.state is JobState.FAILED
    assert [(error["line"], error["code"]) for error in status.errors] == [
        (2, "InvalidJson"), (3, "DuplicateCustomId"),
    ]  # fmt: skip
    assert status.request_counts.total == 0
    assert list(job.results()) == []


@pytest.mark.parametrize(
    ("input_", "output", "code"),
    [
        ("s3://{bucket}/absent.jsonl", "s3://{bucket}/flow", "S3ObjectNotFound"),
        ("s3://{bucket}/absent.jsonl", "s3://absent-bucket/flow", "S3BucketNotFound"),
    ],
)
def test_what_is_not_there_fails_the_job(
    parts: Deployment, sagemaker_local: LocalStack, input_: str, output: str, code: str
) -> None:
    """Input and output are looked at before anything is called."""
    bucket = sagemaker_local.bucket
    job = batch.submit(
        "echo", input=input_.format(bucket=bucket), output=output.format(bucket=bucket)
    )
    drive(parts, job)
    assert job.status().state is JobState.FAILED
    assert [error["code"] for error in job.status().errors] == [code]


def test_a_wrong_request_is_refused_at_once(app: Celery, out: str, tmp_path: Path) -> None:
    """What cannot be right raises in `submit`, and leaves no job."""
    path = records(tmp_path, 1)
    for wrong in (
        {"input_filter": "$["},
        {"batch_strategy": "Both"},
        {"mode": "sync"},
        {"assemble_with": "Comma"},
        {"metadata": {"k" * 65: "v"}},
        {"nonsense": "x"},
        {"max_concurrent_transforms": 0},
    ):
        with pytest.raises(InvalidRequest):
            batch.submit("echo", input=path, output=out, **wrong)
    with pytest.raises(InvalidRequest, match="no file"):
        batch.submit("echo", input=tmp_path / "absent", output=out)
    assert list(batch.list_jobs()) == []


def test_an_endpoint_that_is_not_there_ends_the_job(
    parts: Deployment, sagemaker_local: LocalStack, out: str, tmp_path: Path
) -> None:
    """Not every record is tried: the first answer says it for all, and all count as failed."""
    name = f"n{uuid.uuid4().hex}"
    job = batch.submit(name, input=records(tmp_path, 500), output=out, mode="realtime")
    drive(parts, job)
    status = job.status()
    assert status.state is JobState.FAILED
    assert status.request_counts.failed == 500
    assert [error["code"] for error in status.errors] == ["EndpointNotFound"]
    assert len(calls_of(sagemaker_local, name)) <= 64
    behave(sagemaker_local, name)
    again = job.retry_failed()
    drive(parts, again)
    assert again.status().request_counts.succeeded == 500


def test_a_cancelled_job_keeps_what_is_done(parts: Deployment, out: str, tmp_path: Path) -> None:
    """The rest counts as cancelled; a second cancel changes nothing."""
    job = batch.submit("echo", input=records(tmp_path, 40), output=out)
    plan(parts, job.id)
    (first, second) = parts.registry.dispatch()
    run_chunk(parts, first)
    assert job.cancel().state is JobState.CANCELLING
    run_chunk(parts, second)
    drive(parts)
    assert job.cancel().state is JobState.CANCELLED
    counts = job.status().request_counts
    assert (counts.succeeded, counts.cancelled) == (10, 30)
    assert [line.position for line in job.results(ordered=True)] == list(range(10))


def test_a_job_that_is_cancelled_early_is_over(parts: Deployment, out: str, tmp_path: Path) -> None:
    """Before its input was read, too."""
    job = batch.submit("echo", input=records(tmp_path, 4), output=out)
    job.cancel()
    drive(parts, job)
    assert job.status().state is JobState.CANCELLED


def test_a_job_expires(app: Celery, parts: Deployment, out: str, tmp_path: Path) -> None:
    """What has no outcome by then counts as expired."""
    job = batch.submit("echo", input=records(tmp_path, 40), output=out, expires_in=0.001)
    plan(parts, job.id)
    for given in parts.registry.dispatch():
        run_chunk(parts, given)
    schedule.tick(app, leading=True)
    drive(parts)
    status = job.status()
    finalize(parts, job.id)
    counts = job.status().request_counts
    assert counts.succeeded + counts.expired == 40
    assert counts.expired >= 20
    assert status.errors[-1]["code"] == "Expired"
    assert job.status().state is JobState.EXPIRED


def test_a_small_job_has_its_turn(parts: Deployment, out: str, tmp_path: Path) -> None:
    """Slots go to the job that has the fewest, whoever came first."""
    huge = batch.submit("echo", input=records(tmp_path, 200), output=out)
    plan(parts, huge.id)
    first = parts.registry.dispatch()
    assert {one.job for one in first} == {huge.id}
    small = batch.submit("echo", input=records(tmp_path, 20), output=out)
    plan(parts, small.id)
    assert parts.registry.dispatch() == []
    run = parts.registry.begin(huge.id, first[0].chunk, first[0].task)
    assert run is not None
    assert parts.registry.beat(run, run.gen, long=False) == "YIELD"
    assert parts.registry.beat(run, run.gen, long=True) == "GO"
    parts.registry.give_back(first[0])
    assert [one.job for one in parts.registry.dispatch()] == [small.id]


def test_a_client_token_makes_one_job(parts: Deployment, out: str, tmp_path: Path) -> None:
    """A second submit returns the first one's job, also when that has ended."""
    path = records(tmp_path, 5)
    job = batch.submit("echo", input=path, output=out, client_token="t")
    assert batch.submit("echo", input=path, output=out, client_token="t").id == job.id
    drive(parts, job)
    assert batch.submit("echo", input=path, output=out, client_token="t").id == job.id
    assert len(list(batch.list_jobs())) == 1


def test_filters_and_joins(parts: Deployment, out: str, tmp_path: Path) -> None:
    """InputFilter cuts what is sent, JoinSource and OutputFilter make what is kept."""
    job = batch.submit(
        "echo", input=records(tmp_path, 3), output=out, input_filter="$.x", join_source="Input",
        output_filter="$['custom_id','SageMakerOutput']", assemble_with="Line",
    )  # fmt: skip
    drive(parts, job)
    assert [line.json() for line in job.results(ordered=True)] == [
        {"custom_id": f"id-{n}", "SageMakerOutput": n} for n in range(3)
    ]
    assembled = S3Location.parse(job.status().output) / "assembled/part-00000.out"
    body = parts.store.get(assembled).body or b""
    assert [json.loads(line)["SageMakerOutput"] for line in body.splitlines()] == [0, 1, 2]


def test_a_purged_job_is_gone(
    parts: Deployment, sagemaker_local: LocalStack, out: str, tmp_path: Path
) -> None:
    """What it wrote, and the copy of its input, are removed; nobody else's objects are."""
    job, other = (batch.submit("echo", input=records(tmp_path, 3), output=out) for _ in range(2))
    with pytest.raises(InvalidRequest, match="not ended"):
        job.purge()
    drive(parts, job, other)
    input_ = S3Location.parse(job.status().input)
    assert parts.store.head(input_) is not None
    assert job.purge() >= 4
    assert parts.store.head(input_) is None
    assert list(parts.store.list(S3Location.parse(f"{out}/{job.id}/"))) == []
    with pytest.raises(UnknownJob):
        job.status()
    assert [found.id for found in batch.list_jobs()] == [other.id]
    assert len(list(other.results())) == 3
    assert [id_ for id_, _ in batch.purge(0.0)] == [other.id]


def test_jobs_are_listed_by_state_and_endpoint(
    parts: Deployment, sagemaker_local: LocalStack, out: str, tmp_path: Path
) -> None:
    """Newest first, with filters and a limit."""
    path = records(tmp_path, 1)
    endpoint = behave(sagemaker_local, "other")
    first = batch.submit("echo", input=path, output=out)
    second = batch.submit(endpoint, input=path, output=out, metadata={"team": "a"})
    drive(parts, first)
    assert [job.id for job in batch.list_jobs()] == [second.id, first.id]
    assert [job.id for job in batch.list_jobs(limit=1)] == [second.id]
    assert [job.id for job in batch.list_jobs(state="completed")] == [first.id]
    (found,) = batch.list_jobs(endpoint="other")
    assert found.metadata == {"team": "a"}


def test_a_run_that_was_taken_for_dead_counts_nothing(
    app: Celery, parts: Deployment, out: str, tmp_path: Path
) -> None:
    """Its chunk is another run's: each record is counted once, and its object is removed."""
    job = batch.submit("echo", input=records(tmp_path, 10), output=out)
    plan(parts, job.id)
    (given,) = parts.registry.dispatch()
    dead = parts.registry.begin(job.id, given.chunk, given.task)
    assert dead is not None
    stray = S3Location.parse(job.status().output) / f"output/part-00000-{dead.gen:03d}.jsonl"
    parts.store.put(stray, b'{"id":0,"position":0,"output":0}\n')
    assert parts.registry.give_back(given)
    drive(parts, job)
    report = batch_report(succeeded=10)
    assert parts.registry.report(dead, dead.gen, report) is None
    assert job.status().request_counts.succeeded == 10
    assert Counter(line.id for line in job.results()) == Counter(f"id-{n}" for n in range(10))
    assert parts.store.head(stray) is None


def batch_report(succeeded: int) -> Report:
    """A report of a run that goes on."""
    return Report("STAY", {"upto": succeeded}, succeeded=succeeded)


def test_a_report_that_is_sent_twice_counts_once(
    parts: Deployment, out: str, tmp_path: Path
) -> None:
    """As when Redis applied it and the answer was lost."""
    job = batch.submit("echo", input=records(tmp_path, 10), output=out)
    plan(parts, job.id)
    (given,) = parts.registry.dispatch()
    run = parts.registry.begin(job.id, given.chunk, given.task)
    assert run is not None
    report = batch_report(succeeded=4)
    following = parts.registry.report(run, run.gen, report)
    assert following
    assert parts.registry.report(run, run.gen, report) == following
    assert job.status().request_counts.succeeded == 4
    add_up(job)


def test_silent_chunks_are_given_back(
    app: Celery, parts: Deployment, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A begun one whose run says nothing, and one whose message never was in the ledger."""
    job = batch.submit("echo", input=records(tmp_path, 20), output=out)
    plan(parts, job.id)
    begun, unsent = parts.registry.dispatch()
    assert parts.registry.begin(job.id, begun.chunk, begun.task) is not None
    assert parts.registry.unfinished(job.id) == {0, 1}
    parts.ledger.lease = -1.0
    schedule.tick(app, leading=True)
    again = {one.task for one in parts.registry.dispatch()}
    assert not again & {begun.task, unsent.task}
    assert parts.registry.begin(job.id, begun.chunk, begun.task) is None
    assert parts.registry.begin(job.id, unsent.chunk, unsent.task) is None


def test_an_asynchronous_chunk_is_submitted_in_many_runs(
    parts: Deployment, sagemaker_local: LocalStack, out: str, tmp_path: Path
) -> None:
    """What a run has submitted is awaited, whatever later runs do; nothing is submitted twice."""
    endpoint = behave(
        sagemaker_local, f"a{uuid.uuid4().hex}", kind="async", delay={"fixed": 0.1},
        failure_rate=0.2, latency={"fixed": 0.1}, errors={"ServiceUnavailable": 0.2},
    )  # fmt: skip
    settings = parts.settings
    quick = settings.batch.model_copy(update={"chunk_seconds": 1.0, "in_flight": 1})
    often = settings.polling.model_copy(update={"min_interval": 0.05, "max_interval": 0.1})
    retries = {"serviceunavailable": {"wait_initial": 0.01, "wait_max": 0.01}}
    parts.settings = Settings(
        **{**settings.model_dump(), "broker_url": settings.broker_url, "retries": retries,
           "result_url": settings.result_url, "state_url": settings.state_url,
           "batch": quick, "polling": often}
    )  # fmt: skip
    job = batch.submit(endpoint, input=records(tmp_path, 25), output=out)
    plan(parts, job.id)
    runs = []

    def ended() -> bool:
        for given in parts.registry.dispatch():
            run_chunk(parts, given)
            runs.append(given)
            add_up(job)
        return job.status().state is not JobState.IN_PROGRESS

    eventually(ended)
    counts = job.status().request_counts
    assert counts.succeeded + counts.failed == 25
    assert 0 < counts.failed < 25
    assert len(runs) > 2
    taken = [call for call in calls_of(sagemaker_local, endpoint) if not call["error"]]
    made = Counter(call["inference_id"] for call in taken)
    assert made == Counter({f"{job.id}-{n}": 1 for n in range(25)})


def test_what_never_comes_is_given_up(parts: Deployment) -> None:
    """Nothing at either place and the deadline past: the record has an error."""
    awaited = Awaited(output="s3://b/o/", failure="s3://b/f/", since=1.0, deadline=50.0)
    (one, two, three) = awaited.having([0, 1, 2], 3).pending("churn", first=7)
    assert (one.output_location, two.failure_location) == ("s3://b/o/7", "s3://b/f/8")
    present = {"s3://b/o/7": 2.0, "s3://b/f/8": 2.0}
    early = [(found.position, found.kind) for found in _found([one, two, three], present, 49.0)]
    assert early == [(7, "output"), (8, "failure")]
    late = [(found.position, found.kind) for found in _found([one, two, three], present, 51.0)]
    assert late == [*early, (9, "deadline")]


def test_only_the_newest_planner_counts(parts: Deployment, out: str, tmp_path: Path) -> None:
    """One that was taken for dead can neither add chunks nor let the job begin."""
    job = batch.submit("echo", input=records(tmp_path, 15), output=out)
    registry = parts.registry
    assert registry.plan(job.id, "old")
    assert registry.add(job.id, "old", 0, [({"index": 0}, None)])
    plan(parts, job.id)
    assert not registry.add(job.id, "old", 1, [({"index": 1}, None)])
    assert not registry.commit(job.id, "old", 99)
    assert not registry.plan(job.id, "late")
    assert job.status().request_counts.total == 15
    drive(parts)
    assert job.status().request_counts.succeeded == 15


@pytest.mark.parametrize("kind", ["realtime", "async"])
def test_each_object_of_a_prefix_is_a_record(
    parts: Deployment, sagemaker_local: LocalStack, out: str, kind: str
) -> None:
    """Its key is its id; an asynchronous endpoint fetches it itself."""
    endpoint = behave(sagemaker_local, f"k{uuid.uuid4().hex}", kind=kind, delay={"fixed": 0.05})
    prefix = S3Location(sagemaker_local.bucket, f"prefix-{uuid.uuid4().hex}/")
    bodies = {f"{name}.bin": bytes([255, number]) for number, name in enumerate("abc")}
    for name, body in bodies.items():
        parts.store.put(S3Location(prefix.bucket, prefix.key + name), body)
    job = batch.submit(endpoint, input=str(prefix), output=out)
    plan(parts, job.id)

    def ended() -> bool:
        for given in parts.registry.dispatch():
            run_chunk(parts, given)
        return job.status().state is not JobState.IN_PROGRESS

    eventually(ended)
    drive(parts)
    assert job.status().request_counts.succeeded == 3
    found = {str(line.id).rpartition("/")[2]: line.output for line in job.results()}
    assert found == bodies


def test_rows_of_csv_are_records(parts: Deployment, out: str, tmp_path: Path) -> None:
    """Without ids of their own they are named by their position; columns can be chosen."""
    path = tmp_path / "rows.csv"
    path.write_text("1,2,a\n3,4,b\n5,6,c")
    job = batch.submit("echo", input=path, output=out, input_filter="$[0:2]", join_source="Input")
    drive(parts, job)
    found = [(line.id, line.output.strip()) for line in job.results(ordered=True)]
    assert [id_ for id_, _ in found] == [0, 1, 2]
    assert found[0][1].startswith(b"1,2,a,1,2")


def test_a_broker_that_takes_nothing_fails_no_job(
    app: Celery, parts: Deployment, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a plan cannot send on, as while Redis is full, the clock sends later."""
    job = batch.submit("echo", input=records(tmp_path, 15), output=out)

    def full(*_: object, **__: object) -> None:
        raise OperationalError("command not allowed when used memory > 'maxmemory'")

    with monkeypatch.context() as patched:
        patched.setattr(schedule, "_send", full)
        app.tasks["sagemaker.batch_plan"](**schedule.message(job.id))
    assert job.status().state is JobState.IN_PROGRESS
    drive(parts, job)
    assert job.status().state is JobState.COMPLETED
