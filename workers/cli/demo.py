"""`celery-sagemaker demo`: 1,797 images through both ways to invoke and a batch job."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from . import console, report, stack
from .exits import Exit, fail
from .live import View, view
from .supervision import SupervisedWorker
from .up import stop_signals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from celery import Celery

    from ..demo.digits import Record
    from ..demo.verdict import Verdict

#: Calls the demo's worker makes at once.
CONCURRENCY = 8

#: Seconds for the worker to answer its first ping.
START_SECONDS = 60.0


def demo(
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first images.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="The numbers as one line of JSON.")
    ] = False,
) -> None:
    """Classify scikit-learn's 1,797 digits through invoke, invoke_async and a batch job.

    The endpoints throttle and fail now and then, on purpose.

    Ends with one image's answer as a stream, read by two readers.
    """
    try:
        from ..demo import digits  # noqa: PLC0415 - the demo extra

        records = digits.records(limit)
    except ModuleNotFoundError as error:
        fail(Exit.UNREACHABLE, f"{error.name} is missing: pip install 'celery-sagemaker[demo]'")
    with ExitStack() as parts:
        with view(len(records), quiet=as_json) as shown:
            running = _started(parts, records, shown)
            verdict = _classified(running, shown)
        if not as_json:
            report.show(verdict)
        verdict = _streamed(running, verdict, quiet=as_json)
    console.print_json(verdict.to_json()) if as_json else report.conclude(verdict)
    raise typer.Exit(Exit.FAILED if verdict.problems() else Exit.OK)


def _started(parts: ExitStack, records: Sequence[Record], shown: View) -> _Demo:
    from ..demo import container, endpoints  # noqa: PLC0415

    started = time.monotonic()
    stop = parts.enter_context(stop_signals())
    folder = Path(parts.enter_context(TemporaryDirectory(prefix="celery-sagemaker-demo-")))
    shown.say("training the model and starting its container")
    target = parts.enter_context(container.running())
    shown.say("starting Redis, S3, the endpoint and a worker")
    local = parts.enter_context(stack.started(endpoints.write_behaviours(folder, target)))
    worker = parts.enter_context(_worker(local.environment(), folder / "worker.log"))
    app = parts.enter_context(_app(local.environment()))
    parts.enter_context(_tended(worker))
    _wait_for_worker(local.environment(), folder / "worker.log")
    output = f"s3://{local.bucket}/demo/"
    return _Demo(app, records, stop, local.endpoint_url, output, worker, started)


@dataclass(frozen=True)
class _Demo:
    """What is running."""

    app: Celery
    records: Sequence[Record]
    stop: threading.Event
    endpoint_url: str
    output: str
    """Where the batch job writes."""
    worker: SupervisedWorker
    started: float

    def go_on(self) -> None:
        """End the command if Ctrl-C was pressed."""
        if self.stop.is_set():
            fail(Exit.FAILED, "stopped before the end")


def _classified(demo: _Demo, shown: View) -> Verdict:
    from ... import tasks  # noqa: PLC0415
    from ..demo import batching, endpoints, failures, runner, verdict  # noqa: PLC0415

    def observe(mode: str, sent: int, answered: int) -> None:
        demo.go_on()
        shown.progress(mode, sent, answered)

    outcomes = [runner.run(demo.app, mode, demo.records, observe) for mode in runner.MODES]
    batched = batching.run(demo.app, demo.records, demo.output, observe)
    return verdict.Verdict(
        records=demo.records,
        outcomes=outcomes,
        batched=batched,
        failed_calls={o.mode: failures.by_class_and_attempt(demo.app, o.sent) for o in outcomes},
        calls=endpoints.calls(demo.endpoint_url),
        s3_requests=tasks.usage(demo.app),
        restarts=demo.worker.restarts,
        seconds=time.monotonic() - demo.started,
    )


def _streamed(demo: _Demo, found: Verdict, *, quiet: bool) -> Verdict:
    from ..demo import streaming  # noqa: PLC0415

    def hear(text: str) -> None:
        demo.go_on()
        if not quiet:
            console.print_part(text.encode())

    if not quiet:
        typer.echo("the first image's answer once more, as a stream:")
    streamed = streaming.run(demo.app, demo.records[0], hear)
    return replace(found, streamed=streamed, seconds=time.monotonic() - demo.started)


def _worker(environment: dict[str, str], log: Path) -> SupervisedWorker:
    return SupervisedWorker(environment, concurrency=CONCURRENCY, log=log)


def _wait_for_worker(environment: dict[str, str], log: Path) -> None:
    ping = stack.worker_ping(environment)
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if ping():
            return
    fail(Exit.UNREACHABLE, f"the worker does not answer; it said: {log.read_text()[-2000:]}")


@contextmanager
def _app(environment: dict[str, str]) -> Iterator[Celery]:
    """A Celery app for the local stack; the stack's variables are ours while it lasts."""
    from .target import celery_app  # noqa: PLC0415

    before = dict(os.environ)
    os.environ.update(environment)
    try:
        app, _ = celery_app()
        with app:
            yield app
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def _tended(worker: SupervisedWorker) -> Iterator[None]:
    """Start the worker again when it ends, from a thread."""
    stop = threading.Event()

    def tend() -> None:
        while not stop.wait(1.0):
            worker.tend()

    thread = threading.Thread(target=tend, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
