"""What a job has written under its output prefix: objects, and the runs that wrote them.

output/part-00007-003.jsonl    a line for each record of chunk 7 whose output run 3 has saved
errors/part-00007-003.jsonl    a line for each that it gave up

A key is one run's own. A worker that was taken for dead and has woken writes beside what its
successor wrote, not over it; what no part names counts for nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

#: Folders of the objects, below the job's output prefix.
OUTPUT = "output"
ERRORS = "errors"

#: The keys of parts, and of nothing else.
KEY = re.compile(rf"(?:{OUTPUT}|{ERRORS})/part-\d{{5,}}-\d{{3,}}\.jsonl")


@dataclass(frozen=True, slots=True)
class Saved:
    """An object that was written."""

    key: str
    """Relative to the job's output prefix."""
    records: int
    bytes: int
    sha256: str
    """In hexadecimal digits."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one run of a chunk has saved: outcomes of some of its records."""

    chunk: int
    run: int
    output: Saved | None
    errors: Saved | None

    @property
    def succeeded(self) -> int:
        """Records that have an output."""
        return self.output.records if self.output else 0

    @property
    def failed(self) -> int:
        """Records that have none."""
        return self.errors.records if self.errors else 0

    @property
    def objects(self) -> tuple[Saved, ...]:
        """What it wrote."""
        return tuple(saved for saved in (self.output, self.errors) if saved)

    def to_json(self) -> list[Any]:
        """Return JSON values, short: Redis keeps them; the keys follow from the numbers."""
        return [self.chunk, self.run, _short(self.output), _short(self.errors)]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Read what `to_json` wrote."""
        chunk, run, output, errors = values
        return cls(
            chunk,
            run,
            Saved(key(OUTPUT, chunk, run), *output) if output else None,
            Saved(key(ERRORS, chunk, run), *errors) if errors else None,
        )


def key(folder: str, chunk: int, run: int) -> str:
    """Return the key of an object, relative to the job's output prefix."""
    return f"{folder}/part-{chunk:05d}-{run:03d}.jsonl"


def _short(saved: Saved | None) -> list[Any] | None:
    return [saved.records, saved.bytes, saved.sha256] if saved else None
