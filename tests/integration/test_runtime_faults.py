"""Each way in which the service fails, over real sockets, against the emulator."""

import json
import time
import urllib.request
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime import exceptions, requests, responses, service
from celery_sagemaker.runtime.s3 import S3Location, S3Store
from celery_sagemaker.runtime.transport import BotoTransport

#: Makes an endpoint that behaves as said, and returns its name.
MakeEndpoint = Callable[..., str]


def admin(stack: LocalStack, path: str, body: object = None) -> Any:
    """Call the emulator's admin route; PUT when there is a body."""
    url = f"{stack.endpoint_url}/_admin/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method="GET" if data is None else "PUT")  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - loopback
        return json.load(answer)


@pytest.fixture
def endpoint(sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]) -> MakeEndpoint:
    """Endpoints of the test's own."""

    def make(**behaviour: object) -> str:
        name = f"e{uuid.uuid4().hex}"
        admin(sagemaker_local, f"endpoints/{name}", behaviour)
        return name

    return make


def calls(stack: LocalStack, name: str) -> list[Any]:
    """The calls of an endpoint that the emulator has seen."""
    found: list[Any] = admin(stack, f"calls?endpoint={name}")
    return found


def invoke(name: str, read_timeout: float = 10.0) -> responses.InvokeEndpointResponse:
    """Call InvokeEndpoint once."""
    transport = BotoTransport(read_timeout=read_timeout)
    return transport.invoke(
        requests.InvokeEndpointRequest(
            endpoint_name=name,
            body=b'{"a": 1}',
            content_type="application/json",
            custom_attributes="trace=1",
            session_id="NEW_SESSION",
        )
    )


def invoke_async(name: str, **members: Any) -> responses.InvokeEndpointAsyncResponse:
    """Call InvokeEndpointAsync once."""
    given = {"input_location": "s3://bucket/key"} | members
    request = requests.InvokeEndpointAsyncRequest(endpoint_name=name, **given)
    return BotoTransport().invoke_async(request)


def test_an_answer_has_every_member(endpoint: MakeEndpoint) -> None:
    """Body, type, variant and the new session's id; attributes are the container's to say."""
    answer = invoke(endpoint())
    assert answer.json() == {"a": 1}
    assert answer.content_type == "application/json"
    assert answer.invoked_production_variant == "AllTraffic"
    assert answer.custom_attributes is None
    assert answer.new_session_id is not None
    assert "; Expires=" in answer.new_session_id


def test_an_asynchronous_answer_has_every_member(endpoint: MakeEndpoint) -> None:
    """The id given, where the output will be, and where a failure would."""
    answer = invoke_async(
        endpoint(kind="async"), inference_id="i-1", filename="out.json", body=None
    )
    assert answer.inference_id == "i-1"
    assert answer.output_location.endswith("/out.json")
    assert answer.failure_location is not None


def test_an_endpoint_may_have_no_failure_location(endpoint: MakeEndpoint) -> None:
    """Then it is None, and not derived."""
    assert invoke_async(endpoint(kind="async", failure_path=False)).failure_location is None


@pytest.mark.parametrize(
    ("injected", "expected", "status"),
    [
        ("ModelNotReadyException", exceptions.ModelNotReadyException, 429),
        ("InternalFailure", exceptions.InternalFailure, 500),
        ("ServiceUnavailable", exceptions.ServiceUnavailable, 503),
        ("InternalDependencyException", exceptions.InternalDependencyException, 530),
        ("ThrottlingException", exceptions.ThrottlingException, 400),
        ("AccessDeniedException", exceptions.AccessDeniedException, 403),
        ("ExpiredTokenException", exceptions.ExpiredTokenException, 403),
        ("RequestEntityTooLarge", exceptions.RequestTooLarge, 413),
        ("ValidationError", exceptions.ValidationError, 400),
    ],
)
def test_an_error_is_its_class_after_one_call(
    injected: str,
    expected: type[exceptions.ServiceError],
    status: int,
    endpoint: MakeEndpoint,
    sagemaker_local: LocalStack,
) -> None:
    """With its status and text, and botocore has not tried again."""
    name = endpoint(errors={injected: 1.0})
    with pytest.raises(expected, match=injected) as caught:
        invoke(name)
    assert type(caught.value) is expected
    assert caught.value.http_status == status
    assert not caught.value.may_have_run
    assert len(calls(sagemaker_local, name)) == 1


@pytest.mark.parametrize("original", [0, 400, 429, 500, 503])
def test_a_model_error_says_what_the_container_said(
    original: int, endpoint: MakeEndpoint, sagemaker_local: LocalStack
) -> None:
    """Status (0 is a timeout), text and where its log is."""
    name = endpoint(errors={f"ModelError:{original}": 1.0})
    with pytest.raises(exceptions.ModelError) as caught:
        invoke(name)
    error = caught.value
    assert error.original_status_code == original
    assert error.original_message == "injected by the emulator"
    assert error.log_stream_arn.endswith(name)
    assert error.http_status == 424
    assert len(calls(sagemaker_local, name)) == 1


def test_an_endpoint_that_is_not_there(sagemaker_environment: dict[str, str]) -> None:
    """Is told from any other ValidationError, for both operations."""
    with pytest.raises(exceptions.EndpointNotFound):
        invoke("absent")
    with pytest.raises(exceptions.EndpointNotFound):
        invoke_async("absent")
    with pytest.raises(exceptions.EndpointNotFound):
        BotoTransport().describe_endpoint_kind("absent")


def test_an_endpoint_of_the_other_kind(endpoint: MakeEndpoint, sagemaker_local: LocalStack) -> None:
    """Is told as well, in both directions, after one call each."""
    real_time, asynchronous = endpoint(kind="realtime"), endpoint(kind="async")
    with pytest.raises(exceptions.WrongEndpointKind):
        invoke(asynchronous)
    with pytest.raises(exceptions.WrongEndpointKind):
        invoke_async(real_time)
    for name in (real_time, asynchronous):
        assert len(calls(sagemaker_local, name)) == 1


def test_the_kind_of_an_endpoint_can_be_asked(endpoint: MakeEndpoint) -> None:
    """Before a request is sent to the wrong operation."""
    transport = BotoTransport()
    assert transport.describe_endpoint_kind(endpoint(kind="async")) == "async"
    assert transport.describe_endpoint_kind(endpoint(kind="realtime")) == "realtime"


def test_a_model_that_does_not_answer_is_a_read_timeout(
    endpoint: MakeEndpoint, sagemaker_local: LocalStack
) -> None:
    """After as long as was said, once; the model may have run."""
    name = endpoint(errors={"hang": 1.0})
    with pytest.raises(exceptions.ReadTimeout) as caught:
        invoke(name, read_timeout=1.0)
    assert caught.value.may_have_run
    assert len(calls(sagemaker_local, name)) == 1


@pytest.mark.skipif(
    not service.async_body_supported(), reason="the installed botocore sends no asynchronous body"
)
def test_an_inline_payload_reaches_the_model(endpoint: MakeEndpoint) -> None:
    """The output on S3 is what the echoing container was given: bytes that are no text."""
    answer = invoke_async(
        endpoint(kind="async", delay={"fixed": 0.0}),
        body=b"\x00\xff",
        input_location=None,
        content_type="application/octet-stream",
    )
    output = S3Location.parse(answer.output_location)
    store = S3Store()
    while store.head(output) is None:
        time.sleep(0.01)  # S3 tells nobody
    assert store.get(output).body == b"\x00\xff"
