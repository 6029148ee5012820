"""How an emulated endpoint behaves: from TOML, and changed while it runs."""

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Errors that can be injected: the service's own by name, the model's by the status it had.
Rate = Annotated[float, Field(ge=0.0, le=1.0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Latency(_Strict):
    """Seconds a call takes: `fixed`, or drawn from a distribution."""

    fixed: float = 0.0
    uniform: tuple[float, float] | None = None
    lognormal: tuple[float, float] | None = None
    """Mean and standard deviation of the logarithm."""


class Stream(_Strict):
    """What happens to response streams."""

    fault: (
        Literal["ModelStreamError", "InternalStreamFailure", "truncated", "wrong_crc", "reset"]
        | None
    ) = None
    after_parts: int = 1
    """Parts that are sent before the fault."""
    error_code: str = "StreamBroken"
    """ModelStreamError's ErrorCode."""


class Behaviour(_Strict):
    """One endpoint."""

    kind: Literal["realtime", "async", "both"] = "realtime"
    target: str = "celery_sagemaker.local.containers:echo"
    """`http://host:port` of a server with SageMaker's container contract, or `module:function`."""
    latency: Latency = Latency()
    cold_start: float = 0.0
    """Seconds after the first call for which the answer is ModelNotReadyException."""
    throttle: float | None = None
    """Calls a second; those above are throttled."""
    errors: dict[str, Rate] = {}
    """Rates by error: `ServiceUnavailable`, `ModelError:503`, ..., `hang`, `reset`."""
    seed: int = 0
    """Makes latency and errors the same for the same sequence of calls."""
    delay: Latency = Latency(fixed=0.5)
    """Seconds until an asynchronous answer is on S3."""
    failure_rate: Rate = 0.0
    """Asynchronous calls that end in a failure object."""
    missing_rate: Rate = 0.0
    """Asynchronous calls that leave nothing on S3."""
    failure_path: bool = True
    """Whether answers name a FailureLocation."""
    stream: Stream = Stream()


DEFAULTS = {"echo": Behaviour(kind="both")}


class _File(_Strict):
    endpoints: dict[str, Behaviour]


def read(path: Path | None) -> dict[str, Behaviour]:
    """Read `[endpoints.NAME]` tables; without a file there is `echo` alone.

    Raises:
        ValueError: the file is not TOML, or has a key that does not exist.
    """
    if path is None:
        return dict(DEFAULTS)
    return _File.model_validate(tomllib.loads(path.read_text("utf-8"))).endpoints
