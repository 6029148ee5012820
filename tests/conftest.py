"""What all tests share: a clean environment, and the long tests on request only."""

import os

import pytest
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
