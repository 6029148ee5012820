"""The demo's batch job: what counts as a success, and its column of the table."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import pytest
from celery_sagemaker.tasks.batch import JobState, JobStatus, RequestCounts
from celery_sagemaker.workers.cli import report
from celery_sagemaker.workers.demo.batching import Batched
from celery_sagemaker.workers.demo.digits import Record
from celery_sagemaker.workers.demo.runner import Outcome
from celery_sagemaker.workers.demo.slots import SlotSamples
from celery_sagemaker.workers.demo.verdict import Verdict

RECORDS = [Record(number=number, body="0", digit=number, fold=number % 2) for number in range(4)]
COUNTS = RequestCounts(total=4, succeeded=4)
STATUS = JobStatus(
    id="j",
    state=JobState.COMPLETED,
    endpoint="digits",
    input="s3://b/in",
    output="s3://b/out",
    request_counts=COUNTS,
)
GOOD = Batched(
    records=RECORDS,
    answers=[(3, 3), (2, 2), (1, 1), (0, 0)],
    status=STATUS,
    manifest={"request_counts": asdict(COUNTS)},
    seconds=1.0,
)


def status(**changes: Any) -> JobStatus:
    """The good status, with something wrong."""
    return replace(STATUS, **changes)


def test_one_answer_each_is_no_problem() -> None:
    """In whatever order, and with calls that had to be made again."""
    assert replace(GOOD, status=status(retried={"ModelError": 2})).problems() == []
    assert GOOD.accuracy == 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"answers": GOOD.answers[1:]}, ["1 of 4 without", "do not add up"]),
        ({"answers": [*GOOD.answers, (0, 0)]}, ["1 of 4 without", "do not add up"]),
        ({"answers": [*GOOD.answers[:3], (9, 0)]}, ["2 of 4 without"]),
        ({"answers": [*GOOD.answers[:3], (1, 1)]}, ["2 of 4 without"]),
        ({"manifest": None}, ["no manifest"]),
        ({"manifest": {"request_counts": {}}}, ["different request_counts"]),
        (
            {"status": status(request_counts=RequestCounts(total=5, succeeded=4))},
            ["do not add up", "different request_counts"],
        ),
        ({"status": status(error_counts={"ModelError": 1})}, ["1 of 4 failed with ModelError"]),
        ({"status": status(state=JobState.IN_PROGRESS)}, ["is in_progress, not completed"]),
        (
            {
                "status": status(
                    state=JobState.FAILED, errors=({"code": "Miscounted", "message": "two"},)
                )
            },
            ["is failed", "Miscounted: two"],
        ),
    ],
)
def test_whatever_is_missing_twice_or_miscounted_is_a_problem(
    changes: dict[str, Any], words: list[str]
) -> None:
    """Each by name, and nothing else."""
    found = replace(GOOD, **changes).problems()
    assert len(found) == len(words)
    assert all(word in problem for word, problem in zip(words, found, strict=True))


def verdict(batched: Batched) -> Verdict:
    """A verdict on a batch job, beside an `invoke` with three failed calls."""
    outcome = Outcome(
        mode="invoke",
        sent={str(record.number): record for record in RECORDS},
        answers={str(record.number): record.digit for record in RECORDS},
        failures={},
        seconds=1.0,
        slots=SlotSamples(samples=1),
        most_waiting=0,
    )
    return Verdict(
        records=RECORDS,
        outcomes=[outcome],
        batched=batched,
        failed_calls={
            "invoke": Counter({("ThrottlingException", 1): 2, ("ThrottlingException", 2): 1})
        },
        calls={},
        s3_requests={},
        restarts=0,
        seconds=1.0,
    )


def test_wrong_answers_are_a_problem() -> None:
    """Each record has one, but too few are right."""
    wrong = replace(GOOD, answers=[(number, 0) for number in range(4)])
    assert any("batch: accuracy 0.250" in text for text in verdict(wrong).problems())


def test_the_table_has_a_column_for_the_batch_job(capsys: pytest.CaptureFixture[str]) -> None:
    """Calls made again and final ones by class; what a job does not count is a dash."""
    failed = status(retried={"ThrottlingException": 5}, error_counts={"ModelError": 1})
    report.show(verdict(replace(GOOD, status=failed)))
    lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines]
    assert ["accuracy", "100.0%", "100.0%"] in rows
    first = rows.index(["failed calls: ModelError", "0", "1"])
    assert rows[first + 1 : first + 4] == [
        ["failed calls: ThrottlingException", "3", "5"],
        ["attempt 1", "2", "-"],
        ["attempt 2", "1", "-"],
    ]
    assert ["most inferences waiting at once", "0", "-"] in rows


def test_the_numbers_have_the_batch_job_as_a_mode() -> None:
    """With its counts, and its failed calls by class."""
    again = replace(GOOD, status=status(retried={"ModelError": 2}))
    mode = verdict(again).to_json()["modes"]["batch"]
    assert mode["failed_calls"] == [{"code": "ModelError", "count": 2}]
    assert mode["request_counts"]["succeeded"] == mode["answers"] == mode["correct"] == 4
    assert (mode["state"], mode["manifest"], mode["failures"]) == ("completed", True, 0)
