"""`sagemaker.stream`: InvokeEndpointWithResponseStream, relayed to any number of readers."""

import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import shared_task
from celery.exceptions import Ignore

from ..channels.wire import STREAM
from ..config import retries
from ..runtime.exceptions import InferenceError, InvalidRequest, StreamCancelled
from ..runtime.requests import InvokeEndpointWithResponseStreamRequest
from . import delivery, messages, staging, streams
from .attempts import PolicyFor
from .base import HandedBack, LedgerTask
from .invoke import realtime_defaults
from .ledger import State
from .messages import Message
from .streamoptions import StreamOptions

if TYPE_CHECKING:
    from .production import Production
    from .staging import Upload


class StreamTask(LedgerTask):
    """A response stream; see `stream`."""

    abstract = True

    def draft(
        self, args: Any, kwargs: Mapping[str, Any], task_id: str
    ) -> "tuple[Message[InvokeEndpointWithResponseStreamRequest], Upload | None]":
        """Validate what the caller wrote; returns its message, and what has to be uploaded."""
        if not STREAM.fullmatch(task_id):
            raise InvalidRequest(f"{task_id!r} cannot be a stream's id: it is not {STREAM.pattern}")
        settings = self.deployment.settings
        message = messages.compose(
            InvokeEndpointWithResponseStreamRequest,
            args,
            kwargs,
            defaults=realtime_defaults(settings, task_id),
            options=StreamOptions.names(),
        )
        StreamOptions.read(message.options)
        message.request.validate()
        return staging.route_realtime(message, settings, task_id)

    def cancel(self, id_: str) -> bool:
        """Cancel a stream, from any process: its response is closed at once.

        Returns:
            False when it is unknown or has ended.
        """
        return delivery.revoke(id_, self.app)

    def produce(self, args: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Call the endpoint and relay its response; returns the JSON form of the output.

        Raises:
            Ignore: the request goes on in another run, or has ended.
            InferenceError: it has failed; its readers are told.
        """
        from .production import Production, TakenOver  # noqa: PLC0415 - boto3 is for workers

        run, ledger = self.ledger_run, self.deployment.ledger
        delivered = self.delivered(args, kwargs)
        message = Message.from_kwargs(delivered, InvokeEndpointWithResponseStreamRequest)
        options = StreamOptions.read(message.options)
        production = Production(
            self.deployment,
            self.request.id or uuid.uuid4().hex,
            message,
            options,
            began=run is not None and "output" in run.row,
            note=lambda: run is None or ledger.note(run, output=1),
        )
        request = message.request
        endpoint, component = request.endpoint_name, request.inference_component_name
        try:
            policy_for = self._stream_policy(endpoint, options)
            return self.attempt(production.attempt, endpoint, component, policy_for)
        except HandedBack as later:
            production.suspend(later.seconds)
            raise
        except TakenOver:
            self._leave(production)
            raise Ignore from None
        except InferenceError as error:
            production.fail(error)
            raise
        except BaseException:
            production.suspend(0.0)
            raise

    def _leave(self, production: "Production") -> None:
        """Give up a stream that is another's now, or nobody's."""
        status = self.deployment.ledger.status(self.request.id or "")
        if status is not None and status.state == State.REVOKED:
            production.fail(StreamCancelled())
        else:
            production.suspend(0.0)

    def _stream_policy(self, endpoint: str, options: StreamOptions) -> PolicyFor:
        settings, otherwise = self.deployment.settings, self._policy_for(endpoint)

        def policy_for(error: InferenceError) -> retries.RetryPolicy:
            if not error.members.get("parts"):
                return otherwise(error)
            again = options.restart_after_output
            return retries.policy_for(error, settings, endpoint, repeatable=again, strict=True)

        return policy_for

    def on_failure(self, exc: Any, task_id: str, *rest: Any) -> None:
        """Celery has stored the failure: the row is final, and readers know."""
        super().on_failure(exc, task_id, *rest)
        if self.ledger_run is not None:
            known = isinstance(exc, InferenceError)
            error = exc if known else InferenceError(f"{type(exc).__name__}: {exc}")
            streams.conclude(self.deployment, task_id, error)


@shared_task(bind=True, base=StreamTask, name=streams.TASK)
def stream(self: StreamTask, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Invoke an endpoint and relay its response, record by record, to whoever reads.

    Called as `invoke` is: `stream.delay("endpoint", payload)`. The task's id is the stream's:
    `channels.subscribe(id)` and `asubscribe(id)` give its records from the beginning, however
    late. `stream.cancel(id)` closes the response, from any process. Options beside the request's
    members: `restart_after_output`, `framing`, `first_part_timeout`, `idle_timeout`,
    `total_timeout`; see `StreamOptions`.

    Returns:
        The JSON form of a `StreamOutput`: the whole text, the number of parts, how it finished.

    Raises:
        StreamCancelled: it was cancelled.
        StreamInterrupted: its worker died after readers had been given a part.
        InferenceError: see `celery_sagemaker.runtime.exceptions`.
    """
    return self.settle(lambda: self.produce(args, kwargs))
