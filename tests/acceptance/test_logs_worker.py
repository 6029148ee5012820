"""The log of a real worker: a request's life as events, and no payload in it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import ModelError
from harness import OPTIONS, Environment, Worker, behave, eventually

pytestmark = pytest.mark.timeout(120)

#: What a busy machine brings about: a message that is late is sent again.
LATE = {"message_sent_again", "message_dropped"}

#: What is sent, and given back by `echo`: it must be in no line.
PRIVATE = "private-words"


@pytest.fixture
def logging_worker(environment: Environment, app: Celery, tmp_path: Path) -> Iterator[Worker]:
    """A worker of our own app."""
    made = Worker(environment, tmp_path / "worker.log", "celery_sagemaker.workers.app", OPTIONS)
    yield made
    made.kill()


def lives(stack: LocalStack, app: Celery) -> dict[str, str]:
    """Lead requests through success, retries, failure and submission; returns their ids."""
    behave(stack, "bad", errors={"ModelError:400": 1.0})
    behave(stack, "down", errors={"ServiceUnavailable": 1.0})
    down = tasks.invoke.delay("down", PRIVATE)
    good = tasks.invoke.delay("echo", PRIVATE)
    bad = tasks.invoke.delay("bad", PRIVATE)
    later = tasks.invoke_async.delay("echo", PRIVATE)
    assert good.get(timeout=45)["body"] == {"text": PRIVATE}
    assert isinstance(bad.get(timeout=45, propagate=False), ModelError)
    assert later.get(timeout=45)["body"]
    return {"good": good.id, "bad": bad.id, "later": later.id, "down": down.id}


def test_a_requests_life_is_in_the_log(
    app: Celery, logging_worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Every line is one object; each request's events have its id, their fields and no payload."""
    logging_worker.start(CELERY_SAGEMAKER_LOGGING__FORMAT="json")
    ids = lives(sagemaker_local, app)

    def events() -> list[dict[str, Any]]:
        _, _, written = logging_worker.output.partition("\n{")
        return [json.loads(line) for line in ("{" + written).splitlines()]

    def of(name: str) -> dict[str, dict[str, Any]]:
        return {line["event"]: line for line in events() if line.get("id") == ids[name]}

    eventually(lambda: "request_handed_back" in of("down"))
    eventually(lambda: "request_ended" in of("bad"))
    assert set(of("good")) <= LATE  # a success is told of at DEBUG
    ended = of("bad")["request_ended"]
    assert (ended["level"], ended["state"], ended["code"]) == ("WARNING", "FAILED", "ModelError")
    assert ended["task"] == "sagemaker.invoke"
    later = of("later")
    assert set(later) - LATE == {"request_submitted", "answer_found"}
    assert later["request_submitted"]["task_id"] == ids["later"]
    assert (later["answer_found"]["kind"], later["answer_found"]["endpoint"]) == ("output", "echo")
    back = of("down")["request_handed_back"]
    assert back["why"] == "ServiceUnavailable"
    assert back["seconds"] > 0.2
    assert all(re.fullmatch(r"[\d-]{10}T[\d:.]{12}\+00:00", line["time"]) for line in events())
    succeeded = [line for line in events() if line["event"].startswith("Task sagemaker.invoke[")]
    assert {line["task_id"] for line in succeeded} >= {ids["good"]}
    assert PRIVATE not in logging_worker.output
