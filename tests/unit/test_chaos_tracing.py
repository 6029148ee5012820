"""Each call beyond one is traced to its cause; what has none is found."""

import json
from dataclasses import replace
from typing import Any

import pytest
import tracing
from plan import Happened
from tracing import Cause, Event, Left, Made, Ran, Trace

#: When the faults below happen.
FAULT = 10.0


def twice(first: Made, second: Made, *events: Event, **more: Any) -> Trace:
    """A request that was called by two workers, or twice by one."""
    ran = [Ran(made.endpoint, made.id, made.began + 0.1) for made in (first, second)]
    made = Trace(ran=ran, made=[first, second], events=events)
    return replace(made, **more)


def why(trace: Trace) -> str | None:
    """The cause of the one call beyond one."""
    (cause,) = tracing.causes(trace)
    return cause.why


def made(life: str, began: float, ended: float | None = None, **more: Any) -> Made:
    """A call of a request for an invocation, or of another one."""
    given = {"id": "i", "endpoint": "e", **more}
    return Made(life=life, began=began, ended=ended, **given)


def kill(worker: int = 0, at: float = FAULT) -> Happened:
    """A kill."""
    return Happened("worker-kill", at, at, worker)


AGAIN = made("w1.1", 15.0, 15.2)
NOTED = Event("noted", "i", "w1.1", 15.3)
DIED = Left(0, "w0.1", FAULT + 0.1)


def test_one_call_needs_no_cause() -> None:
    """Whatever became of it."""
    assert list(tracing.causes(Trace(ran=[Ran("e", "i", 1.0)]))) == []


def test_a_killed_worker_is_named() -> None:
    """Its call was in flight, or its answer in its hands."""
    for ended in (None, 9.9):
        trace = twice(made("w0.1", 9.0, ended), AGAIN, NOTED, left=[DIED], happened=[kill()])
        assert why(trace) == "its worker left at 10.10, by worker-kill at 10.00"


@pytest.mark.parametrize(
    ("ended", "error"), [(None, None), (9.9, "ReadTimeout"), (9.9, None)], ids=str
)
def test_a_request_may_be_long_on_its_way(ended: float | None, error: str | None) -> None:
    """It arrives when its sender is dead, or waits no more; not when that has had an answer."""
    first = made("w0.1", 9.0, ended, error=error)
    trace = twice(first, AGAIN, NOTED, left=[DIED], happened=[kill()])
    trace = replace(trace, ran=[Ran("e", "i", 14.0), Ran("e", "i", 15.1)])
    assert (why(trace) is None) is (ended is not None and error is None)


@pytest.mark.parametrize(
    "change",
    [
        {"happened": [kill(worker=1)]},
        {"happened": [kill(at=20.0)]},
        {"happened": [Happened("endpoint-cut", FAULT, FAULT)]},
        {"left": []},
        {"left": [Left(0, "w0.2", FAULT + 0.1)]},
        {"left": [Left(0, "w0.1", 4.0)], "happened": [kill(at=4.0)]},
    ],
    ids=["another's", "later", "the endpoint's", "nobody", "another life", "before"],
)
def test_another_fault_is_no_cause(change: dict[str, Any]) -> None:
    """It has to have struck the worker that made the call, while it had it."""
    trace = twice(made("w0.1", 9.0), AGAIN, NOTED, left=[DIED], happened=[kill()])
    assert why(trace)
    assert why(replace(trace, **change)) is None


def test_an_answer_that_counts_needs_no_second_call() -> None:
    """A kill after that explains nothing: who called again is to blame."""
    first = Event("noted", "i", "w0.1", 9.5)
    trace = twice(made("w0.1", 9.0, 9.4), AGAIN, first, left=[DIED], happened=[kill()])
    (cause,) = tracing.causes(trace)
    assert cause.made is AGAIN
    assert cause.why is None
    twice_noted = replace(trace, events=[first, NOTED])
    assert why(twice_noted) is None


@pytest.mark.parametrize(
    ("kind", "worker", "seconds", "explained"),
    [
        ("worker-stop", 0, 7.0, True),
        ("redis-stop", None, 7.0, True),
        ("redis-silent", 0, 7.0, True),
        ("worker-stop", 1, 7.0, False),
        ("worker-stop", 0, 1.0, False),
        ("redis-cut", 0, 0.0, False),
        ("clock", 0, 7.0, False),
        ("s3-down", None, 7.0, False),
    ],
)
def test_a_worker_that_was_cut_off(
    kind: str, worker: int | None, seconds: float, *, explained: bool
) -> None:
    """It is named if it was that worker, and for long enough to lose a lease."""
    fault = Happened(kind, FAULT, FAULT + seconds, worker)
    refused = Event("refused", "i", "w0.1", FAULT + seconds + 1.0)
    trace = twice(made("w0.1", 9.0, 18.0), AGAIN, NOTED, refused, happened=[fault])
    assert (why(trace) == f"its worker was cut off by {kind} at 10.00") is explained


def test_a_worker_that_wakes_calls_last() -> None:
    """Its run was begun before it was paused; the call that counts is the other one."""
    begun = Event("begun", "i", "w0.1", 9.9)
    fault = Happened("worker-stop", FAULT, 20.0, 0)
    late = made("w0.1", 20.1, 20.3)
    trace = twice(late, AGAIN, begun, NOTED, happened=[fault])
    assert why(trace) == "its worker was cut off by worker-stop at 10.00"
    other = replace(trace, events=[replace(begun, time=20.05), NOTED])
    assert why(other) is None


def test_short_troubles_add_up() -> None:
    """No lease is renewed between two that follow each other at once."""
    faults = [
        Happened("redis-stop", FAULT, FAULT + 2.0),
        Happened("redis-silent", FAULT + 2.5, FAULT + 4.5, 0),
    ]
    trace = twice(made("w0.1", 9.0, 14.0), AGAIN, NOTED, happened=faults)
    assert why(trace) == "its worker was cut off by redis-stop at 10.00, redis-silent at 12.50"
    assert why(replace(trace, happened=faults[:1])) is None


@pytest.mark.parametrize(
    ("parts", "repeatable", "stream", "explained"),
    [
        (False, False, True, True),
        (True, True, True, True),
        (True, False, True, False),
        (False, False, False, False),
    ],
)
def test_a_stream_that_failed(
    *, parts: bool, repeatable: bool, stream: bool, explained: bool
) -> None:
    """It is called again if no reader has had a part, or if its caller has allowed that."""
    first = made("w0.1", 9.0, 9.5, error="ModelStreamError", parts=parts)
    ids = {True: frozenset({"i"}), False: frozenset[str]()}
    trace = twice(first, AGAIN, NOTED, repeatable=ids[repeatable], streams=ids[stream])
    assert (why(trace) == "it failed with ModelStreamError") is explained


def test_a_record_belongs_to_its_chunk() -> None:
    """Its run is told by the chunk's name that it is another's."""
    first, second = (made(call.life, call.began, call.ended, id="j-70")
                     for call in (made("w0.1", 8.0, 8.2), AGAIN))  # fmt: skip
    fault = Happened("redis-silent", FAULT, FAULT + 7.0, 0)
    gone = Event("refused", "j/1", "w0.1", 18.0)
    noted = Event("noted", "j-70", "w1.1", 15.3)
    trace = twice(first, second, gone, noted, happened=[fault])
    assert why(trace) == "its worker was cut off by redis-silent at 10.00"
    assert why(replace(trace, events=[replace(gone, id="j/0"), noted])) is None


def test_an_answer_that_waits_to_be_saved_is_lost_by_a_cut() -> None:
    """A record's call had ended just before the cut: what counts is the chunk's save."""
    first, second = (made(call.life, call.began, call.ended, id="j-70")
                     for call in (made("w0.1", 9.0, 9.2), AGAIN))  # fmt: skip
    fault = Happened("redis-silent", FAULT, FAULT + 7.0, 0)
    trace = twice(first, second, Event("noted", "j-70", "w1.1", 15.3), happened=[fault])
    assert why(trace) == "its worker was cut off by redis-silent at 10.00"


def test_a_call_that_nobody_made_is_found() -> None:
    """A transport that sends a request twice would be such a one."""
    ran = [Ran("e", "i", 15.05), Ran("e", "i", 15.1)]
    (cause,) = tracing.causes(Trace(ran=ran, made=[AGAIN], events=[NOTED]))
    assert cause.why is None
    assert str(cause) == "i (e) at 15.10 by nobody: for no reason"


def test_witnesses_are_read() -> None:
    """Their ids become the requests'; a call has its end, or none."""
    lines = [
        {"what": "begun", "id": "a-b", "life": "w0.1", "time": 1.0},
        {"what": "called", "id": "ab", "life": "w0.1", "time": 1.1, "endpoint": "e"},
        {"what": "called", "id": "c", "life": "w0.1", "time": 1.2, "endpoint": "e"},
        {"what": "ended", "id": "ab", "life": "w0.1", "time": 1.3, "error": "X", "parts": True},
    ]
    calls, events = tracing.read(map(json.dumps, lines), {"ab": "a-b"})
    assert calls == [
        Made("a-b", "e", "w0.1", 1.1, 1.3, "X", parts=True),
        Made("c", "e", "w0.1", 1.2),
    ]
    assert events == [Event("begun", "a-b", "w0.1", 1.0)]


def test_a_cause_says_whose_call_it_was() -> None:
    """With the request, its endpoint, and the worker's life."""
    cause = Cause(Ran("e", "i", 1.0), "it failed with X", made("w0.1", 1.0))
    assert str(cause) == "i (e) at 1.00 by w0.1: it failed with X"
