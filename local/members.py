"""A request's members, and the headers that carry them: each operation has its own names."""

from collections.abc import Mapping

from ..runtime import exceptions, service, validation
from .refusals import Refusal

PREFIX = "x-amzn-sagemaker-"

#: Members that a container gets to see, and the header it finds each in. SageMaker strips others.
HANDED_ON = {
    "ContentType": "content-type",
    "Accept": "accept",
    "CustomAttributes": PREFIX + "custom-attributes",
    "InferenceId": PREFIX + "inference-id",
    "TargetModel": PREFIX + "target-model",
    "SessionId": PREFIX + "session-id",
}

#: Bytes of an inline asynchronous body.
ASYNC_INLINE = 128_000

Members = Mapping[str, str | int]


def read(operation: str, headers: Mapping[str, str]) -> Members:
    """Return the members that are headers, by their names in the API.

    Raises:
        Refusal: one that should be an integer is none.
    """
    shape = service.operation_model(operation).input_shape
    found: dict[str, str | int] = {}
    for name, member in (shape.members if shape is not None else {}).items():
        header = str(member.serialization.get("name", "")).lower()
        if member.serialization.get("location") == "header" and header in headers:
            text = headers[header]
            if member.type_name == "integer" and not text.isdecimal():
                raise Refusal("ValidationError", f"{name}: {text!r} is no integer.")
            found[name] = int(text) if member.type_name == "integer" else text
    return found


def check(operation: str, endpoint: str, members: Members, body: bytes) -> None:
    """Check lengths, patterns, ranges and what belongs together, as the service does.

    Raises:
        Refusal: ValidationError, or RequestEntityTooLarge (413) for the body.
    """
    given: dict[str, str | int | bytes] = {"EndpointName": endpoint, **members}
    # On the wire, an asynchronous call without a body has an empty one.
    if body or operation != "InvokeEndpointAsync":
        given["Body"] = body
    if "Body" in given and "Body" not in service.members(operation):
        _inline_before_botocore(given)
    try:
        validation.validate(operation, given)
    except exceptions.PayloadTooLarge as error:
        raise Refusal("RequestEntityTooLarge", error.message) from error
    except (exceptions.InvalidRequest, exceptions.UnsupportedMember) as error:
        raise Refusal("ValidationError", error.message) from error


def for_container(members: Members) -> dict[str, str]:
    """Return the headers of the call to the container."""
    return {header: str(members[name]) for name, header in HANDED_ON.items() if name in members}


def _inline_before_botocore(given: dict[str, str | int | bytes]) -> None:
    """Check an inline asynchronous body where the installed botocore has none; the service has."""
    body = given.pop("Body")
    if "InputLocation" in given:
        raise Refusal("ValidationError", "Body, InputLocation: exactly one of them.")
    if isinstance(body, bytes) and len(body) > ASYNC_INLINE:
        raise Refusal("RequestEntityTooLarge", f"Body: {len(body):,} bytes are too many.")
    given["InputLocation"] = "s3://in/body"
