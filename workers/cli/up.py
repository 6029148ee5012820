"""`celery-sagemaker up`: Redis, S3, an endpoint and a worker on this machine."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from types import FrameType
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table

from . import console, stack
from .exits import Exit, fail
from .supervision import SupervisedWorker

#: Seconds between two looks at the health.
LOOK_SECONDS = 1.0

#: Seconds for everything to become healthy.
START_SECONDS = 90.0


def up(
    *,
    behaviours: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="TOML of the emulated endpoints."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Calls the worker makes at once.")] = 8,
    as_json: Annotated[
        bool, typer.Option("--json", help="One line of JSON with the environment, once healthy.")
    ] = False,
) -> None:
    """Start the local stack, print the environment to export, and run until Ctrl-C."""
    with ExitStack() as parts:
        stop = parts.enter_context(stop_signals())
        local = parts.enter_context(stack.started(behaviours))
        environment = local.environment()
        worker = parts.enter_context(SupervisedWorker(environment, concurrency=concurrency))
        health = Health(local.health, worker, stack.worker_ping(environment))
        _wait_until_healthy(health, worker, stop)
        if stop.is_set():
            return
        _print_environment(environment, as_json=as_json)
        _watch(health, worker, stop)


class Health:
    """What answers, by name.

    Args:
        services: health of the local services.
        worker: the worker's process.
        ping: whether a worker answers.
    """

    def __init__(
        self, services: Callable[[], dict[str, bool]], worker: SupervisedWorker, ping: stack.Ping
    ) -> None:
        self._services = services
        self._worker = worker
        self._ping = ping

    def __call__(self) -> dict[str, bool]:
        """Ask every part."""
        services = self._services()
        return {**services, "worker": self._worker.alive and self._ping()}


@contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C interrupts."""
    stop = threading.Event()

    def handle(number: int, _: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def _wait_until_healthy(health: Health, worker: SupervisedWorker, stop: threading.Event) -> None:
    with console.busy("starting") as tick:
        for _ in range(int(START_SECONDS / LOOK_SECONDS)):
            found = health()
            if all(found.values()) or stop.wait(LOOK_SECONDS):
                return
            worker.tend()
            tick()
    silent = ", ".join(name for name, well in found.items() if not well)
    fail(Exit.UNREACHABLE, f"not healthy after {START_SECONDS:g} s: {silent}")


def _print_environment(environment: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        console.print_json({"environment": environment})
        return
    for name, value in environment.items():
        typer.echo(f"export {name}={quote(value)}")


def _watch(health: Health, worker: SupervisedWorker, stop: threading.Event) -> None:
    out = console.errors()
    if out.is_terminal:
        with Live(console=out, transient=True) as live:
            while not stop.wait(LOOK_SECONDS):
                worker.tend()
                live.update(_table(health(), worker.restarts))
        return
    shown: dict[str, bool] = {}
    while not stop.is_set():
        if worker.tend():
            typer.echo("the worker ended and was started again", err=True)
        found = health()
        if found != shown:
            typer.echo(_line(found), err=True)
            shown = found
        stop.wait(LOOK_SECONDS)


def _line(found: dict[str, bool]) -> str:
    return "health: " + ", ".join(f"{k} {'ok' if well else 'down'}" for k, well in found.items())


def _table(found: dict[str, bool], restarts: int) -> Table:
    table = Table("part", "health", title="celery-sagemaker up: Ctrl-C stops everything")
    for name, well in found.items():
        table.add_row(name, "[green]ok[/]" if well else "[red]down[/]")
    table.add_row("worker restarts", str(restarts))
    return table
