"""Our own app, in a worker that notes which runs of chunks begin and end.

BATCH_LOG is a file: a line for each `begin`, `saved` and `end`, with chunk and process.
"""

import os
from typing import Any

from celery_sagemaker.tasks.batch.registry import Registry, Report, Run
from celery_sagemaker.workers import create_app

app = create_app()


def note(*words: object) -> None:
    """Append a line, in one write, so that a kill leaves it whole or not there."""
    line = " ".join(map(str, words)) + "\n"
    log = os.open(os.environ["BATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(log, line.encode())
    os.close(log)


begin, report = Registry.begin, Registry.report


def noting_begin(self: Registry, *args: Any) -> Run | None:
    """Begin, and note it."""
    run = begin(self, *args)
    if run is not None:
        note("begin", run.chunk, os.getpid())
    return run


def noting_report(self: Registry, run: Run, gen: int, what: Report) -> int | None:
    """Report, and note the run's end."""
    following = report(self, run, gen, what)
    if following is not None:
        note("saved" if following else "end", run.chunk, os.getpid())
    return following


Registry.begin = noting_begin  # type: ignore[method-assign,assignment]
Registry.report = noting_report  # type: ignore[method-assign,assignment]
