"""What is there after a run: from Redis, S3, the emulator and the load."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tracing
from books import Called, Facts, Job, Row, Run
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import queues
from celery_sagemaker.tasks import batch, schedules
from celery_sagemaker.tasks.base import inference_id
from celery_sagemaker.tasks.deployment import deployment
from fleet import LIMITED, PERMITS, WELL, Fleet
from harness import calls_of
from load import EVERY, RECORDS, SCHEDULES, Load
from plan import Happened
from tracing import Ran, Trace

#: Newest runs of a schedule that the registry keeps.
ALL = 200

#: The ledger's sets that have to be empty, and those of batch jobs.
SETS = ("due", "prefixes", "schedules:going", "schedules:unsaid")
JOBS = ("live", "active", "inflight", "expiring", "finalizing")

#: Fields of a row that are collected.
FIELDS = ("task", "state", "reason")


def collect(app: Celery, fleet: Fleet, load: Load, happened: list[Happened]) -> Facts:
    """Collect everything but what only shows when the workers have gone."""
    parts = deployment(app)
    rows = dict(_rows(app))
    called = tuple(_called(fleet, rows))
    return Facts(
        prefix=parts.settings.prefix,
        every={SCHEDULES[0]: EVERY, SCHEDULES[1]: 2 * EVERY},
        accepted=tuple(load.accepted),
        rows=rows,
        results={
            id_: app.AsyncResult(id_).state
            for id_, row in rows.items()
            if not app.tasks[row.task].ignore_result
        },
        counts={name: number for name, number in tasks.counts(app).items() if number},
        called=called,
        trace=_trace(fleet, load, rows, called, happened),
        jobs=tuple(_job(app, id_) for id_ in load.jobs.values() if id_),
        tokens=dict(load.jobs),
        readings=tuple(load.readings),
        runs=tuple(_runs(app)),
        everlasting=tuple(_everlasting(app)),
    )


def left(app: Celery) -> dict[str, int]:
    """Return the sizes of what has to be empty, and is not."""
    parts = deployment(app)
    client, key = parts.ledger.client, parts.ledger.key
    names = [key(name) for name in SETS] + [key("batch", name) for name in JOBS]
    patterns = [key("pending", "*"), key("running", "*"), key("batch", "job", "*", "running")]
    names += [_text(name) for pattern in patterns for name in client.scan_iter(pattern)]
    names += [*queues.ALL, "unacked", "unacked_index"]
    sizes = {name: _size(client, name) for name in names}
    sizes[f"permits of {LIMITED}"] = held(app)
    lapsed = parts.ledger.now() - parts.ledger.lease
    sizes["owners that nobody has reaped"] = client.zcount(key("owners"), "-inf", lapsed)
    return {name: size for name, size in sizes.items() if size}


def open_requests(app: Celery) -> int:
    """Return how many requests have no final state."""
    counted = tasks.counts(app)
    return 2 * counted.get("ACCEPTED", 0) - sum(counted.values())


def held(app: Celery) -> int:
    """Return how many permits of the limited endpoint are out."""
    state = deployment(app).limits.state(LIMITED)
    assert state.max_concurrency == PERMITS
    return state.in_use


def _size(client: Any, name: str) -> int:
    sizes: Mapping[str, Callable[[str], int]] = {
        "zset": client.zcard, "set": client.scard, "hash": client.hlen, "list": client.llen,
    }  # fmt: skip
    kind = _text(client.type(name))
    return 0 if kind == "none" else int(sizes[kind](name))


def _rows(app: Celery) -> Iterator[tuple[str, Row]]:
    ledger = deployment(app).ledger
    for key in ledger.client.scan_iter(ledger.key("row", "*"), count=1_000):
        task, state, reason = ledger.client.hmget(key, *FIELDS)
        code = json.loads(reason).get("code") if reason else None
        yield _text(key).rpartition(":")[2], Row(_text(task), _text(state), code)


def _called(fleet: Fleet, rows: Mapping[str, Row]) -> Iterator[Called]:
    ids = _ids(rows)
    with_names = (call for name in WELL for call in calls_of(fleet.stack, name))
    for call in with_names:
        # Without a status, its body never came.
        well = call["error"] is None or call["error"].startswith("stream:")
        ran = well and call["status"] is not None
        id_ = ids.get(call["inference_id"], call["inference_id"] or "")
        yield Called(call["endpoint"], id_, call["time"], ran)


def _ids(rows: Mapping[str, Row]) -> dict[str, str]:
    return {inference_id(id_): id_ for id_ in rows}


def _trace(
    fleet: Fleet,
    load: Load,
    rows: Mapping[str, Row],
    called: Sequence[Called],
    happened: Sequence[Happened],
) -> Trace:
    made, events = tracing.read(fleet.testimony.read_text().splitlines(), _ids(rows))
    return Trace(
        ran=tuple(Ran(call.endpoint, call.id, call.time) for call in called if call.ran),
        made=tuple(made),
        events=tuple(events),
        left=tuple(fleet.left),
        happened=tuple(happened),
        repeatable=frozenset(sent.id for sent in load.accepted if sent.restarts),
        streams=frozenset(id_ for id_, row in rows.items() if row.task == "sagemaker.stream"),
    )


def _job(app: Celery, id_: str) -> Job:
    job = batch.Job(id_, app)
    status = job.status()
    counts = status.request_counts
    outputs = [line.position for line in job.results()]
    errors = [line.position for line in job.errors()]
    return Job(
        id=id_,
        state=str(status.state),
        total=counts.total,
        succeeded=counts.succeeded,
        failed=counts.failed,
        records=RECORDS,
        lines=outputs + errors,
        outputs=len(outputs),
        why=json.dumps(status.errors),
    )


def _runs(app: Celery) -> Iterator[Run]:
    for name in SCHEDULES:
        for run in schedules.runs(name, ALL, app):
            yield Run(name, run.due, str(run.state), run.target, run.missed)


def _everlasting(app: Celery) -> Iterator[str]:
    client = deployment(app).ledger.client
    for key in client.scan_iter(count=1_000):
        if client.ttl(key) == -1:
            yield _text(key)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
