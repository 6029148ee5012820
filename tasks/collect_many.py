"""`sagemaker.collect_many`: outputs that were found together are collected by one task message.

A message of its own costs each as much again as collecting it. Here Celery's own tracer runs
`sagemaker.collect` for one after the other, each under its id, with its result, callbacks, chain
and chord. It is not in the ledger: of a message that is lost, the rows are sent one by one.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import celery
from celery import Celery, shared_task, states
from kombu.utils.json import loads

from . import delivery
from .collect import collect
from .deployment import deployment
from .exceptions import MalformedMessage

if TYPE_CHECKING:
    from kombu import Producer

#: Outputs that are collected together, a few milliseconds each: what the last one may be late.
TOGETHER = 8

#: Options of a message that say where it goes.
ROUTE = ("queue", "exchange", "routing_key", "priority")

#: Options of a message that hold for its run alone.
LIMITS = ("time_limit", "soft_time_limit")

#: What became of one, as a letter: all that Celery's child process tells of an answer is how it
#: looks.
SUCCEEDED, FAILED, LEFT = "S", "F", "-"


class CollectManyTask(celery.Task):  # type: ignore[type-arg]
    """Collects outputs; sent by `poll`, never by a caller."""

    abstract = True
    ignore_result = True
    acks_late = True
    acks_on_failure_or_timeout = True
    reject_on_worker_lost = True
    #: All the letters of an answer.
    resultrepr_maxsize = 10 * TOGETHER
    Request = f"{__package__}.showing:ManyRequest"


@shared_task(bind=True, base=CollectManyTask, name="sagemaker.collect_many")
def collect_many(self: CollectManyTask, ids: object) -> str:
    """Collect the outputs of some requests; returns a letter for each."""
    if not (isinstance(ids, list) and all(isinstance(id_, str) for id_ in ids)):
        raise MalformedMessage("What is collected are ids.")
    kept = deployment(self.app).ledger.found(ids, task=collect.name)
    return "".join(_run(self, kept[id_]) if id_ in kept else LEFT for id_ in ids)


def _run(carrier: CollectManyTask, signature: str) -> str:
    """Run a kept message as if a worker had just been given it."""
    from celery.app.trace import trace_task  # noqa: PLC0415 - for workers

    app, kept = carrier.app, loads(signature)
    options = dict(kept["options"])
    id_, link, link_error = (options.pop(name, None) for name in ("task_id", "link", "link_error"))
    options |= {"callbacks": delivery.listed(link), "errbacks": delivery.listed(link_error)}
    message = app.amqp.as_task_v2(id_, kept["task"], kept["args"], kept["kwargs"], **options)
    args, kwargs, embedded = message.body
    request = {
        **message.headers,
        **(options.get("headers") or {}),
        **embedded,
        "hostname": carrier.request.hostname,
        "delivery_info": carrier.request.delivery_info,
        "reply_to": options.get("reply_to"),
        "correlation_id": id_,
        "is_eager": False,
    }
    _, left, _, _ = trace_task(app.tasks[kept["task"]], id_, args, kwargs, request, app=app)
    if left is None:
        return SUCCEEDED
    return FAILED if left.state == states.FAILURE else LEFT


def send(app: Celery, found: Mapping[str, str], producer: "Producer") -> None:
    """Publish what collects some outputs: one message for all that go the same way.

    Args:
        app: whose tasks they are.
        found: messages of the requests, by id.
        producer: publishes.
    """
    for ids, route in _grouped(found):
        if len(ids) == 1:
            delivery.send(app, found[ids[0]], producer)
        else:
            args = (ids,)
            app.send_task(
                collect_many.name, args=args, producer=producer, ignore_result=True, **route
            )


def _grouped(found: Mapping[str, str]) -> Iterator[tuple[list[str], dict[str, Any]]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for id_, signature in found.items():
        options = loads(signature)["options"]
        route = {name: options[name] for name in ROUTE if options.get(name) is not None}
        limited = any(options.get(name) is not None for name in LIMITS)
        groups[json.dumps([route, id_ if limited else ""])].append(id_)
    for key, ids in groups.items():
        yield ids, json.loads(key)[0]
