"""The responses of SageMaker Runtime, and the output of an asynchronous inference."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeGuard

from . import jsonbytes
from .exceptions import InvalidRequest
from .values import Value


class _WithBody:
    __slots__ = ()

    body: bytes | None

    @property
    def text(self) -> str:
        """The body as UTF-8 text.

        Raises:
            ValueError: the body is not here, or is not UTF-8.
        """
        if self.body is None:
            raise ValueError("The body is on S3; it was too large to travel with the result.")
        return self.body.decode()

    def json(self) -> Any:
        """Return the body read as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointResponse(_WithBody, Value):
    """What the model answered."""

    operation: ClassVar[str] = "InvokeEndpoint"

    body: bytes
    content_type: str | None = None
    invoked_production_variant: str | None = None
    custom_attributes: str | None = None
    new_session_id: str | None = None
    closed_session_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointAsyncResponse(Value):
    """Where the answer will appear. Not every endpoint has a failure location."""

    operation: ClassVar[str] = "InvokeEndpointAsync"

    output_location: str
    inference_id: str | None = None
    failure_location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointWithResponseStreamResponse(_WithBody, Value):
    """A stream that was read to its end: its body is all parts, joined."""

    operation: ClassVar[str] = "InvokeEndpointWithResponseStream"

    body: bytes
    content_type: str | None = None
    invoked_production_variant: str | None = None
    custom_attributes: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AsyncInferenceOutput(_WithBody, Value):
    """The output of an asynchronous inference; without its body when that is large."""

    operation: ClassVar[str] = "AsyncInferenceOutput"

    inference_id: str
    output_location: str
    size: int
    content_type: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOutput(Value):
    """What is left of a stream that was relayed to its readers, when it has ended."""

    operation: ClassVar[str] = "StreamOutput"

    text: str | None
    """All that the model wrote; None if it is too large to travel with the result."""
    parts: int
    """Records that readers were given."""
    size: int
    """Bytes of the payload."""
    crc32: str
    """Of the payload, eight hexadecimal digits."""
    finish: str
    """`complete`, or `unknown` when the payload did not say so itself."""
    content_type: str | None = None
    invoked_production_variant: str | None = None
    custom_attributes: str | None = None


Response = (
    InvokeEndpointResponse
    | InvokeEndpointAsyncResponse
    | InvokeEndpointWithResponseStreamResponse
    | AsyncInferenceOutput
    | StreamOutput
)

_BY_OPERATION: dict[str, type[Response]] = {
    InvokeEndpointResponse.operation: InvokeEndpointResponse,
    InvokeEndpointAsyncResponse.operation: InvokeEndpointAsyncResponse,
    InvokeEndpointWithResponseStreamResponse.operation: InvokeEndpointWithResponseStreamResponse,
    AsyncInferenceOutput.operation: AsyncInferenceOutput,
    StreamOutput.operation: StreamOutput,
}


def is_response(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a JSON value is a response's JSON form."""
    if not isinstance(value, Mapping) or value.get("operation") not in _BY_OPERATION:
        return False
    return jsonbytes.is_json(value.get("body")) or "output_location" in value or "crc32" in value


def from_json(value: Mapping[str, Any]) -> Response:
    """Read any response's JSON form.

    Raises:
        InvalidRequest: it is none.
    """
    if not is_response(value):
        raise InvalidRequest("This is not the JSON form of a response.")
    return _BY_OPERATION[value["operation"]].from_json(value)


def on_s3(value: object) -> AsyncInferenceOutput | None:
    """Return the output that a value is, or the JSON form of, when its body stayed on S3."""
    found = from_json(value) if is_response(value) else value
    return found if isinstance(found, AsyncInferenceOutput) and found.body is None else None
