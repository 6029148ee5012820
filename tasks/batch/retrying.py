"""The failed records of a job that has ended, as chunks of a new one: no input is copied."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...runtime.exceptions import InvalidRequest
from ...runtime.s3 import S3Location
from ..deployment import Deployment
from .progress import Progress
from .records.parts import Part
from .records.results import read_errors
from .records.values import Chunk
from .spec import Spec
from .states import JobState


@dataclass(frozen=True, slots=True)
class Planned:
    """A chunk, and what of it is to be done; None is all."""

    chunk: Chunk
    progress: Progress | None = None

    @property
    def records(self) -> int:
        """How many records are to be done."""
        count = self.chunk.count
        return count if self.progress is None else self.progress.remaining(count)


def failed_chunks(parts: Deployment, job: str) -> Iterator[Planned]:
    """Yield the chunks of an ended job that have failed records, with those to be done again.

    Where the job itself failed, what it never came to has failed as well.

    Raises:
        InvalidRequest: the job has not ended, or is not known any more.
    """
    registry = parts.registry
    (text,) = registry.fields(job, "spec")
    state = registry.state(job)
    if text is None or state is None or not state.final:
        raise InvalidRequest(f"Job {job} has not ended, or is not known any more.")
    output = S3Location.parse(Spec.from_text(text).output)
    by_chunk: dict[int, list[Part]] = defaultdict(list)
    for part in map(Part.from_json, registry.parts(job)):
        by_chunk[part.chunk].append(part)
    index = 0
    for chunk in map(Chunk.from_json, registry.chunks(job)):
        progress = registry.progress(job, chunk.index)
        left = Progress(chunk.count)
        if state is JobState.FAILED and (progress is not None or chunk.index not in by_chunk):
            left = Progress() if progress is None else Progress.from_json(progress)
        failed = [
            line.position - chunk.first
            for part in by_chunk[chunk.index]
            for line in read_errors(parts.store, output, part)
        ]
        left = left.with_left(failed, chunk.count)
        if left.remaining(chunk.count):
            yield Planned(replace(chunk, index=index), left)
            index += 1
