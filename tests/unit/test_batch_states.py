"""What a job's row says, and how the command line shows it."""

import json

import pytest
from celery_sagemaker.tasks.batch.registry import rows
from celery_sagemaker.tasks.batch.spec import Spec
from celery_sagemaker.tasks.batch.states import FINAL, JobState, JobStatus
from celery_sagemaker.workers.cli.batch import showing

SPEC = Spec(
    endpoint="churn",
    transform_input={
        "S3DataType": "S3Object", "S3Uri": "s3://b/in.jsonl", "SplitType": "Line",
        "ContentType": "application/json",
    },
    output="s3://b/out/id",
    metadata={"team": "a"},
)  # fmt: skip


def status(samples: list[str], now: float = 100.0, **row: str) -> JobStatus:
    """A job's status from its row."""
    whole = {
        "id": "a", "state": "in_progress", "spec": SPEC.to_text(), "created_at": "1",
        "total": "100", **row,
    }  # fmt: skip
    codes = {"failed:ModelError": "3", "retried:ServiceUnavailable": "8", "failed:S3Error": "1"}
    return rows.status(whole, codes, samples, 2, now)


def test_a_spec_survives_json() -> None:
    """What `submit` was told comes back."""
    assert Spec.from_text(SPEC.to_text()) == SPEC


def test_counts_add_up() -> None:
    """What has no outcome is processing."""
    counts = status([], succeeded="30", failed="4", expired="6").request_counts
    assert (counts.processing, counts.ended) == (60, 40)


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        ([], None),
        (["95 40", "90 10"], 3.0),
        (["95 90", "90 10", "60 10", "50 0"], 2.0),
        (["20 40", "10 0"], 0.0),
    ],
)
def test_the_rate_is_that_of_the_last_half_minute(samples: list[str], rate: float | None) -> None:
    """Counted from the sample before it, up to now; a job that stands still has 0."""
    assert status(samples).rate == rate


def test_the_time_left_follows_from_the_rate() -> None:
    """None where nothing goes on, or the job has ended."""
    assert status(["95 40", "90 0"], succeeded="40").eta == 60 / 4.0
    assert status(["20 40"], succeeded="40").eta is None
    ended = status(
        ["95 100"], state="completed", succeeded="100", ended_at="60", in_progress_at="10"
    )
    assert (ended.eta, ended.rate) == (None, 2.0)


def test_errors_are_counted_by_code() -> None:
    """Failed records apart from calls that were made again."""
    found = status([])
    assert found.error_counts == {"ModelError": 3, "S3Error": 1}
    assert found.retried == {"ServiceUnavailable": 8}


def test_a_failed_job_says_why() -> None:
    """Each wrong line, or the one reason."""
    lines = [{"line": 2, "code": "InvalidJson", "message": "no JSON", "source": "s3://b/in.jsonl"}]
    reason = {"code": "Expired", "message": "over", "members": {}}
    assert status([], errors=json.dumps(lines)).errors == tuple(lines)
    assert status([], reason=json.dumps(reason)).errors == (reason,)
    assert status([]).errors == ()
    assert showing.problem(lines[0]) == "line 2: InvalidJson: no JSON"
    assert showing.problem(reason) == "Expired: over"


def test_a_status_is_shown_and_is_json() -> None:
    """What is not there is left out."""
    found = status(["95 40", "90 0"], succeeded="40", expires_at="0")
    shown = dict(showing.rows(found))
    assert shown["records"] == "100 (60 processing, 40 succeeded)"
    assert shown["errors"] == "ModelError 3, S3Error 1"
    assert shown["time left"] == "0:00:15"
    assert shown["expires at"] == "1970-01-01T00:00:00+00:00"
    assert "ended at" not in shown
    values = json.loads(json.dumps(found.to_json()))
    assert values["request_counts"]["total"] == 100
    assert "ended_at" not in values


def test_four_states_are_final() -> None:
    """And no others."""
    assert {state for state in JobState if state.final} == FINAL
    assert len(FINAL) == 4
