"""Batch jobs over real workers: every record has one outcome, and the counts say so."""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import run

import pytest
from celery import Celery
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks import batch
from harness import Environment, Worker, behave, calls_of, eventually

pytestmark = pytest.mark.timeout(240)


def lines(count: int) -> bytes:
    """Records with an id and a body of their own."""
    made = (json.dumps({"custom_id": f"id-{n}", "body": {"x": n}}) for n in range(count))
    return "\n".join(made).encode()


def written(folder: Path, count: int) -> Path:
    """A file of records."""
    path = folder / "records.jsonl"
    path.write_bytes(lines(count))
    return path


def test_a_job_runs_from_a_file_to_its_results(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """Each record's output comes back once, under its own id; ordered, in the input's order."""
    worker.start()
    job = batch.submit("echo", input=written(tmp_path, 1_000))
    status = job.wait(60)
    assert status.state == "completed", status
    assert (status.request_counts.total, status.request_counts.succeeded) == (1_000, 1_000)
    found = [(line.id, line.json()) for line in job.results(ordered=True)]
    assert found == [(f"id-{n}", {"x": n}) for n in range(1_000)]
    assert sorted(str(line.id) for line in job.results()) == sorted(id_ for id_, _ in found)
    assert list(job.errors()) == []


def test_a_cancelled_job_calls_no_more(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """From a second after the cancel on; what was answered is kept, and nothing else."""
    endpoint = behave(sagemaker_local, "slow-cancel", latency={"fixed": 0.2})
    worker.start()
    job = batch.submit(endpoint, input=written(tmp_path, 5_000))
    eventually(lambda: len(calls_of(sagemaker_local, endpoint)) > 100)
    cancelled = time.time()
    assert job.cancel().state in {"cancelling", "finalizing"}
    status = job.wait(30)
    made = calls_of(sagemaker_local, endpoint)
    assert status.state == "cancelled"
    assert max(call["time"] for call in made) - cancelled < 1.0
    assert status.request_counts.succeeded == len(made)
    assert status.request_counts.cancelled == 5_000 - len(made)
    assert len(list(job.results())) == len(made)


def test_a_stopped_worker_loses_nothing(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """SIGTERM: what is in flight ends and is saved; another worker does the rest, and no more."""
    endpoint = behave(sagemaker_local, "slow-stop", latency={"fixed": 0.3})
    worker.start()
    job = batch.submit(endpoint, input=written(tmp_path, 600))
    eventually(lambda: len(calls_of(sagemaker_local, endpoint)) > 50)
    worker.terminate()
    worker.wait_for_death()
    done = job.status().request_counts.succeeded
    assert done == len(calls_of(sagemaker_local, endpoint))
    assert 0 < done < 600
    worker.start()
    assert job.wait(60).request_counts.succeeded == 600
    ids = Counter(call["inference_id"] for call in calls_of(sagemaker_local, endpoint))
    assert set(ids.values()) == {1}
    assert len(ids) == 600


def test_a_small_job_passes_a_huge_one(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """100 records behind a job of minutes are done in seconds."""
    endpoint = behave(sagemaker_local, "slow-fair", latency={"fixed": 0.5})
    worker.start()
    huge = batch.submit(endpoint, input=written(tmp_path, 20_000))
    eventually(lambda: len(calls_of(sagemaker_local, endpoint)) > 64)
    small = batch.submit("echo", input=written(tmp_path, 100))
    began = time.monotonic()
    assert small.wait(30).request_counts.succeeded == 100
    assert time.monotonic() - began < 10
    assert huge.status().state == "in_progress"
    huge.cancel()
    huge.wait(30)


def test_an_asynchronous_endpoint_holds_no_slot(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """Records are submitted once, and wait outside of workers; failures are errors of records."""
    endpoint = behave(
        sagemaker_local, "slow-async", kind="async", delay={"uniform": [2.0, 4.0]},
        failure_rate=0.05,
    )  # fmt: skip
    worker.start()
    job = batch.submit(endpoint, input=written(tmp_path, 300))
    eventually(lambda: len(calls_of(sagemaker_local, endpoint)) == 300)
    eventually(lambda: job.status().running == 0, 3.0)
    assert job.status().state == "in_progress"
    status = job.wait(60)
    counts = status.request_counts
    assert (status.state, counts.succeeded + counts.failed) == ("completed", 300)
    assert status.error_counts == {"AsyncInferenceFailed": counts.failed}
    found = {line.id: line.json() for line in job.results()}
    assert len(found) == counts.succeeded > 200
    assert all(value == {"x": int(str(id_)[3:])} for id_, value in found.items())
    assert len(calls_of(sagemaker_local, endpoint)) == 300


def test_the_command_line(
    app: Celery, worker: Worker, environment: Environment, tmp_path: Path
) -> None:
    """Submit, watch, status, results, errors, list, retry-failed, cancel and purge."""

    def command(*arguments: str) -> tuple[int, str]:
        program = "from celery_sagemaker.workers.cli import main; main()"
        done = run(
            [sys.executable, "-c", program, "batch", *arguments],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout

    worker.start()
    path = str(written(tmp_path, 20))
    assert command("submit", "echo", "-i", path, "--dry-run") == (0, "")
    assert command("submit", "echo", "-i", path, "--dry-run", "--split-type", "Word")[0] == 2
    assert command("list") == (0, "")
    code, printed = command("submit", "echo", "-i", path, "--metadata", "team=a", "--wait")
    assert code == 0
    job = printed.strip()
    code, printed = command("status", job, "--json")
    assert (code, json.loads(printed)["request_counts"]["succeeded"]) == (0, 20)
    assert "20 (20 succeeded)" in command("status", job)[1]
    assert command("watch", job)[0] == 0
    code, printed = command("results", job, "--ordered")
    assert [json.loads(line)["id"] for line in printed.splitlines()] == [
        f"id-{n}" for n in range(20)
    ]
    assert command("errors", job) == (0, "")
    assert job in command("list", "--state", "completed")[1]
    assert command("list", "--endpoint", "other") == (0, "")
    assert command("cancel", job)[1].startswith("completed")
    assert command("retry-failed", job)[0] == 2
    assert command("purge")[0] == 2
    assert command("purge", job)[0] == 0
    assert command("status", job)[0] == 5
