"""`sagemaker.batch_chunk`: the records of one chunk, or as many as time allows."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from celery import shared_task

from ...config import retries
from ...runtime.exceptions import InferenceError, NotAllowed
from ...runtime.requests import InvokeEndpointRequest
from ...runtime.s3 import S3Location
from .. import outputs
from ..base import LedgerTask
from ..deployment import Deployment
from ..exceptions import PoisonMessage
from . import schedule
from .awaited import Awaited
from .collection import Collection
from .holding import Hold
from .permits import permits_for
from .progress import Progress
from .records.filters import Filters
from .records.packing import Invocation, pack
from .records.reading import read
from .records.values import Chunk, RecordError
from .records.writing import PartBuffer
from .registry import Given, Run
from .runner import Runner
from .running import Plan
from .spec import Spec
from .stopping import stopping
from .submission import INVOCATION_TIMEOUT, REQUEST_TTL, Submission, Submitter
from .work import Work

logger = logging.getLogger(__name__)

#: Runs of a chunk that may die, or fail to save, one after the other, before its job fails.
SETBACKS = 20

#: Times that a run saves twice as often, with half as many calls in flight, for each of those.
CARE = 5

#: Invocations of a chunk that may wait for their next call, for each that may be in flight.
WAITING = 4


class BatchTask(LedgerTask):
    """A part of a batch job; sent by the schedule, never by a caller."""

    abstract = True
    accepts_delivered: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Only:
    """The positions of a chunk's records that are to be sent."""

    first: int
    progress: Progress
    awaited: Awaited = field(default_factory=Awaited)

    def __contains__(self, position: object) -> bool:
        if not isinstance(position, int):
            return False
        offset = position - self.first
        return offset in self.progress and offset not in self.awaited


@shared_task(bind=True, base=BatchTask, name="sagemaker.batch_chunk", ignore_result=True)
def batch_chunk(self: BatchTask, message: dict[str, Any]) -> dict[str, Any]:
    """Run a chunk that was given to this task."""
    given = Given(message["job"], message["chunk"], self.request.id or "")
    try:
        return self.settle(lambda: run_chunk(self.deployment, given))
    finally:
        schedule.try_to_advance(self.app)


def run_chunk(parts: Deployment, given: Given) -> dict[str, Any]:
    """Do as much of a chunk as time allows; returns how much that was."""
    registry, began = parts.registry, time.monotonic()
    run = registry.begin(given.job, given.chunk, given.task)
    if run is None:
        return {"records": 0}
    try:
        return _run(parts, run, began)
    except InferenceError as error:
        extra = {"job": given.job, "chunk": given.chunk, "code": error.code}
        logger.warning("chunk_failed", extra=extra)
        if isinstance(error, NotAllowed) or run.setbacks + 1 >= SETBACKS:
            registry.stop(given.job, "failed", error.to_json())
        registry.give_back(given, 2.0 ** min(run.setbacks, CARE))
        return {"records": 0, "error": error.code}
    finally:
        parts.count_requests()


def _run(parts: Deployment, run: Run, began: float) -> dict[str, Any]:
    if run.setbacks >= SETBACKS:
        raise PoisonMessage(f"{run.setbacks} runs of chunk {run.chunk} died, one after the other.")
    spec_text, mode = parts.registry.fields(run.job, "spec", "mode")
    spec = Spec.from_text(spec_text or "{}")
    output = S3Location.parse(spec.output)
    hold = Hold(parts.registry, run, parts.store, output, parts.ledger.lease, began)
    if mode == "async":
        return _run_async(parts, run, spec, hold)
    error = parts.caller.submit(_on_loop(parts, run, spec, hold)).result()
    if error is not None:
        parts.registry.stop(run.job, "failed", error.to_json())
    took = time.monotonic() - began
    parts.registry.learn(spec.endpoint, hold.done, took)
    return {"records": hold.done, "seconds": round(took, 3)}


def _run_async(parts: Deployment, run: Run, spec: Spec, hold: Hold) -> dict[str, Any]:
    """Submit what was not submitted; once all was, look for answers."""
    chunk, left = Chunk.from_json(run.values), run.progress or {"upto": 0}
    progress = Progress.from_json(left)
    awaited = Awaited.from_json(left["awaited"]) if "awaited" in left else Awaited()
    if progress.remaining(chunk.count) > len(awaited.offsets):
        running = _submit(parts, run, spec, chunk, progress, awaited, hold)
        error = parts.caller.submit(running).result()
        if error is not None:
            parts.registry.stop(run.job, "failed", error.to_json())
    else:
        Collection(parts, spec, chunk, progress, awaited, hold, stopping).run()
    return {"records": hold.done}


async def _submit(
    parts: Deployment,
    run: Run,
    spec: Spec,
    chunk: Chunk,
    progress: Progress,
    awaited: Awaited,
    hold: Hold,
) -> InferenceError | None:
    plan = plan_of(parts, run, spec)
    filters = Filters.compile(spec.processing(), spec.input_().format)
    only = Only(chunk.first, progress, awaited)
    runner = Submitter(
        Work(chunk.first, chunk.count, progress, plan.in_flight * WAITING),
        _items(parts, chunk, spec, progress, only, fetch=filters.payload_changes),
        PartBuffer(),
        plan,
        transport=parts.caller.transport(spec.endpoint),
        keeper=hold,
        permits=permits_for(parts.limits, spec),
        leaving=stopping,
        submission=submission_of(parts, run, spec, chunk),
        awaited=awaited,
    )
    await runner.run()
    return runner.fatal


def submission_of(parts: Deployment, run: Run, spec: Spec, chunk: Chunk) -> Submission:
    """Return how the records of a chunk are submitted."""
    settings = parts.settings
    given, polling = settings.endpoint(spec.endpoint), settings.polling
    usual = parts.ledger.duration(spec.endpoint)
    return Submission(
        spec=spec,
        job=run.job,
        store=parts.store,
        extension=f"{settings.prefix}/batch/{run.job}/{chunk.index:05d}",
        first=chunk.first,
        count=chunk.count,
        ttl=given.request_ttl_seconds or REQUEST_TTL,
        timeout=given.invocation_timeout_seconds or INVOCATION_TIMEOUT,
        margin=polling.deadline_margin,
        first_look=outputs.next_look(usual, polling.min_interval, polling.max_interval),
    )


async def _on_loop(parts: Deployment, run: Run, spec: Spec, hold: Hold) -> InferenceError | None:
    chunk = Chunk.from_json(run.values)
    progress = Progress() if run.progress is None else Progress.from_json(run.progress)
    plan = plan_of(parts, run, spec)
    runner = Runner(
        Work(chunk.first, chunk.count, progress, plan.in_flight * WAITING),
        _items(parts, chunk, spec, progress, Only(chunk.first, progress), fetch=True),
        PartBuffer(),
        plan,
        transport=parts.caller.transport(spec.endpoint),
        keeper=hold,
        permits=permits_for(parts.limits, spec),
        leaving=stopping,
    )
    await runner.run()
    return runner.fatal


def _items(
    parts: Deployment, chunk: Chunk, spec: Spec, progress: Progress, only: Only, *, fetch: bool
) -> Iterator[Invocation | RecordError]:
    packing, input_ = spec.packing(), spec.input_()
    filters = Filters.compile(spec.processing(), input_.format)
    wanted = only if progress.left or only.awaited else None
    records = read(
        chunk, input_, parts.store, progress.first, only=wanted, fetch=fetch,
        record_bytes=packing.max_payload_bytes,
    )  # fmt: skip
    return pack(records, packing, filters if filters.payload_changes else None)


def plan_of(parts: Deployment, run: Run, spec: Spec) -> Plan:
    """Return how a run goes about its chunk: the more of them died, the more carefully."""
    settings, batch = parts.settings, parts.settings.batch
    filters = Filters.compile(spec.processing(), spec.input_().format)
    care = 2 ** min(run.setbacks, CARE)
    most = min(batch.in_flight, spec.max_concurrent_transforms or batch.in_flight)

    def request(invocation: Invocation) -> InvokeEndpointRequest:
        first = invocation.records[0].position
        return spec.request(invocation.body, invocation.content_type, f"{run.job}-{first}")

    return Plan(
        endpoint=spec.endpoint,
        request=request,
        policy=lambda error: retries.policy_for(
            error, settings, spec.endpoint, repeatable=spec.repeatable
        ),
        filters=filters if filters.output_changes else None,
        in_flight=max(1, most // care),
        seconds=batch.chunk_seconds,
        save_seconds=batch.save_seconds / care,
        hold_limit=settings.hold_limit,
    )
