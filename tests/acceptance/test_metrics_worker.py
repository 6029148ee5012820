"""The metrics of a real worker, as Prometheus reads them, against what the endpoints were asked."""

import re
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker import channels, tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import ModelError
from harness import OPTIONS, Environment, Worker, behave, calls_of, eventually
from prometheus_client.parser import text_string_to_metric_families

pytestmark = pytest.mark.timeout(120)

OURS = "sagemaker_"
INVOKE = "InvokeEndpoint"

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Scraped:
    """What one scrape has shown."""

    def __init__(self, text: str) -> None:
        families = list(text_string_to_metric_families(text))
        self._series: Series = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def __call__(self, name: str, **labels: str) -> float:
        """Return a value, or the sum of those that have these labels."""
        wanted = set(labels.items())
        return sum(
            value
            for (found, having), value in self._series.items()
            if found == OURS + name and wanted <= having
        )

    def endpoints(self, name: str) -> set[str]:
        """Return the endpoints that a metric tells of."""
        return {dict(having)["endpoint"] for found, having in self._series if found == OURS + name}


def scrape(port: int) -> Scraped:
    """Read as Prometheus does."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain")
        return Scraped(answer.read().decode())


def served(worker: Worker) -> int:
    """Return the port at which a worker serves, once it does."""
    found: list[str] = []

    def said() -> bool:
        found[:] = re.findall(r"metrics_served .*port=(\d+)", worker.output)
        return bool(found)

    eventually(said)
    return int(found[-1])


@pytest.fixture
def watched(
    environment: Environment, app: Celery, tmp_path: Path
) -> Iterator[Callable[..., Worker]]:
    """Workers of our app that serve metrics; killed at the end."""
    made: list[Worker] = []

    def start(*options: str, **more: str) -> Worker:
        ours = {
            "CELERY_SAGEMAKER_METRICS__HOST": "127.0.0.1",
            "CELERY_SAGEMAKER_METRICS__PORT": "0",
            "CELERY_SAGEMAKER_BATCH__CHUNKS": "2",
        }
        log = tmp_path / f"worker{len(made)}.log"
        module = "celery_sagemaker.workers.app"
        worker = Worker({**environment, **ours, **more}, log, module, (*OPTIONS, *options))
        worker.start()
        made.append(worker)
        return worker

    yield start
    for worker in made:
        worker.kill()


def outcomes(stack: LocalStack, endpoint: str) -> Counter[str]:
    """Count the calls that an emulated endpoint was asked for, by success and failure."""
    return Counter(
        "success" if call["status"] in {200, 202} else "failed"
        for call in calls_of(stack, endpoint)
    )


def agrees(found: Scraped, stack: LocalStack, endpoint: str, operation: str) -> None:
    """Check that calls were counted as the endpoint has them."""
    asked = outcomes(stack, endpoint)
    labels = {"endpoint": endpoint, "operation": operation}
    assert found("calls_total", **labels) == asked.total(), endpoint
    assert found("calls_total", **labels, outcome="success") == asked["success"], endpoint
    assert found("call_duration_seconds_count", **labels) == asked.total()


def balanced(found: Scraped) -> bool:
    """Whether every request that was accepted is somewhere, or has ended."""
    return found("requests_accepted_total") == found("requests_ended_total") + found("requests")


def test_calls_are_counted_as_they_were_made(
    app: Celery, watched: Callable[..., Worker], sagemaker_local: LocalStack
) -> None:
    """Successes, failures, retries, bytes: what the endpoint was asked is what Prometheus reads."""
    behave(sagemaker_local, "good")
    behave(sagemaker_local, "unwell", errors={"ModelError:400": 1.0})
    behave(sagemaker_local, "shaky", errors={"ServiceUnavailable": 0.4}, seed=3)
    port = served(watched(CELERY_SAGEMAKER_ENDPOINTS__SHAKY__LIMITS__MAX_CONCURRENCY="9"))
    good = [tasks.invoke.delay("good", "twelve bytes") for _ in range(20)]
    ill = [tasks.invoke.delay("unwell", "x") for _ in range(5)]
    shaky = [tasks.invoke.delay("shaky", "x") for _ in range(20)]
    for result in (*good, *shaky):
        result.get(timeout=45)
    for result in ill:
        assert isinstance(result.get(timeout=45, propagate=False), ModelError)
    eventually(lambda: scrape(port)("requests_ended_total") == 45)
    found = scrape(port)
    for endpoint in ("good", "unwell", "shaky"):
        agrees(found, sagemaker_local, endpoint, INVOKE)
    failed = outcomes(sagemaker_local, "shaky")["failed"]
    assert failed > 0
    assert found("retries_total", endpoint="shaky", code="ServiceUnavailable") == failed
    assert found("calls_total", endpoint="unwell", outcome="ModelError:4xx") == 5
    assert found("sent_bytes_total", endpoint="good") == 20 * 12
    assert found("received_bytes_total", endpoint="good") == 20 * 12
    labels = {"task": "sagemaker.invoke", "state": "FAILED"}
    assert found("requests_ended_total", **labels, code="ModelError") == 5
    assert found("request_duration_seconds_count", task="sagemaker.invoke") == 45
    assert found("limit", endpoint="shaky") > 0
    assert balanced(found)
    assert found("redis_up") == found("clock_up") == 1


def test_the_fleet_is_counted_where_it_stands(
    app: Celery,
    watched: Callable[..., Worker],
    sagemaker_local: LocalStack,
    tmp_path: Path,
) -> None:
    """Submitted, streaming, in a batch job; by two workers, one of which found its port taken."""
    behave(sagemaker_local, "later", kind="async", delay={"fixed": 3_600.0})
    behave(sagemaker_local, "gated", target="models:gated")
    gate, records = tmp_path / "gate", tmp_path / "records.jsonl"
    records.write_bytes(b"\n".join(b'{"x": %d}' % n for n in range(200)))
    port = served(watched())
    second = watched(CELERY_SAGEMAKER_METRICS__PORT=str(port))
    eventually(lambda: f"metrics_not_served host=127.0.0.1 port={port}" in second.output)
    submitted = [tasks.invoke_async.delay("later", "x") for _ in range(5)]
    eventually(lambda: scrape(port)("requests", state="submitted") == 5)
    found = scrape(port)
    assert balanced(found)
    assert 0 < found("oldest_submitted_seconds") < 45
    assert found("requests_ended_total") == 0

    streamed = tasks.stream.delay("gated", str(gate))
    reader = iter(channels.subscribe(streamed.id))
    first = next(event for event in reader if isinstance(event, channels.Part))
    assert first.data == b"one "
    eventually(lambda: (scrape(port)("streams"), scrape(port)("stream_subscriptions")) == (1, 1))
    assert scrape(port)("requests", state="running") >= 1
    gate.touch()
    assert [event.data for event in reader if isinstance(event, channels.Part)] == [b"two "]
    streamed.get(timeout=45)
    assert tasks.invoke_async.delay("echo", "x").get(timeout=45)["size"] == 1
    assert all(tasks.revoke(result.id, app) for result in submitted)

    job = tasks.batch.submit("echo", input=records)
    assert job.wait(60).state == "completed"
    eventually(lambda: scrape(port)("requests") == 0)
    found = scrape(port)
    assert balanced(found)
    assert found("requests_ended_total", task="sagemaker.invoke_async", state="SUCCEEDED") == 1
    assert found("requests_ended_total", task="sagemaker.invoke_async", state="REVOKED") == 5
    assert found("requests_ended_total", task="sagemaker.collect") == 0
    assert found("batch_records_total", outcome="succeeded") == 200
    assert found("batch_jobs_ended_total", state="completed") == 1
    assert found("batch_jobs") == found("batch_chunks") == found("streams") == 0
    assert found("batch_slots") == 4
    assert "echo" in found.endpoints("async_duration_seconds")
    assert found("s3_requests_total") == sum(tasks.usage(app).values()) > 0


def test_children_are_added_up(
    app: Celery, watched: Callable[..., Worker], sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """Prefork: each child counts in a file; what killed ones have counted stays."""
    behave(sagemaker_local, "forked")
    folder = tmp_path / "counted"
    folder.mkdir()
    prefork = ("--pool", "processes", "--concurrency", "2", "--max-tasks-per-child", "2")
    port = served(watched(*prefork, PROMETHEUS_MULTIPROC_DIR=str(folder)))
    for result in [tasks.invoke.delay("forked", "x") for _ in range(5)]:
        result.get(timeout=45)
    agrees(scrape(port), sagemaker_local, "forked", INVOKE)
    assert len(list(folder.glob("counter_*.db"))) > 2  # there are never more than two children
