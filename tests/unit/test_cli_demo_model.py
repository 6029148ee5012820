"""The demo's data, folds and numbers."""

from collections import Counter

import pytest
from celery_sagemaker.workers.demo import digits
from celery_sagemaker.workers.demo.runner import Outcome
from celery_sagemaker.workers.demo.slots import SlotSamples
from celery_sagemaker.workers.demo.verdict import Verdict


def outcome(records: list[digits.Record], answers: dict[str, int], held: int = 0) -> Outcome:
    """An outcome in which record n was sent as id n."""
    return Outcome(
        mode="invoke",
        sent={str(record.number): record for record in records},
        answers=answers,
        failures={},
        seconds=1.0,
        slots=SlotSamples(samples=1, held=held),
        most_waiting=0,
    )


def verdict(records: list[digits.Record], of: Outcome) -> Verdict:
    """A verdict on one outcome."""
    return Verdict(
        records=records,
        outcomes=[of],
        failed_calls={"invoke": Counter()},
        calls={},
        s3_requests={},
        restarts=0,
        seconds=1.0,
    )


def test_every_image_is_classified_by_a_model_that_has_not_seen_it() -> None:
    """Two folds of about half each; accuracy is that of unseen images."""
    records = digits.records()
    classifier = digits.Classifier()
    right = sum(classifier.classify(r.body, r.fold) == r.digit for r in records[:200])
    assert len(records) == 1797
    assert Counter(r.fold for r in records) == {0: 899, 1: 898}
    assert right >= 180


@pytest.mark.parametrize("attributes", [None, "", "fold", "fold=2", "other=1"])
def test_a_request_without_a_fold_is_refused(attributes: str | None) -> None:
    """A wrong fold would be dishonest."""
    with pytest.raises(ValueError, match="fold"):
        digits.fold_of(attributes)


def test_a_complete_and_correct_outcome_has_no_problem() -> None:
    """One answer each, all right."""
    records = digits.records(10)
    good = outcome(records, {str(r.number): r.digit for r in records})
    assert verdict(records, good).problems() == []


def test_missing_wrong_and_waiting_are_problems() -> None:
    """Each is named."""
    records = digits.records(10)
    answers = {str(r.number): r.digit for r in records[:5]}
    found = "\n".join(verdict(records, outcome(records, answers, held=2)).problems())
    assert "5 of 10 without an answer" in found
    assert "accuracy 0.500" in found
    assert "2 worker slots" in found
