"""What a stream's events look like on the command line."""

import json
import sys

import pytest
from celery_sagemaker.channels import (
    EARLIEST,
    Cursor,
    End,
    Event,
    Part,
    Restarted,
    StreamCancelled,
    StreamFailed,
)
from celery_sagemaker.workers.cli import transcript

EVENTS: list[Event] = [
    Part(Cursor(1, 1), b"data: Gr\xc3\xbc\n", "Grü"),
    Restarted(Cursor(2, 0)),
    Part(Cursor(2, 1), b"\xff", None),
    End(Cursor(2, 2), 1, 1, "complete", summary={"parts": 1, "bytes": 1, "finish": "complete"}),
]

Captured = pytest.CaptureFixture[bytes]


def shown(*events: Event, raw: bool = False, as_json: bool = False) -> transcript.Transcript:
    """A transcript that has shown some events."""
    made = transcript.transcript(EARLIEST, raw=raw, as_json=as_json)
    for event in events:
        made.show(event)
    return made


def test_text_goes_out_and_what_happens_goes_aside(capfdbinary: Captured) -> None:
    """Records of no text as they are; a restart on stderr."""
    made = shown(*EVENTS)
    out, err = capfdbinary.readouterr()
    assert out == "Grü".encode() + b"\xff"
    assert err == b"restarted: attempt 2 begins from the start\n"
    assert made.cursor == Cursor(2, 2)


def test_raw_records_are_bytes(capfdbinary: Captured) -> None:
    """As the producer cut them."""
    shown(*EVENTS, raw=True)
    assert capfdbinary.readouterr().out == b"data: Gr\xc3\xbc\n\xff"


def test_json_is_an_object_per_event(capfdbinary: Captured) -> None:
    """One per line, with the cursor; bytes that are no text as base64."""
    made = shown(*EVENTS, as_json=True)
    made.failed(StreamFailed("ModelError", "no", Cursor(2, 3)))
    made.failed(StreamCancelled("gone", Cursor(2, 4)))
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    refusal = {"code": "ModelError", "message": "no", "retryable": False}
    assert lines == [
        {"event": "part", "cursor": "1-1", "text": "Grü"},
        {"event": "restarted", "cursor": "2-0", "attempt": 2},
        {"event": "part", "cursor": "2-1", "base64": "/w=="},
        {"event": "end", "cursor": "2-2", "parts": 1, "bytes": 1, "finish": "complete"},
        {"event": "error", "cursor": "2-3", **refusal},
        {
            "event": "cancelled",
            "cursor": "2-4",
            "code": "cancelled",
            "message": "gone",
            "retryable": False,
        },
    ]


def test_json_of_raw_records(capfdbinary: Captured) -> None:
    """The bytes of text, too, when they were asked for."""
    shown(EVENTS[0], raw=True, as_json=True)
    assert json.loads(capfdbinary.readouterr().out)["base64"] == "ZGF0YTogR3LDvAo="


@pytest.mark.parametrize(("text", "said"), [("", b"none of 1 records has text"), ("x", b"")])
def test_records_without_text_are_not_passed_over(
    capfdbinary: Captured, text: str, said: bytes
) -> None:
    """An empty answer says what would show it."""
    shown(Part(Cursor(1, 1), b'{"a": 1}', text), End(Cursor(1, 2), 1, 8, "complete"))
    found = capfdbinary.readouterr()
    assert found.out == text.encode()
    assert found.err.startswith(said)
    assert (found.err == b"") == (said == b"")


def test_what_follows_on_a_terminal_has_a_line_of_its_own(
    capfdbinary: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line break is added there, if the model wrote none; nowhere else."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown(Part(Cursor(1, 1), b"a", "a")).close()
    shown(Part(Cursor(1, 1), b"b\n", "b\n")).close()
    assert capfdbinary.readouterr().out == b"a\nb\n"
