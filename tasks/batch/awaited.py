"""Which records of a chunk an asynchronous endpoint has, and where their answers appear. No I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from .. import outputs
from ..ledger import Pending
from .progress import Progress


@dataclass(frozen=True, slots=True)
class Awaited:
    """Records that were submitted; each answer's name is the record's position in the job."""

    submitted: Progress = field(default_factory=Progress)
    """Its `left` are the offsets of the records in the chunk."""
    output: str = ""
    """S3 location, with the final slash, below which outputs appear."""
    failure: str | None = None
    """The same of failures, where the endpoint writes any."""
    since: float = 0.0
    """When the first was submitted; Unix seconds."""
    deadline: float = 0.0
    """When the last is given up; Unix seconds."""

    def __bool__(self) -> bool:
        return bool(self.submitted.left)

    def __contains__(self, offset: object) -> bool:
        return bool(self) and offset in self.submitted

    @property
    def offsets(self) -> list[int]:
        """The records' offsets in the chunk."""
        return [o for first, last in self.submitted.left for o in range(first, last + 1)]

    def having(self, offsets: Iterable[int], upto: int) -> Self:
        """Return the same for exactly these records of a chunk of `upto`."""
        return replace(self, submitted=Progress.of(upto, offsets))

    def pending(self, endpoint: str, first: int) -> list[Pending]:
        """Return what the look at S3 takes.

        Args:
            endpoint: its name.
            first: position in the job of the chunk's first record.
        """
        names = [str(first + offset) for offset in self.offsets]
        return [
            Pending(
                id=name,
                endpoint=endpoint,
                output_location=self.output + name,
                failure_location=None if self.failure is None else self.failure + name,
                submitted_at=self.since,
                deadline=self.deadline,
                unanswered_until=None,
                inference_id=name,
            )
            for name in names
        ]

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "submitted": self.submitted.to_json(),
            "output": self.output,
            "failure": self.failure,
            "since": self.since,
            "deadline": self.deadline,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**values, "submitted": Progress.from_json(values["submitted"])})


def below(location: str | None, name: str) -> str | None:
    """Return the part of an answer's location before its name; None where it is not named so."""
    if location is None or not location.endswith("/" + name):
        return None
    return outputs.parent(location)
