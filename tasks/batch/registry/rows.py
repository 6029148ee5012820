"""A job's row, read."""

import json
from collections.abc import Mapping, Sequence

from ..spec import Spec
from ..states import JobState, JobStatus, RequestCounts

#: Seconds of work over which the rate is taken.
RATE_SECONDS = 30.0


def counts(row: Mapping[str, str]) -> RequestCounts:
    """Return the counts; what has no outcome is `processing`, so that they add up."""
    names = ("succeeded", "failed", "cancelled", "expired")
    ended = {name: int(row.get(name, 0)) for name in names}
    total = int(row.get("total", 0))
    return RequestCounts(total=total, processing=total - sum(ended.values()), **ended)


def rate(samples: Sequence[str], now: float) -> float | None:
    """Return records a second, from samples of time and records done, newest first.

    Args:
        samples: as `report.lua` writes them.
        now: the time to measure up to, in Unix seconds.
    """
    points = [(float(at), int(done)) for at, _, done in (s.partition(" ") for s in samples)]
    recent = [point for point in points if point[0] >= now - RATE_SECONDS]
    base = points[len(recent)] if len(recent) < len(points) else (recent or [(now, 0)])[-1]
    if not points or now <= base[0]:
        return None
    return (points[0][1] - base[1]) / (now - base[0])


def status(
    row: Mapping[str, str],
    codes: Mapping[str, str],
    samples: Sequence[str],
    running: int,
    now: float,
) -> JobStatus:
    """Put a job's status together."""
    state, spec, counted = JobState(row["state"]), Spec.from_text(row["spec"]), counts(row)
    ended = _time(row, "ended_at") or _time(row, "finalizing_at")
    speed = rate(samples, ended or float(now))
    if ended is not None and _time(row, "in_progress_at") is not None:
        took = max(ended - float(row["in_progress_at"]), 1e-3)
        speed = (counted.succeeded + counted.failed) / took
    return JobStatus(
        id=row["id"],
        state=state,
        endpoint=spec.endpoint,
        input=spec.input,
        output=spec.output,
        request_counts=counted,
        error_counts=_by_code(codes, "failed"),
        retried=_by_code(codes, "retried"),
        rate=speed,
        eta=counted.processing / speed if speed and not state.final else None,
        running=running,
        errors=_errors(row),
        metadata=spec.metadata,
        created_at=float(row["created_at"]),
        in_progress_at=_time(row, "in_progress_at"),
        finalizing_at=_time(row, "finalizing_at"),
        ended_at=_time(row, "ended_at"),
        expires_at=_time(row, "expires_at"),
    )


def _by_code(codes: Mapping[str, str], kind: str) -> dict[str, int]:
    found = ((name.partition(":"), int(number)) for name, number in codes.items())
    return {code: number for (first, _, code), number in found if first == kind}


def _errors(row: Mapping[str, str]) -> tuple[Mapping[str, object], ...]:
    listed = json.loads(row["errors"]) if row.get("errors") else []
    return (*listed, json.loads(row["reason"])) if row.get("reason") else tuple(listed)


def _time(row: Mapping[str, str], name: str) -> float | None:
    return float(row[name]) if name in row else None
