"""The pytest plugin in somebody else's project."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)

USER_TESTS = """
import boto3

def test_the_stack(sagemaker_local, sagemaker_environment):
    assert sagemaker_local.health() == {"redis": True, "s3": True, "endpoint": True}
    found = boto3.client("sagemaker-runtime").invoke_endpoint(EndpointName="mine", Body=b"6")
    assert found["Body"].read() == b"7"

def test_redis_alone(sagemaker_redis_url):
    import redis
    assert redis.Redis.from_url(sagemaker_redis_url).ping()
"""

CONFTEST = """
from pathlib import Path
import pytest

@pytest.fixture(scope="session")
def sagemaker_behaviours():
    return Path(__file__).with_name("endpoints.toml")
"""

#: Said at the end of a session in which the plugin was only installed.
HEAVY = """
import sys

def pytest_sessionfinish():
    heavy = ["boto3", "botocore", "moto", "starlette", "uvicorn", "pydantic", "redis", "celery"]
    print("loaded:", [name for name in heavy if name in sys.modules])
"""


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest in a project."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_users_tests_pass(tmp_path: Path) -> None:
    """With endpoints of their own, whose model is a module beside the tests."""
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "model.py").write_text("def add(body, _): return str(int(body) + 1)\n")
    (tmp_path / "endpoints.toml").write_text('[endpoints.mine]\ntarget = "model:add"\n')
    (tmp_path / "test_users.py").write_text(USER_TESTS)
    done = run(tmp_path, "-q", "-W", "error")
    assert "2 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [(), ("-p", "no:celery_sagemaker"), ("-p", "no:valkey")])
def test_an_installed_plugin_weighs_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """A project that does not use it loads none of its libraries, and runs without it as well."""
    (tmp_path / "conftest.py").write_text(HEAVY)
    (tmp_path / "test_other.py").write_text("def test_nothing(): pass\n")
    done = run(tmp_path, "-q", "-s", *arguments)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert "loaded: []" in done.stdout


def test_without_the_plugin_its_fixtures_are_unknown(tmp_path: Path) -> None:
    """Pytest says which one."""
    (tmp_path / "test_users.py").write_text("def test_it(sagemaker_local): pass\n")
    done = run(tmp_path, "-q", "-p", "no:celery_sagemaker")
    assert done.returncode == 1
    assert "fixture 'sagemaker_local' not found" in done.stdout
