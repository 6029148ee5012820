"""What a run of a chunk works with: its plan, its transport, its keeper, and what they exchange."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Protocol

from ...config.retries import RetryPolicy
from ...runtime.exceptions import InferenceError
from ...runtime.requests import InvokeEndpointRequest
from ...runtime.responses import InvokeEndpointResponse
from .records.filters import Filters
from .records.packing import Invocation
from .records.values import Record


class Verdict(Enum):
    """What a run is told at a beat."""

    GO = "GO"
    STOP = "STOP"
    YIELD = "YIELD"
    GONE = "GONE"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a run has done since its last save."""

    results: object
    """What the buffer gave; for the keeper."""
    progress: Mapping[str, Any]
    """What is left of the chunk, as JSON."""
    succeeded: int
    failed: Counter[str]
    retried: Counter[str]


class Buffer(Protocol):
    """Collects results in memory, in the order in which they come."""

    @property
    def size(self) -> int:
        """Bytes collected since the last `take`."""

    def succeed(self, record: Record, output: bytes, content_type: str | None = None) -> None:
        """Add a record's output."""

    def fail(self, record: Record, error: InferenceError, attempts: int) -> None:
        """Add a record's error."""

    def take(self) -> object:
        """Return what was collected since the last time."""


class Keeper(Protocol):
    """Keeps a run's hold and its results; called from threads, never by two at once."""

    @property
    def held(self) -> bool:
        """Whether the run has been heard of lately enough to begin calls; asked on the loop."""

    def beat(self, seconds: float) -> Verdict:
        """Say that the run is alive, `seconds` after it began."""

    def save(self, snapshot: Snapshot, follows: str, delay: float) -> bool:
        """Write results to S3 and count them. False: the chunk is another run's now."""


class Transport(Protocol):
    """The one call that a run makes."""

    async def invoke(self, request: InvokeEndpointRequest) -> InvokeEndpointResponse:
        """Call InvokeEndpoint once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a run goes about its chunk."""

    endpoint: str
    """That is called."""
    request: Callable[[Invocation], InvokeEndpointRequest]
    policy: Callable[[InferenceError], RetryPolicy]
    filters: Filters | None
    in_flight: int
    seconds: float
    save_seconds: float
    hold_limit: float
    """Seconds for which a run waits when nothing is to be done before."""


@dataclass(slots=True)
class Since:
    """Counted since the last save, or the last beat."""

    succeeded: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    retried: Counter[str] = field(default_factory=Counter)

    @property
    def outcomes(self) -> int:
        """Records that have one."""
        return self.succeeded + self.failed.total()
