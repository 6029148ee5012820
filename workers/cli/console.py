"""What goes to stdout and stderr: lines for people, JSON for scripts."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

Value = TypeVar("Value")

#: Seconds after which a command that is still busy says what it is doing.
QUIET_SECONDS = 2.0


def errors() -> Console:
    """A console on the present stderr: progress never mixes with a command's output."""
    return Console(stderr=True, highlight=False)


def print_json(value: object) -> None:
    """One line of JSON on stdout."""
    typer.echo(json.dumps(value, default=str, ensure_ascii=False))


def print_bytes(body: bytes) -> None:
    """A body as it is; text on a terminal ends with a line break."""
    sys.stdout.flush()
    sys.stdout.buffer.write(body)
    if sys.stdout.isatty() and not body.endswith(b"\n"):
        sys.stdout.buffer.write(b"\n")
    sys.stdout.buffer.flush()


def print_part(data: bytes) -> None:
    """A part of an output, at once and as it is."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


@contextmanager
def busy(text: str) -> Iterator[Callable[[], None]]:
    """Show that something goes on: a spinner on a terminal, else one line after two seconds.

    Yields:
        a function to call now and then while waiting (the plain line is written from it).
    """
    console = errors()
    if not console.is_terminal:
        yield _once_after(QUIET_SECONDS, lambda: typer.echo(f"{text} ...", err=True))
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(text, total=None)
        yield lambda: None


def _once_after(seconds: float, action: Callable[[], None]) -> Callable[[], None]:
    from time import monotonic  # noqa: PLC0415

    due: list[float] = [monotonic() + seconds]

    def tick() -> None:
        if due and monotonic() >= due[0]:
            due.clear()
            action()

    return tick
