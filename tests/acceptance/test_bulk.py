"""Many requests at once, with a real worker."""

from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import responses
from harness import Worker, eventually


def test_many_requests_each_get_their_own_answer(
    app: Celery, worker: Worker, sagemaker_local: LocalStack
) -> None:
    """Results come in the order of the signatures; each request ends once."""
    worker.start()
    results = tasks.apply_many((tasks.invoke.s("echo", {"n": n}) for n in range(40)), app)
    found = [
        responses.from_json(answer) for answer in (result.get(timeout=60) for result in results)
    ]
    assert [answer.json() for answer in found] == [{"n": n} for n in range(40)]  # type: ignore[union-attr]
    eventually(lambda: tasks.counts(app) == {"ACCEPTED": 40, "SUCCEEDED": 40})
