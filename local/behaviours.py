"""How an emulated endpoint behaves: from TOML, and changed while it runs."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)

from . import refusals

#: Part of all calls, 0 to 1.
Rate = Annotated[float, Field(ge=0.0, le=1.0)]

#: Ways a response stream can go wrong; `unknown_event` and `empty_part` do not end it.
StreamFault = Literal[
    "ModelStreamError",
    "InternalStreamFailure",
    "error",
    "unknown_exception",
    "unknown_event",
    "empty_part",
    "truncated",
    "wrong_crc",
    "cut",
    "reset",
    "stall",
]

#: An endpoint's EndpointStatus.
Status = Literal[
    "OutOfService",
    "Creating",
    "Updating",
    "SystemUpdating",
    "RollingBack",
    "InService",
    "Deleting",
    "Failed",
    "UpdateRollbackFailed",
]

#: Those in which an endpoint is there for DescribeEndpoint and takes no calls.
NOT_SERVING = frozenset({"OutOfService", "Creating", "Deleting", "Failed"})

#: Slack for rates that are meant to add up to 1 and do not, in floating point.
ROUNDING = 1e-9


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(_Strict):
    """A duration in seconds: `fixed`, or drawn from one of two distributions."""

    fixed: NonNegativeFloat = 0.0
    uniform: tuple[NonNegativeFloat, NonNegativeFloat] | None = None
    """Shortest and longest."""
    lognormal: tuple[float, NonNegativeFloat] | None = None
    """Mean and standard deviation of the natural logarithm of the seconds."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) > 1:
            raise ValueError("give one of fixed, uniform and lognormal")
        if self.uniform and self.uniform[0] > self.uniform[1]:
            raise ValueError("uniform is shortest, then longest")
        return self


class Stream(_Strict):
    """What happens to response streams."""

    fault: StreamFault | None = None
    rate: Rate = 1.0
    """Streams that meet the fault."""
    after_parts: NonNegativeInt = 1
    """Parts that are sent before the fault."""
    error_code: Literal["ModelInvocationTimeExceeded", "StreamBroken"] = "StreamBroken"
    """ModelStreamError's ErrorCode."""
    chunked: bool = True
    """False: no chunks, the body ends with the connection; botocore then sees parts late."""
    timeout: PositiveFloat = 480.0
    """Seconds a container has from its first part to its last. Eight minutes are widely stated
    and not in AWS's API reference."""


class Behaviour(_Strict):
    """One endpoint."""

    kind: Literal["realtime", "async", "both"] = "realtime"
    target: str = "celery_sagemaker.local.containers:echo"
    """`http://host:port` of a server with SageMaker's container contract, or `module:function`."""
    latency: Latency = Latency()
    """Added before the container is called; asynchronous calls have `delay` instead."""
    cold_start: NonNegativeFloat = 0.0
    """Seconds after the first call for which the answer is ModelNotReadyException; asynchronous
    calls are taken and wait."""
    throttle: PositiveFloat | None = None
    """Calls a second; those above are throttled."""
    errors: dict[str, Rate] = {}
    """Rates by error: `ServiceUnavailable`, `ModelError:503`, `502`, ..., `hang`, `reset`."""
    seed: int = 0
    """Makes everything drawn the same for the same sequence of calls."""
    container_timeout: PositiveFloat = 60.0
    """Seconds the container has to answer, or to begin a stream: SageMaker's 60."""
    delay: Latency = Latency(fixed=0.5)
    """Seconds an asynchronous call waits before its container is called."""
    failure_rate: Rate = 0.0
    """Asynchronous calls that end in a failure object."""
    missing_rate: Rate = 0.0
    """Asynchronous calls that leave nothing on S3."""
    failure_path: bool = True
    """Whether answers name a FailureLocation, and failures are written."""
    expired: Literal["nothing", "failure"] = "nothing"
    """What is left of a call whose delay outlasts RequestTTLSeconds; AWS does not say."""
    status: Status | None = None
    """What DescribeEndpoint says; by default InService if the container is well, else Creating.
    With OutOfService, Creating, Deleting or Failed given, calls find no endpoint."""
    serverless: PositiveInt | None = None
    """MaxConcurrency, as DescribeEndpointConfig tells it, of a serverless endpoint."""
    stream: Stream = Stream()

    @field_validator("errors")
    @classmethod
    def _known(cls, errors: dict[str, float]) -> dict[str, float]:
        unknown = sorted(name for name in errors if not refusals.known(name))
        if unknown:
            names = ", ".join([*sorted(refusals.STATUS), *sorted(refusals.DROPS)])
            raise ValueError(f"no such error: {', '.join(unknown)}; there are {names}, "
                             "ModelError:STATUS and a bare status of 400 to 599")  # fmt: skip
        if sum(errors.values()) > 1.0 + ROUNDING:
            raise ValueError("the rates add up to more than 1")
        return errors


DEFAULTS = {"echo": Behaviour(kind="both")}


class _File(_Strict):
    endpoints: Annotated[dict[str, Behaviour], Field(min_length=1)]


def read(path: Path | None) -> dict[str, Behaviour]:
    """Read `[endpoints.NAME]` tables; without a file there is `echo` alone.

    Raises:
        ValueError: the file is not TOML, or a key or a value is wrong; says which.
        OSError: the file cannot be read.
    """
    if path is None:
        return dict(DEFAULTS)
    try:
        return _File.model_validate(tomllib.loads(path.read_text("utf-8"))).endpoints
    except ValidationError as error:
        raise ValueError(f"{path.name}: {_text(error)}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: {error}") from error


def parse(values: Mapping[str, Any]) -> Behaviour:
    """Check a behaviour.

    Raises:
        ValueError: a key or a value is wrong; says which.
    """
    try:
        return Behaviour.model_validate(values)
    except ValidationError as error:
        raise ValueError(_text(error)) from error


def _text(error: ValidationError) -> str:
    found = [(".".join(map(str, e["loc"])) or "behaviour", e["msg"]) for e in error.errors()]
    return "; ".join(f"{where}: {what}" for where, what in found)
