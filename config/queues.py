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
        "sagemaker.collect_many": ASYNC,
        "sagemaker.stream": STREAM,
        "sagemaker.poll": POLL,
        "sagemaker.schedule": POLL,
        "sagemaker.batch_plan": BATCH,
        "sagemaker.batch_chunk": BATCH,
        "sagemaker.batch_finalize": BATCH,
    }
)

#: Redeliveries after which RabbitMQ drops a message. Version 4 says 20, and counts those of a
#: worker that lost its connection. The ledger counts the runs that died; what it knows nothing of,
#: a message that kills whoever receives it, ends here. -1 is no limit for version 4, and 0 for 3.
DELIVERY_LIMIT = 1_000

#: How the queues are declared on RabbitMQ: replicated, and on disk before a publisher is told.
QUORUM: Mapping[str, Any] = MappingProxyType(
    {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
)


def queues(*, quorum: bool = False) -> list[Queue]:
    """The declarations; by default equal to what Celery makes for a queue that is only named.

    Args:
        quorum: whether they are RabbitMQ's quorum queues. Their exchanges are topics, because
            Celery's delayed delivery cannot use direct ones.
    """
    if not quorum:
        return [Queue(name, Exchange(name), routing_key=name) for name in ALL]
    return [
        Queue(name, Exchange(name, "topic"), routing_key=name, queue_arguments=dict(QUORUM))
        for name in ALL
    ]


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
    """Put our queues behind those of an app; one that it has by the same name stays.

    Ours are quorum queues if any of the app's is: one is enough for Celery to treat all of them so.
    """
    known = list(theirs)
    quorum = any((q.queue_arguments or {}).get("x-queue-type") == "quorum" for q in known)
    named = {queue.name: queue for queue in (*queues(quorum=quorum), *known)}
    return list(named.values())
