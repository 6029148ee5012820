"""SageMaker Runtime as the installed botocore describes it. Loads botocore, never boto3."""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from botocore.model import OperationModel, ServiceModel

SERVICE = "sagemaker-runtime"

#: API names that snake case does not give back.
_API_NAMES = {
    "s3_output_path_extension": "S3OutputPathExtension",
    "request_ttl_seconds": "RequestTTLSeconds",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What the service says of itself."""

    api_version: str
    endpoint_prefix: str
    signing_name: str
    protocol: str
    full_name: str
    service_id: str


@cache
def api_name(member: str) -> str:
    """Return a member's name in the API, for its name in snake case."""
    return _API_NAMES.get(member) or "".join(part.capitalize() for part in member.split("_"))


@cache
def model() -> "ServiceModel":
    """Return the service model of the installed botocore."""
    from botocore.loaders import create_loader  # noqa: PLC0415 - a web process may never need it
    from botocore.model import ServiceModel  # noqa: PLC0415

    return ServiceModel(create_loader().load_service_model(SERVICE, "service-2"), SERVICE)


def operation_model(operation: str) -> "OperationModel":
    """Return the model of one operation."""
    return model().operation_model(operation)


@cache
def description() -> Description:
    """Return api version, endpoint prefix, signing name, protocol and names."""
    metadata = model().metadata
    return Description(
        api_version=metadata["apiVersion"],
        endpoint_prefix=metadata["endpointPrefix"],
        signing_name=metadata.get("signingName", metadata["endpointPrefix"]),
        protocol=metadata["protocol"],
        full_name=metadata["serviceFullName"],
        service_id=metadata["serviceId"],
    )


def serialize(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the request that botocore's serializer makes, with the path's query if it has one."""
    from botocore.serialize import create_serializer  # noqa: PLC0415

    made = create_serializer(description().protocol).serialize_to_request(
        parameters, operation_model(operation)
    )
    return dict(made)


@cache
def members(operation: str) -> frozenset[str]:
    """Return the names that the operation's request has in the installed botocore."""
    shape = operation_model(operation).input_shape
    return frozenset(shape.members) if shape is not None else frozenset()


def async_body_supported() -> bool:
    """Whether the installed botocore can send an asynchronous payload inline."""
    return "Body" in members("InvokeEndpointAsync")
