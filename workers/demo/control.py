"""A remote-control command of the demo's worker: how many S3 requests has it made?"""

from collections import Counter
from typing import Any, cast

from celery import Celery
from celery.worker.control import inspect_command

#: The command's name.
COMMAND = "sagemaker_s3_requests"


@inspect_command(name=COMMAND)  # type: ignore[untyped-decorator]
def s3_requests(state: Any) -> dict[str, int]:
    """Return the S3 requests of this worker process, by kind."""
    from ...tasks.deployment import deployment  # noqa: PLC0415 - the worker's own parts

    return dict(deployment(cast("Celery", state.app)).store.requests)


def total_s3_requests(app: Celery) -> Counter[str]:
    """Ask all workers and add up what they say."""
    replies = app.control.broadcast(COMMAND, reply=True, timeout=5.0, limit=1) or []
    total: Counter[str] = Counter()
    for reply in replies:
        for counts in reply.values():
            total.update(counts)
    return total
