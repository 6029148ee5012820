"""A job's status, for people."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ....tasks.batch import JobStatus

#: Errors of a job that are shown; `--json` has all.
ERRORS = 20


def rows(status: "JobStatus") -> Iterator[tuple[str, str]]:
    """Yield what is known of a job, by name."""
    yield "id", status.id
    yield "state", status.state
    yield "endpoint", status.endpoint
    yield "input", status.input
    yield "output", status.output
    yield "records", counts(status)
    if status.error_counts:
        yield "errors", by_code(status.error_counts)
    if status.retried:
        yield "calls made again", by_code(status.retried)
    if status.rate is not None:
        yield "rate", f"{status.rate:,.1f} records/s"
    if status.eta is not None:
        yield "time left", seconds(status.eta)
    for name in ("created_at", "in_progress_at", "ended_at", "expires_at"):
        moment = getattr(status, name)
        if moment is not None:
            yield name.replace("_", " "), shown_time(moment)
    for key, value in status.metadata.items():
        yield f"metadata {key}", value
    for error in status.errors[:ERRORS]:
        yield "error", problem(error)
    if len(status.errors) > ERRORS:
        yield "error", f"and {len(status.errors) - ERRORS:,} more; --json shows them"


def counts(status: "JobStatus") -> str:
    """Return the counts on one line; those that are 0 are left out."""
    counted = status.request_counts
    names = ("processing", "succeeded", "failed", "cancelled", "expired")
    named = [(name, getattr(counted, name)) for name in names]
    parts = ", ".join(f"{number:,} {name}" for name, number in named if number)
    return f"{counted.total:,}" + (f" ({parts})" if parts else "")


def by_code(numbers: Mapping[str, int]) -> str:
    """Return numbers by error code, the most frequent first."""
    ordered = sorted(numbers.items(), key=lambda item: -item[1])
    return ", ".join(f"{code} {number:,}" for code, number in ordered)


def problem(error: Mapping[str, object]) -> str:
    """Return one error of a job on one line."""
    line = f"line {error['line']}: " if error.get("line") else ""
    return f"{line}{error['code']}: {error['message']}"


def shown_time(moment: float) -> str:
    """Return a Unix time as ISO 8601."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def seconds(duration: float) -> str:
    """Return a duration as h:mm:ss."""
    minutes, rest = divmod(round(duration), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
