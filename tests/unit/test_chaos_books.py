"""The books of a chaos run: good ones pass, and each check finds what it is for."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import books
import pytest
from books import Accepted, Called, Facts, Job, Reading, Row, Run
from plan import Happened
from tracing import Left, Made, Ran, Trace


def reading(way: str, **changes: Any) -> Reading:
    """What a reader of the good books was given."""
    parts = [("1-1", "a "), ("1-2", "b ")]
    given = {"parts": parts, "end": "End", "said": 2, **changes}
    return Reading("s", way, "a b ", **given)


def good() -> Facts:
    """Books in which everything holds."""
    refused = "OutOfMemoryError: command not allowed"
    return Facts(
        prefix="p",
        every={"often": 2},
        accepted=(
            Accepted("i", "invoke", "e", 1.0, 1.1),
            Accepted("s", "stream", "e", 1.0, 1.1),
            Accepted("no", "invoke", "e", 1.0, 1.1, refused),
            Accepted("lost", "invoke", "e", 1.0, 1.1, "ConnectionError: reset"),
        ),
        rows={
            "i": Row("sagemaker.invoke", "SUCCEEDED"),
            "s": Row("sagemaker.stream", "SUCCEEDED"),
            "t": Row("sagemaker.invoke", "FAILED", "ModelError"),
        },
        results={"i": "SUCCESS", "s": "SUCCESS", "t": "FAILURE"},
        counts={"ACCEPTED": 3, "SUCCEEDED": 2, "FAILED": 1},
        called=(
            Called("e", "i", 2.0, ran=True),
            Called("e", "i", 20.0, ran=True),
            Called("e", "s", 2.0, ran=True),
            Called("e", "t", 2.0, ran=False),
            Called("e", "t", 2.5, ran=False),
        ),
        trace=Trace(
            ran=(Ran("e", "i", 2.0), Ran("e", "i", 20.0)),
            made=(Made("i", "e", "w0.1", 1.9), Made("i", "e", "w1.1", 19.9, 20.1)),
            left=(Left(0, "w0.1", 3.1),),
            happened=(Happened("worker-kill", 3.0, 3.0, 0),),
        ),
        jobs=(Job("j", "completed", 2, 1, 1, 2, (0, 1), 1),),
        tokens={"token": "j"},
        readings=(reading("subscribe"), reading("asubscribe")),
        runs=(
            Run("often", 2.0, "SUCCEEDED", "i", 0),
            Run("often", 4.0, "FAILED", "t", 0),
            Run("often", 8.0, "MISSED", None, 2),
        ),
        everlasting=("{p}:counts", "{p}:schedule:often:runs", "_kombu.binding.celery"),
    )


def test_good_books_pass() -> None:
    """Nothing is found."""
    assert books.audit(good()) == []


def with_row(facts: Facts, id_: str, row: Row | None) -> Facts:
    """Books with another row."""
    rows = {**facts.rows, id_: row}
    return replace(facts, rows={name: row for name, row in rows.items() if row is not None})


def with_run(facts: Facts, number: int, **changes: Any) -> Facts:
    """Books with another run of the schedule."""
    runs = list(facts.runs)
    runs[number] = replace(runs[number], **changes)
    return replace(facts, runs=runs)


def with_job(facts: Facts, **changes: Any) -> Facts:
    """Books with another job."""
    return replace(facts, jobs=[replace(facts.jobs[0], **changes)])


def with_reading(facts: Facts, **changes: Any) -> Facts:
    """Books whose second reader was given something else."""
    return replace(facts, readings=[facts.readings[0], reading("asubscribe", **changes)])


def with_trace(facts: Facts, **changes: Any) -> Facts:
    """Books with other calls, faults or departures."""
    return replace(facts, trace=replace(facts.trace, **changes))


Change = Callable[[Facts], Facts]

WRONG: list[tuple[str, str, Change]] = [
    ("final_states", "open", lambda f: with_row(f, "i", Row("sagemaker.invoke", "RUNNING"))),
    ("final_states", "lost", lambda f: with_row(f, "i", None)),
    ("final_states", "refused", lambda f: with_row(f, "no", Row("sagemaker.invoke", "FAILED"))),
    (
        "final_states",
        "refused and called",
        lambda f: replace(f, called=[*f.called, Called("e", "no", 2.0, ran=False)]),
    ),
    ("counted", "counts", lambda f: replace(f, counts={**f.counts, "FAILED": 2})),
    ("results_agree", "other", lambda f: replace(f, results={**f.results, "t": "SUCCESS"})),
    ("results_agree", "none", lambda f: replace(f, results={**f.results, "t": "PENDING"})),
    ("calls_explained", "no fault", lambda f: with_trace(f, happened=(), left=())),
    (
        "calls_explained",
        "a call without a cause",
        lambda f: with_trace(f, ran=[*f.trace.ran, Ran("e", "i", 30.0)]),
    ),
    ("departures_explained", "no fault", lambda f: with_trace(f, happened=())),
    (
        "departures_explained",
        "another worker's",
        lambda f: with_trace(f, happened=[Happened("worker-kill", 3.0, 3.0, 1)]),
    ),
    ("succeeded_were_called", "never", lambda f: replace(f, called=())),
    ("jobs_exact", "missing", lambda f: with_job(f, lines=(0,))),
    ("jobs_exact", "twice", lambda f: with_job(f, lines=(0, 1, 1))),
    ("jobs_exact", "counts", lambda f: with_job(f, succeeded=2)),
    ("jobs_exact", "failed", lambda f: with_job(f, state="failed")),
    ("jobs_exact", "never accepted", lambda f: replace(f, tokens={"token": None})),
    ("jobs_exact", "two tokens", lambda f: replace(f, tokens={"a": "j", "b": "j"})),
    ("parts_once", "twice", lambda f: with_reading(f, parts=[("1-1", "a "), ("1-1", "a ")])),
    ("parts_once", "a gap", lambda f: with_reading(f, parts=[("1-1", "a "), ("1-3", "b ")])),
    ("readers_agree", "data", lambda f: with_reading(f, parts=[("1-1", "x "), ("1-2", "b ")])),
    ("readers_agree", "end", lambda f: with_reading(f, end="StreamFailed")),
    ("streams_honest", "cut short", lambda f: with_reading(f, parts=[("1-1", "a ")])),
    ("streams_honest", "count", lambda f: with_reading(f, said=3)),
    ("streams_honest", "no end", lambda f: with_reading(f, end=None)),
    ("streams_honest", "gave up", lambda f: with_reading(f, end="ProducerLost")),
    ("streams_honest", "row", lambda f: with_row(f, "s", Row("sagemaker.stream", "FAILED"))),
    ("due_times_run", "skipped", lambda f: with_run(f, 2, missed=1)),
    ("due_times_run", "target", lambda f: with_run(f, 1, state="SUCCEEDED")),
    ("due_times_run", "open", lambda f: with_run(f, 1, state="RUNNING")),
    ("due_times_run", "one target for two", lambda f: with_run(f, 1, target="i")),
    ("keys_expire", "a key", lambda f: replace(f, everlasting=["{p}:row:i"])),
    ("nothing_left", "a set", lambda f: replace(f, left={"due": 1})),
    ("nothing_left", "a process", lambda f: replace(f, orphans=["12 celery"])),
    ("nothing_left", "a reader", lambda f: replace(f, unread=1)),
]


@pytest.mark.parametrize(("check", "what", "change"), WRONG, ids=[f"{c}-{w}" for c, w, _ in WRONG])
def test_a_check_can_fail(check: str, what: str, change: Change) -> None:
    """One thing that is wrong is found by the check that is there for it."""
    found = books.audit(change(good()))
    assert check in {line.partition(":")[0] for line in found}, what


def test_every_check_is_tested() -> None:
    """No check is there that never fails."""
    assert {check.__name__ for check in books.CHECKS} == {check for check, _, _ in WRONG}


def test_a_restart_begins_anew() -> None:
    """Only the parts of the last attempt count at the end."""
    parts = [("1-1", "a "), ("2-1", "a "), ("2-2", "b ")]
    again = [reading("subscribe", parts=parts), reading("asubscribe", parts=parts)]
    assert books.audit(replace(good(), readings=again)) == []


def test_a_reader_may_give_up_before_another() -> None:
    """What it had until then is what the others had."""
    facts = with_row(good(), "s", Row("sagemaker.stream", "FAILED"))
    facts = replace(facts, counts={"ACCEPTED": 3, "SUCCEEDED": 1, "FAILED": 2})
    facts = replace(facts, results={**facts.results, "s": "FAILURE"})
    readings = [
        reading("subscribe", end="StreamFailed"),
        reading("asubscribe", end="ProducerLost", parts=[("1-1", "a ")]),
    ]
    assert books.audit(replace(facts, readings=readings)) == []
