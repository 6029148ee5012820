"""The demo's progress: bars on a terminal, a line every few seconds elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from .console import errors

#: Seconds between two plain lines.
LINE_SECONDS = 5.0


class View(Protocol):
    """Where progress is shown."""

    def say(self, text: str) -> None:
        """Show one line."""

    def progress(self, mode: str, sent: int, answered: int) -> None:
        """Show how far a mode is."""


@contextmanager
def view(total: int, *, quiet: bool = False) -> Iterator[View]:
    """The view that suits stderr.

    Args:
        total: requests per mode.
        quiet: show nothing.
    """
    console = errors()
    if quiet:
        yield _Silent()
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description:<28}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=console) as bars:
            yield _Bars(bars, total)
    else:
        yield _Lines(total)


class _Silent:
    def say(self, text: str) -> None:
        pass

    def progress(self, mode: str, sent: int, answered: int) -> None:
        pass


class _Lines:
    def __init__(self, total: int) -> None:
        self._total = total
        self._due = 0.0

    def say(self, text: str) -> None:
        typer.echo(text, err=True)

    def progress(self, mode: str, sent: int, answered: int) -> None:
        if time.monotonic() < self._due and answered < self._total:
            return
        self._due = time.monotonic() + LINE_SECONDS
        self.say(f"{mode}: {sent:,} sent, {answered:,} of {self._total:,} answered")


class _Bars:
    def __init__(self, bars: Progress, total: int) -> None:
        self._bars = bars
        self._total = total
        self._ids: dict[str, TaskID] = {}

    def say(self, text: str) -> None:
        self._bars.console.print(text, markup=False)

    def progress(self, mode: str, sent: int, answered: int) -> None:
        for title, count in ((f"{mode}: sent", sent), (f"{mode}: answered", answered)):
            if title not in self._ids:
                self._ids[title] = self._bars.add_task(title, total=self._total)
            self._bars.update(self._ids[title], completed=count)
