"""Lets no message end a worker: what cannot be a task of ours is refused, with its reason.

A refused message is acknowledged, so that it does not come again; it is on the dead-letter list,
and its request, if it has a row, is FAILED. With signed messages nothing but the dead letter is
written: headers are not signed, and anybody could fail anybody's request.
"""

import hashlib
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

import redis
from celery import Celery, bootsteps

from ..tasks import delivery
from ..tasks.deployment import deployment
from ..tasks.exceptions import MalformedMessage
from . import envelopes, inflating
from .envelopes import OURS, Takes

logger = logging.getLogger(__name__)

#: What a strange message makes Python raise. An error of a broker, a pool or a signal is none of
#: them, and goes on as it was.
STRANGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    redis.DataError,
)

Handler = Callable[[Any], Any]


class Guard(bootsteps.StartStopStep):
    """Stands before a consumer's handler of task messages."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._reached = False

    def start(self, parent: Any) -> None:
        """Guard the handler, and what comes before it: kombu's reading and decompressing."""
        app: Celery = parent.app
        parent.create_task_handler = lambda: self._handler(
            app, type(parent).create_task_handler(parent)
        )
        inflating.bound()
        consumer = parent.task_consumer
        consumer.on_decode_error = lambda message, error: refuse(app, message, _unreadable(error))
        handlers = getattr(consumer.channel, "handlers", None)
        if isinstance(handlers, dict) and "BRPOP" in handlers:
            handlers["BRPOP"] = self._reader(app, handlers["BRPOP"])

    def _handler(self, app: Celery, take: Handler) -> Handler:
        ours = {name: task for name, task in app.tasks.items() if name.startswith(OURS)}
        runs = {name: inspect.signature(task.run) for name, task in ours.items()}
        queues = app.amqp.queues.consume_from.values()
        takes = Takes.of(runs, deployment(app).settings.message_limit, queues)

        def handle(message: Any) -> Any:
            self._reached = True
            try:
                if not is_theirs(message):
                    envelopes.check(message, takes)
                return take(message)
            except MalformedMessage as error:
                return refuse(app, message, error)
            except STRANGE as error:
                # Somebody else's task, whose messages are not checked.
                return refuse(app, message, _unreadable(error))

        return handle

    def _reader(self, app: Celery, read: Callable[..., Any]) -> Callable[..., Any]:
        """Guard the reading of what is no message at all: somebody's LPUSH into a queue."""

        def guarded(**options: Any) -> Any:
            self._reached = False
            try:
                return read(**options)
            except STRANGE as error:
                if self._reached:
                    raise
                # kombu has popped it and could make nothing of it.
                note(app, _unreadable(error), {})
                return None

        return guarded


def is_theirs(message: Any) -> bool:
    """Whether a message is of somebody else's task: the app's own, in either of its protocols.

    Raises:
        MalformedMessage: it names no task, and protocol 1, which has it in the body, is unreadable.
    """
    headers = message.headers
    if not (isinstance(headers, Mapping) and "task" in headers):
        headers = envelopes.decoded(message)
    name = envelopes.name_of(headers)
    if name is None or name.startswith(OURS):
        return False
    try:
        # Celery makes a key of any id, and breaks at what is empty, or no text.
        return bool(str.encode(headers.get("id")))
    except (TypeError, UnicodeEncodeError):
        return False


def refuse(app: Celery, message: Any, error: MalformedMessage) -> None:
    """Note why a message is not taken, end its request, and acknowledge it."""
    body = message.body or b""
    id_ = envelopes.id_of(message.headers)
    content = body if isinstance(body, bytes) else repr(body).encode()
    note(
        app,
        error,
        {
            "id": id_,
            "task": (envelopes.name_of(message.headers) or "")[: envelopes.NAME_LENGTH],
            "content_type": str(message.content_type)[: envelopes.NAME_LENGTH],
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
    )
    if id_ is not None and app.conf.task_serializer != "auth":
        _fail(app, id_, error)
    if not message.acknowledged:
        message.ack()


def note(app: Celery, error: MalformedMessage, about: Mapping[str, Any]) -> None:
    """Put a refused message on the dead-letter list: what it was, and nothing of its body."""
    logger.error("message_refused", extra={"id": about.get("id"), "error": str(error)})
    try:
        deployment(app).ledger.bury({**about, **error.to_json()})
    except redis.RedisError as away:
        logger.warning("dead_letter_not_kept", extra={"id": about.get("id"), "error": str(away)})


def _fail(app: Celery, id_: str, error: MalformedMessage) -> None:
    try:
        signature = deployment(app).ledger.signature(id_)
        if signature is not None:
            delivery.fail(app, id_, signature, error)
        else:
            app.backend.mark_as_failure(id_, error)
    except redis.RedisError as away:
        logger.warning("state_not_kept", extra={"id": id_, "error": str(away)})


def _unreadable(error: BaseException) -> MalformedMessage:
    return MalformedMessage(f"The message cannot be read ({type(error).__name__}).")
