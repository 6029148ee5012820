"""Output and error lines."""

import json

import pytest
from celery_sagemaker.runtime.exceptions import InferenceError, ModelError
from celery_sagemaker.tasks.batch.records.lines import (
    decode_error,
    decode_output,
    encode_error,
    encode_output,
)
from celery_sagemaker.tasks.batch.records.values import Record
from hypothesis import given
from hypothesis import strategies as st

RECORD = Record(7, "a-7", b"{}")


@pytest.mark.parametrize(
    ("output", "content_type", "line"),
    [
        (b'{"s": 1.10}\n', "application/json", b'{"id":"a-7","position":7,"output":{"s": 1.10}}\n'),
        (b"[1,\r\n2]", "application/json", b'{"id":"a-7","position":7,"output":[1,  2]}\n'),
        (b"null", None, b'{"id":"a-7","position":7,"output":null}\n'),
        (
            b"0.5\n",
            "text/csv",
            b'{"id":"a-7","position":7,"output":"0.5\\n","content_type":"text/csv"}\n',
        ),
        (
            b"NaN",
            "application/json",
            b'{"id":"a-7","position":7,"output":"NaN","content_type":"application/json"}\n',
        ),
        (
            b"\xff",
            None,
            (
                b'{"id":"a-7","position":7,"output":"/w==",'
                b'"content_type":"application/octet-stream","encoding":"base64"}\n'
            ),
        ),
    ],
)
def test_the_form_of_an_output(output: bytes, content_type: str | None, line: bytes) -> None:
    """JSON as it is, on one line; text as a string; anything else in base64."""
    assert encode_output(RECORD, output, content_type) == line


def test_a_record_without_an_id_is_named_by_its_position() -> None:
    """A number, which no custom_id is."""
    found = decode_output(encode_output(Record(7, None, b""), b"1", None))
    assert (found.id, found.position) == (7, 7)


@given(
    st.binary() | st.text().map(str.encode) | st.integers().map(lambda n: str(n).encode()),
    st.sampled_from(["text/csv", "image/png", "application/x-own"]),
    st.text(min_size=1),
)
def test_an_output_comes_back_byte_for_byte(output: bytes, content_type: str, id_: str) -> None:
    """Whatever it is, if it is not said to be JSON; on one line."""
    line = encode_output(Record(3, id_, b""), output, content_type)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    found = decode_output(line)
    assert (found.id, found.position) == (id_, 3)
    assert (found.output, found.content_type) == (output, content_type)


def test_json_comes_back_as_it_was_written() -> None:
    """Down to the digits; its value is there for the asking."""
    found = decode_output(encode_output(RECORD, b'{"s": 1.10, "t": 1E400}', "application/json"))
    assert found.output == b'{"s": 1.10, "t": 1E400}'
    assert found.json()["s"] == 1.1
    assert found.content_type == "application/json"


def test_the_form_of_an_error() -> None:
    """Class, code, message, members and attempts."""
    error = ModelError("no memory", {"original_status_code": 507})
    line = encode_error(RECORD, error, 3)
    assert json.loads(line) == {
        "id": "a-7",
        "position": 7,
        "attempts": 3,
        "error": {
            "class": "ModelError",
            "code": "ModelError",
            "message": "no memory",
            "members": {"original_status_code": 507},
        },
    }
    found = decode_error(line)
    assert (found.id, found.position, found.attempts) == ("a-7", 7, 3)
    assert isinstance(found.error, ModelError)
    assert found.error.original_status_code == 507


@given(st.text(), st.text(min_size=1))
def test_an_error_comes_back(message: str, id_: str) -> None:
    """Whatever characters it has, half surrogate pairs too; on one line."""
    line = encode_error(Record(0, id_ + "\ud800", b""), InferenceError(message + "\udfff"), 0)
    assert line.count(b"\n") == 1
    found = decode_error(line)
    assert found.id == id_ + "\ud800"
    assert found.error.message == message + "\udfff"


@pytest.mark.parametrize("line", [b"", b"1", b"[]", b"{}", b'{"id":1,"position":1}', b"\xff"])
def test_other_lines_are_refused(line: bytes) -> None:
    """Neither an output nor an error."""
    with pytest.raises(ValueError):  # noqa: PT011 - of several causes
        decode_output(line)
    with pytest.raises(ValueError):  # noqa: PT011 - of several causes
        decode_error(line)
