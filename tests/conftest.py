"""What all tests share: a clean environment, and the long tests on request only."""

import os

import celery
import pytest
from celery.backends.redis import ResultConsumer  # type: ignore[attr-defined]
from hypothesis import HealthCheck, settings

# Speed is measured in benchmarks/: on a busy machine one example can take any time.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

#: Examples of a property, or of a state machine's commands, with --long; 100 without.
LONG_EXAMPLES = 2_000
settings.register_profile("long", settings.get_profile("busy"), max_examples=LONG_EXAMPLES)

#: Seconds that a test may take with --long, if it does not say itself.
LONG_TIMEOUT = 3_000

OURS = ("AWS_", "CELERY_", "SAGEMAKER_")

#: The first Celery whose collected results leave Redis alone (celery/celery#10497).
CELERY_MENDED = (5, 7)


def _unsubscribe_once(consumer: ResultConsumer, task_id: str) -> None:
    """Cancel what is still subscribed to, as Celery does from 5.7 on."""
    if consumer._get_key_for_task(task_id) in consumer.subscribed_to:
        _cancel_for(consumer, task_id)


_cancel_for = ResultConsumer.cancel_for
if celery.VERSION < CELERY_MENDED:
    # A finished result unsubscribes again when it is collected, over a new connection that nobody
    # closes, or that retries a Redis long gone: in the middle of whatever test comes next.
    ResultConsumer.cancel_for = _unsubscribe_once


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flag that runs the long tests, and more examples of properties."""
    parser.addoption(
        "--long", action="store_true", help="run the long tests as well, and more examples"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Look for more examples where the long tests run too: before the tests are imported."""
    if config.getoption("--long"):
        settings.load_profile("long")
        config.option.timeout = config.option.timeout or LONG_TIMEOUT


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long tests out unless they were asked for."""
    if config.getoption("--long"):
        return
    skip = pytest.mark.skip(reason="a long test: run it with --long")
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(skip)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test see, or reach, an AWS account or a deployment of the machine it runs on."""
    for name in list(os.environ):
        if name.upper().startswith(OURS):
            monkeypatch.delenv(name)
    # No credentials: neither of a file nor of an instance's metadata service.
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
