"""Checks botocore leaves to the service: lengths, patterns, ranges, and what belongs together.

botocore checks types and minima only; everything else would cost a call, or a place in a queue,
before anybody hears of it. The limits come from the installed botocore's own model.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from . import service
from .exceptions import InvalidRequest, PayloadTooLarge, UnsupportedMember

if TYPE_CHECKING:
    from botocore.model import Shape

#: Members that came late, and the botocore that brought them.
BROUGHT_BY = {
    ("InvokeEndpointAsync", "Body"): "1.43.29",
    ("InvokeEndpointAsync", "Filename"): "1.42.55",
    ("InvokeEndpointAsync", "S3OutputPathExtension"): "1.42.55",
    ("InvokeEndpoint", "PrefixAwareId"): "1.43.127",
    ("InvokeEndpointWithResponseStream", "PrefixAwareId"): "1.43.127",
}

#: Bytes of an inline asynchronous payload; the model of every botocore that has Body says so.
BODIES = {"InvokeEndpoint": "invoke_async", "InvokeEndpointWithResponseStream": "invoke_async"}

#: What Java's regular expressions have and Python's lack. Print stands in brackets there.
_JAVA = {r"\p{ASCII}": r"[\x00-\x7f]", r"\p{Print}": r"\x20-\x7e", r"\z": r"\Z"}


def validate(operation: str, parameters: Mapping[str, Any]) -> None:
    """Check a request's parameters.

    Args:
        operation: the API's name of it.
        parameters: by the API's names.

    Raises:
        UnsupportedMember, PayloadTooLarge, InvalidRequest: with every violation named.
    """
    _refuse_unsupported(operation, parameters)
    violations = [
        f"{name}: {what}"
        for name, value in parameters.items()
        for what in _violations(_shape(operation, name), value)
    ]
    violations.extend(_together(operation, parameters))
    if not violations:
        return
    too_large = all(v.startswith("Body:") and "at most" in v for v in violations)
    error = PayloadTooLarge if too_large else InvalidRequest
    hint = "; use invoke_async, which takes up to 1 GB" if too_large and operation in BODIES else ""
    text = f"{operation} refused before sending: {'; '.join(violations)}{hint}."
    raise error(text, {"violations": violations})


def _refuse_unsupported(operation: str, parameters: Mapping[str, Any]) -> None:
    missing = sorted(set(parameters) - service.members(operation))
    if not missing:
        return
    import botocore  # noqa: PLC0415

    needs = [
        f"{name} (botocore {BROUGHT_BY.get((operation, name), 'newer than this')})"
        for name in missing
    ]
    raise UnsupportedMember(
        f"botocore {botocore.__version__} cannot send {operation}'s {', '.join(needs)}.",
        {"violations": missing},
    )


@cache
def _shape(operation: str, name: str) -> "Shape":
    shape = service.operation_model(operation).input_shape
    found: Shape = shape.members[name]  # type: ignore[union-attr]
    return found


def _violations(shape: "Shape", value: Any) -> Iterator[str]:
    limits = shape.metadata
    if isinstance(value, bool) or not isinstance(value, str | bytes | int):
        yield f"is {type(value).__name__}, expected {shape.type_name}"
        return
    if isinstance(value, int) is not (shape.type_name in {"integer", "long"}):
        yield f"is {type(value).__name__}, expected {shape.type_name}"
        return
    yield from _bounds(limits, value)
    if isinstance(value, str):
        header = shape.serialization.get("location") == "header"
        if header and not (value.isascii() and value.isprintable()):
            yield "has characters that are not printable ASCII"
        pattern = limits.get("pattern")
        if pattern and not _compiled(pattern).fullmatch(value):
            yield f"{value[:80]!r} does not match {pattern}"


def _bounds(limits: Mapping[str, Any], value: str | bytes | int) -> Iterator[str]:
    size = value if isinstance(value, int) else len(value)
    unit = {int: "", str: " characters", bytes: " bytes"}[type(value)]
    least, most = limits.get("min"), limits.get("max")
    if least is not None and size < int(least):
        yield f"has {size:,}{unit}, at least {int(least):,}"
    if most is not None and size > int(most):
        yield f"has {size:,}{unit}, at most {int(most):,}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern of the model, which is written for Java."""
    for java, python in _JAVA.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.ASCII)


def _together(operation: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    shape = service.operation_model(operation).input_shape
    for name in getattr(shape, "required_members", ()):
        # Required by botocores before 1.43.29, which know no other payload.
        if name not in parameters and name != "InputLocation":
            yield f"{name}: is missing"
    if operation == "InvokeEndpointAsync" and ("Body" in parameters) is (
        "InputLocation" in parameters
    ):
        yield "Body, InputLocation: exactly one of them"
    streams = operation == "InvokeEndpointWithResponseStream"
    if streams and parameters.get("SessionId") == "NEW_SESSION":
        yield "SessionId: NEW_SESSION is for InvokeEndpoint; a stream takes an existing session"
