"""What the ledger says of one request."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self


class State(StrEnum):
    """Where a request stands; the last four are final."""

    ACCEPTED = "ACCEPTED"
    RUNNING = "RUNNING"
    SUBMITTED = "SUBMITTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"

    @property
    def final(self) -> bool:
        """Whether nothing more happens to the request."""
        return self in FINAL


FINAL = frozenset({State.SUCCEEDED, State.FAILED, State.REVOKED, State.EXPIRED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The ledger's row of a request. Times are Unix seconds by Redis' clock."""

    id: str
    state: State
    task: str
    endpoint: str | None = None
    accepted_at: float = 0.0
    updated_at: float = 0.0
    deliveries: int = 0
    """How often a worker began it."""
    attempts: Mapping[str, int] = field(default_factory=dict)
    """Failed calls by error code."""
    reason: Mapping[str, Any] | None = None
    """Why it has not succeeded: the JSON form of the error."""
    output_location: str | None = None
    failure_location: str | None = None
    deadline: float | None = None
    """When an asynchronous inference is given up."""

    @classmethod
    def from_row(cls, row: Mapping[str, str]) -> Self:
        """Read a row as Redis holds it."""
        return cls(
            id=row["id"],
            state=State(row["state"]),
            task=row["task"],
            endpoint=row.get("endpoint") or None,
            accepted_at=float(row["accepted_at"]),
            updated_at=float(row["updated_at"]),
            deliveries=int(row.get("deliveries", 0)),
            attempts=json.loads(row.get("attempts", "{}")),
            reason=json.loads(row["reason"]) if "reason" in row else None,
            output_location=row.get("output_location"),
            failure_location=row.get("failure_location"),
            deadline=float(row["deadline"]) if "deadline" in row else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON values, without absent members."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value not in (None, {})}


@dataclass(frozen=True, slots=True)
class Run:
    """One worker's hold on a request, from `begin` to the end of the run."""

    id: str
    owner: str
    number: int
    row: Mapping[str, str]
    poison: bool = False

    @property
    def attempts(self) -> dict[str, int]:
        """Failed calls so far, by error code."""
        return dict(json.loads(self.row.get("attempts", "{}")))

    @property
    def deaths(self) -> int:
        """Runs before this one that died; handing back and submitting begin a new count."""
        return int(self.row["deaths"]) - 1

    @property
    def owed(self) -> int:
        """Cost of a retry that the endpoint's budget refused."""
        return int(self.row.get("owed", 0))

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What an earlier run was answered and did not live to deliver."""
        return json.loads(self.row["outcome"]) if "outcome" in self.row else None


@dataclass(frozen=True, slots=True)
class Pending:
    """An asynchronous inference whose output is awaited. Times are Unix seconds."""

    id: str
    endpoint: str
    output_location: str
    failure_location: str | None
    submitted_at: float
    deadline: float
    unanswered_until: float | None
    """Until when the output of a call that was never answered is looked for."""
    inference_id: str
    """What the request was sent with; the container's log names it."""
