"""Sending what the ledger keeps, and ending from outside what no run will end."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from celery import Celery
from celery.app.task import Context
from kombu.utils.json import loads

from ..runtime import exceptions
from ..runtime.exceptions import InferenceError
from . import observation, publications, streams
from .deployment import deployment, this_app, wait_for_room
from .exceptions import Expired, Revoked
from .ledger import State, Status

if TYPE_CHECKING:
    from kombu import Producer


def send(app: Celery, signature: str, producer: "Producer | None" = None) -> None:
    """Publish a message that the ledger keeps; its row is there already.

    By name, so that nothing of our `apply_async` runs again.
    """
    kept = loads(signature)
    app.send_task(
        kept["task"], args=kept["args"], kwargs=kept["kwargs"], producer=producer, **kept["options"]
    )


def fail(app: Celery, id_: str, signature: str, error: InferenceError) -> bool:
    """End a request that no run will end; Celery stores the failure and calls the errbacks."""
    return _end(app, id_, signature, State.FAILED, error)


def expire(app: Celery, id_: str, signature: str) -> bool:
    """End a request whose message has expired: RabbitMQ drops such messages without a word.

    Returns:
        False when it has not expired.
    """
    expires = loads(signature)["options"].get("expires")
    if expires is None or publications.seconds_until(expires, app.now()):
        return False
    _end(app, id_, signature, State.EXPIRED, Expired())
    return True


def revoke(id_: str, app: Celery | None = None) -> bool:
    """Revoke a request: it is not begun any more, and its output is not awaited.

    What an endpoint already has, it goes on computing. Callable from any process of the deployment.

    Returns:
        False when the request is unknown, has a final state, or its outcome is being delivered.
    """
    app = this_app(app)
    signature = deployment(app).ledger.signature(id_)
    if signature is None or not _end(app, id_, signature, State.REVOKED, Revoked()):
        return False
    # The result first: that workers are told spares them a look at the row, no more.
    app.control.revoke(id_)
    return True


def close(app: Celery, id_: str, state: State, error: InferenceError) -> bool:
    """End a request from outside a run that Celery has a result of; tell a stream's readers.

    Returns:
        False when the request is unknown, has a final state, or its outcome is being delivered.
    """
    if not _close(app, id_, state, error):
        return False
    deployment(app).ledger.told(id_)
    return True


def tell_again(app: Celery, id_: str, signature: str) -> None:
    """Store the result of a request whose end was noted by a process that died of it."""
    ledger = deployment(app).ledger
    status = ledger.status(id_)
    if status is not None:
        error = exceptions.from_json(status.reason or {})
        _tell_readers(app, status, error)
        _store(app, id_, signature, status.state, error)
    ledger.told(id_)


def _end(app: Celery, id_: str, signature: str, state: State, error: InferenceError) -> bool:
    if not _close(app, id_, state, error):
        return False
    _store(app, id_, signature, state, error)
    deployment(app).ledger.told(id_)
    return True


def _close(app: Celery, id_: str, state: State, error: InferenceError) -> bool:
    ledger = deployment(app).ledger
    status = ledger.status(id_)
    if status is None or not ledger.close(id_, state, error.to_json()):
        return False
    seconds = max(0.0, time.time() - status.accepted_at)
    observation.ended(id_, observation.task_of(status.task), state, error.code, seconds)
    _tell_readers(app, replace(status, state=state), error)
    return True


def _tell_readers(app: Celery, ended: Status, error: InferenceError) -> None:
    if ended.task != streams.TASK:
        return
    if ended.state == State.REVOKED:
        streams.cancel(deployment(app), ended.id)
    else:
        streams.conclude(deployment(app), ended.id, error)


def _store(app: Celery, id_: str, signature: str, state: State, error: InferenceError) -> None:
    wait_for_room(app.backend)
    request = context(signature)
    if state == State.FAILED:
        app.backend.mark_as_failure(id_, error, request=request)
    else:
        app.backend.mark_as_revoked(id_, reason=state.lower(), request=request)


def context(signature: str) -> Context:
    """Return the request of a kept message, for what Celery does when a request ends."""
    kept: Mapping[str, Any] = loads(signature)
    options = kept["options"]
    return Context(
        {
            "id": options.get("task_id"),
            "task": kept["task"],
            "args": kept["args"],
            "kwargs": kept["kwargs"],
            "errbacks": listed(options.get("link_error")),
            "chain": options.get("chain"),
            "chord": options.get("chord"),
            "group": options.get("group_id"),
            "group_index": options.get("group_index"),
            "root_id": options.get("root_id"),
            "parent_id": options.get("parent_id"),
            "delivery_info": {},
        }
    )


def listed(value: Any) -> list[Any]:
    """Return the links of a message, of which one may be written without a list."""
    if not value:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
