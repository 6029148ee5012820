"""InputFilter, JoinSource and OutputFilter."""

import json

import pytest
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.tasks.batch.records.exceptions import FilterMismatch
from celery_sagemaker.tasks.batch.records.filters import DataProcessing, Filters, JoinSource
from celery_sagemaker.tasks.batch.records.values import Format, Record

JSON = "application/json"
OBJECT = b'{"id": "a", "features": {"x": [1, 2, 3], "a b": 1.5}, "n": null}'


def record(data: bytes) -> Record:
    """A record of these data."""
    return Record(0, None, data)


def filters(format_: Format, input_: str = "$", output: str = "$", join: str = "None") -> Filters:
    """Compiled filters."""
    processing = DataProcessing(
        input_filter=input_, output_filter=output, join_source=JoinSource(join)
    )
    return Filters.compile(processing, format_)


@pytest.mark.parametrize(
    ("expression", "sent"),
    [
        ("$.features", {"x": [1, 2, 3], "a b": 1.5}),
        ("$.features.x", [1, 2, 3]),
        ("$['features']['a b']", 1.5),
        ("$.features.x[0]", 1),
        ("$.features.x[-1]", 3),
        ("$.features.x[0,2]", [1, 3]),
        ("$.features.x[1:]", [2, 3]),
        ("$.features.x[:-1]", [1, 2]),
        ("$.features.x[0,1:]", [1, 2, 3]),
        ("$.features.x[*]", [1, 2, 3]),
        ("$.features.*", [[1, 2, 3], 1.5]),
        ("$['id','n']", {"id": "a", "n": None}),
        ("$.features.['x','a b']", {"x": [1, 2, 3], "a b": 1.5}),
        ("$.features['x']", [1, 2, 3]),
    ],
)
def test_json_is_projected(expression: str, sent: object) -> None:
    """Names, indexes, ranges and `*`; several names make an object, several indexes an array."""
    assert json.loads(filters(Format.JSON, expression).payload(record(OBJECT))) == sent


@pytest.mark.parametrize(
    ("expression", "sent"),
    [
        ("$[1:]", b'2,"a,""b",4'),
        ("$[0:3]", b'1,2,"a,""b"'),
        ("$[0,2:]", b'1,"a,""b",4'),
        ("$[3]", b"4"),
        ("$[-1]", b"4"),
        ("$[3,0]", b"4,1"),
        ("$[*]", b'1,2,"a,""b",4'),
    ],
)
def test_columns_are_projected(expression: str, sent: bytes) -> None:
    """A row of CSV stays one, quoted where it has to be."""
    assert filters(Format.CSV, expression).payload(record(b'1,2,"a,""b",4')) == sent


def test_the_default_changes_nothing() -> None:
    """`$` keeps the bytes as they are, valid or not."""
    found = filters(Format.OTHER)
    assert found.payload(record(b"\xff")) == b"\xff"
    assert found.output(record(b"\xff"), b"\xfe", "image/png") == (b"\xfe", "image/png")
    assert not found.payload_changes
    assert not found.output_changes


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "features",
        "$[",
        "$..x",
        "$[?@.x]",
        "$['a','b'][0]",
        "$[0:2].x",
        "$['a',0]",
        "$." + "x" * 62,
        "$.a | $.b",
        "$.x[1:2].y",
    ],
)
def test_other_expressions_are_refused_at_once(expression: str) -> None:
    """Whatever Batch Transform does not have, before anything is sent; also as OutputFilter."""
    with pytest.raises(InvalidRequest, match="filter"):
        filters(Format.JSON, expression)
    with pytest.raises(InvalidRequest, match="filter"):
        filters(Format.JSON, output=expression)


@pytest.mark.parametrize("expression", ["$.x", "$['x']", "$[0][1]"])
def test_rows_have_no_names(expression: str) -> None:
    """Nor anything within a column."""
    with pytest.raises(InvalidRequest, match="CSV"):
        filters(Format.CSV, expression)


@pytest.mark.parametrize(("input_", "join"), [("$[1:]", "None"), ("$", "Input")])
def test_other_formats_are_not_filtered(input_: str, join: str) -> None:
    """There is nothing in them that an expression could name."""
    with pytest.raises(InvalidRequest, match="JSON or CSV"):
        filters(Format.OTHER, input_, join=join)


@pytest.mark.parametrize(
    ("expression", "data"),
    [
        ("$.missing", OBJECT),
        ("$['id','missing']", OBJECT),
        ("$.id.x", OBJECT),
        ("$[0]", OBJECT),
        ("$[1:]", b"[1]"),
        ("$[0,7]", b"[1]"),
        ("$.x", b"1E400"),
        ("$.x", b'{"x": 1E400}'),
    ],
)
def test_a_filter_that_does_not_fit_fails_its_record(expression: str, data: bytes) -> None:
    """What is not there cannot be sent."""
    with pytest.raises(FilterMismatch):
        filters(Format.JSON, expression).payload(record(data))


@pytest.mark.parametrize(
    ("data", "answer", "joined"),
    [
        (b'{"id": 1.10}', b'{"s": 1E400}', b'{"id":1.10,"SageMakerOutput":{"s": 1E400}}'),
        (b"{}", b"0.5\n", b'{"SageMakerOutput":0.5}'),
        (b"{}", b"yes", b'{"SageMakerOutput":"yes"}'),
        (b"[1, 2]", b"3", b'{"SageMakerInput":[1, 2],"SageMakerOutput":3}'),
        (b'{"SageMakerOutput": 1}', b"2", b'{"SageMakerOutput":2}'),
    ],
)
def test_json_is_joined(data: bytes, answer: bytes, joined: bytes) -> None:
    """The answer becomes a member of the input; numbers stay as they were written."""
    found = filters(Format.JSON, join="Input")
    assert found.output(record(data), answer, JSON) == (joined, JSON)


def test_the_whole_input_is_joined_and_then_filtered() -> None:
    """What the InputFilter left out can be kept: the example of AWS's documentation."""
    found = filters(Format.JSON, "$.features", "$['id','SageMakerOutput']", "Input")
    data = record(b'{"id": 7, "features": [1, 2]}')
    assert found.payload(data) == b"[1,2]"
    assert (
        found.output(data, b'{"score": 0.5}', JSON)[0]
        == b'{"id":7,"SageMakerOutput":{"score":0.5}}'
    )


def test_columns_are_joined_and_then_filtered() -> None:
    """The answer's columns follow the row's."""
    found = filters(Format.CSV, "$[1:]", "$[0,-1]", "Input")
    data = record(b"id7,1,2")
    assert found.payload(data) == b"1,2"
    assert found.output(data, b"0.1,0.9\n", "text/csv") == (b"id7,0.9", "text/csv")


def test_an_answer_is_filtered_without_its_input() -> None:
    """In its own format."""
    assert filters(Format.CSV, output="$.s").output(record(b"1"), b'{"s": 2}', JSON) == (b"2", JSON)
    answer = filters(Format.JSON, output="$[1:]").output(record(b"{}"), b"1,2,3", "text/csv")
    assert answer == (b"2,3", "text/csv")


@pytest.mark.parametrize(
    ("format_", "join", "answer", "content_type"),
    [
        (Format.JSON, "Input", b"\xff", "image/png"),
        (Format.CSV, "Input", b"[1]", JSON),
        (Format.JSON, "None", b"\xff", "image/png"),
        (Format.JSON, "None", b"{", JSON),
    ],
)
def test_an_answer_that_cannot_be_kept_fails_its_record(
    format_: Format, join: str, answer: bytes, content_type: str
) -> None:
    """Nothing is kept that is not what was asked for."""
    with pytest.raises(FilterMismatch):
        filters(format_, output="$[0]", join=join).output(record(b"1"), answer, content_type)


def test_the_json_form_is_batch_transforms() -> None:
    """Members missing are the defaults."""
    processing = DataProcessing(input_filter="$.a", join_source=JoinSource.INPUT)
    assert DataProcessing.from_json(processing.to_json()) == processing
    assert processing.to_json()["InputFilter"] == "$.a"
    assert DataProcessing.from_json({}) == DataProcessing()
    with pytest.raises(InvalidRequest):
        DataProcessing.from_json({"JoinSource": "Output"})
