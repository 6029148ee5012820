"""`celery-sagemaker doctor`: what is wrong with a deployment, what follows, and what helps."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from . import console
from .exits import Exit, fail, one_line_errors
from .target import celery_app

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..doctor import Finding, Severity

#: How each severity looks.
STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "fault": "bold red"}

#: Columns that lines have at most: longer ones are hard to read.
WIDTH = 100

#: Columns of a severity and of a check's name.
MARK = 7
NAME = 16

#: Columns to the left of what is said of a group: above, right, below, left.
INDENT = (0, 0, 0, 2)


def doctor(
    *,
    only: Annotated[
        str | None, typer.Option(metavar="SUBJECT,...", help="Look at these only.")
    ] = None,
    endpoint: Annotated[
        list[str] | None,
        typer.Option(help="Look at this endpoint as well as at the settings'; can be repeated."),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Leave out this finding; can be repeated."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Tell what is well one by one, too.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds that one answer of a server may take.")
    ] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on one line.")] = False,
) -> None:
    """Look at Redis, workers, queues, AWS, endpoints and S3, and say what is wrong with them."""
    from ..doctor import SUBJECTS, Severity, Target, checks, examine  # noqa: PLC0415 - for `--help`

    chosen = _known(only.split(","), SUBJECTS, "subject") if only else list(SUBJECTS)
    left_out = set(_known(ignore or [], checks(), "finding"))
    with one_line_errors():
        app, settings = celery_app()
    target = Target(app=app, settings=settings, endpoints=tuple(endpoint or ()), seconds=timeout)
    with console.busy("looking"):
        found = [finding for finding in examine(target, chosen) if finding.id not in left_out]
    bad = {Severity.FAULT, Severity.WARNING} if strict else {Severity.FAULT}
    failed = any(finding.severity in bad for finding in found)
    _print_json(found, failed=failed) if as_json else _print(found, verbose=verbose)
    raise typer.Exit(Exit.FAILED if failed else Exit.OK)


def _known(given: "Sequence[str]", known: "Collection[str]", kind: str) -> list[str]:
    from ...config.errors import suggestion  # noqa: PLC0415

    names = [name.strip() for name in given]
    for name in names:
        if name not in known:
            fail(
                Exit.USAGE, f"{name}: {suggestion(name, known, kind)}; there are {', '.join(known)}"
            )
    return names


def _print_json(found: "list[Finding]", *, failed: bool) -> None:
    from ..doctor import count  # noqa: PLC0415

    console.print_json(
        {
            "healthy": not failed,
            "counts": count(found),
            "findings": [finding.to_json() for finding in found],
        }
    )


def _print(found: "list[Finding]", *, verbose: bool) -> None:
    from ..doctor import count  # noqa: PLC0415

    out = Console(highlight=False)
    out = Console(highlight=False, width=min(out.width, WIDTH))
    told: set[str] = set()
    with _without_padding(out):
        for group, findings in groupby(found, key=lambda finding: finding.group):
            out.print(Text(group.upper(), style="bold"))
            for subject, about in _by_subject(findings).items():
                out.print(Padding(_subject(subject, about, told, verbose=verbose), INDENT))
            out.print()
        out.print(_summary(count(found)))


def _by_subject(findings: "Iterable[Finding]") -> "dict[str, list[Finding]]":
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.subject, []).append(finding)
    return found


@contextmanager
def _without_padding(out: Console) -> Iterator[None]:
    """Leave no blanks at the ends of lines where they go to a file or a log."""
    if out.is_terminal:
        yield
        return
    with out.capture() as captured:
        yield
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def _subject(subject: str, findings: "list[Finding]", told: set[str], *, verbose: bool) -> Group:
    """What is well in one paragraph, and what is not in one each.

    Args:
        subject: what was looked at.
        findings: about it.
        told: ids whose consequence and remedy stand above; added to.
        verbose: whether what is well has a line each.
    """
    well = [finding for finding in findings if finding.severity == "ok"]
    parts: list[RenderableType] = [Text(subject, style="underline")]
    if verbose:
        parts += [_row(finding, told) for finding in well]
    elif well:
        table = _table(1)
        table.add_row(_mark(well[0]), Text("; ".join(finding.seen for finding in well)))
        parts.append(table)
    parts += [_row(finding, told) for finding in findings if finding not in well]
    return Group(*parts)


def _row(finding: "Finding", told: set[str]) -> Table:
    table = _table(2)
    text = _text(finding, known=finding.id in told)
    table.add_row(_mark(finding), Text(finding.id.partition(".")[2]), text)
    told.add(finding.id)
    return table


def _table(columns: int) -> Table:
    table = Table.grid(padding=(0, 1, 0, 0), expand=True)
    table.add_column(width=MARK)
    if columns > 1:
        table.add_column(width=NAME, overflow="fold")
    table.add_column(ratio=1, overflow="fold")
    return table


def _mark(finding: "Finding") -> Text:
    return Text(finding.severity, style=STYLES[finding.severity])


def _text(finding: "Finding", *, known: bool) -> Text:
    if not finding.consequence:
        return Text(finding.seen)
    text = Text(finding.seen, style="bold")
    if known:
        text.append("\nremedy: ", style="not bold green")
        return text.append("as above", style="not bold")
    text.append(f"\n{finding.consequence}", style="not bold")
    text.append("\nremedy: ", style="not bold green")
    text.append(finding.remedy, style="not bold")
    if finding.setting:
        text.append(f"\nsetting: {finding.setting}", style="not bold dim")
    return text


def _summary(counts: "dict[Severity, int]") -> Text:
    text = Text()
    for severity, number in counts.items():
        plural = "s" if number != 1 and severity != "ok" else ""
        text.append(f"{number} {severity}{plural}", style=STYLES[severity] if number else "dim")
        text.append("  ")
    return text
