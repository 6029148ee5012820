"""Payloads too large for the broker wait on S3; the message carries their location."""

from dataclasses import replace
from typing import TYPE_CHECKING

from ..config import Settings
from ..runtime import payloads
from ..runtime.exceptions import InvalidRequest
from ..runtime.requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from .messages import Message

if TYPE_CHECKING:
    from ..runtime.s3 import S3Location
    from .deployment import Deployment


def route_realtime(
    message: Message[InvokeEndpointRequest], parts: "Deployment", id_: str
) -> Message[InvokeEndpointRequest]:
    """Upload a body over the broker's limit; the worker fetches it."""
    body = message.request.body or b""
    if len(body) <= parts.settings.broker_payload_limit:
        return message
    location = upload(parts, id_, body, message.request.content_type)
    return replace(message, request=replace(message.request, body=b""), staged=str(location))


def route_async(
    message: Message[InvokeEndpointAsyncRequest], parts: "Deployment", id_: str
) -> Message[InvokeEndpointAsyncRequest]:
    """Keep a small body inline where botocore can send it so; upload it otherwise."""
    body = message.request.body
    limit = min(payloads.ASYNC_INLINE_LIMIT, parts.settings.broker_payload_limit)
    if body is None or (len(body) <= limit and payloads.async_body_supported()):
        return message
    location = upload(parts, id_, body, message.request.content_type)
    request = replace(message.request, body=None, input_location=str(location))
    return replace(message, request=request)


def upload(parts: "Deployment", id_: str, body: bytes, content_type: str | None) -> "S3Location":
    """Put a payload under the staging prefix.

    Raises:
        InvalidRequest: no staging prefix is configured.
        S3Error: it cannot be written.
    """
    location = staging(parts.settings, len(body)) / "inputs" / id_
    parts.store.put(location, body, content_type)
    return location


def staging(settings: Settings, size: int) -> "S3Location":
    """Return the staging prefix, for a payload of `size` bytes."""
    from ..runtime.s3 import S3Location  # noqa: PLC0415 - boto3 is for whoever has a large payload

    if settings.staging is None:
        raise InvalidRequest(
            f"A payload of {size:,} bytes does not travel through the broker (limit"
            f" {settings.broker_payload_limit:,}): set CELERY_SAGEMAKER_STAGING=s3://bucket/prefix."
        )
    return S3Location.parse(settings.staging)
