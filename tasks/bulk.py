"""Many requests at once: accepted together and published together, a page in two round trips."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import redis
from celery import Celery
from celery.canvas import Signature
from celery.result import AsyncResult
from kombu.exceptions import OperationalError

from ..runtime.exceptions import InvalidRequest
from .base import LedgerTask
from .deployment import deployment, this_app
from .exceptions import PartlyAccepted
from .ledger import PAGE
from .publications import Publication

#: A request, and the task that it is for.
Prepared = tuple[LedgerTask, Publication]


def apply_many(
    signatures: Iterable["Signature[Any]"], app: Celery | None = None
) -> "list[AsyncResult[Any]]":
    """Apply many signatures of `sagemaker.*` tasks: `apply_async` of each, several times faster.

    Each is a request of its own, with the promises of any other: its row is written before its
    message. All are checked before the first is accepted.

    Args:
        signatures: `invoke.s("endpoint", payload)` and so on, also with options (`.set(...)`).
        app: whose tasks they are; by default the current one.

    Returns:
        Their results, in the signatures' order.

    Raises:
        InvalidRequest: one cannot be right, or is not of a `sagemaker.*` task; nothing was sent.
        PartlyAccepted: Redis or the broker went away; its members say which are accepted.
    """
    app = this_app(app)
    prepared = [_prepared(app, signature) for signature in signatures]
    results: list[AsyncResult[Any]] = []
    for start in range(0, len(prepared), PAGE):
        page = prepared[start : start + PAGE]
        try:
            results += _apply(app, page)
        except (redis.RedisError, OperationalError) as error:
            raise _partly(app, prepared, start, error) from error
    return results


def _prepared(app: Celery, signature: "Signature[Any]") -> Prepared:
    task = app.tasks.get(str(signature.task))
    if not isinstance(task, LedgerTask):
        raise InvalidRequest(f"{signature.task} cannot be applied with many: it is not sagemaker.*")
    return task, task.prepare(signature.args, signature.kwargs, **signature.options)


def _apply(app: Celery, page: Sequence[Prepared]) -> "list[AsyncResult[Any]]":
    if app.conf.task_always_eager:
        return [task.publish(request) for task, request in page]
    deployment(app).ledger.accept_all({request.id: request.row for _, request in page})
    for task, request in page:
        task.accepted(request)
    with app.producer_or_acquire() as producer, _together(producer):
        return [task.publish(request, producer) for task, request in page]


def _partly(
    app: Celery, prepared: Sequence[Prepared], start: int, error: Exception
) -> PartlyAccepted:
    """Say what is accepted. A row is, even without its message: the clock sends that."""
    ids = [request.id for _, request in prepared]
    accepted, page = ids[:start], ids[start : start + PAGE]
    unknown = list(page)
    with suppress(redis.RedisError):
        for id_ in page:
            accepted += [id_] if deployment(app).ledger.status(id_) else []
            unknown.remove(id_)
    return PartlyAccepted(
        f"{len(accepted):,} of {len(ids):,} requests are accepted: {error}",
        {"accepted": accepted, "unknown": unknown},
    )


@contextmanager
def _together(producer: Any) -> Iterator[None]:
    """Let kombu's Redis channel send its messages in one round trip, at the end.

    Only its own `_put` gets the pipeline; whatever else it asks Redis is answered at once. Other
    transports have no such method: their messages go one by one.
    """
    channel = producer.channel
    if not hasattr(channel, "conn_or_acquire"):
        yield
        return
    with channel.conn_or_acquire() as client, client.pipeline(transaction=False) as pipe:
        channel._put = _into(pipe, channel, channel._put)  # noqa: SLF001 - kombu's own hook
        try:
            yield
        finally:
            del channel._put  # noqa: SLF001
        pipe.execute()


def _into(pipe: Any, channel: Any, put: Callable[..., None]) -> Callable[..., None]:
    def put_in(*args: Any, **kwargs: Any) -> None:
        channel.conn_or_acquire = lambda client=None: nullcontext(client or pipe)
        try:
            put(*args, **kwargs)
        finally:
            del channel.conn_or_acquire

    return put_in
