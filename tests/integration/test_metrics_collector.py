"""The metrics in one process: what is shown, when Redis is away, and what a scrape costs."""

import logging
import re
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery import Celery
from celery.concurrency import prefork
from celery_sagemaker.config import Settings
from celery_sagemaker.runtime.exceptions import ThrottlingException
from celery_sagemaker.runtime.requests import InvokeEndpointRequest
from celery_sagemaker.tasks import observation
from celery_sagemaker.tasks.deployment import configure, deployment
from celery_sagemaker.tasks.ledger import Run, State
from celery_sagemaker.tasks.observation import Called
from celery_sagemaker.tasks.schedules import RunState
from celery_sagemaker.workers.meters import MOST_ENDPOINTS, OTHER, FleetCollector, Meters
from celery_sagemaker.workers.metrics import Metrics
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

PAGE = Path(__file__).parents[2] / "docs/reference/metrics.md"


def app_of(url: str, **settings: Any) -> Celery:
    """Return an app with a deployment of its own."""
    app = Celery("metrics", set_as_current=False)
    prefix = f"test-{uuid.uuid4().hex}"
    configure(app, Settings(broker_url=url, prefix=prefix, **settings))
    return app


@pytest.fixture
def app(sagemaker_redis_url: str) -> Iterator[Celery]:
    """An app over a real Redis, with an endpoint that is limited."""
    limits = {"max_concurrency": 7, "breaker": True}
    made = app_of(sagemaker_redis_url, endpoints={"tight": {"limits": limits}})
    yield made
    deployment(made).close()


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of the test's own."""
    return CollectorRegistry()


@pytest.fixture
def fleet(app: Celery, registry: CollectorRegistry) -> Iterator[FleetCollector]:
    """The collector of that app, in the registry."""
    made = FleetCollector(app)
    registry.register(made)
    yield made
    made.close()


def submit(app: Celery, *numbers: int) -> None:
    """Let an asynchronous endpoint have requests."""
    ledger = deployment(app).ledger
    for n in numbers:
        ledger.accept(
            str(n), task="sagemaker.invoke_async", signature="{}", lane="q/0", endpoint=""
        )
        run = ledger.begin(str(n), "sagemaker.invoke_async", "one")
        assert isinstance(run, Run)
        where = {"output_location": f"s3://b/p/{n}", "collecting": "{}"}
        ledger.submit(run, prefix="s3://b/p/", first_look=1.0, deadline=60.0, **where)


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """Return what has no labels, by name."""
    text = generate_latest(registry).decode()
    families = text_string_to_metric_families(text)
    return {s.name: s.value for family in families for s in family.samples if not s.labels}


def test_the_page_has_every_metric_and_no_other(
    app: Celery, fleet: FleetCollector, registry: CollectorRegistry
) -> None:
    """Name, kind and labels; names as Prometheus has them, counters with their `_total`."""
    Meters(registry)
    exposed = generate_latest(registry).decode()
    kinds = re.findall(r"^# TYPE (sagemaker_\w+) (\w+)$", exposed, re.MULTILINE)
    # prometheus_client shows when a counter began as a gauge beside it.
    kinds = [(name, kind) for name, kind in kinds if not name.endswith("_created")]
    rows = re.findall(r"^\| `(sagemaker_\w+)` \| (\w+) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert sorted(rows) == sorted(kinds)


def test_redis_away_leaves_what_the_process_counted(registry: CollectorRegistry) -> None:
    """The scrape answers, says so, and has the process' own numbers."""
    meters = Meters(registry)
    registry.register(FleetCollector(app_of("redis://127.0.0.1:1/0")))
    meters.ended("sagemaker.invoke", State.SUCCEEDED, 0.2)
    found = shown(registry)
    assert found == {"sagemaker_redis_up": 0.0}
    assert b'duration_seconds_count{state="SUCCEEDED",task="sagemaker.invoke"} 1.0' in (
        generate_latest(registry)
    )


def test_a_scrape_costs_the_same_however_much_is_pending(
    app: Celery, fleet: FleetCollector, sagemaker_redis_url: str, registry: CollectorRegistry
) -> None:
    """Commands do not grow with requests: nothing is scanned, no row is read."""
    client = redis.Redis.from_url(sagemaker_redis_url)

    def commands() -> tuple[int, dict[str, float]]:
        before = client.info("stats")["total_commands_processed"]
        found = shown(registry)
        return client.info("stats")["total_commands_processed"] - before, found

    submit(app, 0)
    commands()  # loads the scripts
    few, found = commands()
    assert found["sagemaker_oldest_submitted_seconds"] > 0
    submit(app, *range(1, 300))
    many, found = commands()
    assert found["sagemaker_redis_up"] == 1
    assert 'sagemaker_requests{state="submitted"} 300.0' in generate_latest(registry).decode()
    assert many == few < 60
    client.close()


def test_limits_and_breaker_are_shown(
    app: Celery, fleet: FleetCollector, registry: CollectorRegistry
) -> None:
    """Of endpoints that the settings limit, whether they were called or not."""
    with deployment(app).limits.admit("Tight", 3) as admission:
        assert admission.permits == 3
        text = generate_latest(registry).decode()
    assert 'sagemaker_limit{endpoint="tight"} 7.0' in text
    assert 'sagemaker_permits_in_use{endpoint="tight"} 3.0' in text
    assert 'sagemaker_breaker{endpoint="tight",state="closed"} 1.0' in text
    assert 'sagemaker_breaker{endpoint="tight",state="open"} 0.0' in text


def test_a_late_clock_is_seen(
    app: Celery, fleet: FleetCollector, registry: CollectorRegistry
) -> None:
    """What was due a minute ago and was not done is a lag of a minute, and no clock ticks."""
    ledger = deployment(app).ledger
    ledger.client.zadd(ledger.key("due"), {"a": ledger.now() - 60, "b": ledger.now() + 60})
    found = shown(registry)
    assert 60 <= found["sagemaker_clock_lag_seconds"] < 90
    assert found["sagemaker_clock_up"] == 0


def test_schedules_are_shown_until_they_are_gone(
    app: Celery, fleet: FleetCollector, registry: CollectorRegistry
) -> None:
    """When the next run is, how the last one ended, what was missed; a paused one has no next."""
    schedules = deployment(app).schedules
    now = schedules.now()
    due = now + 60
    for name in ("nightly", "idle"):
        times = {"last_due": due}
        schedules.put(name, "{}", source="api", change=False, dealt=now, times=times)
    schedules.pause("idle")
    record = schedules.record("nightly")
    assert record is not None
    assert schedules.advance(record, "last_due", dealt=now + 1, then=due, missed=2)
    run = {"id": "r1", "due": 1.0, "trigger": "schedule", "kind": "invoke", "missed": 0}
    schedules.begin("nightly", run, "skip", late=False)
    ended, _ = schedules.finish("nightly", "r1", RunState.FAILED, {"code": "ModelError"})
    assert ended is not None

    generate_latest(registry)
    get, labels = registry.get_sample_value, {"schedule": "nightly"}
    last = {**labels, "state": "FAILED"}
    assert get("sagemaker_schedule_next_run_timestamp_seconds", labels) == due
    assert get("sagemaker_schedule_last_run_timestamp_seconds", last) == ended.ended
    assert get("sagemaker_schedule_missed_total", labels) == 2
    idle = {"schedule": "idle"}
    assert get("sagemaker_schedule_next_run_timestamp_seconds", idle) is None
    assert get("sagemaker_schedule_missed_total", idle) == 0
    schedules.remove("nightly")
    assert get("sagemaker_schedule_missed_total", labels) is None


def test_callers_cannot_make_series_without_end(registry: CollectorRegistry) -> None:
    """Endpoints beyond a number are counted as one."""
    meters = Meters(registry)
    for n in range(MOST_ENDPOINTS + 5):
        meters.called(Called(f"e{n}", "InvokeEndpoint", "success", 0.1, 1, 1))
    get = registry.get_sample_value
    labels = {"operation": "InvokeEndpoint", "outcome": "success"}
    assert get("sagemaker_calls_total", {"endpoint": OTHER, **labels}) == 5
    assert get("sagemaker_calls_total", {"endpoint": "e0", **labels}) == 1


class Seen:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.calls: list[Called] = []

    def called(self, call: Called) -> None:
        """Keep it."""
        self.calls.append(call)

    def retried(self, endpoint: str, code: str) -> None:
        """Not asked here."""

    def ended(self, task: str, state: State, seconds: float) -> None:
        """Not asked here."""


def test_a_call_is_told_as_it_ended() -> None:
    """Endpoint, operation, outcome as in the retry table, time and bytes; nothing after leaving."""
    seen, request = Seen(), InvokeEndpointRequest(endpoint_name="echo", body=b"123")
    observation.observe(seen)
    try:
        with observation.Call(request) as call:
            call.received = 5
        with pytest.raises(ThrottlingException), observation.Call(request):
            raise ThrottlingException
        with pytest.raises(KeyError), observation.Call(request):
            raise KeyError
    finally:
        observation.leave(seen)
    with observation.Call(request):
        pass
    assert [call.outcome for call in seen.calls] == ["success", "ThrottlingException", "unknown"]
    first = seen.calls[0]
    assert (first.endpoint, first.operation) == ("echo", "InvokeEndpoint")
    assert (first.sent, first.received) == (3, 5)
    assert 0 < first.seconds < 1


def parent_of(app: Celery) -> SimpleNamespace:
    """Return what a bootstep is given: a worker with a prefork pool."""
    return SimpleNamespace(app=app, pool_cls=prefork.TaskPool, steps=[])


def test_without_a_port_there_is_no_step(app: Celery) -> None:
    """Off by default: nothing listens, nobody counts."""
    parent = parent_of(app)
    Metrics(parent).include(parent)
    assert parent.steps == []
    assert observation._observers == ()


def test_a_worker_that_stops_lets_its_port_go(
    sagemaker_redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Served from start to stop; a prefork pool without files is told of."""
    app = app_of(sagemaker_redis_url, metrics={"port": 0, "host": "127.0.0.1"})
    parent = parent_of(app)
    caplog.set_level(logging.INFO)
    step = Metrics(parent)
    step.include(parent)
    step.start(parent)
    port = vars(caplog.records[-1])["port"]
    assert [r.message for r in caplog.records] == ["metrics_of_children_missing", "metrics_served"]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        text = answer.read().decode()
    assert "sagemaker_redis_up 1.0" in text
    assert "process_cpu_seconds_total" in text  # what else is counted in this process
    step.stop(parent)
    assert observation._observers == ()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")
