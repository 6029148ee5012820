"""Batch jobs over real workers: every record has one outcome, and the counts say so."""

import json
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks import batch
from harness import Worker

pytestmark = pytest.mark.timeout(120)


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
