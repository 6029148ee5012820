"""Streams from an endpoint through a real worker to their readers."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.channels import (
    End,
    Event,
    Part,
    Restarted,
    StreamCancelled,
    StreamFailed,
    subscribe,
)
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions
from celery_sagemaker.tasks import StreamInterrupted
from celery_sagemaker.tasks.deployment import deployment
from harness import Worker, behave, calls, eventually

#: Seconds for one stream to end.
PATIENCE = 45.0


@pytest.fixture(autouse=True)
def endpoints(sagemaker_local: LocalStack) -> None:
    """The endpoints of these tests."""
    behave(sagemaker_local, "words", target="models:words")
    behave(sagemaker_local, "gated", target="models:gated")
    behave(sagemaker_local, "chat", target="models:tokens")
    stall = {"fault": "stall", "after_parts": 1}
    behave(sagemaker_local, "silent", target="models:words", stream=stall)


class Reader:
    """Follows a stream in a thread of its own."""

    def __init__(self, id_: str) -> None:
        self.events: list[Event] = []
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._read, args=(id_,), daemon=True)
        self._thread.start()

    def _read(self, id_: str) -> None:
        try:
            for event in subscribe(id_):
                self.events.append(event)
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    @property
    def text(self) -> str:
        """What was read since the last restart."""
        found: list[str] = []
        for event in list(self.events):
            if isinstance(event, Restarted):
                found.clear()
            if isinstance(event, Part):
                found.append(event.text or "")
        return "".join(found)

    def end(self) -> Event | Exception:
        """How it ended; the last event, or the error."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), self.events
        return self.error or self.events[-1]


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that lets `gated` go on; there at the end in any case."""
    made = tmp_path / "gate"
    yield made
    made.touch()


def test_a_stream_reaches_its_readers(app: Celery, worker: Worker) -> None:
    """From the beginning, however late they come; the task has the whole of it."""
    result = tasks.stream.delay("words", "Once upon a time")
    early = Reader(result.id)
    worker.start()
    end = early.end()
    output = result.get(timeout=PATIENCE)
    late = list(subscribe(result.id))
    assert early.events == late
    assert isinstance(end, End)
    assert early.text == "Once upon a time "
    assert (output["text"], output["parts"]) == (early.text, end.parts)
    assert output["crc32"] == end.summary["crc32"]
    eventually(lambda: tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1})


def test_tokens_are_cut_and_read(app: Celery, worker: Worker) -> None:
    """Each event of a chat model is a part, whole, with its token as text; its end is known."""
    worker.start()
    result = tasks.stream.delay("chat", "Grüße| an| alle", framing="sse")
    reader = Reader(result.id)
    end = reader.end()
    texts = [event.text for event in reader.events if isinstance(event, Part)]
    assert texts == ["Grüße", " an", " alle", ""]
    assert isinstance(end, End)
    assert end.finish == "complete"
    assert result.get(timeout=PATIENCE)["text"] == "Grüße an alle"


@pytest.mark.parametrize("how", ["cancel", "revoke"])
def test_a_silent_stream_is_cancelled(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, how: str
) -> None:
    """By our own call or by Celery's, while its model says nothing."""
    worker.start()
    result = tasks.stream.delay("silent", "a b")
    reader = Reader(result.id)
    eventually(lambda: reader.text == "a ")
    if how == "cancel":
        assert tasks.stream.cancel(result.id)
    else:
        result.revoke()
    assert isinstance(reader.end(), StreamCancelled)
    eventually(lambda: (tasks.status(result.id, app) or pytest.fail("lost")).state == "REVOKED")
    assert not tasks.stream.cancel(result.id)
    assert calls(sagemaker_local, result.id) == {result.id: 1}
    # The slot is free again.
    assert tasks.invoke.delay("echo", "x").get(timeout=PATIENCE)["body"] == {"text": "x"}


def test_a_queued_stream_is_cancelled(app: Celery, worker: Worker) -> None:
    """Before any worker has begun it: its readers are told at once."""
    result = tasks.stream.delay("words", "x")
    reader = Reader(result.id)
    assert tasks.stream.cancel(result.id)
    assert isinstance(reader.end(), StreamCancelled)


def test_a_failure_before_the_first_part_is_retried(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """As of any call; readers see one attempt."""
    behave(sagemaker_local, "cold", target="models:words", cold_start=2.0)
    worker.start()
    result = tasks.stream.delay("cold", "at last")
    reader = Reader(result.id)
    assert isinstance(reader.end(), End)
    assert reader.text == "at last "
    assert not any(isinstance(event, Restarted) for event in reader.events)
    assert calls(sagemaker_local, result.id)[result.id] > 1


@pytest.mark.parametrize("again", [False, True])
def test_a_failure_after_the_first_part(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, again: bool
) -> None:
    """Ends the stream, unless its caller said that it may begin again."""
    broken = {"fault": "ModelStreamError", "after_parts": 1, "error_code": "StreamBroken"}
    behave(sagemaker_local, "broken", target="models:words", stream=broken)
    worker.start()
    result = tasks.stream.delay("broken", "a b", restart_after_output=again)
    reader = Reader(result.id)
    end = reader.end()
    assert isinstance(end, StreamFailed)
    assert end.code == "ModelStreamError"
    with pytest.raises(exceptions.ModelStreamError) as failed:
        result.get(timeout=PATIENCE)
    assert failed.value.error_code == "StreamBroken"
    restarts = [event.attempt for event in reader.events if isinstance(event, Restarted)]
    assert restarts == ([2] if again else [])
    assert calls(sagemaker_local, result.id)[result.id] == 1 + len(restarts)


@pytest.mark.parametrize("again", [False, True])
def test_a_worker_that_dies_within_a_stream(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, gate: Path, again: bool
) -> None:
    """Readers know: the next worker ends the stream, or begins it again if it may."""
    worker.start()
    result = tasks.stream.delay("gated", str(gate), restart_after_output=again)
    reader = Reader(result.id)
    eventually(lambda: reader.text == "one ")
    worker.kill()
    gate.touch()
    worker.start()
    end = reader.end()
    if again:
        assert isinstance(end, End)
        assert reader.text == "one two "
        assert result.get(timeout=PATIENCE)["text"] == "one two "
    else:
        assert isinstance(end, StreamFailed)
        assert end.code == "StreamInterrupted"
        with pytest.raises(StreamInterrupted):
            result.get(timeout=PATIENCE)
    assert calls(sagemaker_local, result.id) == {result.id: 2 if again else 1}


def test_a_stream_that_has_ended_is_not_run_again(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """Its worker dies before anybody noted the outcome: the next one takes it from the channel."""
    once = tmp_path / "once"
    once.touch()
    result = tasks.stream.delay("words", "a b c")
    worker.start(CRASH_AT="unnoted", CRASH_ACTION="kill", CRASH_ONCE=str(once))
    worker.wait_for_death()
    worker.start()
    output = result.get(timeout=PATIENCE)
    assert (output["text"], output["parts"]) == ("a b c ", 3)
    assert calls(sagemaker_local, result.id) == {result.id: 1}
    reader = Reader(result.id)
    assert isinstance(reader.end(), End)


def test_readers_hear_of_a_request_that_never_ran(app: Celery, worker: Worker) -> None:
    """An endpoint that is not there, and a message that nobody can read."""
    worker.start()
    absent = tasks.stream.delay("absent", "x")
    newer = app.send_task("sagemaker.stream", kwargs={"message": {"version": 99, "request": {}}})
    ends: list[Any] = [Reader(result.id).end() for result in (absent, newer)]
    assert [end.code for end in ends] == ["EndpointNotFound", "MalformedMessage"]


def test_a_deadline_ends_a_silent_stream(app: Celery, worker: Worker) -> None:
    """The caller's, and with its name."""
    worker.start()
    result = tasks.stream.delay("silent", "a b", idle_timeout=0.5)
    end: Any = Reader(result.id).end()
    assert end.code == "StreamTimeout"
    with pytest.raises(exceptions.StreamTimeout, match="idle"):
        result.get(timeout=PATIENCE)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"idle_timeout": 0}, "idle_timeout is a number of seconds"),
        ({"framing": "morse"}, "no framing 'morse'"),
        ({"restart_after_output": "yes"}, "true or false"),
        ({"session_id": "NEW_SESSION"}, "NEW_SESSION is for InvokeEndpoint"),
        ({"target_model": "m"}, "has no member target_model"),
    ],
)
def test_what_cannot_be_right_is_refused(app: Celery, options: dict[str, Any], why: str) -> None:
    """Where the caller stands; nothing is queued."""
    with pytest.raises(exceptions.InvalidRequest, match=why):
        tasks.stream.delay("words", "x", **options)
    assert tasks.counts(app) == {}
    assert deployment(app).ledger.client.llen("sagemaker.stream") == 0
