"""What a message of Celery's protocol has to look like before a worker of ours takes it. No I/O.

Celery trusts its publishers: a header of another type, or a body that is not three parts, ends the
consumer with whatever Python raises, and with it the worker. What is checked here is what Celery
and the ledger stand on; what the task itself is told, the task checks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from inspect import Signature
from typing import Annotated, Any

from celery.exceptions import SecurityError
from kombu import Queue
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from ..runtime.exceptions import InferenceError
from ..tasks.exceptions import MalformedMessage

#: First part of the names of our tasks.
OURS = "sagemaker."

#: Characters of an id, a queue's name, a keyword; ours have 32.
NAME_LENGTH = 255

#: Levels of lists and objects in a message. Celery's canvas needs about five for each level of its
#: own; the JSON decoder of CPython gives up at about 990.
DEPTH = 100

#: Problems that an error names.
_SHOWN = 5


def _printable(name: str) -> str:
    if not name.isprintable():
        raise ValueError("has characters that cannot be printed")
    return name


def _moment(value: str | datetime | None) -> str | datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, max_length=NAME_LENGTH), AfterValidator(_printable)]
Route = Annotated[str, Field(max_length=NAME_LENGTH), AfterValidator(_printable)]
Moment = Annotated[str | datetime | None, AfterValidator(_moment)]
Limit = Annotated[float, Field(gt=0, allow_inf_nan=False)] | None


class _Part(BaseModel):
    """A part of a message: types are as they are said, and other members pass."""

    model_config = ConfigDict(strict=True, extra="ignore", hide_input_in_errors=True)


class _Signature(_Part):
    task: Name


class _Embedded(_Part):
    """The third part of a body: what follows the task."""

    callbacks: list[_Signature] | None = None
    errbacks: list[_Signature] | None = None
    chain: list[_Signature] | None = None
    chord: _Signature | None = None


class _Headers(_Part):
    id: Name
    task: Name
    root_id: Name | None = None
    parent_id: Name | None = None
    group: Name | None = None
    group_index: int | None = None
    eta: Moment = None
    expires: Moment = None
    retries: Annotated[int, Field(ge=0)] | None = None
    timelimit: Annotated[list[Limit], Field(min_length=2, max_length=2)] | None = None
    shadow: Route | None = None
    ignore_result: bool | None = None
    replaced_task_nesting: int | None = None
    stamped_headers: list[Name] | None = None
    stamps: dict[str, Any] | None = None


class _DeliveryInfo(_Part):
    exchange: Route
    routing_key: Route


class _Properties(_Part):
    delivery_info: _DeliveryInfo | None = None
    """How it came, where it is for the message to say; RabbitMQ says it beside the message."""
    priority: Annotated[int, Field(ge=0, le=255)] | None = None
    correlation_id: Name | None = None
    reply_to: Name | None = None


class _Message(_Part):
    headers: _Headers
    properties: _Properties
    body: tuple[
        list[Any], dict[Annotated[str, Field(max_length=NAME_LENGTH)], Any], _Embedded | None
    ]


@dataclass(frozen=True, slots=True)
class Takes:
    """What a worker takes."""

    runs: Mapping[str, Signature]
    """How each task is called that it has."""
    limit: int
    """Bytes that a body may have."""
    routes: frozenset[tuple[str, str]]
    """Exchanges and routing keys of its queues; with an empty key, any of that exchange.

    On Redis a message says itself how it came: what follows it would be sent the same way."""

    @classmethod
    def of(cls, runs: Mapping[str, Signature], limit: int, queues: Iterable[Queue]) -> "Takes":
        """Make it of the queues that are consumed."""
        routes: set[tuple[str, str]] = set()
        for queue in queues:
            is_direct = queue.exchange.type == "direct"
            routes |= {("", queue.name)}
            routes |= {(queue.exchange.name, queue.routing_key if is_direct else "")}
        return cls(runs, limit, frozenset(routes))


def name_of(headers: object) -> str | None:
    """Return the task that a message's headers name; None where they name none."""
    name = headers.get("task") if isinstance(headers, Mapping) else None
    return name if isinstance(name, str) else None


def id_of(headers: object) -> str | None:
    """Return the id in a message's headers; None where there is none that can be one."""
    found = headers.get("id") if isinstance(headers, Mapping) else None
    is_id = isinstance(found, str) and 0 < len(found) <= NAME_LENGTH and found.isprintable()
    return found if is_id else None


def check(message: Any, takes: Takes) -> None:
    """Check a message of one of our tasks.

    Args:
        message: kombu's; its body is decoded once, and Celery uses the same afterwards.
        takes: what this worker takes.

    Raises:
        MalformedMessage: it is not to be taken; says why, and repeats nothing of its body.
    """
    size = len(message.body or b"")
    if size > takes.limit:
        raise MalformedMessage(
            f"The message has {size:,} bytes, at most {takes.limit:,} (message_limit)."
        )
    body = decoded(message)
    if is_deeper(body, DEPTH):
        raise MalformedMessage(f"The message is nested deeper than {DEPTH} levels.")
    values = {"headers": message.headers, "properties": message.properties, "body": body}
    try:
        # Lists for tuples: JSON has none, and only the body's own three parts are one here.
        found = _Message.model_validate({**values, "body": _three(body)})
    except ValidationError as error:
        raise MalformedMessage(f"The message cannot be taken: {_said(error)}.") from None
    _check_call(found, body, takes.runs)
    came = found.properties.delivery_info
    if came and not takes.routes & {(came.exchange, came.routing_key), (came.exchange, "")}:
        raise MalformedMessage("The message's delivery_info is that of another queue.")


def decoded(message: Any) -> Any:
    """Return a message's body.

    Raises:
        MalformedMessage: it cannot be read, or is not of a content type that is accepted.
    """
    try:
        return message.payload
    except InferenceError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a decoder raises for a strange body
        name = type(error).__name__
        if _has_cause(error, SecurityError):
            raise MalformedMessage(f"The message is not signed as it has to be ({name}).") from None
        raise MalformedMessage(f"The body cannot be read ({name}).") from None


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error is not None


def is_deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested deeper than so many levels; needs no stack."""
    level: list[object] = [value]
    for _ in range(levels + 1):
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list | tuple) else ()


def _three(body: object) -> object:
    return tuple(body) if isinstance(body, list) else body


def _said(error: ValidationError) -> str:
    """Return what is wrong where, and nothing of what was given."""
    problems = [
        f"{'.'.join(str(part)[:NAME_LENGTH] for part in one['loc'])}: {one['msg']}"
        for one in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN])[:1_000] + more


def _check_call(found: _Message, body: Any, runs: Mapping[str, Signature]) -> None:
    name = found.headers.task
    run = runs.get(name)
    if run is None:
        raise MalformedMessage(f"This worker has no task {name}: it may be of a newer version.")
    try:
        run.bind(*body[0], **body[1])
    except TypeError as error:
        text = f"{name} is not called so: {str(error)[:NAME_LENGTH]}."
        raise MalformedMessage(text) from None
