"""Messages: what a caller may write, and what travels."""

from typing import Any

import pytest
from celery_sagemaker.config import Settings
from celery_sagemaker.runtime import payloads
from celery_sagemaker.runtime.exceptions import InvalidRequest, PayloadTooLarge
from celery_sagemaker.runtime.requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest
from celery_sagemaker.runtime.responses import AsyncInferenceOutput, InvokeEndpointResponse
from celery_sagemaker.tasks import messages, staging
from celery_sagemaker.tasks.exceptions import MalformedMessage
from celery_sagemaker.tasks.messages import Message
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
ON_S3 = AsyncInferenceOutput(
    inference_id="i", output_location="s3://b/out/i", size=2_000_000, content_type="image/png"
).to_json()


def realtime(*args: Any, **kwargs: Any) -> Message[InvokeEndpointRequest]:
    """Compose a real-time message without defaults."""
    return messages.compose(InvokeEndpointRequest, args, kwargs, defaults=lambda _: {})


def asynchronous(*args: Any, **kwargs: Any) -> Message[InvokeEndpointAsyncRequest]:
    """Compose an asynchronous message without defaults."""
    return messages.compose(InvokeEndpointAsyncRequest, args, kwargs, defaults=lambda _: {})


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("churn", {"a": 1}), {}),
        (({"a": 1},), {"endpoint": "churn"}),
        (("churn",), {"payload": {"a": 1}}),
        ((), {"endpoint_name": "churn", "payload": {"a": 1}}),
        (({"a": 1}, "churn"), {}),
    ],
)
def test_endpoint_and_payload_in_each_order(args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """As a caller writes them, and as a chain puts the previous result first."""
    request = realtime(*args, **kwargs).request
    assert (request.endpoint_name, request.body) == ("churn", b'{"a": 1}')
    assert request.content_type == "application/json"


def test_a_response_is_the_next_payload() -> None:
    """With its own content type, unless the caller says another."""
    answer = InvokeEndpointResponse(body=b"1,2", content_type="text/csv").to_json()
    assert realtime(answer, endpoint="b").request.content_type == "text/csv"
    request = realtime(answer, endpoint="b", content_type="text/plain").request
    assert (request.body, request.content_type) == (b"1,2", "text/plain")


def test_an_output_that_stayed_on_s3_is_the_next_input() -> None:
    """Where the endpoint fetches it itself, and where the worker has to."""
    request = asynchronous(ON_S3, endpoint="b").request
    assert (request.input_location, request.body) == ("s3://b/out/i", None)
    assert request.content_type == "image/png"
    message = realtime(ON_S3, endpoint="b")
    assert (message.staged, message.request.body) == ("s3://b/out/i", b"")
    with pytest.raises(PayloadTooLarge, match="invoke_async"):
        realtime(ON_S3 | {"size": 6_291_457}, endpoint="b")


@pytest.mark.parametrize(
    ("args", "kwargs", "why"),
    [
        ((), {}, "The endpoint is a name, not NoneType"),
        (("churn",), {}, "InvokeEndpoint needs a payload"),
        (("churn", "x", "y"), {}, "more arguments"),
        (("churn", "x"), {"accpet": "text/csv"}, "has no member accpet; it has accept"),
        (("churn", "x"), {"input_location": "s3://b/k"}, "has no member input_location"),
        (("churn", {1, 2}), {}, "not set"),
        (("churn", float("nan")), {}, "cannot be written as JSON"),
    ],
)
def test_what_cannot_be_right_is_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any], why: str
) -> None:
    """With one line that says what and why."""
    with pytest.raises(InvalidRequest, match=why) as refused:
        realtime(*args, **kwargs)
    assert "\n" not in str(refused.value)


@given(body=st.binary(), repeatable=st.booleans(), staged=st.none() | st.just("s3://b/k"))
def test_a_message_travels_without_loss(body: bytes, repeatable: bool, staged: str | None) -> None:
    """Whatever the bytes are."""
    request = InvokeEndpointRequest(endpoint_name="churn", body=body, inference_id="i")
    message = Message(request, repeatable, staged)
    kwargs = message.to_kwargs()
    assert messages.travels(kwargs)
    assert messages.endpoint_of(kwargs) == "churn"
    assert Message.from_kwargs(kwargs, InvokeEndpointRequest) == message


@given(JSON)
def test_a_malformed_message_has_its_reason(value: Any) -> None:
    """Whatever JSON it is, it is refused in the ordinary way, and names no endpoint."""
    kwargs = {"message": value}
    with pytest.raises(MalformedMessage):
        Message.from_kwargs(kwargs, InvokeEndpointRequest)
    assert messages.endpoint_of(kwargs) == ""


@pytest.mark.parametrize(
    "request_form",
    [
        None,
        [],
        {"operation": "InvokeEndpointAsync", "endpoint_name": "e"},
        {"endpoint_name": "e", "body": {"text": "x"}, "color": 1},
        {"endpoint_name": "e"},
        {"endpoint_name": "e", "body": {"base64": "?"}},
    ],
)
def test_a_malformed_request_has_its_reason(request_form: Any) -> None:
    """Another operation's, an unknown member, one that is missing."""
    kwargs = {"message": {"version": 1, "request": request_form}}
    with pytest.raises(MalformedMessage, match="request cannot be read"):
        Message.from_kwargs(kwargs, InvokeEndpointRequest)


def test_a_newer_message_is_refused() -> None:
    """An older worker says so instead of guessing."""
    kwargs = {"message": {"version": messages.VERSION + 1, "request": {}}}
    with pytest.raises(MalformedMessage, match=r"version 2; this worker reads up to 1"):
        Message.from_kwargs(kwargs, InvokeEndpointRequest)


def test_a_large_body_does_not_travel() -> None:
    """It is to be uploaded under the staging prefix, and its location travels."""
    settings = Settings(staging="s3://bucket/in", broker_payload_limit=10)
    message, upload = staging.route_realtime(realtime("e", b"x" * 11), settings, "an-id")
    assert upload is not None
    assert (str(upload.location), upload.body) == ("s3://bucket/in/inputs/an-id", b"x" * 11)
    assert (message.staged, message.request.body) == (str(upload.location), b"")
    routed, upload = staging.route_async(asynchronous("e", b"x" * 11), settings, "an-id")
    assert upload is not None
    assert routed.request.input_location == str(upload.location)
    assert staging.route_realtime(realtime("e", b"x" * 10), settings, "i")[1] is None
    _, upload = staging.route_async(asynchronous("e", b"x" * 10), settings, "i")
    assert (upload is None) is payloads.async_body_supported()


def test_a_large_body_needs_a_staging_prefix() -> None:
    """One line says which setting is missing."""
    settings = Settings(broker_payload_limit=10)
    with pytest.raises(InvalidRequest, match="CELERY_SAGEMAKER_STAGING"):
        staging.route_realtime(realtime("e", b"x" * 11), settings, "i")
