"""The queues: one per kind of work, so that one kind never waits behind another."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from kombu import Exchange, Queue

#: Calls that are answered while the worker waits: seconds.
INVOKE = "sagemaker.invoke"
#: Submissions to asynchronous endpoints, and the collection of their outputs: milliseconds.
ASYNC = "sagemaker.async"
#: Response streams: seconds to minutes each, all of which hold a slot.
STREAM = "sagemaker.stream"
#: Looks at S3 for pending outputs, and starts of what is scheduled; apart, so that a full INVOKE
#: queue delays neither.
POLL = "sagemaker.poll"
#: Parts of batch jobs: up to half a minute each; no more at once than workers have slots for.
BATCH = "sagemaker.batch"
ALL = (INVOKE, ASYNC, STREAM, POLL, BATCH)

#: Task name to queue.
TASKS: Mapping[str, str] = MappingProxyType(
    {
        "sagemaker.invoke": INVOKE,
        "sagemaker.invoke_async": ASYNC,
        "sagemaker.collect": ASYNC,
        "sagemaker.stream": STREAM,
        "sagemaker.poll": POLL,
        "sagemaker.schedule": POLL,
        "sagemaker.batch_plan": BATCH,
        "sagemaker.batch_chunk": BATCH,
        "sagemaker.batch_finalize": BATCH,
    }
)


def queues() -> list[Queue]:
    """The declarations; equal to what Celery makes for a queue that is only named."""
    return [Queue(name, Exchange(name), routing_key=name) for name in ALL]


def task_routes() -> dict[str, dict[str, str]]:
    """Celery's ``task_routes`` for the tasks of this package, and for no others."""
    return {task: {"queue": queue} for task, queue in TASKS.items()}


def add_routes(theirs: Any) -> list[Any]:
    """Put our routes before those of an app; a route it has for a task of ours by name stays.

    Args:
        theirs: the app's ``task_routes`` in any of Celery's forms.
    """
    routes = list(theirs) if isinstance(theirs, list | tuple) else [theirs] if theirs else []
    named = {name for route in routes if isinstance(route, Mapping) for name in route}
    ours = {task: route for task, route in task_routes().items() if task not in named}
    return [ours, *routes] if ours else routes


def add_queues(theirs: Iterable[Queue]) -> list[Queue]:
    """Put our queues behind those of an app; one that it has by the same name stays."""
    named = {queue.name: queue for queue in (*queues(), *theirs)}
    return list(named.values())
