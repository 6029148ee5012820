"""The demo's data, folds and numbers."""

import json
import socket
import threading
import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import pytest
from celery_sagemaker.channels import Cursor, End, Part
from celery_sagemaker.runtime.framing import SseFramer
from celery_sagemaker.tasks.batch import JobState, JobStatus, RequestCounts
from celery_sagemaker.workers.demo import chat, container, digits
from celery_sagemaker.workers.demo.batching import Batched
from celery_sagemaker.workers.demo.runner import Outcome
from celery_sagemaker.workers.demo.slots import SlotSamples
from celery_sagemaker.workers.demo.streaming import Read, Streamed
from celery_sagemaker.workers.demo.verdict import Verdict

PART, END = Part(Cursor(1, 1), b"7", "7"), End(Cursor(1, 2), 1, 1, "complete")
#: A stream as it should be.
READ = Read(events=(PART, END))
STREAMED = Streamed(early=READ, late=READ, seconds=1.0)


def outcome(records: list[digits.Record], answers: dict[str, int], held: int = 0) -> Outcome:
    """An outcome in which record n was sent as id n."""
    return Outcome(
        mode="invoke",
        sent={str(record.number): record for record in records},
        answers=answers,
        failures={},
        seconds=1.0,
        slots=SlotSamples(samples=1, held=held),
        most_waiting=0,
    )


def batched(records: list[digits.Record]) -> Batched:
    """A batch job as it should be."""
    counts = RequestCounts(total=len(records), succeeded=len(records))
    return Batched(
        records=records,
        answers=[(record.number, record.digit) for record in records],
        status=JobStatus(
            id="j",
            state=JobState.COMPLETED,
            endpoint="digits",
            input="s3://b/in",
            output="s3://b/out",
            request_counts=counts,
        ),
        manifest={"request_counts": asdict(counts)},
        seconds=1.0,
    )


def verdict(
    records: list[digits.Record], of: Outcome, streamed: Streamed | None = STREAMED
) -> Verdict:
    """A verdict on one outcome."""
    return Verdict(
        records=records,
        outcomes=[of],
        batched=batched(records),
        failed_calls={"invoke": Counter()},
        calls={},
        s3_requests={},
        restarts=0,
        seconds=1.0,
        streamed=streamed,
    )


def test_every_image_is_classified_by_a_model_that_has_not_seen_it() -> None:
    """Two folds of about half each; accuracy is that of unseen images."""
    records = digits.records()
    classifier = digits.Classifier()
    right = sum(classifier.classify(r.body, r.fold) == r.digit for r in records[:200])
    assert len(records) == 1797
    assert Counter(r.fold for r in records) == {0: 899, 1: 898}
    assert right >= 180


@pytest.mark.parametrize("attributes", [None, "", "fold", "fold=2", "other=1"])
def test_a_request_without_a_fold_is_refused(attributes: str | None) -> None:
    """A wrong fold would be dishonest."""
    with pytest.raises(ValueError, match="fold"):
        digits.fold_of(attributes)


@pytest.mark.parametrize(
    "body",
    [
        b"0,1",
        b"[]",
        b'"fold"',
        b"{}",
        b'{"fold": 0}',
        b'{"image": "0"}',
        b'{"fold": 2, "image": "0"}',
    ],
)
def test_a_json_body_without_an_image_and_its_fold_is_refused(body: bytes) -> None:
    """As a value error, which the container answers with status 400."""
    with pytest.raises(ValueError, match="fold"):
        digits.image_of(body)


class Asked:
    """A classifier that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, int]] = []

    def classify(self, body: str, fold: int) -> int:
        """Say 7."""
        self.asked.append((body, fold))
        return 7


def test_the_fold_comes_with_the_attributes_or_in_the_body() -> None:
    """Either way the container asks the same of its models."""
    record, classifier = digits.records(2)[1], Asked()
    model: Any = classifier
    requests = [
        (record.body, digits.CONTENT_TYPE, {container.ATTRIBUTES_HEADER: record.custom_attributes}),
        (json.dumps(record.to_json()), digits.JSON, {}),
    ]
    with container.Server(model) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        for body, content_type, headers in requests:
            request = urllib.request.Request(  # noqa: S310 - our own server
                f"{server.url}/invocations", body.encode(), {"Content-Type": content_type} | headers
            )
            with urllib.request.urlopen(request, timeout=5.0) as answer:  # noqa: S310
                assert json.load(answer) == {"digit": 7}
        server.shutdown()
        thread.join()
    assert classifier.asked == [(record.body, 1)] * 2


def test_a_complete_and_correct_outcome_has_no_problem() -> None:
    """One answer each, all right."""
    records = digits.records(10)
    good = outcome(records, {str(r.number): r.digit for r in records})
    assert verdict(records, good).problems() == []


def test_missing_wrong_and_waiting_are_problems() -> None:
    """Each is named."""
    records = digits.records(10)
    answers = {str(r.number): r.digit for r in records[:5]}
    found = "\n".join(verdict(records, outcome(records, answers, held=2)).problems())
    assert "5 of 10 without an answer" in found
    assert "accuracy 0.500" in found
    assert "2 worker slots" in found


UNKNOWN = Read(events=(PART, End(Cursor(1, 2), 1, 1, "unknown")))


@pytest.mark.parametrize(
    ("streamed", "words"),
    [
        (None, ["did not run"]),
        (Streamed(early=READ, late=Read(events=(END,)), seconds=1.0), ["not read the same"]),
        (Streamed(early=UNKNOWN, late=UNKNOWN, seconds=1.0), ["unknown, not complete"]),
        (
            Streamed(early=Read(events=(PART,), error="ProducerLost"), late=READ, seconds=1.0),
            ["ProducerLost", "not complete", "not read the same"],
        ),
    ],
)
def test_a_stream_that_is_not_whole_is_a_problem(
    streamed: Streamed | None, words: list[str]
) -> None:
    """Each of them; the images alone are not enough."""
    records = digits.records(10)
    good = outcome(records, {str(r.number): r.digit for r in records})
    found = verdict(records, good, streamed).problems()
    assert len(found) == len(words)
    assert all(word in problem for word, problem in zip(words, found, strict=True))


def test_the_model_speaks_in_pieces_that_are_no_records() -> None:
    """They are cut within events and characters; together they are the picture and the digit."""
    words = list(chat.answer(digits.records(1)[0].body, 0))
    pieces = list(chat.pieces(chat.events(words)))
    framer = SseFramer()
    records = [record for piece in pieces for record in framer.feed(piece)]
    assert [record.text for record in records] == [*words, "", ""]
    assert framer.finish == "complete"
    assert not any(piece.endswith(b"\n\n") for piece in pieces[:-1])
    with pytest.raises(UnicodeDecodeError):
        pieces[0].decode()


def test_many_calls_can_begin_at_once() -> None:
    """Connections wait in the container's backlog, and none is lost, before one is accepted."""
    classifier: Any = None
    with container.Server(classifier) as server, ExitStack() as clients:
        for _ in range(64):
            address = ("127.0.0.1", server.server_port)
            clients.enter_context(socket.create_connection(address, timeout=2.0))
