"""Our own app, in a worker that writes down its calls, and what became of their answers.

CHAOS_WITNESS names the file: a line of JSON for each event, by the machine's clock also where the
worker's is wrong. CHAOS_LIFE names the worker, and which of its lives this is.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

from celery_sagemaker.tasks import observation
from celery_sagemaker.tasks.batch.holding import Hold
from celery_sagemaker.tasks.batch.registry import Registry
from celery_sagemaker.tasks.batch.running import Verdict
from celery_sagemaker.tasks.ledger import Ledger, Run
from celery_sagemaker.workers import create_app

app = create_app()

#: Fields of a row by which an answer counts.
ANSWERS = frozenset({"outcome", "output_location"})

_file = os.open(os.environ["CHAOS_WITNESS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


def now() -> float:
    """Return the machine's time; `time.time` may be wrong on purpose."""
    return time.clock_gettime(time.CLOCK_REALTIME)


def tell(what: str, id_: str, at: float, **more: object) -> None:
    """Write an event down, in one piece."""
    event = {"what": what, "id": id_, "life": os.environ["CHAOS_LIFE"], "time": at, **more}
    os.write(_file, json.dumps(event).encode() + b"\n")


def around(owner: Any, name: str, wrap: Callable[..., Any]) -> None:
    """Let `wrap` be called instead of a method, with the method before its arguments."""
    method = getattr(owner, name)
    setattr(owner, name, lambda *args, **kwargs: wrap(method, *args, **kwargs))


def begin(method: Any, ledger: Ledger, id_: str, *args: Any) -> Any:
    """A run of a request, from before the ledger was asked."""
    since = now()
    found = method(ledger, id_, *args)
    if isinstance(found, Run):
        tell("begun", id_, since)
    return found


def begin_chunk(method: Any, registry: Registry, job: str, chunk: int, task: str) -> Any:
    """A run of a chunk."""
    since = now()
    found = method(registry, job, chunk, task)
    if found is not None:
        tell("begun", f"{job}/{chunk}", since)
    return found


def note(method: Any, ledger: Ledger, run: Run, **fields: object) -> Any:
    """An answer is written to its row, or the row is another run's."""
    if not ANSWERS & fields.keys():
        return method(ledger, run, **fields)
    noted = method(ledger, run, **fields)
    tell("noted" if noted else "refused", run.id, now())
    return noted


def save(method: Any, hold: Any, snapshot: Any, *args: Any) -> Any:
    """Records are counted, or the chunk is another run's."""
    results = snapshot.results
    saved = method(hold, snapshot, *args)
    for position, _ in (*results.outputs, *results.errors):
        tell("noted" if saved else "refused", f"{hold._run.job}-{position}", now())
    return saved


def beat(method: Any, hold: Any, seconds: float) -> Any:
    """A run hears that its chunk is another one's."""
    verdict = method(hold, seconds)
    if verdict is Verdict.GONE:
        tell("refused", f"{hold._run.job}/{hold._run.chunk}", now())
    return verdict


def call(method: Any, made: Any) -> Any:
    """An endpoint is called."""
    tell("called", made._request.inference_id, now(), endpoint=made._request.endpoint_name)
    return method(made)


def answered(method: Any, made: Any, kind: Any, error: Any, trace: Any) -> Any:
    """A call has ended."""
    parts = bool(getattr(error, "members", {}).get("parts"))
    code = getattr(error, "code", type(error).__name__) if error else None
    tell("ended", made._request.inference_id, now(), error=code, parts=parts)
    return method(made, kind, error, trace)


around(Ledger, "begin", begin)
around(Ledger, "note", note)
around(Registry, "begin", begin_chunk)
around(Hold, "save", save)
around(Hold, "beat", beat)
around(observation.Call, "__enter__", call)
around(observation.Call, "__exit__", answered)
