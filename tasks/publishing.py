"""Publishing a request: it is checked, written to the ledger, and then sent.

`.delay`, chains, groups, chords and beat all come here.
"""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import celery
from celery.result import AsyncResult

from ..runtime.exceptions import InferenceError, InvalidRequest
from . import messages, observation, publications
from .deployment import Deployment, deployment
from .publications import Publication

if TYPE_CHECKING:
    from .messages import Message
    from .staging import Upload


class PublishingTask(celery.Task):  # type: ignore[type-arg]
    """A task whose requests are in the ledger before their messages are sent."""

    abstract = True

    @property
    def deployment(self) -> Deployment:
        """Settings, ledger and clients of this task's app."""
        return deployment(self.app)

    def draft(
        self,
        args: Any,  # noqa: ARG002 - for those who override it
        kwargs: Mapping[str, Any],  # noqa: ARG002
        task_id: str,  # noqa: ARG002
    ) -> "tuple[Message[Any], Upload | None]":
        """Validate what the caller wrote; returns its message, and what has to be uploaded.

        Raises:
            InvalidRequest: it cannot be right, or no caller may send this task.
        """
        raise InvalidRequest(f"{self.name} is sent by the other tasks only.")

    def compose(self, args: Any, kwargs: Mapping[str, Any], task_id: str) -> dict[str, Any]:
        """Return the keyword arguments that travel; uploads what the broker shall not carry."""
        message, upload = self.draft(args, kwargs, task_id)
        self.check_allowed(message)
        if upload is not None:
            store = self.deployment.store
            store.put(upload.location, upload.body, upload.content_type)
        return message.to_kwargs()

    def check_allowed(self, message: "Message[Any]") -> None:
        """Refuse what this process would not be let do; a worker's own limits are asked again.

        Raises:
            NotAllowed: an endpoint or a location is not on its list.
        """
        allowed = self.deployment.allowed
        allowed.check_request(message.request)
        if message.staged is not None:
            allowed.check_location(message.staged)

    def apply_async(
        self,
        args: Any = None,
        kwargs: Any = None,
        task_id: str | None = None,
        producer: Any = None,
        link: Any = None,
        link_error: Any = None,
        shadow: str | None = None,
        **options: Any,
    ) -> "AsyncResult[Any]":
        """Write the request to the ledger, then publish its message.

        With `countdown` or `eta` it waits as a row, and the clock publishes it.

        Raises:
            InvalidRequest: it cannot be right; nothing was written or sent.
            redis.RedisError, kombu.exceptions.OperationalError: it was not accepted.
        """
        given = {"link": link, "link_error": link_error, "shadow": shadow, **options}
        request = self.prepare(args, kwargs, task_id, **given)
        if not request.row:
            return self.publish(request, producer)
        self.deployment.ledger.accept(request.id, **request.row)
        self.accepted(request)
        try:
            return self.publish(request, producer)
        except BaseException:
            self.deployment.ledger.withdraw(request.id)
            raise

    def prepare(
        self, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any
    ) -> Publication:
        """Return what `apply_async` would write and send.

        Raises:
            InvalidRequest: it cannot be right.
        """
        id_ = task_id or uuid.uuid4().hex
        args, kwargs = self._composed(args or (), kwargs or {}, id_, options)
        endpoint, delay = messages.endpoint_of(kwargs), 0.0
        if publications.TIMES & options.keys():
            now = self.app.now()
            options = publications.as_moments(options, now)
            delay = publications.seconds_until(options.get("eta"), now)
        options = {**publications.reprs(endpoint), **options}
        call = {"args": args, "kwargs": kwargs, "task_id": id_, **options}
        if self.app.conf.task_always_eager:
            return Publication(id_, call, {}, 0.0)
        options.pop("eta", None)
        if not delay:
            call.pop("eta", None)
        row = self._row(id_, args, kwargs, options)
        return Publication(id_, call, {**row, "endpoint": endpoint, "delay": delay}, delay)

    def publish(self, request: Publication, producer: Any = None) -> "AsyncResult[Any]":
        """Send a request's message; one that waits has none yet."""
        if request.delay:
            return self._waiting(request.id, request.call)
        return super().apply_async(producer=producer, **request.call)

    def accepted(self, request: Publication) -> None:
        """Tell that a request is in the ledger."""
        observation.accepted(request.id, self.name, request.row["endpoint"])

    def _composed(
        self, args: Any, kwargs: Mapping[str, Any], id_: str, options: Mapping[str, Any]
    ) -> tuple[Any, Mapping[str, Any]]:
        if messages.travels(kwargs):
            return (), kwargs
        try:
            return (), self.compose(args, kwargs, id_)
        except InferenceError:
            # Celery continues a chain or a link with `parent_id`. Refusing there would lose the
            # request: it is sent as it is, and fails where its errbacks hear of it.
            if options.get("parent_id"):
                return args, kwargs
            raise

    def _waiting(self, id_: str, options: Mapping[str, Any]) -> "AsyncResult[Any]":
        """Return what publishing would have returned."""
        result = self.AsyncResult(id_)
        parent = self.app.current_worker_task
        if parent is not None and options.get("add_to_parent", True):
            parent.add_trail(result)
        return result

    def _row(self, id_: str, args: Any, kwargs: Any, options: Mapping[str, Any]) -> dict[str, Any]:
        app, kept = self.app, {k: v for k, v in options.items() if k != "shadow"}
        parent = app.current_worker_task
        if parent is not None and kept.get("root_id") is None:
            kept["root_id"] = parent.request.root_id or parent.request.id
            kept["parent_id"] = parent.request.id
        return {
            "task": self.name,
            "signature": publications.signature(self.name, args, kwargs, id_, kept),
            "lane": publications.lane_of(app, self.name, options),
        }
