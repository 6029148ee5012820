"""`celery-sagemaker limits`: what a user sees of an endpoint's limits."""

import json
import uuid

import pytest
import redis
from celery_sagemaker.config import Settings
from celery_sagemaker.tasks.limits import Limits
from celery_sagemaker.workers.cli.app import app
from typer.testing import CliRunner, Result


@pytest.fixture
def limits(sagemaker_redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Limits:
    """Limits of the endpoints `churn` and `llm`, as the command's environment has them."""
    ours = {
        "BROKER_URL": sagemaker_redis_url,
        "PREFIX": f"test-{uuid.uuid4().hex}",
        "ENDPOINTS__CHURN__LIMITS__MAX_CONCURRENCY": "8",
        "ENDPOINTS__LLM__LIMITS__BREAKER": "true",
        "ENDPOINTS__LLM__LIMITS__BREAKER_CALLS": "1",
        "ENDPOINTS__OTHER__ACCEPT": "text/csv",
    }
    for name, value in ours.items():
        monkeypatch.setenv(f"CELERY_SAGEMAKER_{name}", value)
    settings = Settings.load()
    return Limits(redis.Redis.from_url(settings.state_url), settings.prefix, settings)


def run(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["limits", *arguments])


def test_every_limited_endpoint_is_shown(limits: Limits) -> None:
    """Those without limits are not; in use and breaker are those of this moment."""
    held = limits.admit("churn", 3)
    limits.admit("llm").report({"InternalFailure": 1}, release=1)
    found = run()
    first, second = found.stdout.split("\n\n")
    assert found.exit_code == 0
    assert first.splitlines() == [
        "endpoint: churn",
        "calls at once: 8 of at most 8",
        "in use: 3",
        "waiting: 0",
        "breaker: off",
    ]
    assert second.startswith("endpoint: llm\ncalls at once: any number\nbreaker: open, tried again")
    assert second.rstrip().endswith("refusing because of: breaker")
    held.report({}, release=3)


def test_scripts_get_one_object(limits: Limits) -> None:
    """By name, also for a component, whose limits are its endpoint's."""
    limits.admit("churn/adapter").report({"ThrottlingException": 1})
    found = json.loads(run("churn/adapter", "--json").stdout)
    assert found["churn/adapter"]["limit"] == 4
    assert found["churn/adapter"]["in_use"] == 1
    assert found["churn/adapter"]["breaker"] is None


def test_nothing_to_show_is_a_wrong_command_line(
    sagemaker_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name given, and no endpoint with limits in the settings."""
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", sagemaker_redis_url)
    found = run()
    assert found.exit_code == 2
    assert "name an endpoint" in found.stderr
