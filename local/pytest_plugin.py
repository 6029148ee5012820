"""Fixtures for the tests of whoever uses this package.

Loaded by pytest wherever the package is installed: everything heavy is imported in the fixtures.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .stack import LocalStack


@pytest.fixture(scope="session")
def sagemaker_behaviours() -> Path | None:
    """The TOML file of the emulated endpoints; override it. None: `echo`, of both kinds."""
    return None


@pytest.fixture(scope="session")
def sagemaker_local(sagemaker_behaviours: Path | None) -> Iterator["LocalStack"]:
    """Redis, S3, and the emulated endpoints, for the whole session."""
    from .stack import LocalStack  # noqa: PLC0415

    with LocalStack(sagemaker_behaviours) as stack:
        yield stack


@pytest.fixture
def sagemaker_environment(
    sagemaker_local: "LocalStack", monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The variables that point botocore and the tasks at the local stack, set for one test."""
    environment = sagemaker_local.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment


@pytest.fixture(scope="session")
def sagemaker_redis_url() -> Iterator[str]:
    """A Redis of the session's own, without the rest of the stack."""
    from . import redis_server  # noqa: PLC0415
    from .guardian import guarded_folder  # noqa: PLC0415

    with guarded_folder() as folder:
        child = redis_server.start(folder)
        try:
            yield f"redis://127.0.0.1:{child.port}/0"
        finally:
            child.stop()
