"""`sagemaker_report`: a remote control command that says what a worker of ours is made of.

    celery -A celery_sagemaker.workers.app inspect sagemaker_report

Celery's own `inspect report` is text for people; its `conf` has neither versions nor our settings.
"""

import platform
import time
from importlib.metadata import version
from typing import Any

from celery.worker.control import inspect_command

from ..config import Settings
from ..tasks.deployment import deployment
from .visibility import VisibilityHeartbeat

#: What is inspected for, and the name of the command.
COMMAND = "sagemaker_report"

#: Distributions whose versions matter to others: who writes a message, and who reads it.
DISTRIBUTIONS = ("celery-sagemaker", "celery", "kombu", "redis", "botocore")


@inspect_command(name=COMMAND)
def report(state: Any, **_: Any) -> dict[str, Any]:
    """Versions, the clock, and the settings that the workers of a deployment have to share."""
    settings = deployment(state.app).settings
    channel = getattr(state.consumer.task_consumer, "channel", None)
    return {
        "versions": versions(),
        "time": time.time(),
        "prefix": settings.prefix,
        "connections": settings.concurrency,
        "visibility_timeout": getattr(channel, "visibility_timeout", None),
        "renewing": _renewing(state.consumer),
        "longest_task": longest_task(settings),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of what is installed in this process."""
    found = {name: version(name) for name in DISTRIBUTIONS}
    return {"python": platform.python_version(), **found}


def longest_task(settings: Settings) -> float | None:
    """Return the seconds that a task of ours may take; None if a stream may take for ever."""
    stream = settings.streams.total_timeout
    if stream is None:
        return None
    # A chunk that is out of time waits for the calls that it has in flight.
    chunk = settings.batch.chunk_seconds + settings.longest_call
    return max(stream, chunk)


def _renewing(consumer: Any) -> bool:
    steps = getattr(consumer, "steps", ())
    return any(step.renewing for step in steps if isinstance(step, VisibilityHeartbeat))
