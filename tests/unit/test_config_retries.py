"""Retry policies: what is tried again, and that the documentation says the same."""

import random
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from celery_sagemaker.config import Settings, retries
from celery_sagemaker.runtime import exceptions
from hypothesis import given
from hypothesis import strategies as st

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "retries.md"
ROW = re.compile(
    r"\| `(?P<code>[^`]+)`(?P<mark> †)? \| (?P<attempts>\d+) \| (?P<first>[\d.]+) "
    r"\| (?P<longest>[\d.]+) \| (?P<cost>\d+) \| (?P<reason>.+) \|"
)
#: Seconds, how long a model may take to start.
COLD_START = 360


@dataclass
class Failed:
    """An error as the runtime raises it, reduced to what a policy depends on."""

    code: str
    may_have_run: bool = False
    original_status_code: int | None = None
    http_status: int | None = None


def attempts(error: Failed, settings: Settings | None = None, *, repeatable: bool = False) -> int:
    """How often an error's call is made in all."""
    settings = settings or Settings()
    return retries.policy_for(error, settings, "Digits", repeatable=repeatable).attempts


def test_the_documentation_has_the_same_table() -> None:
    """docs/reference/retries.md is what the code does, line by line and in its order."""
    rows = [ROW.fullmatch(line) for line in DOCS.read_text().splitlines() if line[:3] == "| `"]
    documented = {
        row["code"].replace("\\|", "|"): retries.RetryPolicy(
            int(row["attempts"]),
            float(row["first"]),
            float(row["longest"]),
            int(row["cost"]),
            row["reason"],
        )
        for row in rows
        if row
    }
    assert None not in rows
    assert list(documented.items()) == list(retries.DEFAULTS.items())


def test_the_table_knows_every_error_of_the_runtime() -> None:
    """Each class that is raised has its line, and no line stands for a class that is not there."""
    ours = {
        c: cls for c, cls in exceptions.by_code.items() if cls.__module__ == exceptions.__name__
    }
    raised = {code for code, cls in ours.items() if not cls.__subclasses__()}
    assert raised - set(retries.CODES) == set()
    assert {code.partition(":")[0] for code in retries.CODES} - set(ours) == set()


def test_every_policy_has_a_reason() -> None:
    """No number stands there without one."""
    assert all(policy.reason for policy in retries.DEFAULTS.values())


@pytest.mark.parametrize(
    ("status", "expected"),
    [(0, 1), (429, 6), (503, 6), (507, 6), (500, 3), (504, 3), (599, 3), (400, 1), (None, 1)],
)
def test_a_model_error_depends_on_the_containers_status(status: int | None, expected: int) -> None:
    """A timeout is final, a busy container is tried often, a bug a little, a refusal never."""
    assert attempts(Failed("ModelError", original_status_code=status)) == expected


@pytest.mark.parametrize(("status", "expected"), [(502, 3), (404, 1), (None, 1)])
def test_an_unknown_answer_depends_on_its_status(status: int | None, expected: int) -> None:
    """The service's own failures are tried again, its refusals are not."""
    assert attempts(Failed("UnknownServiceError", http_status=status)) == expected


def test_a_gateway_timeout_may_have_run() -> None:
    """The front end stopped waiting; the model may not have."""
    error = Failed("UnknownServiceError", http_status=504)
    assert attempts(error) == 1
    assert attempts(error, repeatable=True) == 3


@pytest.mark.parametrize("code", ["ReadTimeout", "ConnectionLost", "StreamTruncated"])
def test_what_may_have_run_is_not_repeated(code: str) -> None:
    """Only the caller, or the endpoint's section, allows a second run; an override does not."""
    error = Failed(code, may_have_run=True)
    stubborn = Settings(retries={code: {"attempts": 9}})
    harmless = Settings(endpoints={"digits": {"repeatable": True}})
    assert attempts(error) == attempts(error, stubborn) == 1
    assert attempts(error, repeatable=True) > 1
    assert attempts(error, harmless) > 1
    assert attempts(error, stubborn, repeatable=True) == 9


@pytest.mark.parametrize("code", ["ConnectTimeout", "EndpointUnreachable", "ThrottlingException"])
def test_what_was_not_run_is_repeated(code: str) -> None:
    """No caller has to allow it."""
    assert attempts(Failed(code)) > 3


@pytest.mark.parametrize(
    "code",
    ["ValidationError", "AccessDeniedException", "EndpointNotFound", "S3AccessDenied", "New"],
)
def test_what_stays_wrong_is_final(code: str) -> None:
    """A second call would get the same answer; so is what the table does not know."""
    assert attempts(Failed(code)) == 1


def test_the_nearest_override_wins() -> None:
    """Class, then line, then the endpoint's class and line; what is left out stays."""
    error = Failed("ModelError", original_status_code=503)
    general = {"modelerror": {"attempts": 7, "cost": 1}, "ModelError:429|503|507": {"attempts": 8}}
    own = {"ModelError": {"wait_max": 3}}
    settings = Settings(retries=general, endpoints={"DIGITS": {"retries": own}})
    assert retries.policy_for(error, Settings(retries=general), "x").attempts == 8
    policy = retries.policy_for(error, settings, "Digits")
    assert (policy.attempts, policy.cost, policy.wait_initial, policy.wait_max) == (8, 1, 1.0, 3.0)
    refused = Failed("ModelError", original_status_code=400)
    assert retries.policy_for(refused, settings, "Digits").attempts == 7


def test_a_cold_start_is_outlived() -> None:
    """The waits for a model that is not ready add up to more than it needs, nearly always."""
    policy = retries.DEFAULTS["ModelNotReadyException"]
    rng = random.Random(3)
    waits = [
        sum(retries.wait_seconds(policy, n, rng) for n in range(1, policy.attempts))
        for _ in range(1000)
    ]
    assert sum(waited > COLD_START for waited in waits) >= 999


@given(attempt=st.integers(1, 2000), seed=st.integers())
def test_a_wait_is_drawn_between_zero_and_its_bound(attempt: int, seed: int) -> None:
    """Full jitter: the bound doubles up to the longest wait."""
    policy = retries.RetryPolicy(9, 0.5, 20.0, 1)
    waited = retries.wait_seconds(policy, attempt, random.Random(seed))
    assert 0 <= waited <= min(20.0, 0.5 * 2.0 ** min(attempt - 1, 30))


def test_a_wait_the_service_asks_for_is_kept() -> None:
    """``Retry-After`` is a lower limit, unless it is longer than the longest wait."""
    policy = retries.RetryPolicy(9, 0.5, 20.0, 1)
    assert retries.wait_seconds(policy, 1, random.Random(1), retry_after=7.0) == 7.0
    assert retries.wait_seconds(policy, 1, random.Random(1), retry_after=900.0) == 20.0
