"""Asynchronous inferences: `later.py KIND`, which is `ours`, `sleeping`, `retrying` or `sdk`.

It looks at what the pending ones hold when all are submitted; outputs come after that only.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import line
import redis

KIND = sys.argv[1]

#: Seconds after the last submission at which is looked, and between two looks for that.
SETTLED, LOOK = 0.4, 0.05

#: Seconds that a worker may take to say what it does, and the tasks that are counted.
PATIENT, TASKS = 10.0, ("sleeping", "retrying", "sagemaker.invoke_async")

#: Threads that wait for the SDK's predictor.
THREADS = 64

client = redis.Redis.from_url(os.environ["BENCH_REDIS"])


class Held:
    """What is held before a turn, and while all are pending."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.redis, self.worker, self.asked = self._now()

    def _now(self) -> tuple[float, float, dict[str, int]]:
        used = client.info("memory")["used_memory"]
        return float(used), line.resident(self._pid), line.asked()

    def since(self, slots: int, count: int) -> dict[str, float]:
        """Return what so many pending inferences hold."""
        redis_, worker, _ = self._now()
        return {
            "slots": slots / count,
            "redis KB": (redis_ - self.redis) / count / 1e3,
            "worker MB": worker,
        }

    def requests(self, count: int) -> dict[str, float]:
        """Return how many requests were sent to S3 for an inference."""
        made = line.asked()
        new = {kind: (made.get(kind, 0) - self.asked.get(kind, 0)) / count for kind in made}
        return {
            "looks": new.get("LIST", 0.0) + new.get("HEAD", 0.0),
            "gets": new.get("GET", 0.0),
            "puts": new.get("PUT", 0.0),
        }


def summed(late: list[float]) -> dict[str, float]:
    """Return how late results were, in seconds."""
    cuts = statistics.quantiles(late, n=100)
    return {"late p50": cuts[49], "late p99": cuts[98]}


def turn(count: int, endpoint: str) -> dict[str, float]:
    """Submit them all, look at what they hold, and wait for all results."""
    held, submitted = Held(watched), line.asked().get("ASYNC", 0) + count
    sent = [send(endpoint) for _ in range(count)]
    line.until(lambda: line.asked().get("ASYNC", 0) >= submitted, "all submissions", look=LOOK)
    time.sleep(SETTLED)
    found = held.since(slots(sent), count)
    line.release()
    late = [ready(one) for one in sent]
    return found | held.requests(count) | summed(late)


def with_celery(app: Any, command: tuple[str, ...], written: Callable[[Any], float]) -> None:
    """Serve turns of tasks; `written` reads from a result when the output was."""
    global slots, ready, watched  # noqa: PLW0603 - one kind per process

    def slots(_: list[Any]) -> int:
        (answer,) = app.control.broadcast("running", reply=True, limit=1, timeout=PATIENT)
        return sum(name in TASKS for names in answer.values() for name in names)

    def ready(result: Any) -> float:
        at = written(result.get(timeout=line.PATIENCE))
        done: float = result.date_done.timestamp()
        return done - at

    with line.worker(*command, "--include", "slots") as worker:
        watched = worker.pid
        line.until(lambda: bool(app.control.ping(limit=1)), "the worker's start")
        line.serve(turn)


if KIND == "ours":
    from celery_sagemaker.runtime import responses
    from celery_sagemaker.tasks.invoke_async import invoke_async
    from ours import COMMAND
    from ours import app as ours_app

    def send(endpoint: str) -> Any:
        """Submit one."""
        return invoke_async.delay(endpoint, input_location="s3://benchmark/input.json")

    def written(found: Any) -> float:
        """Read the time from an output."""
        output: Any = responses.from_json(found)
        at: float = json.loads(output.body)["written"]
        return at

    with_celery(ours_app, COMMAND, written)
elif KIND == "sdk":
    import boto3
    from botocore.config import Config
    from sagemaker.async_inference import WaiterConfig
    from sagemaker.predictor import Predictor
    from sagemaker.predictor_async import AsyncPredictor
    from sagemaker.session import Session

    pool = ThreadPoolExecutor(THREADS)
    options = Config(max_pool_connections=THREADS)
    session = Session(
        sagemaker_runtime_client=boto3.client("sagemaker-runtime", config=options),
        default_bucket="benchmark",
    )
    session.s3_client = boto3.client("s3", config=options)
    waiter = WaiterConfig(max_attempts=240, delay=1)
    watched = os.getpid()

    def wait(endpoint: str) -> float:
        """Predict, and wait in this thread."""
        predictor = AsyncPredictor(Predictor(endpoint, sagemaker_session=session))
        predictor.s3_client = session.s3_client
        answer = predictor.predict_async(input_path="s3://benchmark/input.json")
        written: float = json.loads(answer.get_result(waiter))["written"]
        return time.time() - written

    def send(endpoint: str) -> Any:
        """Submit one."""
        return pool.submit(wait, endpoint)

    def slots(sent: list[Future[float]]) -> int:
        """Return how many threads wait."""
        return sum(future.running() for future in sent)

    def ready(one: Future[float]) -> float:
        """Return how late one was."""
        return one.result(line.PATIENCE)

    line.serve(turn)
else:
    import plain_tasks

    task = {"sleeping": plain_tasks.sleeping, "retrying": plain_tasks.retrying}[KIND]

    def send(endpoint: str) -> Any:
        """Submit one."""
        return task.delay(endpoint)

    plain = ("celery", "-A", "plain_tasks", "worker", "--loglevel", "WARNING")
    with_celery(plain_tasks.app, plain, lambda found: json.loads(found)["written"])
