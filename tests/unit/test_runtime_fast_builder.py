"""The builder's kept requests against botocore's serializer."""

from collections.abc import Mapping
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import pytest
from botocore.exceptions import ParamValidationError
from celery_sagemaker.runtime import (
    InvokeEndpointAsyncRequest,
    InvokeEndpointRequest,
    service,
)
from celery_sagemaker.runtime.builder import KINDS_KEPT, RequestBuilder
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.runtime.probe import Route
from celery_sagemaker.runtime.requests import Request
from hypothesis import given

AnyRequest = InvokeEndpointRequest | InvokeEndpointAsyncRequest
Wire = tuple[str, Mapping[str, str], bytes]

ROUTE = Route("http://h:1/prefix", "h:1", {"X-Ours": "signed"}, {}, "sagemaker", "eu-west-1")
TEXTS = st.text(min_size=1, max_size=8)
FEW = st.sampled_from(["a", "b", "text/csv; charset=utf-8"])
OPTIONAL = {
    name: st.none() | FEW
    for name in ("content_type", "accept", "target_model", "session_id", "enable_explanations")
}
RECORD = st.none() | st.text(st.characters(codec="ascii"), max_size=8) | TEXTS
REALTIME = st.builds(
    InvokeEndpointRequest,
    endpoint_name=st.sampled_from(["e", "f", "a b/é", "-"]),
    body=st.binary(max_size=8),
    inference_id=RECORD,
    custom_attributes=RECORD,
    **OPTIONAL,
)
ASYNC = st.builds(
    InvokeEndpointAsyncRequest,
    endpoint_name=st.sampled_from(["e", "f"]),
    input_location=FEW,
    inference_id=RECORD,
    custom_attributes=RECORD,
    content_type=st.none() | FEW,
    s3_output_path_extension=st.none() | FEW,
    filename=st.none() | FEW,
    request_ttl_seconds=st.none() | st.sampled_from([60, 61]),
)


def builder(kind: type[AnyRequest]) -> RequestBuilder:
    """Make a builder that stands on the installed botocore's model."""
    return RequestBuilder(service.model(), kind, ROUTE)


def expected(request: Request) -> Wire | type[InvalidRequest]:
    """Return what botocore's serializer makes of a request, without anything kept."""
    try:
        request.validate()
    except InvalidRequest as error:
        return type(error)
    made: dict[str, Any] = service.serialize(request.operation, request.parameters())
    return ROUTE.base_url + made["url_path"], {**made["headers"], "X-Ours": "signed"}, made["body"]


def built(builder: RequestBuilder, request: AnyRequest) -> Wire | type[InvalidRequest]:
    """Return what a builder makes of a request."""
    try:
        made = builder.build(request)
    except InvalidRequest as error:
        return type(error)
    assert str(made.url).endswith(made.path)
    return str(made.url), made.headers, made.body


@given(requests=st.lists(REALTIME, min_size=1, max_size=8))
def test_builds_realtime_requests_as_botocore_does(requests: list[InvokeEndpointRequest]) -> None:
    """URL, headers and body are the serializer's, whichever requests were built before.

    What `validate` refuses is refused, and nothing else.
    """
    made = builder(InvokeEndpointRequest)
    for request in requests:
        assert built(made, request) == expected(request)


@given(requests=st.lists(ASYNC, min_size=1, max_size=8))
def test_builds_async_requests_as_botocore_does(requests: list[InvokeEndpointAsyncRequest]) -> None:
    """The same holds for asynchronous requests, whose body is elsewhere."""
    made = builder(InvokeEndpointAsyncRequest)
    for request in requests:
        assert built(made, request) == expected(request)


def test_keeps_inline_and_absent_bodies_apart() -> None:
    """An older botocore has to refuse an inline body even after requests without one."""
    made = builder(InvokeEndpointAsyncRequest)
    made.build(InvokeEndpointAsyncRequest(endpoint_name="e", input_location="s3://a/b"))
    inline = InvokeEndpointAsyncRequest(endpoint_name="e", body=b"x")
    assert built(made, inline) == expected(inline)
    both = InvokeEndpointAsyncRequest(endpoint_name="e", input_location="s3://a/b", body=b"x")
    assert built(made, both) == expected(both)
    assert isinstance(expected(both), type)


@pytest.mark.parametrize(
    "wrong",
    [
        {"inference_id": ""},
        {"inference_id": 1},
        {"custom_attributes": b"bytes"},
        {"body": {"a": 1}},
        {"body": bytes(6_291_457)},
        {"endpoint_name": None},
    ],
    ids=str,
)
def test_refuses_what_botocore_refuses(wrong: dict[str, Any]) -> None:
    """What is wrong is refused, even when all like it were right."""
    made = builder(InvokeEndpointRequest)
    right: dict[str, Any] = {"endpoint_name": "e", "body": b""}
    made.build(InvokeEndpointRequest(**right, inference_id="i", custom_attributes="c"))
    for _ in range(2):
        with pytest.raises((InvalidRequest, ParamValidationError)):
            made.build(InvokeEndpointRequest(**(right | wrong)))


def test_keeps_a_bounded_number_of_kinds() -> None:
    """Requests that are all different do not fill the memory."""
    made = builder(InvokeEndpointRequest)
    for number in range(KINDS_KEPT + 10):
        made.build(InvokeEndpointRequest(endpoint_name=f"e{number}", body=b""))
    assert len(made._kept) == KINDS_KEPT


def test_serializes_the_like_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch's records cost one serialization."""
    made = builder(InvokeEndpointRequest)
    serialize = mock.Mock(wraps=made._serialize)
    monkeypatch.setattr(made, "_serialize", serialize)
    for number in range(100):
        made.build(
            InvokeEndpointRequest(
                endpoint_name="e",
                body=b"%d" % number,
                inference_id=str(number),
                custom_attributes=str(number),
            )
        )
    serialize.assert_called_once()
