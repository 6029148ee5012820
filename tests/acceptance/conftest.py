"""Real workers for the acceptance tests: processes that can be killed and started again."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import channels_harness
import pytest
import redis
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from channels_harness import OwnRedis
from harness import Environment, Worker
from rabbitmq import RabbitMQ, own_rabbitmq

#: Redis databases of the tests: one each, so that none sees another's messages.
DATABASES = itertools.count(1)

#: Redis user, and password, of the workers: a test can cut their connections and nobody else's.
USER = "worker"

#: Short times, so that what takes minutes in production takes seconds here.
QUICK = {
    "LEDGER__LEASE": "2",
    "LEDGER__RESEND_AFTER": "2",
    "POLLING__TICK": "0.2",
    "POLLING__MIN_INTERVAL": "0.2",
    "POLLING__MAX_INTERVAL": "1",
    "POLLING__UNANSWERED_GRACE": "4",
    "HOLD_LIMIT": "0.2",
}


@pytest.fixture(scope="session")
def quick() -> Mapping[str, str]:
    """The variables of the short times."""
    return {f"CELERY_SAGEMAKER_{name}": value for name, value in QUICK.items()}


@pytest.fixture(scope="session")
def databases(sagemaker_local: LocalStack) -> Iterator[str]:
    """Addresses of Redis databases that no other test has."""
    url = sagemaker_local.redis_url.removesuffix("/0")
    return (f"{url}/{number}" for number in DATABASES)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ for the whole session; what a test leaves in it, the next one clears."""
    with own_rabbitmq() as node:
        yield node


@pytest.fixture
def environment(
    sagemaker_environment: Environment,
    sagemaker_local: LocalStack,
    quick: Mapping[str, str],
    databases: Iterator[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Environment:
    """The local stack with short times and a Redis database of the test's own."""
    ours = {
        **quick,
        "CELERY_SAGEMAKER_BROKER_URL": next(databases),
        "CELERY_SAGEMAKER_ENDPOINTS__ECHO__OUTPUT_PATH": f"s3://{sagemaker_local.bucket}/outputs",
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return {**sagemaker_environment, **ours}


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis that can be killed."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with channels_harness.own_redis(folder) as made:
        yield made


@pytest.fixture
def app(environment: Environment) -> Iterator[Celery]:
    """Our own app in the test's process, as a web process has it."""
    made = create_app(Settings.load())
    made.set_current()
    made.set_default()
    yield made
    deployment(made).close()
    made.close()


@pytest.fixture
def worker(environment: Environment, app: Celery, tmp_path: Path) -> Iterator[Worker]:
    """A worker that has not started yet, under a Redis user of its own; killed at the end."""
    url = app.conf.broker_url
    with redis.Redis.from_url(url) as client:
        client.acl_setuser(
            USER, enabled=True, passwords=[f"+{USER}"],
            commands=["+@all"], keys=["*"], channels=["*"],
        )  # fmt: skip
    url = url.replace("redis://", f"redis://{USER}:{USER}@")
    made = Worker(
        {**environment, "CELERY_SAGEMAKER_BROKER_URL": url, "CRASH_USER": USER},
        tmp_path / "worker.log",
        "crashing",
    )
    yield made
    made.kill()
