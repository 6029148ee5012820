"""A run's hold on its chunk: signs of life, and what was done written to S3 and counted."""

import time
from collections.abc import Callable
from typing import TypeVar

import redis
import tenacity

from ...runtime.exceptions import S3AccessDenied, S3BucketNotFound, S3Error, TransportError
from ...runtime.s3 import S3Location, S3Store
from .records.writing import Batch, save_part
from .registry import Registry, Report, Run
from .running import Snapshot, Verdict

T = TypeVar("T")

#: Seconds from which on a run makes room for a job that has none.
LONG = 2.0

#: Seconds for which Redis and S3 may be away when results are to be saved.
PATIENCE = 60.0


class Hold:
    """Keeps one run's chunk and results.

    Args:
        registry, run: whose hold it is.
        store, output: where the job writes.
        lease: seconds after which a silent run loses its chunk.
        begun: `time.monotonic()` before the run was begun.
    """

    def __init__(
        self,
        registry: Registry,
        run: Run,
        store: S3Store,
        output: S3Location,
        lease: float,
        begun: float,
    ) -> None:
        self._registry = registry
        self._run = run
        self._gen = run.gen
        self._store = store
        self._output = output
        self._lease = lease
        self._heard = begun
        self.done = 0
        """Records that were counted."""

    @property
    def held(self) -> bool:
        """Whether the run has been heard of within half its lease: it may begin calls.

        Counted from before a sign of life was sent, and by no clock but this process' own.
        """
        return time.monotonic() - self._heard < self._lease / 2

    def beat(self, seconds: float) -> Verdict:
        """Say that the run is alive, `seconds` after it began.

        Without Redis the run goes on for half its lease: then it is time to save.
        """
        sent = time.monotonic()
        try:
            verdict = self._registry.beat(self._run, self._gen, long=seconds >= LONG)
        except redis.RedisError:
            return Verdict.GO if self.held else Verdict.YIELD
        self._heard = sent
        return Verdict(verdict)

    def save(self, snapshot: Snapshot, follows: str, delay: float) -> bool:
        """Write results to S3 and count them. False: the chunk is another run's now.

        Raises:
            S3Error, TransportError, redis.RedisError: not for a minute; nothing was counted.
        """
        run, gen, results = self._run, self._gen, snapshot.results
        part = None
        if isinstance(results, Batch):
            part = _patiently(lambda: save_part(self._store, self._output, results, run.chunk, gen))
        report = Report(
            follows,
            snapshot.progress,
            snapshot.succeeded,
            snapshot.failed,
            snapshot.retried,
            None if part is None else part.to_json(),
            delay,
        )
        following = _patiently(lambda: self._report(run, gen, report))
        if following is None:
            return False
        self._gen = following
        self.done += snapshot.succeeded + sum(snapshot.failed.values())
        return True

    def _report(self, run: Run, gen: int, report: Report) -> int | None:
        sent = time.monotonic()
        following = self._registry.report(run, gen, report)
        self._heard = sent
        return following


def _patiently(function: Callable[[], T]) -> T:
    return tenacity.Retrying(
        retry=tenacity.retry_if_exception(_may_pass),
        stop=tenacity.stop_after_delay(PATIENCE),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=5.0),
        reraise=True,
    )(function)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, S3AccessDenied | S3BucketNotFound):
        return False
    return isinstance(error, redis.RedisError | S3Error | TransportError)
