"""The demo's numbers, and whether they are good."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .batching import Batched
from .digits import Record
from .runner import Outcome
from .streaming import Streamed

#: The least part of the images that has to be classified correctly.
ACCURACY = 0.9


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Everything the demo found out.

    Attributes:
        records: the images.
        outcomes: one per way to invoke.
        batched: what became of the batch job.
        failed_calls: failed calls by mode, then by (error code, attempt).
        calls: calls that the endpoints answered, by endpoint and HTTP status.
        s3_requests: requests that the tasks made to S3, by kind.
        restarts: times the worker had to be started again.
        seconds: of the whole demo.
        streamed: the stream at the end; None until it has run.
    """

    records: Sequence[Record]
    outcomes: Sequence[Outcome]
    batched: Batched
    failed_calls: Mapping[str, Counter[tuple[str, int]]]
    calls: Mapping[str, Mapping[str, int]]
    s3_requests: Mapping[str, int]
    restarts: int
    seconds: float
    streamed: Streamed | None = None

    @property
    def ways(self) -> Sequence[Outcome | Batched]:
        """Everything that classified all images."""
        return (*self.outcomes, self.batched)

    def problems(self) -> list[str]:
        """What is not as it should be, one line each; empty when all is well."""
        found: list[str] = []
        for outcome in self.outcomes:
            found += self._problems(outcome)
        found += self.batched.problems()
        for way in self.ways:
            if way.accuracy < ACCURACY:
                found.append(f"{way.mode}: accuracy {way.accuracy:.3f} is below {ACCURACY}")
        return found + (self.streamed.problems() if self.streamed else ["stream: it did not run"])

    def _problems(self, outcome: Outcome) -> list[str]:
        found = []
        if not outcome.complete(self.records):
            missing = len(self.records) - len(outcome.answers)
            found.append(f"{outcome.mode}: {missing} of {len(self.records)} without an answer")
            found += [f"{outcome.mode}: {text}" for text in sorted(set(outcome.failures.values()))]
        if outcome.slots.held:
            found.append(f"{outcome.mode}: {outcome.slots.held} worker slots held while waiting")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values."""
        return {
            "records": len(self.records),
            "seconds": round(self.seconds, 1),
            "modes": {
                **{outcome.mode: self._mode(outcome) for outcome in self.outcomes},
                self.batched.mode: self.batched.to_json(),
            },
            "stream": self.streamed.to_json() if self.streamed else None,
            "calls": {name: dict(counts) for name, counts in self.calls.items()},
            "s3_requests": dict(self.s3_requests),
            "worker_restarts": self.restarts,
            "problems": self.problems(),
        }

    def _mode(self, outcome: Outcome) -> dict[str, Any]:
        failed = self.failed_calls[outcome.mode]
        return {
            "answers": len(outcome.answers),
            "failures": len(outcome.failures),
            "correct": outcome.correct,
            "accuracy": round(outcome.accuracy, 4),
            "seconds": round(outcome.seconds, 1),
            "failed_calls": [
                {"code": code, "attempt": attempt, "count": count}
                for (code, attempt), count in sorted(failed.items())
            ],
            "most_waiting": outcome.most_waiting,
            "slots_held_while_waiting": outcome.slots.held,
            "slot_samples": outcome.slots.samples,
        }
