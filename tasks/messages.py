"""The task message: what a caller writes, and the form in which it travels.

A caller writes `invoke.delay("endpoint", payload, content_type=...)`. What travels is one keyword,
`message`: a request under a version, so that an older worker refuses what it cannot read.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from ..runtime import payloads, responses
from ..runtime.exceptions import InvalidRequest, PayloadTooLarge
from ..runtime.requests import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    InvokeEndpointWithResponseStreamRequest,
)
from ..runtime.responses import AsyncInferenceOutput
from .exceptions import MalformedMessage

#: Version of the message's form; a worker reads this one and older ones.
VERSION = 1

#: Names of endpoints and of inference components: SageMaker's own pattern and length.
NAME = re.compile(r"(?=.{1,63}\Z)[a-zA-Z0-9](-*[a-zA-Z0-9])*")

#: Characters of what was given that an error repeats.
SHOWN = 500

R = TypeVar(
    "R",
    InvokeEndpointRequest,
    InvokeEndpointAsyncRequest,
    InvokeEndpointWithResponseStreamRequest,
)


@dataclass(frozen=True, slots=True)
class Message(Generic[R]):
    """One request on its way to a worker."""

    request: R
    repeatable: bool = False
    """Whether a call that may have run may be made again."""
    staged: str | None = None
    """Where the body of a real-time request waits on S3, when the broker does not carry it."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the task is told, not the endpoint; JSON values."""

    def to_kwargs(self) -> dict[str, Any]:
        """Return the keyword arguments of the task that carries this message."""
        values: dict[str, Any] = {"version": VERSION, "request": self.request.to_json()}
        if self.repeatable:
            values["repeatable"] = True
        if self.staged:
            values["staged"] = self.staged
        if self.options:
            values["options"] = dict(self.options)
        return {"message": values}

    @classmethod
    def from_kwargs(cls, kwargs: Mapping[str, Any], request_type: type[R]) -> Self:
        """Read what `to_kwargs` wrote.

        Raises:
            MalformedMessage: it is from a newer version, or not such a message.
        """
        values = kwargs["message"]
        if not isinstance(values, Mapping) or type(values.get("version")) is not int:
            raise MalformedMessage("The message has no version.")
        if values["version"] > VERSION:
            raise MalformedMessage(
                f"The message is of version {values['version']}; this worker reads up to {VERSION}."
            )
        try:
            request = request_type.from_json(values["request"])
        except (InvalidRequest, KeyError, TypeError, ValueError) as error:
            said = shorten(repr(error))
            raise MalformedMessage(f"The message's request cannot be read: {said}") from error
        _check_names(request)
        options, staged = values.get("options", {}), values.get("staged")
        if not isinstance(options, Mapping):
            raise MalformedMessage("The message's options are no JSON object.")
        if not isinstance(staged, str | None):
            raise MalformedMessage("The message's staged payload has no location.")
        return cls(request, values.get("repeatable") is True, staged, options)


def shorten(text: str) -> str:
    """Return a text without what is too long of it for an error."""
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _check_names(request: R) -> None:
    """Check what names keys in Redis; the rest of a request is checked before it is sent."""
    component: object = getattr(request, "inference_component_name", None)
    for name in (request.endpoint_name, *([] if component is None else [component])):
        if not (isinstance(name, str) and NAME.fullmatch(name)):
            raise MalformedMessage("The message's endpoint, or its component, has no such name.")


def travels(kwargs: Mapping[str, Any]) -> bool:
    """Whether keyword arguments are a message already, and not what a caller wrote."""
    return "message" in kwargs


def endpoint_of(kwargs: Mapping[str, Any]) -> str:
    """Return the endpoint's name in a message that travels; empty when there is none."""
    message = kwargs.get("message")
    request = message.get("request") if isinstance(message, Mapping) else None
    name = request.get("endpoint_name") if isinstance(request, Mapping) else None
    return name if isinstance(name, str) and NAME.fullmatch(name) else ""


def compose(
    request_type: type[R],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    defaults: Callable[[str], Mapping[str, Any]],
    options: Collection[str] = (),
) -> Message[R]:
    """Make a message of what a caller wrote.

    Args:
        request_type: the operation's request.
        args: endpoint and payload; the payload alone when the endpoint is a keyword. In a canvas
            Celery puts the previous result first: what is not a string there is the payload.
        kwargs: `endpoint`, `payload`, `repeatable` and the request's own members.
        defaults: for an endpoint's name, members to use where the caller gives none.
        options: names of keywords that are for the task, not for the endpoint.

    Raises:
        InvalidRequest: something is missing, unknown, or not a payload.
        PayloadTooLarge: it is a response on S3 that is too large for a real-time endpoint.
    """
    members = {name: value for name, value in kwargs.items() if value is not None}
    endpoint, payload = _arrange(args, members)
    for name, value in defaults(endpoint).items():
        members.setdefault(name, value)
    repeatable = bool(members.pop("repeatable", False))
    chosen = {name: members.pop(name) for name in options if name in members}
    _refuse_unknown(request_type, members)
    if payload is None and "input_location" not in members:
        raise InvalidRequest(f"{request_type.operation} needs a payload.")
    staged = None
    elsewhere = responses.on_s3(payload)
    if elsewhere is not None:
        members.setdefault("content_type", elsewhere.content_type)
        staged = _refer(request_type, elsewhere, members)
    elif payload is not None:
        body, content_type = payloads.encode(payload, members.pop("content_type", None))
        members.update(body=body, content_type=content_type)
    request = request_type(endpoint_name=endpoint, **members)
    return Message(request, repeatable, staged, chosen)


def _refer(
    request_type: type[R], output: AsyncInferenceOutput, members: dict[str, Any]
) -> str | None:
    """Let a request take its payload from where an earlier output is; returns what to fetch."""
    if request_type is InvokeEndpointAsyncRequest:
        members["input_location"] = output.output_location
        return None
    if output.size > payloads.REALTIME_LIMIT:
        raise PayloadTooLarge(
            f"{output.output_location} has {output.size:,} bytes; {request_type.operation} takes at"
            f" most {payloads.REALTIME_LIMIT:,}; use invoke_async, which takes up to 1 GB."
        )
    members["body"] = b""
    return output.output_location


def _arrange(args: Sequence[Any], members: dict[str, Any]) -> tuple[str, Any]:
    given = list(args)
    payload = members.pop("payload", None)
    endpoint = members.pop("endpoint", None) or members.pop("endpoint_name", None)
    if endpoint is None and given:
        first_is_previous = len(given) > 1 and not isinstance(given[0], str)
        endpoint = given.pop(1 if first_is_previous else 0)
    if payload is None and given:
        payload = given.pop(0)
    if given:
        raise InvalidRequest("Expected an endpoint and one payload, got more arguments.")
    if not isinstance(endpoint, str):
        raise InvalidRequest(f"The endpoint is a name, not {type(endpoint).__name__}.")
    return endpoint, payload


def _refuse_unknown(request_type: type[R], members: Mapping[str, Any]) -> None:
    known = set(request_type.__slots__) - {"endpoint_name", "body"}
    unknown = sorted(members.keys() - known)
    if unknown:
        raise InvalidRequest(
            f"{request_type.operation} has no member {shorten(', '.join(unknown))};"
            f" it has {', '.join(sorted(known))}."
        )
