"""A worker dies, or loses Redis, at every step: a request still ends once, and is paid once."""

import json
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from harness import Worker, calls, eventually


def struck(worker: Worker, once: Path, step: str, action: str) -> None:
    """Start a worker that meets the disaster, and one after it if it died."""
    once.touch()
    environment = {"CRASH_AT": step, "CRASH_ACTION": action, "CRASH_ONCE": str(once)}
    worker.start(**environment)
    eventually(lambda: not once.exists())
    if action == "kill":
        worker.wait_for_death()
        worker.start(**environment)


def ended(app: Celery, worker: Worker, id_: str) -> bool:
    """Whether a request has ended; a worker that left on reconnecting is started again."""
    if not worker.alive:
        worker.start()
    status = tasks.status(id_, app)
    return status is not None and status.state.final


ASYNC_STEPS = [
    "begun", "intent", "called_async", "located", "submitted",
    "polling", "ready", "outcome", "storing", "stored", "finished",
]  # fmt: skip

INVOKE_STEPS = ["begun", "called", "outcome", "storing", "stored", "finished"]


@pytest.mark.parametrize("action", ["kill", "disconnect"])
@pytest.mark.parametrize("step", ASYNC_STEPS)
def test_an_async_inference_survives(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path, step: str, action: str
) -> None:
    """Whatever happens, it is submitted once, and its output collected."""
    result = tasks.invoke_async.delay("echo", {"step": step})
    struck(worker, tmp_path / "once", step, action)
    eventually(lambda: ended(app, worker, result.id))
    assert tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1}
    assert result.get(timeout=10)["body"] == {"text": json.dumps({"step": step})}
    assert calls(sagemaker_local, result.id)[result.id] == 1


@pytest.mark.parametrize("step", ["outcome", pytest.param("stored", marks=pytest.mark.long)])
def test_inferences_that_are_collected_together_survive(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path, step: str
) -> None:
    """A worker dies over one of them: each ends once, and was submitted once."""
    results = [tasks.invoke_async.delay("echo", {"number": number}) for number in range(10)]
    struck(worker, tmp_path / "once", step, "kill")
    assert "sagemaker.collect_many" in worker.output
    for result in results:
        eventually(lambda: ended(app, worker, result.id))  # noqa: B023 - waited for here
    assert tasks.counts(app) == {"ACCEPTED": 10, "SUCCEEDED": 10}
    for number, result in enumerate(results):
        assert result.get(timeout=10)["body"] == {"text": json.dumps({"number": number})}
    ids = [result.id for result in results]
    assert calls(sagemaker_local, *ids) == dict.fromkeys(ids, 1)


@pytest.mark.parametrize("action", ["kill", "disconnect"])
@pytest.mark.parametrize("step", INVOKE_STEPS)
def test_an_invocation_survives(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path, step: str, action: str
) -> None:
    """It is called once; twice only if it was killed with the answer in its hands."""
    result = tasks.invoke.delay("echo", {"step": step})
    struck(worker, tmp_path / "once", step, action)
    eventually(lambda: ended(app, worker, result.id))
    assert tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1}
    assert result.get(timeout=10)["body"] == {"text": json.dumps({"step": step})}
    in_hand = step == "called" and action == "kill"
    assert calls(sagemaker_local, result.id)[result.id] == (2 if in_hand else 1)


@pytest.mark.parametrize("step", ["closed", "told"])
def test_a_revocation_survives(app: Celery, worker: Worker, tmp_path: Path, step: str) -> None:
    """Celery's result says so, though the worker that noted it died before it could tell."""
    result = tasks.invoke.apply_async(("echo", "x"), countdown=600)
    once = tmp_path / "once"
    once.touch()
    worker.start(CRASH_AT=step, CRASH_ACTION="kill", CRASH_ONCE=str(once))

    def revoked() -> bool:
        result.revoke()
        return not once.exists()

    eventually(revoked)
    worker.wait_for_death()
    worker.start()
    eventually(lambda: ended(app, worker, result.id) and str(result.state) == "REVOKED")
    assert tasks.counts(app) == {"ACCEPTED": 1, "REVOKED": 1}
