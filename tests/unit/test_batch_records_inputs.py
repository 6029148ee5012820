"""What a location is taken for."""

import json

import pytest
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.tasks.batch.records.inputs import resolve
from celery_sagemaker.tasks.batch.records.values import Format, Input


@pytest.mark.parametrize(
    ("location", "data_type", "split_type", "content_type"),
    [
        ("s3://b/in.jsonl", "S3Object", "Line", "application/json"),
        ("s3://b/in.JSONL", "S3Object", "Line", "application/json"),
        ("s3://b/in", "S3Object", "Line", "application/json"),
        ("s3://b/in.txt", "S3Object", "Line", "application/json"),
        ("s3://b/in.csv", "S3Object", "Line", "text/csv"),
        ("s3://b/in/", "S3Prefix", "None", "application/octet-stream"),
        ("s3://b", "S3Prefix", "None", "application/octet-stream"),
    ],
)
def test_the_defaults(location: str, data_type: str, split_type: str, content_type: str) -> None:
    """A final slash means a prefix; the suffix tells what lines are."""
    assert resolve(location).to_json() == {
        "S3DataType": data_type,
        "S3Uri": location if location != "s3://b" else "s3://b/",
        "SplitType": split_type,
        "ContentType": content_type,
    }


def test_what_is_said_goes_first() -> None:
    """Nothing is guessed that was given."""
    found = resolve("s3://b/x", data_type="S3Prefix", split_type="Line", content_type="text/csv")
    assert (found.data_type, found.split_type, found.format) == ("S3Prefix", "Line", Format.CSV)
    assert resolve("s3://b/x.png", split_type="None").content_type == "image/png"
    assert Input.from_json(json.loads(json.dumps(found.to_json()))) == found


@pytest.mark.parametrize(
    ("location", "options"),
    [
        ("in.jsonl", {}),
        ("s3://b/in/", {"data_type": "S3Object"}),
        ("s3://b/in/", {"data_type": "ManifestFile"}),
        ("s3://b/in", {"split_type": "RecordIO"}),
        ("s3://b/in", {"data_type": "AugmentedManifestFile"}),
    ],
)
def test_other_inputs_are_refused(location: str, options: dict[str, str]) -> None:
    """Before anything is asked of S3."""
    with pytest.raises(InvalidRequest):
        resolve(location, **options)


def test_another_json_form_is_refused() -> None:
    """It names what is missing."""
    with pytest.raises(InvalidRequest, match="S3DataType"):
        Input.from_json({})


@pytest.mark.parametrize(
    ("content_type", "format_"),
    [
        ("application/json", "json"),
        ("application/jsonlines; charset=utf-8", "json"),
        ("Application/X-NDJSON", "json"),
        ("application/ld+json", "json"),
        ("text/csv;header=present", "csv"),
        ("text/plain", "other"),
        ("", "other"),
        (None, "other"),
    ],
)
def test_formats_of_content_types(content_type: str | None, format_: str) -> None:
    """Parameters and case do not matter."""
    assert Format.of(content_type) == format_
