"""Who has the next turn: chunks are given to free slots, and what has got stuck is set going again.

Called by the clock, and whenever a chunk ends. Each step is safe to do twice, and by two at once.
"""

import logging
from collections.abc import Mapping
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from .. import publications
from ..deployment import Deployment, deployment
from .registry import Given
from .stopping import stopping

logger = logging.getLogger(__name__)

#: Ticks of the clock without which a worker's slots do not count.
REGISTERED_TICKS = 10

#: Seconds until a job that is still finalizing is sent to be finalized again.
FINALIZE_AGAIN = 60.0

#: Version of the form of the messages below.
VERSION = 1

#: Why a job expires.
EXPIRED = {"code": "Expired", "message": "The job's time was over.", "members": {}}


def message(job: str, chunk: int | None = None) -> Mapping[str, Any]:
    """Return the keyword arguments of a task of a job."""
    values: dict[str, Any] = {"version": VERSION, "job": job}
    if chunk is not None:
        values["chunk"] = chunk
    return {"message": values}


def advance(app: Celery) -> int:
    """Send what can go on now; returns how many chunks were given to slots."""
    given = deployment(app).registry.dispatch()
    for number, one in enumerate(given):
        try:
            _send(app, "batch_chunk", message(one.job, one.chunk), task_id=one.task)
        except BaseException:
            for unsent in given[number:]:
                deployment(app).registry.give_back(unsent)
            raise
    for job in deployment(app).registry.to_finalize(FINALIZE_AGAIN):
        _send(app, "batch_finalize", message(job))
    return len(given)


def try_to_advance(app: Celery) -> None:
    """Advance, without waiting for the clock; if the broker takes nothing now, the clock does it.

    What a plan or a chunk has done is done: its task must not fail for what comes after it.
    """
    try:
        advance(app)
    except (redis.RedisError, OperationalError, OSError) as error:
        logger.warning("batch_not_advanced", extra={"error": str(error)})


def tick(app: Celery, *, leading: bool, patient: bool = False) -> None:
    """Say that this worker has slots; the clock that leads also looks after everybody's jobs.

    Args:
        app: the Celery app.
        leading: whether this is the clock of all workers.
        patient: whether runs of which nothing was heard are still to be waited for.
    """
    parts = deployment(app)
    if stopping():
        resign(app)
    elif _consumes(app):
        seconds = parts.settings.polling.tick * REGISTERED_TICKS
        parts.registry.register(parts.owner, parts.settings.batch.chunks, seconds)
    if leading:
        if not patient:
            _recover(parts)
        for job in parts.registry.expired():
            parts.registry.stop(job, "expired", EXPIRED)
        advance(app)


def resign(app: Celery) -> None:
    """Take no more chunks in this worker."""
    parts = deployment(app)
    parts.registry.unregister(parts.owner, parts.settings.batch.chunks)


def _consumes(app: Celery) -> bool:
    """Whether this worker takes chunks from the queue in which they wait."""
    queue, _, _ = publications.lane_of(app, "sagemaker.batch_chunk", {}).rpartition("/")
    return queue in app.amqp.queues.consume_from


def _recover(parts: Deployment) -> None:
    for given, begun in parts.registry.silent(parts.ledger.lease):
        if (begun or _gone(parts, given)) and parts.registry.give_back(given):
            logger.info("chunk_given_back", extra={"job": given.job, "chunk": given.chunk})


def _gone(parts: Deployment, given: Given) -> bool:
    """Whether the ledger will never begin a chunk's task: its message is not sent again."""
    status = parts.ledger.status(given.task)
    return status is None or status.state.final


def _send(app: Celery, name: str, kwargs: Mapping[str, Any], **options: Any) -> None:
    task: Any = app.tasks[f"sagemaker.{name}"]
    task.apply_async(kwargs=kwargs, **options)
