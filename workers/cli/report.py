"""The demo's table and conclusion, for a terminal and for a log."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from ..demo.runner import Outcome
from ..demo.streaming import LATE, Streamed
from ..demo.verdict import Verdict

#: Columns of a table that does not go to a terminal.
PLAIN_WIDTH = 100


def show(verdict: Verdict) -> None:
    """Print the table and where its figures come from."""
    out = _console()
    out.print(_table(verdict))
    for line in _notes(verdict):
        out.print(line, markup=False)


def conclude(verdict: Verdict) -> None:
    """Print how the stream went, and what is wrong, if anything."""
    out = _console()
    for line in _conclusion(verdict):
        out.print(line, markup=False)


def _console() -> Console:
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def _table(verdict: Verdict) -> Table:
    table = Table("", *(outcome.mode for outcome in verdict.outcomes))
    for column in table.columns[1:]:
        column.justify = "right"
    for title, cell in ROWS:
        table.add_row(title, *(cell(outcome, verdict) for outcome in verdict.outcomes))
    keys = sorted({key for counted in verdict.failed_calls.values() for key in counted})
    for number, (code, attempt) in enumerate(keys):
        title = f"failed calls: {code}, attempt {attempt}"
        cells = [verdict.failed_calls[o.mode][code, attempt] for o in verdict.outcomes]
        if number == 0:
            table.add_section()
        table.add_row(title, *map(str, cells))
    table.add_section()
    for title, shown in WAITING:
        table.add_row(title, *(shown(outcome) for outcome in verdict.outcomes))
    return table


#: Title and cell of the first rows.
ROWS: tuple[tuple[str, Callable[[Outcome, Verdict], str]], ...] = (
    ("records", lambda _, verdict: f"{len(verdict.records):,}"),
    ("answers", lambda outcome, _: f"{len(outcome.answers):,}"),
    ("correct", lambda outcome, _: f"{outcome.correct:,}"),
    ("accuracy", lambda outcome, _: f"{outcome.accuracy:.1%}"),
    ("seconds", lambda outcome, _: f"{outcome.seconds:.1f}"),
)


def _held(outcome: Outcome) -> str:
    return f"{outcome.slots.held} ({outcome.slots.samples} samples)"


#: Title and cell of the last rows.
WAITING: tuple[tuple[str, Callable[[Outcome], str]], ...] = (
    ("most inferences waiting at once", lambda outcome: str(outcome.most_waiting)),
    ("worker slots held while waiting", _held),
)


def _notes(verdict: Verdict) -> list[str]:
    lines = []
    for endpoint, counts in sorted(verdict.calls.items()):
        shown = ", ".join(f"{count:,} x {status}" for status, count in sorted(counts.items()))
        lines.append(f"calls of endpoint {endpoint}, by HTTP status: {shown}")
    if verdict.s3_requests:
        shown = ", ".join(
            f"{count:,} {kind}" for kind, count in sorted(verdict.s3_requests.items())
        )
        lines.append(f"S3 requests made by the worker: {shown}")
    lines.append(
        "worker slots: every second the workers are asked what they run; a task is counted when its"
        " request is SUBMITTED in the ledger and it still runs 0.3 s later"
    )
    return lines


def _conclusion(verdict: Verdict) -> list[str]:
    lines = [_stream(verdict.streamed)] if verdict.streamed else []
    problems = verdict.problems()
    lines += [f"PROBLEM {problem}" for problem in problems]
    if not problems:
        total = len(verdict.records)
        lines.append(
            f"Every one of {total:,} images has exactly one answer from each way to invoke."
        )
    return lines


def _stream(streamed: Streamed) -> str:
    same = "the same" if streamed.agree else "something else"
    return (
        f"stream: {streamed.parts} parts in {streamed.seconds:.1f} s, finish {streamed.finish};"
        f" a second reader, who came after {LATE} parts, read {same}"
    )
