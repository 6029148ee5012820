"""Requests and responses: the API's members, one by one, and a JSON form without loss."""

import json
from dataclasses import fields
from typing import Any

import pytest
from celery_sagemaker.runtime import exceptions, requests, responses, service, validation
from celery_sagemaker.runtime.values import Value
from hypothesis import given
from hypothesis import strategies as st

REQUESTS: list[type[requests.Request]] = [
    requests.InvokeEndpointRequest,
    requests.InvokeEndpointAsyncRequest,
    requests.InvokeEndpointWithResponseStreamRequest,
]
RESPONSES: list[type[Value]] = [
    responses.InvokeEndpointResponse,
    responses.InvokeEndpointAsyncResponse,
    responses.InvokeEndpointWithResponseStreamResponse,
]


def named(value: type[Value]) -> str:
    """The name of a class, for a test's id."""
    return value.__name__


def api_names(value: type[Value]) -> set[str]:
    """The members of a class, as the API calls them."""
    return {service.api_name(member.name) for member in fields(value)}  # type: ignore[arg-type]


def test_there_is_a_request_and_a_response_for_every_operation() -> None:
    """Neither the service nor we have an operation more."""
    wanted = set(service.model().operation_names)
    assert {request.operation for request in REQUESTS} == wanted
    assert {response.operation for response in RESPONSES} == wanted


@pytest.mark.parametrize("request_type", REQUESTS, ids=named)
def test_a_request_has_every_member(request_type: type[requests.Request]) -> None:
    """What the installed botocore has is here; what only we have is known to be newer."""
    ours, theirs = api_names(request_type), service.members(request_type.operation)
    assert theirs - ours == set()
    newer = {(request_type.operation, name) for name in ours - theirs}
    assert newer <= set(validation.BROUGHT_BY)


@pytest.mark.parametrize("request_type", REQUESTS, ids=named)
def test_a_request_needs_what_the_api_requires(request_type: type[requests.Request]) -> None:
    """A constructor without a required member is refused; InputLocation is one of two."""
    shape = service.operation_model(request_type.operation).input_shape
    assert shape is not None
    required = set(shape.required_members) - {"InputLocation"}
    optional = {
        service.api_name(member.name)
        for member in fields(request_type)  # type: ignore[arg-type]
        if member.default is None
    }
    assert required & optional == set()


@pytest.mark.parametrize("response_type", RESPONSES, ids=named)
def test_a_response_has_every_member(response_type: type[Value]) -> None:
    """In both directions: no member of the API is dropped, and none is invented."""
    shape = service.operation_model(response_type.operation).output_shape
    assert shape is not None
    assert api_names(response_type) == set(shape.members)


def test_what_came_late_is_a_member() -> None:
    """A misspelt line in the list of newcomers would allow anything."""
    by_operation = {request.operation: api_names(request) for request in REQUESTS}
    for operation, name in validation.BROUGHT_BY:
        assert name in by_operation[operation]


def test_the_service_describes_itself() -> None:
    """What a signature and an address are made of, from the model itself."""
    described = service.description()
    assert described == service.Description(
        api_version="2017-05-13",
        endpoint_prefix="runtime.sagemaker",
        signing_name="sagemaker",
        protocol="rest-json",
        full_name="Amazon SageMaker Runtime",
        service_id="SageMaker Runtime",
    )


TYPES: dict[str, st.SearchStrategy[Any]] = {
    "str": st.text(),
    "bytes": st.binary(),
    "int": st.integers(),
}


def some(value_type: type[Value]) -> st.SearchStrategy[Value]:
    """Values of a class, whatever their members say."""
    members: dict[str, st.SearchStrategy[Any]] = {}
    for member in fields(value_type):  # type: ignore[arg-type]
        name, *none = str(getattr(member.type, "__name__", member.type)).split(" | ")
        members[member.name] = TYPES[name] | st.none() if none else TYPES[name]
    return st.builds(value_type, **members)


@pytest.mark.parametrize(
    "value_type", [*REQUESTS, *RESPONSES, responses.AsyncInferenceOutput], ids=named
)
@given(data=st.data())
def test_json_loses_nothing(value_type: type[Value], data: st.DataObject) -> None:
    """Any value, bytes that are no text included, comes back equal through real JSON."""
    value = data.draw(some(value_type))
    assert value_type.from_json(json.loads(json.dumps(value.to_json()))) == value


@given(body=st.binary())
def test_any_responses_json_is_known_for_what_it_is(body: bytes) -> None:
    """A reader who does not know the operation gets the right class."""
    for response in (
        responses.InvokeEndpointResponse(body=body),
        responses.InvokeEndpointWithResponseStreamResponse(body=body),
        responses.InvokeEndpointAsyncResponse(output_location="s3://bucket/key"),
        responses.AsyncInferenceOutput(inference_id="i", output_location="s3://b/k", size=1),
    ):
        assert responses.from_json(response.to_json()) == response


@pytest.mark.parametrize(
    "wrong",
    [
        {"operation": "InvokeEndpointAsync", "endpoint_name": "e", "body": {"text": ""}},
        {"operation": "InvokeEndpoint", "endpoint_name": "e", "body": {"text": ""}, "ttl": 1},
        {"operation": "InvokeEndpoint", "endpoint_name": "e"},
        {"operation": "InvokeEndpoint", "endpoint_name": "e", "body": "text"},
        {"operation": "InvokeEndpoint", "endpoint_name": "e", "body": {}},
        {"operation": "InvokeEndpoint", "endpoint_name": "e", "body": {"text": 1}},
        {"operation": "InvokeEndpoint", "endpoint_name": "e", "body": {"base64": "%"}},
        {"operation": "InvokeEndpoint", "endpoint_name": "e", "body": {"text": "a", "base64": ""}},
    ],
    ids=["operation", "unknown", "missing", "plain", "empty", "number", "base64", "both"],
)
def test_json_that_is_no_request_is_refused(wrong: dict[str, Any]) -> None:
    """As one of our errors, whatever is wrong with it."""
    with pytest.raises(exceptions.InvalidRequest):
        requests.InvokeEndpointRequest.from_json(wrong)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "InvokeEndpoint",
        {"operation": "InvokeEndpoint"},
        {"operation": "InvokeEndpoint", "body": "of the user's own"},
        {"operation": "DescribeEndpoint", "body": {"text": ""}},
    ],
)
def test_json_of_the_users_own_is_no_response(value: object) -> None:
    """A payload that has a member called operation stays a payload."""
    assert not responses.is_response(value)
    with pytest.raises(exceptions.InvalidRequest):
        responses.from_json(value)  # type: ignore[arg-type]


def test_a_response_reads_its_own_body() -> None:
    """As text and as JSON; a body that is on S3 says so."""
    response = responses.InvokeEndpointResponse(body='{"Größe": 1}'.encode())
    assert response.text == '{"Größe": 1}'
    assert response.json() == {"Größe": 1}
    absent = responses.AsyncInferenceOutput(inference_id="i", output_location="s3://b/k", size=9)
    with pytest.raises(ValueError, match="on S3"):
        _ = absent.text
    with pytest.raises(ValueError, match="Expecting value"):
        responses.InvokeEndpointResponse(body=b"no").json()


def test_values_do_not_change() -> None:
    """A request that was validated is the one that is sent."""
    request = requests.InvokeEndpointRequest(endpoint_name="e", body=b"")
    with pytest.raises(AttributeError):
        request.body = b"other"  # type: ignore[misc]
