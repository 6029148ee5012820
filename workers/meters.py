"""The numbers of a worker for Prometheus: its own, as it works, and the fleet's, when asked.

All of them are in docs/reference/metrics.md.
"""

import threading
from collections.abc import Callable, Iterator, Mapping

import redis
from celery import Celery
from prometheus_client import CollectorRegistry, Counter, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from redis.backoff import NoBackoff
from redis.retry import Retry

from ..tasks import fleet
from ..tasks.deployment import Deployment, deployment
from ..tasks.fleet import Fleet
from ..tasks.ledger import State
from ..tasks.limits import BreakerState, LimitState
from ..tasks.observation import Called

#: Upper bounds, in seconds, for one call: a real-time model has 60 s, a stream 8 minutes.
CALL_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 480)

#: Upper bounds, in seconds, from acceptance to the end: asynchronous inferences wait for hours.
REQUEST_BUCKETS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 21_600)

#: Endpoints that one process tells apart; callers choose the names, and each makes new series.
MOST_ENDPOINTS = 200

#: What all other endpoints are called.
OTHER = "other"

#: Seconds that Redis has to answer: Prometheus itself waits 10.
TIMEOUT = 3.0

_Series = tuple[Counter, Histogram, Counter, Counter]


class Meters:
    """What this process has done; an `observation.Observer`.

    Args:
        registry: that shows it.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        called = ("endpoint", "operation")
        self._known: set[str] = set()
        self._series: dict[tuple[str, ...], _Series] = {}
        self._calls = Counter(
            "sagemaker_calls", "Calls of endpoints that have ended.", (*called, "outcome"),
            registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "sagemaker_call_duration_seconds", "Duration of calls of endpoints.", called,
            buckets=CALL_BUCKETS, registry=registry,
        )  # fmt: skip
        self._sent = Counter(
            "sagemaker_sent_bytes", "Bytes of request bodies.", called, registry=registry
        )
        self._received = Counter(
            "sagemaker_received_bytes", "Bytes of response bodies.", called, registry=registry
        )
        self._retries = Counter(
            "sagemaker_retries", "Failed calls that are made again.", ("endpoint", "code"),
            registry=registry,
        )  # fmt: skip
        self._requests = Histogram(
            "sagemaker_request_duration_seconds", "From acceptance to the final state.",
            ("task", "state"), buckets=REQUEST_BUCKETS, registry=registry,
        )  # fmt: skip

    def called(self, call: Called) -> None:
        """Count a call."""
        key = (self._named(call.endpoint), call.operation, call.outcome)
        calls, seconds, sent, received = self._series.get(key) or self._make(*key)
        calls.inc()
        seconds.observe(call.seconds)
        sent.inc(call.sent)
        received.inc(call.received)

    def retried(self, endpoint: str, code: str) -> None:
        """Count a retry."""
        self._retries.labels(self._named(endpoint), code).inc()

    def ended(self, task: str, state: State, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.labels(task, state.value).observe(seconds)

    def _make(self, *key: str) -> _Series:
        """Find the series of a call; finding them by label costs more than counting."""
        labels = key[:2]
        made = self._series[key] = (
            self._calls.labels(*key),
            self._seconds.labels(*labels),
            self._sent.labels(*labels),
            self._received.labels(*labels),
        )
        return made

    def _named(self, endpoint: str) -> str:
        if endpoint not in self._known:
            if len(self._known) >= MOST_ENDPOINTS:
                return OTHER
            self._known.add(endpoint)
        return endpoint


class FleetCollector:
    """What the fleet is doing, read from Redis whenever somebody asks.

    Args:
        app: of the deployment.
    """

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._client: redis.Redis | None = None

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; without Redis only that it is away."""
        parts = deployment(self._app)
        up = GaugeMetricFamily("sagemaker_redis_up", "Whether Redis answered this scrape.")
        try:
            with self._lock:
                found = fleet.read(parts, self._connection(parts))
        except redis.RedisError:
            up.add_metric((), 0)
            yield up
            return
        up.add_metric((), 1)
        yield up
        for collect in (_requests, _clock, _limits, _batch, _schedules):
            yield from collect(found)
        yield _gauge("streams", "Streams that are being produced.", found.streams)
        text = "Connections that wait for parts, one for each process and stream."
        yield _gauge("stream_subscriptions", text, found.subscriptions)

    def describe(self) -> list[Metric]:
        """Return nothing: registering it must not ask Redis."""
        return []

    def close(self) -> None:
        """Close its connection."""
        if self._client is not None:
            self._client.close()

    def _connection(self, parts: Deployment) -> redis.Redis:
        if self._client is None:
            self._client = redis.Redis.from_url(
                parts.settings.state_url,
                socket_timeout=TIMEOUT,
                socket_connect_timeout=TIMEOUT,
                retry=Retry(NoBackoff(), 0),
            )
        return self._client


def _requests(found: Fleet) -> Iterator[Metric]:
    yield _by("requests_accepted", "Requests ever accepted.", "task", found.accepted)
    ended = CounterMetricFamily(
        "sagemaker_requests_ended", "Requests with a final state.", labels=("task", "state", "code")
    )
    for labels, number in found.ended.items():
        ended.add_metric(labels, number)
    yield ended
    now = {"waiting": found.waiting, "running": found.running, "submitted": found.submitted}
    text = "Requests without a final state: for a worker, in one, at an asynchronous endpoint."
    yield _gauges("requests", text, "state", now)
    text = "Since the first of the submitted requests was submitted."
    yield _gauge("oldest_submitted_seconds", text, found.oldest_submitted)
    yield _gauge("dead_letters", "Entries of the dead-letter list.", found.dead_letters)
    yield _by("s3_requests", "Requests to S3.", "kind", found.s3_requests)
    text = "What asynchronous inferences take, as a moving average."
    yield _gauges("async_duration_seconds", text, "endpoint", found.durations)


def _clock(found: Fleet) -> Iterator[Metric]:
    yield _gauge("worker_processes", "Processes that have, or just had, requests.", found.processes)
    yield _gauge("clock_up", "Whether some worker's clock ticks.", int(found.clock))
    yield _gauge("clock_lag_seconds", "How late the clock is.", found.clock_lag)


def _limits(found: Fleet) -> Iterator[Metric]:
    limited = [state for state in found.limits if state.limit is not None]
    shown: tuple[tuple[str, str, Callable[[LimitState], float]], ...] = (
        ("limit", "Calls at once that are allowed now.", lambda state: state.limit or 0),
        ("permits_in_use", "Calls at once that were admitted.", lambda state: state.in_use),
        ("permits_waited_for", "Calls that wait to be admitted.", lambda state: state.waiting),
    )
    for name, text, value in shown:
        values = {state.name: value(state) for state in limited}
        yield _gauges(name, text, "endpoint", values)
    breaker = GaugeMetricFamily(
        "sagemaker_breaker", "1 for the state of the breaker.", labels=("endpoint", "state")
    )
    for state in found.limits:
        for phase in BreakerState if state.breaker is not None else ():
            breaker.add_metric((state.name, phase.value), int(state.breaker is phase))
    yield breaker


def _batch(found: Fleet) -> Iterator[Metric]:
    yield _gauges("batch_jobs", "Batch jobs that have not ended.", "state", found.jobs)
    yield _by("batch_jobs_ended", "Batch jobs with a final state.", "state", found.jobs_ended)
    yield _by("batch_records", "Records whose outcome is on S3.", "outcome", found.records)
    yield _gauge("batch_chunks", "Chunks of batch jobs that workers have.", found.chunks)
    yield _gauge("batch_slots", "Chunks that they can have.", found.slots)


def _schedules(found: Fleet) -> Iterator[Metric]:
    states = found.schedules
    text = "When beat is to run it next; in the past: no beat is up."
    planned = {name: s.next_time for name, s in states.items() if s.next_time is not None}
    yield _gauges("schedule_next_run_timestamp_seconds", text, "schedule", planned)
    last = GaugeMetricFamily(
        "sagemaker_schedule_last_run_timestamp_seconds",
        "When its last run ended, by how.",
        labels=("schedule", "state"),
    )
    for name, state in states.items():
        if state.last is not None and state.last.ended is not None:
            last.add_metric((name, state.last.state.value), state.last.ended)
    yield last
    missed = {name: state.missed for name, state in states.items()}
    yield _by("schedule_missed", "Due times that were noticed too late.", "schedule", missed)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"sagemaker_{name}", text, value=value)


def _gauges(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    made = GaugeMetricFamily(f"sagemaker_{name}", text, labels=(label,))
    for key, value in values.items():
        made.add_metric((key,), value)
    return made


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    made = CounterMetricFamily(f"sagemaker_{name}", text, labels=(label,))
    for key, value in values.items():
        made.add_metric((key,), value)
    return made
