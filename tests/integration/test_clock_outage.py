"""The clock after an outage: nobody could renew a lease, and who lives is not taken for dead."""

import time
import uuid
from collections.abc import Iterator

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks import clock as clock_module
from celery_sagemaker.tasks.batch import schedule
from celery_sagemaker.tasks.clock import Clock
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.tasks.ledger import Ledger, Run
from celery_sagemaker.workers import create_app

TASK = "sagemaker.invoke"

#: Seconds of a lease, in these tests.
LEASE = 30.0


@pytest.fixture
def app(sagemaker_redis_url: str) -> Iterator[Celery]:
    """An app with keys of its own; its messages stay in a database that no worker reads."""
    broker = sagemaker_redis_url.replace("/0", "/997")
    ledger = {"lease": LEASE}
    made = create_app(Settings(broker_url=broker, prefix=f"test-{uuid.uuid4().hex}", ledger=ledger))
    yield made
    deployment(made).ledger.client.delete(TASK)
    deployment(made).close()
    made.close()


class Passing:
    """The clock of a process, that a test moves on."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return time.monotonic() + self.ahead


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> Passing:
    """The time of the clocks under test."""
    made = Passing()
    monkeypatch.setattr(clock_module, "time", made)
    return made


def running(ledger: Ledger, owner: str) -> Run:
    """A run of which nobody has heard for as long as a lease."""
    id_ = uuid.uuid4().hex
    ledger.accept(id_, task=TASK, signature="{}", lane=f"{TASK}/0", endpoint="echo")
    run = ledger.begin(id_, TASK, owner)
    assert isinstance(run, Run)
    ledger.renew(owner, ledger.now() - 2 * LEASE)
    return run


def taken_back(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> tuple[int, bool]:
    """What a tick takes back: runs of requests, and whether it looks for runs of chunks."""
    looked: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "due", lambda *_: [])
        patch.setattr(schedule, "_recover", looked.append)
        return clock.tick().taken_back, bool(looked)


def test_an_outage_kills_nobody(
    app: Celery, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever lives has a lease's time to say so; who does not is taken for dead after that."""
    clock, ledger = Clock(app), deployment(app).ledger
    assert taken_back(clock, monkeypatch) == (0, True)
    alive, _ = running(ledger, "alive"), running(ledger, "dead")
    passing.ahead = LEASE
    assert taken_back(clock, monkeypatch) == (0, False)
    ledger.renew("alive", ledger.now())
    for _ in range(5):
        passing.ahead += LEASE / 6
        assert taken_back(clock, monkeypatch) == (0, False)
    passing.ahead += LEASE / 6
    assert taken_back(clock, monkeypatch) == (1, True)
    assert ledger.note(alive, outcome="1")
    clock.resign()


def test_a_command_that_waited_tells_of_an_outage(
    app: Celery, passing: Passing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when it has waited until Redis was back, as the client does, and nothing was raised."""
    clock, ledger = Clock(app), deployment(app).ledger
    taken_back(clock, monkeypatch)
    running(ledger, "alive")
    lead = Clock._lead

    def waiting(self: Clock) -> bool:
        passing.ahead += LEASE
        return lead(self)

    monkeypatch.setattr(Clock, "_lead", waiting)
    assert taken_back(clock, monkeypatch) == (0, False)
    clock.resign()


def test_without_an_outage_the_dead_are_found_at_once(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that has just begun, and by one that ticks on."""
    ledger = deployment(app).ledger
    running(ledger, "dead")
    clock = Clock(app)
    assert taken_back(clock, monkeypatch) == (1, True)
    running(ledger, "dead, too")
    assert taken_back(clock, monkeypatch) == (1, True)
    clock.resign()
