"""The images once more, as one batch job."""

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from celery import Celery

from ...runtime.exceptions import S3ObjectNotFound
from ...runtime.s3 import S3Location
from ...tasks import batch
from ...tasks.batch.records.results import read_manifest
from ...tasks.deployment import deployment
from .digits import Record

#: What this way is called in the table.
MODE = "batch"

#: The endpoint, the same that `invoke` calls.
ENDPOINT = "digits"

#: Seconds after which a job that has not ended counts as stuck; it takes about ten.
LONGEST = 90.0

Observer = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True)
class Batched:
    """What became of the batch job."""

    records: Sequence[Record]
    """The images."""
    answers: Sequence[tuple[int, int]]
    """Number of the record and digit, of each line of output."""
    status: batch.JobStatus
    """Where the job stood at the end."""
    manifest: Mapping[str, Any] | None
    """What `manifest.json` says of the job; None: there is none."""
    seconds: float
    """From the submission to the last answer read."""
    mode: str = MODE

    @property
    def correct(self) -> int:
        """Answers that agree with the human."""
        digits = {record.number: record.digit for record in self.records}
        return sum(digits.get(number) == digit for number, digit in self.answers)

    @property
    def accuracy(self) -> float:
        """Correct answers per record."""
        return self.correct / len(self.records) if self.records else 0.0

    @property
    def failed_calls(self) -> Counter[str]:
        """Failed calls by the code of their error: those made again, and each record's last."""
        return Counter(self.status.retried) + Counter(self.status.error_counts)

    def problems(self) -> list[str]:
        """What is not as it should be."""
        found = []
        if self.status.state is not batch.JobState.COMPLETED:
            found.append(f"the job is {self.status.state}, not completed")
            found += [f"{error['code']}: {error['message']}" for error in self.status.errors]
        if wrong := self._without_one_answer():
            found.append(f"{wrong} of {len(self.records)} without exactly one answer")
        for code, count in sorted(self.status.error_counts.items()):
            found.append(f"{count} of {len(self.records)} failed with {code}")
        if not self._counts_add_up():
            found.append(f"these do not add up: {self.status.request_counts}")
        if self.manifest is None:
            found.append("there is no manifest.json")
        elif self.manifest["request_counts"] != asdict(self.status.request_counts):
            found.append("manifest.json and the status have different request_counts")
        return [f"{self.mode}: {text}" for text in found]

    def _without_one_answer(self) -> int:
        answered = Counter(number for number, _ in self.answers)
        numbers = answered.keys() | {record.number for record in self.records}
        expected = Counter(record.number for record in self.records)
        return sum(answered[number] != expected[number] for number in numbers)

    def _counts_add_up(self) -> bool:
        counts = self.status.request_counts
        without = counts.processing + counts.failed + counts.cancelled + counts.expired
        return (
            counts.total == len(self.records) == counts.succeeded + without
            and counts.succeeded == len(self.answers)
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "answers": len(self.answers),
            "failures": self.status.request_counts.failed,
            "correct": self.correct,
            "accuracy": round(self.accuracy, 4),
            "seconds": round(self.seconds, 1),
            "failed_calls": [
                {"code": code, "count": count} for code, count in sorted(self.failed_calls.items())
            ],
            "state": self.status.state,
            "request_counts": asdict(self.status.request_counts),
            "manifest": self.manifest is not None,
        }


def run(app: Celery, records: Sequence[Record], output: str, observe: Observer) -> Batched:
    """Submit all records as one job, follow it and read what it wrote.

    Args:
        app: the Celery app.
        records: the images.
        output: S3 prefix below which the job writes.
        observe: told the mode, the records in the job and those that have ended, now and then.
    """
    started = time.monotonic()
    job = _submit(app, records, output)
    for status in job.watch(LONGEST):
        observe(MODE, status.request_counts.total, status.request_counts.ended)
    status = job.status()
    lines = job.results() if status.state.final else ()
    answers = [(int(line.id), int(line.json()["digit"])) for line in lines]
    seconds = time.monotonic() - started
    return Batched(
        records=records,
        answers=answers,
        status=status,
        manifest=_manifest(app, status.output),
        seconds=seconds,
    )


def _submit(app: Celery, records: Sequence[Record], output: str) -> batch.Job:
    with TemporaryDirectory(prefix="celery-sagemaker-demo-") as folder:
        path = Path(folder, "digits.jsonl")
        path.write_text("".join(f"{_line(record)}\n" for record in records))
        return batch.submit(ENDPOINT, input=path, output=output, accept="application/json", app=app)


def _line(record: Record) -> str:
    return json.dumps({"custom_id": str(record.number), "body": record.to_json()})


def _manifest(app: Celery, output: str) -> Mapping[str, Any] | None:
    try:
        return read_manifest(deployment(app).store, S3Location.parse(output)).job
    except S3ObjectNotFound:
        return None
