"""Where a batch job stands: its state, its counts, its rate."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


class JobState(StrEnum):
    """State of a job, in the words of OpenAI's batch API; the last four are final."""

    VALIDATING = "validating"
    IN_PROGRESS = "in_progress"
    CANCELLING = "cancelling"
    FINALIZING = "finalizing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the job."""
        return self in FINAL


FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """How many records a job has, and what became of them; `total` is the sum of the others."""

    total: int = 0
    """0 until the input has been read."""
    processing: int = 0
    """Records whose outcome is not on S3 yet."""
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    expired: int = 0

    @property
    def ended(self) -> int:
        """Records whose outcome is known."""
        return self.total - self.processing


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job as Redis has it. Times are Unix seconds by Redis' clock."""

    id: str
    state: JobState
    endpoint: str
    input: str
    output: str
    """Where this job writes: `output/`, `errors/` and `manifest.json` are under it."""
    request_counts: RequestCounts
    error_counts: Mapping[str, int] = field(default_factory=dict)
    """Failed records by the code of their error's class."""
    retried: Mapping[str, int] = field(default_factory=dict)
    """Failed calls that were, or will be, made again, by code."""
    rate: float | None = None
    """Records a second, over the last half minute of work."""
    eta: float | None = None
    """Seconds until the last record, at that rate."""
    running: int = 0
    """Chunks that workers have now."""
    breaker: str | None = None
    """State of the endpoint's circuit breaker, where there is one."""
    errors: tuple[Mapping[str, Any], ...] = ()
    """Why the job failed: for a bad input each line that is wrong, at most 1,000."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0
    in_progress_at: float | None = None
    finalizing_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    """When the job is given up."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; members that are not there are left out."""
        values = asdict(self)
        return {name: value for name, value in values.items() if value not in (None, {}, ())}
