"""Messages that nobody should have sent: each is refused with a reason, and the worker lives."""

import pickle
import random
import re
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.runtime import responses
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.exceptions import MalformedMessage
from harness import Environment, Worker, eventually
from malformed import MAKERS, dumped, encoded, envelope, queue_of

#: Messages between two good requests.
BETWEEN = 250

#: MB that a worker may have more at the end than after a tenth of the messages.
FLAT = 20

#: What becomes of a message, by what the worker writes of it.
REFUSED = re.compile(r"message_refused\b")
DROPPED = re.compile(r"message_dropped")
#: Nothing was there. The clock's own looks have ids with dashes.
LOOKED = re.compile(
    r"Task sagemaker\.(?:poll|collect_many)\[(?![0-9a-f]{8}-).*\] (succeeded|raised)"
)
UNKNOWN = re.compile(r"Received unregistered task of type")


@pytest.fixture
def environment(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """Nothing is sent again while this looks: a message counts once."""
    monkeypatch.setenv("CELERY_SAGEMAKER_LEDGER__RESEND_AFTER", "3600")
    return {**environment, "CELERY_SAGEMAKER_LEDGER__RESEND_AFTER": "3600"}


def resident(pid: int | None) -> float:
    """MB of memory that a process has."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


@pytest.mark.parametrize(
    ("seed", "count"),
    [
        pytest.param(1, 2_000, marks=pytest.mark.timeout(300)),
        pytest.param(2, 100_000, marks=[pytest.mark.long, pytest.mark.timeout(3_000)]),
    ],
)
def test_bad_messages_are_refused_and_the_worker_goes_on(
    app: Celery, worker: Worker, seed: int, count: int
) -> None:
    """Each has a reason; none comes again; good requests between them are served; memory stays."""
    rng, ledger = random.Random(seed), deployment(app).ledger
    worker.start()
    sent, memory = [], []
    for start in range(0, count, BETWEEN):
        with ledger.client.pipeline(transaction=False) as pipe:
            for _ in range(BETWEEN):
                message = rng.choice(MAKERS)(rng)
                pipe.lpush(queue_of(message), message)
            pipe.execute()
        sent.append(tasks.invoke.delay("echo", start))
        if start % 1_000 == 0:
            assert responses.from_json(sent[-1].get(timeout=60)).json() == start  # type: ignore[union-attr]
            memory.append(resident(worker.pid))
    for number, result in enumerate(sent):
        found = responses.from_json(result.get(timeout=60))
        assert found.json() == number * BETWEEN  # type: ignore[union-attr]
    eventually(lambda: not waiting(app))
    eventually(lambda: finals(tasks.counts(app)) == tasks.counts(app)["ACCEPTED"])
    assert worker.alive
    output, counts = worker.output, tasks.counts(app)
    reasons = {
        "refused": len(REFUSED.findall(output)),
        "dropped": len(DROPPED.findall(output)),
        "looked": len(LOOKED.findall(output)),
        "unknown": len(UNKNOWN.findall(output)),
        "ended": finals(counts) - len(sent),
    }
    assert sum(reasons.values()) == count, reasons
    assert reasons["refused"] > count / 2
    assert "Unrecoverable" not in output
    assert "--- Logging error ---" not in output
    early = memory[len(memory) // 10]
    print(  # noqa: T201 - for -s
        f"{count:,} messages: {reasons}; MB: {memory[0]:.0f}, after a tenth {early:.0f},"
        f" at the end {memory[-1]:.0f}"
    )
    if len(memory) > 2:
        assert memory[-1] - early < FLAT, memory


def finals(counts: dict[str, int]) -> int:
    """Requests that have their final state."""
    return sum(counts.values()) - counts["ACCEPTED"]


def waiting(app: Celery) -> int:
    """Messages that no worker has done with."""
    client = deployment(app).ledger.client
    queues = sum(client.llen(name) for name in app.amqp.queues)
    return queues + int(client.hlen("unacked"))


class Evil:
    """Pickled, it writes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "yaml"])
def test_only_json_is_read(app: Celery, worker: Worker, tmp_path: Path, kind: str) -> None:
    """A message that could run code is refused unread, and whoever waits for it hears why."""
    path = tmp_path / "was-run"
    made = envelope("sagemaker.invoke", [], {})
    if kind == "pickle":
        made |= {"content-type": "application/x-python-serialize", "content-encoding": "binary"}
        made["body"] = encoded(pickle.dumps([[Evil(path)], {}, {}]))
    else:
        made["content-type"] = "application/x-yaml"
        code = f"- [!!python/object/apply:os.mkdir ['{path}']]\n- {{}}\n- {{}}\n"
        made["body"] = encoded(code.encode())
    ledger = deployment(app).ledger
    ledger.client.lpush("sagemaker.invoke", dumped(made))
    worker.start()
    with pytest.raises(MalformedMessage, match="ContentDisallowed"):
        app.AsyncResult(made["headers"]["id"]).get(timeout=45)
    assert not path.exists()
    (letter,) = ledger.dead_letters()
    assert (letter["id"], letter["code"]) == (made["headers"]["id"], "MalformedMessage")
    assert worker.alive


def test_a_message_that_is_too_large_is_refused(
    app: Celery, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row is FAILED with the reason; the next one is served."""
    result = tasks.invoke.delay("echo", "x" * 5_000)
    worker.start(CELERY_SAGEMAKER_MESSAGE_LIMIT="4000")
    with pytest.raises(MalformedMessage, match=r"message_limit"):
        result.get(timeout=45)
    status = tasks.status(result.id, app)
    assert status is not None
    assert status.state == "FAILED"
    assert status.reason is not None
    assert status.reason["code"] == "MalformedMessage"
    assert tasks.invoke.delay("echo", "x").get(timeout=45)["body"] == {"text": "x"}
