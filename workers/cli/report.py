"""The demo's table and conclusion, for a terminal and for a log."""

from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table

from ..demo.batching import Batched
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
    table = Table("", *(way.mode for way in verdict.ways))
    for column in table.columns[1:]:
        column.justify = "right"
    for title, cell in ROWS:
        table.add_row(title, *(cell(way, verdict) for way in verdict.ways))
    table.add_section()
    for row in _failed_calls(verdict):
        table.add_row(*row)
    table.add_section()
    for title, shown in WAITING:
        table.add_row(title, *(shown(outcome) for outcome in verdict.outcomes), ABSENT)
    return table


def _failed_calls(verdict: Verdict) -> Iterator[tuple[str, ...]]:
    """Rows of each error code: all its calls, then by attempt, which a batch job does not count."""
    counted = [verdict.failed_calls[outcome.mode] for outcome in verdict.outcomes]
    attempts = sorted({key for counter in counted for key in counter})
    for code in sorted({code for code, _ in attempts} | set(verdict.batched.failed_calls)):
        of_code = [attempt for known, attempt in attempts if known == code]
        sums = [sum(counter[code, attempt] for attempt in of_code) for counter in counted]
        yield f"failed calls: {code}", *map(str, sums), str(verdict.batched.failed_calls[code])
        for attempt in of_code:
            yield f"  attempt {attempt}", *(str(c[code, attempt]) for c in counted), ABSENT


#: A figure that a way to invoke does not have.
ABSENT = "-"


#: Title and cell of the first rows.
ROWS: tuple[tuple[str, Callable[[Outcome | Batched, Verdict], str]], ...] = (
    ("records", lambda _, verdict: f"{len(verdict.records):,}"),
    ("answers", lambda way, _: f"{len(way.answers):,}"),
    ("correct", lambda way, _: f"{way.correct:,}"),
    ("accuracy", lambda way, _: f"{way.accuracy:.1%}"),
    ("seconds", lambda way, _: f"{way.seconds:.1f}"),
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
