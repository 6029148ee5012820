"""`sagemaker.invoke`: InvokeEndpoint in the background."""

from collections.abc import Callable, Mapping
from typing import Any

from celery import shared_task

from ..config import Settings
from ..runtime.requests import InvokeEndpointRequest
from . import messages, observation, staging
from .base import LedgerTask, inference_id
from .messages import Message
from .staging import Upload


class InvokeTask(LedgerTask):
    """Real-time invocation; see `invoke`."""

    abstract = True

    def draft(
        self, args: Any, kwargs: Mapping[str, Any], task_id: str
    ) -> tuple[Message[InvokeEndpointRequest], Upload | None]:
        """Validate what the caller wrote; returns its message, and what has to be uploaded."""
        settings = self.deployment.settings
        defaults = realtime_defaults(settings, task_id)
        message = messages.compose(InvokeEndpointRequest, args, kwargs, defaults=defaults)
        message.request.validate()
        return staging.route_realtime(message, settings, task_id)

    def run_message(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Call the endpoint; returns the JSON form of its response."""
        message = Message.from_kwargs(kwargs, InvokeEndpointRequest)
        request = message.request
        return self.attempt(
            lambda: self._call(message),
            request.endpoint_name,
            request.inference_component_name,
        )

    def _call(self, message: Message[InvokeEndpointRequest]) -> dict[str, Any]:
        parts = self.deployment
        request = staging.whole(message, parts)
        with observation.Call(request) as call:
            response = parts.transport.invoke(request)
            call.received = len(response.body)
        return response.to_json()


def realtime_defaults(settings: Settings, task_id: str) -> Callable[[str], dict[str, Any]]:
    """Return what gives an endpoint's name the members of its requests that name none."""

    def defaults(endpoint: str) -> dict[str, Any]:
        given = settings.endpoint(endpoint)
        chosen = {"content_type": given.content_type, "accept": given.accept}
        named = {name: value for name, value in chosen.items() if value is not None}
        return {**named, "inference_id": inference_id(task_id)}

    return defaults


@shared_task(bind=True, base=InvokeTask, name="sagemaker.invoke")
def invoke(self: InvokeTask, *args: Any, **kwargs: Any) -> dict[str, Any]:
    """Invoke a real-time endpoint.

    Called as `invoke.delay("endpoint", payload, content_type=..., accept=..., ...)`, with any
    member of InvokeEndpoint in snake case; in a canvas as `invoke.s(endpoint="b")`, where the
    previous result is the payload. A dict, list, number or boolean travels as JSON, a string as
    text/plain, bytes as application/octet-stream, unless `content_type` says otherwise; the
    response of another call travels as its body. `repeatable=True` allows another call after one
    that may have run (read timeout, lost connection).

    Returns:
        The JSON form of an `InvokeEndpointResponse`; `responses.from_json` reads it.

    Raises:
        InferenceError: see `celery_sagemaker.runtime.exceptions`.
    """
    return self.settle(lambda: self.run_message(self.delivered(args, kwargs)))
