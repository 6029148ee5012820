"""Payloads too large for the broker wait on S3; the message carries their location."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from ..config import Settings
from ..runtime import payloads
from ..runtime.exceptions import InvalidRequest
from ..runtime.requests import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from .messages import Message

if TYPE_CHECKING:
    from ..runtime.s3 import S3Location
    from .deployment import Deployment

#: Requests whose body a worker sends.
R = TypeVar("R", InvokeEndpointRequest, InvokeEndpointWithResponseStreamRequest)


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that has to be on S3 before its message is sent."""

    location: "S3Location"
    body: bytes
    content_type: str | None


def route_realtime(
    message: Message[R], settings: Settings, id_: str
) -> tuple[Message[R], Upload | None]:
    """Take a body over the broker's limit out of the message; the worker fetches it.

    Raises:
        InvalidRequest: no staging prefix is configured.
    """
    request = message.request
    if len(request.body) <= settings.broker_payload_limit:
        return message, None
    upload = _upload(settings, id_, request.body, request.content_type)
    routed = replace(message, request=replace(request, body=b""), staged=str(upload.location))
    return routed, upload


def whole(message: Message[R], parts: "Deployment") -> R:
    """Return a message's request with its body, fetched if it waits on S3.

    Raises:
        S3Error: it cannot be fetched.
    """
    if not message.staged:
        return message.request
    from ..runtime.s3 import S3Location  # noqa: PLC0415 - boto3 is for workers

    staged = parts.store.get(S3Location.parse(message.staged))
    return replace(message.request, body=staged.body or b"")


def route_async(
    message: Message[InvokeEndpointAsyncRequest], settings: Settings, id_: str
) -> tuple[Message[InvokeEndpointAsyncRequest], Upload | None]:
    """Keep a small body inline where botocore can send it so; take it out otherwise.

    Raises:
        InvalidRequest: no staging prefix is configured.
    """
    request = message.request
    limit = min(payloads.ASYNC_INLINE_LIMIT, settings.broker_payload_limit)
    if request.body is None or (len(request.body) <= limit and payloads.async_body_supported()):
        return message, None
    upload = _upload(settings, id_, request.body, request.content_type)
    elsewhere = replace(request, body=None, input_location=str(upload.location))
    return replace(message, request=elsewhere), upload


def _upload(settings: Settings, id_: str, body: bytes, content_type: str | None) -> Upload:
    from ..runtime.s3 import S3Location  # noqa: PLC0415 - boto3 is for whoever has a large payload

    if settings.staging is None:
        raise InvalidRequest(
            f"A payload of {len(body):,} bytes does not travel through the broker (limit"
            f" {settings.broker_payload_limit:,}): set CELERY_SAGEMAKER_STAGING=s3://bucket/prefix."
        )
    return Upload(S3Location.parse(settings.staging) / "inputs" / id_, body, content_type)
