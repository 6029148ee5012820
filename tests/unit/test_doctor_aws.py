"""What the doctor says of AWS, endpoints and S3, of what was seen of them."""

from dataclasses import replace
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker.config import Settings
from celery_sagemaker.workers.doctor import Target, aws, clocks, endpoints, findings, s3
from celery_sagemaker.workers.doctor.aws import Account
from celery_sagemaker.workers.doctor.endpoints import Described
from celery_sagemaker.workers.doctor.s3 import Prefix

ACCOUNT = Account(
    region="eu-west-1", source="env", arn="arn:aws:sts::1:user/u", skew=0.4, attempts=1
)

ASYNC = Described(
    name="llama",
    status="InService",
    asynchronous=True,
    output_path="s3://bucket/out/",
    failure_path="s3://bucket/failed",
)

REALTIME = Described(name="digits", status="InService")

OUTPUTS = Prefix(location="s3://bucket/out", use="outputs of llama", rules=())

STAGING = Prefix(
    location="s3://bucket/staging/inputs",
    use="staging",
    rules=({"Status": "Enabled", "Filter": {"Prefix": "staging/"}, "Expiration": {"Days": 7}},),
)

#: The settings that go with them.
SETTINGS = Settings(endpoints={"llama": {"output_path": "s3://bucket/out"}})


def wrong(found: Any) -> dict[str, str]:
    """Return what is not well, by id."""
    return {finding.id: str(finding.severity) for finding in found if not finding.well}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {}),
        ({"skew": None, "attempts": None}, {}),
        ({"region": None}, {"aws.region": "fault"}),
        ({"source": None}, {"aws.credentials": "fault"}),
        ({"arn": None, "refused": "expired"}, {"aws.identity": "fault"}),
        ({"arn": None, "refused": "timeout", "answered": False}, {"aws.identity": "warning"}),
        ({"skew": -10.0}, {"aws.clock": "warning"}),
        ({"skew": 400.0}, {"aws.clock": "fault"}),
        ({"skew": 400.0, "uncertain": 400.0}, {}),
        ({"attempts": 3}, {"aws.retries": "fault"}),
    ],
)
def test_the_account(change: dict[str, Any], expected: dict[str, str]) -> None:
    """One cause, one finding."""
    assert wrong(aws.judge(replace(ACCOUNT, **change), 70.0)) == expected


@pytest.mark.parametrize("read_timeout", [30.0, 60.0])
def test_a_model_may_take_a_minute(read_timeout: float) -> None:
    """An answer that comes as late as it may has to be waited for."""
    assert wrong(aws.judge(ACCOUNT, read_timeout)) == {"aws.read-timeout": "warning"}


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (ASYNC, {}),
        (REALTIME, {}),
        (Described(name="gone", absent=True), {"endpoints.exists": "fault"}),
        (Described(name="e", refused="not allowed"), {"endpoints.described": "warning"}),
        (replace(REALTIME, status="Updating"), {"endpoints.in-service": "warning"}),
        (replace(REALTIME, status="Failed", failure="why"), {"endpoints.in-service": "fault"}),
        (replace(REALTIME, status="Creating"), {"endpoints.in-service": "fault"}),
        (replace(REALTIME, name="llama"), {"endpoints.kind": "warning"}),
        (replace(ASYNC, failure_path=None), {"endpoints.failure-path": "fault"}),
        (replace(ASYNC, output_path="s3://bucket/else"), {"endpoints.output-path": "fault"}),
        (replace(ASYNC, name="other"), {}),
        (replace(REALTIME, serverless=5), {"endpoints.concurrency": "warning"}),
    ],
)
def test_endpoints(described: Described, expected: dict[str, str]) -> None:
    """One cause, one finding."""
    assert wrong(endpoints.judge(described, SETTINGS)) == expected


def test_a_limit_keeps_a_serverless_endpoint_from_throttling() -> None:
    """If it is not above the endpoint's own."""
    described = replace(REALTIME, serverless=5)
    for limit, expected in ((5, {}), (6, {"endpoints.concurrency": "warning"})):
        settings = Settings(limits={"max_concurrency": limit})
        assert wrong(endpoints.judge(described, settings)) == expected


def test_a_failure_without_a_path_is_waited_for() -> None:
    """The finding says for how long: the service's own times, or the settings'."""
    bad = replace(ASYNC, failure_path=None)
    (finding,) = [f for f in endpoints.judge(bad, SETTINGS) if not f.well]
    assert "6.27 h" in finding.seen
    short = Settings(
        endpoints={"llama": {"request_ttl_seconds": 60, "invocation_timeout_seconds": 60,
                             "output_path": "s3://bucket/out"}},
    )  # fmt: skip
    (finding,) = [f for f in endpoints.judge(bad, short) if not f.well]
    assert "3 min" in finding.seen


def test_endpoints_are_named_by_settings_and_command_line() -> None:
    """Each once; the command line's spelling wins, since SageMaker keeps capitals."""
    settings = Settings(endpoints={"Llama": {}, "llama/component": {}, "digits": {}})
    target = Target(app=Celery(), settings=settings, endpoints=("LLaMA", "new"))
    assert target.names == ["LLaMA", "digits", "new"]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        (OUTPUTS, {}),
        (STAGING, {}),
        (replace(STAGING, rules=None), {}),
        (replace(OUTPUTS, away="no such bucket"), {"s3.reachable": "fault"}),
        (replace(OUTPUTS, unlisted="403"), {"s3.list-bucket": "fault"}),
        (replace(OUTPUTS, unread="403"), {"s3.readable": "fault"}),
        (replace(STAGING, unwritten="403"), {"s3.writable": "fault"}),
        (replace(STAGING, unread="403"), {"s3.readable": "fault"}),
    ],
)
def test_prefixes(prefix: Prefix, expected: dict[str, str]) -> None:
    """One cause, one finding."""
    assert wrong(s3.judge(prefix, SETTINGS)) == expected


def rule(days: int, **more: Any) -> dict[str, Any]:
    """A lifecycle rule for everything."""
    return {"Status": "Enabled", "Filter": {}, "Expiration": {"Days": days}, **more}


@pytest.mark.parametrize(
    ("rules", "short"),
    [
        ([rule(1)], True),
        ([rule(7), rule(1)], True),
        ([rule(1, Filter={"Prefix": "out"})], True),
        ([rule(1, Filter={"Prefix": "out/"})], True),
        ([{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}], True),
        ([rule(3)], False),
        ([rule(1, Status="Disabled")], False),
        ([rule(1, Filter={"Prefix": "elsewhere/"})], False),
        ([rule(1, Filter={"Tag": {"Key": "k", "Value": "v"}})], False),
        ([{"Status": "Enabled", "Filter": {}, "Transitions": []}], False),
    ],
)
def test_outputs_are_not_to_expire_before_what_names_them(
    rules: list[dict[str, Any]], short: bool
) -> None:
    """Rows and results are kept for three days; rules count if they are on and for the prefix."""
    found = wrong(s3.judge(replace(OUTPUTS, rules=tuple(rules)), SETTINGS))
    assert found == ({"s3.expiry": "warning"} if short else {})


def test_what_has_no_end_is_noted() -> None:
    """Staged payloads that are kept for ever, and an object of the doctor's that stayed."""
    found = list(s3.judge(replace(STAGING, rules=(), left="s3://bucket/x"), SETTINGS))
    noted = {finding.id for finding in found if finding.severity == "note"}
    assert noted == {"s3.staging-expiry", "s3.left-behind"}


def test_a_clock_is_compared_with_the_middle_of_the_question() -> None:
    """Half of the way is the answer's."""
    assert clocks.skew(10.0, 15.0, 12.0) == 4.0


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0004, "0.4 ms"),
        (0.25, "250 ms"),
        (1, "1 s"),
        (90, "90 s"),
        (3_600, "60 min"),
        (22_560, "6.27 h"),
        (259_200, "3 d"),
    ],
)
def test_durations_are_told_in_a_unit_that_suits(seconds: float, told: str) -> None:
    """Three digits are enough."""
    assert findings.duration(seconds) == told


@pytest.mark.parametrize(
    ("number", "told"), [(12, "12 B"), (2_600, "2.6 KB"), (5e6, "5 MB"), (25.3e9, "25.3 GB")]
)
def test_sizes_are_told_in_a_unit_that_suits(number: float, told: str) -> None:
    """Decimal ones, as disks have them."""
    assert findings.size(number) == told
