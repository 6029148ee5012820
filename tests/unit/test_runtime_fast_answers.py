"""How the fast transport reads answers, against botocore's parser."""

import io
import json
from typing import Any

import hypothesis.strategies as st
import pytest
from botocore.awsrequest import AWSResponse
from botocore.parsers import create_parser
from celery_sagemaker.runtime import InvokeEndpointResponse, exceptions, service
from celery_sagemaker.runtime.answers import Answer, AnswerReader, joined
from celery_sagemaker.runtime.translation import service_error
from hypothesis import given
from multidict import CIMultiDict
from urllib3 import HTTPHeaderDict

READER = AnswerReader(service.model())
NAMES = st.sampled_from(
    [
        "content-type",
        "Content-Type",
        "x-amzn-invoked-production-variant",
        "X-Amzn-SageMaker-Custom-Attributes",
        "x-amzn-sagemaker-new-session-id",
        "X-AMZN-SAGEMAKER-CLOSED-SESSION-ID",
        "Date",
    ]
)
#: What a server can put into a header: any byte but those that end it.
VALUES = st.binary(max_size=12).map(lambda b: b.translate(None, b"\r\n\0").strip())


def answer(status: int, headers: list[tuple[str, bytes]], body: bytes) -> Answer:
    """Make an answer as aiohttp gives it, which reads headers as UTF-8."""
    found = [(name, value.decode("utf-8", "surrogateescape")) for name, value in headers]
    return Answer(status, CIMultiDict(found), body)


def parsed(headers: list[tuple[str, bytes]], body: bytes) -> Any:
    """Have botocore parse what urllib3 gives it, which reads headers as Latin-1."""
    found: Any = HTTPHeaderDict([(name, value.decode("latin-1")) for name, value in headers])
    response = AWSResponse("http://h/", 200, found, None)
    given = {"status_code": 200, "headers": response.headers, "body": io.BytesIO(body)}
    model = service.operation_model("InvokeEndpoint")
    assert model.output_shape is not None
    return create_parser("rest-json").parse(given, model.output_shape)


@given(headers=st.lists(st.tuples(NAMES, VALUES), max_size=8), body=st.binary(max_size=20))
def test_reads_good_answers_as_botocore_does(headers: list[tuple[str, bytes]], body: bytes) -> None:
    """Every member is the parser's: missing, empty, repeated and not-ASCII headers included."""
    expected = parsed(headers, body)
    assert READER.invoke_endpoint(answer(200, headers, body)) == InvokeEndpointResponse(
        body=expected["Body"].read(),
        content_type=expected.get("ContentType"),
        invoked_production_variant=expected.get("InvokedProductionVariant"),
        custom_attributes=expected.get("CustomAttributes"),
        new_session_id=expected.get("NewSessionId"),
        closed_session_id=expected.get("ClosedSessionId"),
    )


def test_reads_every_member_of_the_response() -> None:
    """No member of the response is forgotten."""
    names = {name for _, name in READER._header_of}
    found = READER.invoke_endpoint(answer(200, [(name, b"value") for name in names], b"body"))
    assert None not in found.to_json().values()
    assert len(found.to_json()) == 1 + len(InvokeEndpointResponse.__slots__)


def test_joined_finds_nothing() -> None:
    """A header that is not there is None, not empty."""
    assert joined(CIMultiDict(), "Content-Type") is None


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"InferenceId": "i"'], ids=repr)
def test_an_async_answer_without_location(body: bytes) -> None:
    """A good answer that does not say where the output will be is not one of SageMaker's."""
    with pytest.raises(exceptions.UnknownServiceError, match="OutputLocation"):
        READER.invoke_endpoint_async(answer(202, [], body))


@pytest.mark.parametrize("body", [b'["a"]', b"\xff", b"1"], ids=repr)
def test_an_async_answer_that_cannot_be_read_may_have_run(body: bytes) -> None:
    """The service has taken the request; what it said of it is lost."""
    with pytest.raises(exceptions.ConnectionLost):
        READER.invoke_endpoint_async(answer(202, [], body))


@pytest.mark.parametrize(
    "status", [300, 302, 400, 403, 404, 413, 424, 429, 500, 502, 503, 504, 530]
)
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad", b'["a"]', b"1", b"null", b"\xff\xfe", b'{"message": 1}'], ids=repr
)
def test_every_error_has_a_class(status: int, body: bytes) -> None:
    """Whatever a proxy on the way may answer, it is a service error with its status and id."""
    error = READER.error("InvokeEndpoint", answer(status, [("x-amzn-requestid", b"id")], body))
    found = service_error(error.response)
    assert found.http_status == status
    assert error.operation_name == "InvokeEndpoint"


def test_modelled_members_of_an_error() -> None:
    """The model's own answer travels in the error, as with botocore."""
    body = {"Message": "m", "OriginalStatusCode": 503, "OriginalMessage": "o", "LogStreamArn": "l"}
    headers = [("x-amzn-errortype", b"ModelError:http://x"), ("Retry-After", b"3")]
    error = READER.error("InvokeEndpoint", answer(424, headers, json.dumps(body).encode()))
    found = service_error(error.response)
    assert isinstance(found, exceptions.ModelError)
    assert found.members == {
        "http_status": 424,
        "retry_after": 3.0,
        "original_status_code": 503,
        "original_message": "o",
        "log_stream_arn": "l",
    }
