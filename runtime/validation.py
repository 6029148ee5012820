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

#: Members that came late, and a botocore that has them.
BROUGHT_BY = {
    ("InvokeEndpointAsync", "Body"): "1.43.29",
    ("InvokeEndpointAsync", "Filename"): "1.42.55",
    ("InvokeEndpointAsync", "S3OutputPathExtension"): "1.42.55",
    ("InvokeEndpoint", "PrefixAwareId"): "1.43.127",
    ("InvokeEndpointWithResponseStream", "PrefixAwareId"): "1.43.127",
}

#: What takes a payload that an operation does not.
TAKES_MORE = {
    "InvokeEndpoint": "invoke_async takes up to 1 GB",
    "InvokeEndpointWithResponseStream": "invoke_async takes up to 1 GB",
    "InvokeEndpointAsync": "InputLocation takes up to 1 GB, from S3",
}

#: Python's types for the model's.
_TYPES: Mapping[str, type[str | bytes | int]] = {
    "string": str,
    "blob": bytes,
    "integer": int,
    "long": int,
}

#: What Java's regular expressions have and Python's lack. Print stands in brackets there.
_JAVA = {r"\p{ASCII}": r"[\x00-\x7f]", r"\p{Print}": r"\x20-\x7e", r"\z": r"\Z"}

#: Characters of a value that a message repeats.
_SHOWN = 80


def validate(operation: str, parameters: Mapping[str, Any]) -> None:
    """Check a request's parameters.

    Args:
        operation: the API's name of it.
        parameters: by the API's names.

    Raises:
        UnsupportedMember: botocore does not have a member; names a version that has.
        PayloadTooLarge: the body is too large, and nothing else is wrong.
        InvalidRequest: anything else. Each of the three names every violation.
    """
    unsupported = sorted(set(parameters) - service.members(operation))
    violations = [f"{name}: {_lacking(operation, name)}" for name in unsupported]
    for name in parameters.keys() - set(unsupported):
        violations += [f"{name}: {what}" for what in _violations(operation, name, parameters[name])]
    violations += _together(operation, parameters)
    if not violations:
        return
    error = InvalidRequest
    if unsupported:
        error = UnsupportedMember
    elif len(violations) == 1 and violations[0].endswith(TAKES_MORE[operation]):
        error = PayloadTooLarge
    text = f"{operation} refused before sending: {'; '.join(sorted(violations))}."
    raise error(text, {"violations": sorted(violations)})


def _lacking(operation: str, name: str) -> str:
    import botocore  # noqa: PLC0415

    brought = BROUGHT_BY.get((operation, name), "a newer one")
    return f"botocore {botocore.__version__} does not have it, {brought} has"


@cache
def _shape(operation: str, name: str) -> "Shape":
    shape = service.operation_model(operation).input_shape
    found: Shape = shape.members[name]  # type: ignore[union-attr]
    return found


def _violations(operation: str, name: str, value: Any) -> Iterator[str]:
    shape = _shape(operation, name)
    expected = _TYPES[shape.type_name]
    if not isinstance(value, expected) or isinstance(value, bool):
        yield f"is {type(value).__name__}, expected {expected.__name__}"
        return
    for what in _bounds(shape, value):
        more = name == "Body" and "at most" in what
        yield f"{what}; {TAKES_MORE[operation]}" if more else what
    if isinstance(value, str):
        yield from _characters(shape, value)


def _bounds(shape: "Shape", value: str | bytes | int) -> Iterator[str]:
    if isinstance(value, int):
        size, is_size = value, f"is {value:,}"
    else:
        size = len(value)
        is_size = f"has {size:,} {'bytes' if isinstance(value, bytes) else 'characters'}"
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and size < int(least):
        yield f"{is_size}, at least {int(least):,}"
    if most is not None and size > int(most):
        yield f"{is_size}, at most {int(most):,}"


def _characters(shape: "Shape", value: str) -> Iterator[str]:
    header = shape.serialization.get("location") == "header"
    if header and not (value.isascii() and value.isprintable()):
        yield "has characters that are not printable ASCII"
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        shown = "" if shape.metadata.get("sensitive") else f"{value[:_SHOWN]!r} "
        yield f"{shown}does not match {pattern}"


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
