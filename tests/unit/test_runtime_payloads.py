"""From what a caller has to bytes and a content type."""

import json
from typing import Any

import pytest
from celery_sagemaker.runtime import exceptions, payloads, responses
from hypothesis import given
from hypothesis import strategies as st

BINARY, JSON, TEXT = "application/octet-stream", "application/json", "text/plain; charset=utf-8"

ANSWERED = responses.InvokeEndpointResponse(body=b"a,b", content_type="text/csv")
STREAMED = responses.InvokeEndpointWithResponseStreamResponse(body=b"\xff")
OUTPUT = responses.AsyncInferenceOutput(
    inference_id="i", output_location="s3://b/k", size=2, body=b"{}", content_type=JSON
)
ON_S3 = responses.AsyncInferenceOutput(inference_id="i", output_location="s3://b/k", size=9)
ACCEPTED = responses.InvokeEndpointAsyncResponse(output_location="s3://b/k")


@pytest.mark.parametrize(
    ("payload", "body", "content_type"),
    [
        (b"\xff", b"\xff", BINARY),
        (bytearray(b"a"), b"a", BINARY),
        (memoryview(b"a"), b"a", BINARY),
        ("größe", "größe".encode(), TEXT),
        ("", b"", TEXT),
        ({"größe": [1, 2.5, None, True]}, '{"größe": [1, 2.5, null, true]}'.encode(), JSON),
        ([1, 2], b"[1, 2]", JSON),
        ((1, 2), b"[1, 2]", JSON),
        (1, b"1", JSON),
        (1.5, b"1.5", JSON),
        (False, b"false", JSON),
        (None, b"null", JSON),
        (ANSWERED, b"a,b", "text/csv"),
        (ANSWERED.to_json(), b"a,b", "text/csv"),
        (STREAMED, b"\xff", BINARY),
        (STREAMED.to_json(), b"\xff", BINARY),
        (OUTPUT, b"{}", JSON),
        (OUTPUT.to_json(), b"{}", JSON),
        ({"operation": "InvokeEndpoint", "body": "mine"},
         b'{"operation": "InvokeEndpoint", "body": "mine"}', JSON),
    ],
)  # fmt: skip
def test_every_kind_of_payload(payload: object, body: bytes, content_type: str) -> None:
    """Its bytes and the type that it suggests; a caller's own type goes before."""
    assert payloads.encode(payload) == (body, content_type)
    assert payloads.encode(payload, "x/y") == (body, "x/y")


@pytest.mark.parametrize(
    "payload",
    [
        float("nan"),
        {"deep": [float("inf")]},
        object(),
        {1, 2},
        {"bytes": b""},
        {(1, 2): 3},
        "\ud800",
        ["\ud800"],
        ON_S3,
        ON_S3.to_json(),
        ACCEPTED,
        ACCEPTED.to_json(),
    ],
    ids=lambda given: str(given).split(" at 0x")[0],
)
def test_what_is_no_payload_is_refused(payload: object) -> None:
    """Before it is on its way: NaN is no JSON, half a character no text, a location no body."""
    with pytest.raises(exceptions.InvalidRequest):
        payloads.encode(payload)


def test_a_payload_that_contains_itself_is_refused() -> None:
    """However json notices."""
    around: list[Any] = []
    around.append(around)
    with pytest.raises(exceptions.InvalidRequest):
        payloads.encode(around)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(exceptions.InvalidRequest):
        payloads.encode(deep)


CHARACTERS = st.text(st.characters(codec="utf-8"))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner | CHARACTERS) | st.dictionaries(CHARACTERS, inner | CHARACTERS),
)


@given(VALUES)
def test_json_is_written_as_it_is(payload: object) -> None:
    """What a container reads is what the caller had."""
    body, content_type = payloads.encode(payload)
    assert content_type == JSON
    assert json.loads(body) == payload


def test_the_limits_are_the_models() -> None:
    """The two numbers in the code are those that botocore has."""
    from celery_sagemaker.runtime import service  # noqa: PLC0415

    def most(operation: str) -> int:
        shape = service.operation_model(operation).input_shape
        assert shape is not None
        return int(shape.members["Body"].metadata["max"])

    assert most("InvokeEndpoint") == payloads.REALTIME_LIMIT
    assert most("InvokeEndpointWithResponseStream") == payloads.REALTIME_LIMIT
    if payloads.async_body_supported():
        assert most("InvokeEndpointAsync") == payloads.ASYNC_INLINE_LIMIT
