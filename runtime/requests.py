"""The requests of SageMaker Runtime's three operations, member by member.

Names are the API's in snake case; lengths, patterns and ranges are checked against the installed
botocore's own model before anything is sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from . import service, validation
from .values import Value


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """The HTTP request that a request becomes, before it is signed."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Request(Value):
    """A request of one operation."""

    __slots__: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of botocore's client method; None is left out."""
        given = ((name, getattr(self, name)) for name in self.__slots__)
        return {service.api_name(name): value for name, value in given if value is not None}

    def validate(self) -> None:
        """Check the request against the installed botocore's model.

        Raises:
            UnsupportedMember: botocore does not have a member; names the version that has.
            PayloadTooLarge: the body is larger than the operation takes.
            InvalidRequest: anything else, with every violation named.
        """
        validation.validate(self.operation, self.parameters())

    def http_request(self) -> HttpRequest:
        """Return what botocore's own serializer makes of the request; nothing is sent.

        Raises:
            InvalidRequest: as of `validate`; there is no such request then.
        """
        self.validate()
        made = service.serialize(self.operation, self.parameters())
        return HttpRequest(made["method"], made["url_path"], dict(made["headers"]), made["body"])


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointRequest(Request):
    """InvokeEndpoint: the model's answer within 60 seconds; a body of up to 6,291,456 bytes."""

    operation: ClassVar[str] = "InvokeEndpoint"

    endpoint_name: str
    body: bytes
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    target_model: str | None = None
    target_variant: str | None = None
    target_container_hostname: str | None = None
    inference_id: str | None = None
    enable_explanations: str | None = None
    inference_component_name: str | None = None
    session_id: str | None = None
    prefix_aware_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointAsyncRequest(Request):
    """InvokeEndpointAsync: the answer appears on S3, within an hour of its turn.

    The payload is either `body` (up to 128,000 bytes) or at `input_location` (up to 1 GB).
    """

    operation: ClassVar[str] = "InvokeEndpointAsync"

    endpoint_name: str
    body: bytes | None = None
    input_location: str | None = None
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    inference_id: str | None = None
    s3_output_path_extension: str | None = None
    filename: str | None = None
    request_ttl_seconds: int | None = None
    invocation_timeout_seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvokeEndpointWithResponseStreamRequest(Request):
    """InvokeEndpointWithResponseStream: the model's answer in parts, as they are made."""

    operation: ClassVar[str] = "InvokeEndpointWithResponseStream"

    endpoint_name: str
    body: bytes
    content_type: str | None = None
    accept: str | None = None
    custom_attributes: str | None = None
    target_variant: str | None = None
    target_container_hostname: str | None = None
    inference_id: str | None = None
    inference_component_name: str | None = None
    session_id: str | None = None
    prefix_aware_id: str | None = None
