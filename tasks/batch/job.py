"""A batch job from any process: where it stands, what came of it, and what to do with it."""

import heapq
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from celery import Celery

from ..deployment import Deployment, deployment, this_app
from ..exceptions import UnknownJob
from .registry import Registry
from .states import JobState, JobStatus

if TYPE_CHECKING:
    from ...runtime.s3 import S3Location, S3Store
    from .records.lines import ErrorLine, OutputLine
    from .records.parts import Part

L = TypeVar("L", "OutputLine", "ErrorLine")

#: Seconds between two looks at a job that is waited for, at first and at most.
LOOK = (0.1, 1.0)


class Job:
    """A handle to a batch job.

    Args:
        id_: the job's id.
        app: by default Celery's current one.
    """

    def __init__(self, id_: str, app: Celery | None = None) -> None:
        self.id = id_
        self._app = this_app(app)

    def __repr__(self) -> str:
        return f"Job({self.id!r})"

    @property
    def _parts(self) -> Deployment:
        return deployment(self._app)

    @property
    def _registry(self) -> Registry:
        return self._parts.registry

    def status(self) -> JobStatus:
        """Return where the job stands.

        Raises:
            UnknownJob: there is no such job, or no longer.
        """
        found = self._registry.status(self.id)
        if found is None:
            raise UnknownJob(f"There is no batch job {self.id}, or no longer.")
        breaker = self._parts.limits.state(found.endpoint).breaker
        return found if breaker is None else replace(found, breaker=breaker.value)

    def wait(self, timeout: float | None = None) -> JobStatus:
        """Return the status of the job when it has ended.

        Args:
            timeout: seconds; None waits for ever.

        Raises:
            TimeoutError: it has not ended in time; it goes on.
            UnknownJob: there is no such job, or no longer.
        """
        for status in self.watch(timeout):
            if status.state.final:
                return status
        raise TimeoutError(f"Job {self.id} has not ended in {timeout:g} s.")

    def watch(self, timeout: float | None = None) -> Iterator[JobStatus]:
        """Yield the status again and again, until the job has ended or the time is over.

        Raises:
            UnknownJob: there is no such job, or no longer.
        """
        end = None if timeout is None else time.monotonic() + timeout
        pause, longest = LOOK
        while True:
            status = self.status()
            yield status
            left = longest if end is None else end - time.monotonic()
            if status.state.final or left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(pause * 1.5, longest)

    def results(self, *, ordered: bool = False) -> Iterator["OutputLine"]:
        """Yield the output of each record that has one, until the job has ended.

        Args:
            ordered: in the order of the input; else as soon as they are there.

        Raises:
            UnknownJob: there is no such job, or no longer.
            S3Error: an output cannot be read.
        """
        from .records.results import read_outputs  # noqa: PLC0415 - loads boto3

        yield from self._lines(read_outputs, ordered=ordered)

    def errors(self, *, ordered: bool = False) -> Iterator["ErrorLine"]:
        """Yield the error of each record that failed, until the job has ended.

        What kept the whole job from going on is in `status().errors`.

        Args:
            ordered: in the order of the input; else as soon as they are there.

        Raises:
            UnknownJob: there is no such job, or no longer.
            S3Error: an error object cannot be read.
        """
        from .records.results import read_errors  # noqa: PLC0415 - loads boto3

        yield from self._lines(read_errors, ordered=ordered)

    def _lines(
        self, read: "Callable[[S3Store, S3Location, Part], Iterator[L]]", *, ordered: bool
    ) -> "Iterator[L]":
        from ...runtime.s3 import S3Location  # noqa: PLC0415

        store, output = self._parts.store, S3Location.parse(self.status().output)
        for group in self._groups() if ordered else self._singles():
            lines = [read(store, output, part) for part in group]
            yield from heapq.merge(*lines, key=lambda line: line.position)

    def _singles(self) -> "Iterator[list[Part]]":
        seen = 0
        for status in self.watch():
            found = self._written(seen)
            seen += len(found)
            yield from ([part] for part in found)
            if status.state.final:
                return

    def _groups(self) -> "Iterator[list[Part]]":
        """Yield the parts of each chunk, in the order of the input, when it is done."""
        by_chunk: dict[int, list[Part]] = defaultdict(list)
        seen = following = 0
        for status in self.watch():
            if status.state is JobState.VALIDATING:
                continue
            # In this order: what is not unfinished any more has written all its parts.
            unfinished = set() if status.state.final else self._registry.unfinished(self.id)
            for part in self._written(seen):
                by_chunk[part.chunk].append(part)
                seen += 1
            known = max(by_chunk, default=-1) + 1
            while following < known and following not in unfinished:
                yield by_chunk.pop(following, [])
                following += 1

    def _written(self, start: int) -> "list[Part]":
        from .records.parts import Part  # noqa: PLC0415

        return [Part.from_json(part) for part in self._registry.parts(self.id, start)]

    def cancel(self) -> JobStatus:
        """Begin no more records; what is done is kept.

        A job that has ended, or is only being finalized, stays as it is.

        Raises:
            UnknownJob: there is no such job, or no longer.
        """
        self._registry.stop(self.id, "cancelled")
        return self.status()

    def retry_failed(self, *, client_token: str | None = None) -> "Job":
        """Return a new job of the records of this one that failed; their ids stay.

        Args:
            client_token: as of `submit`.

        Raises:
            InvalidRequest: the job has not ended, or none of its records has failed.
            UnknownJob: there is no such job, or no longer.
        """
        from .submitting import retry  # noqa: PLC0415 - it makes jobs

        return retry(self, self._app, client_token)

    def purge(self) -> int:
        """Remove what the job wrote to S3, and forget the job.

        Returns:
            How many objects were removed.

        Raises:
            InvalidRequest: the job has not ended.
            UnknownJob: there is no such job, or no longer.
            S3Error: the objects cannot be removed.
        """
        from .purging import purge  # noqa: PLC0415 - loads boto3

        return purge(self._parts, self.status())


def list_jobs(
    *,
    state: JobState | str | None = None,
    endpoint: str | None = None,
    limit: int | None = None,
    app: Celery | None = None,
) -> Iterator[JobStatus]:
    """Yield the jobs that are known, newest first.

    Args:
        state: only those in this state.
        endpoint: only those of this endpoint.
        limit: so many at most.
        app: by default Celery's current one.
    """
    registry, left = deployment(this_app(app)).registry, limit
    for id_ in registry.jobs():
        if left == 0:
            return
        status = registry.status(id_)
        if status is None:
            registry.unlist(id_)
        elif state in (None, status.state) and endpoint in (None, status.endpoint):
            yield status
            left = None if left is None else left - 1


def purge(older_than: float, *, app: Celery | None = None) -> Iterator[tuple[str, int]]:
    """Purge the jobs that ended at least `older_than` seconds ago, as `Job.purge` does.

    Yields:
        each job's id, and how many objects were removed.

    Raises:
        S3Error: a job's objects cannot be removed.
    """
    app = this_app(app)
    before = deployment(app).registry.now() - older_than
    for status in list_jobs(app=app):
        if status.state.final and (status.ended_at or 0.0) <= before:
            yield status.id, Job(status.id, app).purge()
