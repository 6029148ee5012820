"""RabbitMQ dies, loses a queue, or does not answer: nothing accepted is lost, or done twice."""

import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import typer
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.clock import Clock
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from celery_sagemaker.workers.cli import reach
from harness import Environment, Worker, behave, calls, eventually
from kombu import Connection
from kombu.exceptions import ChannelError
from rabbitmq import RabbitMQ
from tls import Authority, tls

#: RabbitMQ takes five seconds of processor time to start, on a machine that may be busy.
pytestmark = pytest.mark.timeout(180)

#: Where the requests of these tests wait.
QUEUE = "sagemaker.invoke"


@pytest.fixture
def environment(
    environment: Environment, rabbitmq: RabbitMQ, monkeypatch: pytest.MonkeyPatch
) -> Environment:
    """The local stack, but for its broker."""
    rabbitmq.clear()
    ours = {
        "CELERY_SAGEMAKER_BROKER_URL": rabbitmq.url,
        "CELERY_SAGEMAKER_RESULT_URL": environment["CELERY_SAGEMAKER_BROKER_URL"],
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return {**environment, **ours}


@pytest.fixture
def worker(environment: Environment, tmp_path: Path) -> Iterator[Worker]:
    """A worker that has not started yet; killed at the end."""
    made = Worker(environment, tmp_path / "worker.log", "crashing")
    yield made
    made.kill()


def ended(app: Celery, worker: Worker, *ids: str) -> bool:
    """Whether requests have ended; a worker that left on reconnecting is started again."""
    if not worker.alive:
        worker.start()
    found = [tasks.status(id_, app) for id_ in ids]
    return all(status is not None and status.state.final for status in found)


def test_rabbitmq_comes_back_with_everything(
    app: Celery, worker: Worker, rabbitmq: RabbitMQ, sagemaker_local: LocalStack
) -> None:
    """Killed while a call is made and others wait: each ends once, and is paid once."""
    behave(sagemaker_local, "slow", kind="realtime", latency={"fixed": 1.0})
    worker.start()
    eventually(lambda: rabbitmq.wrote_down(QUEUE))
    begun = tasks.invoke.delay("slow", "x")
    eventually(lambda: calls(sagemaker_local, begun.id) == {begun.id: 1})
    rabbitmq.kill()
    rabbitmq.start()
    ids = [begun.id, *(tasks.invoke.delay("echo", f"{n}").id for n in range(20))]
    eventually(lambda: ended(app, worker, *ids))
    assert tasks.counts(app) == {"ACCEPTED": 21, "SUCCEEDED": 21}
    assert calls(sagemaker_local, *ids) == dict.fromkeys(ids, 1)
    eventually(lambda: rabbitmq.depth(QUEUE) == 0)


def test_a_killed_workers_request_goes_on(
    app: Celery, worker: Worker, sagemaker_local: LocalStack, tmp_path: Path
) -> None:
    """It is called again, because the answer died with the worker, and ends once."""
    once = tmp_path / "once"
    once.touch()
    result = tasks.invoke.delay("echo", "x")
    worker.start(CRASH_AT="called", CRASH_ACTION="kill", CRASH_ONCE=str(once))
    worker.wait_for_death()
    worker.start()
    eventually(lambda: ended(app, worker, result.id))
    assert tasks.counts(app) == {"ACCEPTED": 1, "SUCCEEDED": 1}
    assert calls(sagemaker_local, result.id) == {result.id: 2}
    assert result.get(timeout=10)["body"] == {"text": "x"}


def test_what_was_accepted_is_on_disk(app: Celery, rabbitmq: RabbitMQ) -> None:
    """`delay` returns when RabbitMQ has confirmed: a SIGKILL right then loses no message."""
    eventually(lambda: rabbitmq.wrote_down(QUEUE))
    for number in range(50):
        tasks.invoke.delay("echo", f"{number}")
    rabbitmq.kill()
    rabbitmq.start()
    # The queue has its messages a moment after the port is open.
    eventually(lambda: rabbitmq.depth(QUEUE) == 50)


@pytest.mark.parametrize("how", ["purged", "deleted"])
def test_a_queue_that_lost_its_messages(app: Celery, rabbitmq: RabbitMQ, how: str) -> None:
    """What waits is left alone; what is gone is sent again, to a queue that is made again."""
    tasks.invoke.delay("echo", "x")
    clock, parts = Clock(app), deployment(app)
    (row,) = (key for key in parts.ledger.client.scan_iter(parts.ledger.key("row", "*")))
    id_ = row.decode().rpartition(":")[2]

    def tick_when_due() -> int:
        parts.ledger.client.zadd(parts.ledger.key("due"), {id_: parts.ledger.now() - 1})
        return clock.tick().sent

    assert tick_when_due() == 0
    with Connection(rabbitmq.url) as connection:
        queue = app.amqp.queues[QUEUE](connection.channel())
        assert (queue.purge() if how == "purged" else queue.delete()) == 1
    assert tick_when_due() == 1
    eventually(lambda: rabbitmq.depth(QUEUE) == 1)
    assert tick_when_due() == 0
    clock.resign()


def test_a_publisher_waits_for_the_majority(app: Celery, rabbitmq: RabbitMQ) -> None:
    """What the queue does not confirm is not accepted; when it can, there is one message."""
    rabbitmq.clear()
    with ThreadPoolExecutor() as threads:
        with rabbitmq.without_majority(QUEUE):
            publishing = threads.submit(tasks.invoke.delay, "echo", "x")
            eventually(lambda: tasks.counts(app) == {"ACCEPTED": 1})
            assert not publishing.done()
        publishing.result(30)
    eventually(lambda: rabbitmq.depth(QUEUE) == 1)


def test_a_wrong_password(environment: Environment, rabbitmq: RabbitMQ) -> None:
    """The caller is told what is wrong, and not the password; no row stays."""
    url = rabbitmq.url.replace("guest@", "hunter2@")
    app = create_app(Settings.load().model_copy(update={"broker_url": url}))
    with pytest.raises(ChannelError, match="ACCESS_REFUSED") as refused:
        app.tasks["sagemaker.invoke"].apply_async(("echo", "x"))
    assert "hunter2" not in str(refused.value)
    assert tasks.counts(app) == {"ACCEPTED": 0}
    deployment(app).close()
    app.close()


#: The page with the user's rights, as they are copied from it.
PAGE = Path(__file__).parents[2] / "docs/howto/rabbitmq.md"


def test_the_documented_user(
    environment: Environment, rabbitmq: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker and a caller do with the documented rights, in a virtual host of their own."""
    for line in PAGE.read_text().splitlines():
        if line.startswith("    rabbitmqctl "):
            rabbitmq.control(*shlex.split(line)[1:])
    url = f"amqp://sagemaker:PASSWORD@127.0.0.1:{rabbitmq.port}/sagemaker"
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", url)
    app = create_app(Settings.load())
    worker = Worker(
        {**environment, "CELERY_SAGEMAKER_BROKER_URL": url}, tmp_path / "user.log", "crashing"
    )
    worker.start()
    try:
        eventually(lambda: "ready." in worker.output)
        result = app.send_task("sagemaker.invoke_async", ("echo", "x"), countdown=1)
        eventually(lambda: ended(app, worker, result.id))
        assert app.control.ping(timeout=5.0, limit=1)
    finally:
        worker.kill()
        deployment(app).close()
        app.close()
    assert "PASSWORD" not in worker.output
    assert "ACCESS_REFUSED" not in worker.output


def test_tls_checks_who_it_is(
    rabbitmq: RabbitMQ, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an unknown authority nor another host's certificate lets a password out."""
    authority = Authority(tmp_path)
    ours = authority.issue("ours")
    others = authority.issue("others", ["elsewhere.example"])
    with tls(rabbitmq.port, ours) as right, tls(rabbitmq.port, others) as wrong:
        url = "amqps://guest:guest@localhost:{}//"
        assert "CERTIFICATE_VERIFY_FAILED" in str(reach.log_in(url.format(right.port)))
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
        assert reach.log_in(url.format(right.port)) is None
        assert "Hostname mismatch" in str(reach.log_in(url.format(wrong.port)))


def test_the_command_line_asks_before_it_sends(rabbitmq: RabbitMQ) -> None:
    """Whether RabbitMQ lets it in; if not, one line says why, without the password."""
    assert reach.log_in(rabbitmq.url) is None
    problem = reach.log_in(rabbitmq.url.replace("guest@", "hunter2@"))
    assert "ACCESS_REFUSED" in str(problem)
    assert "hunter2" not in str(problem)
    assert "refused" in str(reach.log_in("amqp://guest:hunter2@127.0.0.1:1//"))
    with pytest.raises(typer.Exit):
        reach.require_redis(["amqp://guest:hunter2@127.0.0.1:1//"])
