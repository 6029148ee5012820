"""Requests and S3 locations of any values: each is right, or refused with every reason."""

import string
from collections.abc import Callable
from typing import Any

import pytest
from celery_sagemaker.config import Settings, SettingsError
from celery_sagemaker.runtime import requests, service
from celery_sagemaker.runtime.exceptions import InvalidRequest
from celery_sagemaker.runtime.s3 import S3Location
from hypothesis import example, given
from hypothesis import strategies as st

OPERATIONS: list[Any] = [
    requests.InvokeEndpointRequest,
    requests.InvokeEndpointAsyncRequest,
    requests.InvokeEndpointWithResponseStreamRequest,
]

#: Surrogates and controls too: whatever a caller, or a message, may have.
TEXT = st.text(st.characters(codec=None), max_size=70)

#: Nearer to what is right than any text is.
NEARLY = st.text(string.ascii_letters + "-_/.:= \n\r\t\x7fé", max_size=70)

VALUES: st.SearchStrategy[Any] = st.one_of(
    TEXT,
    NEARLY,
    st.sampled_from(["NEW_SESSION", "s3://bucket/key", "x" * 1025, b"x" * 128_001, "`$(x)`"]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.binary(max_size=9),
    st.binary(max_size=3).map(bytearray),
    st.lists(TEXT, max_size=2),
    st.dictionaries(TEXT, TEXT, max_size=2),
)


#: Members that travel elsewhere than in headers.
NOT_IN_HEADERS = frozenset({"Body", "EndpointName"})


def refusal(call: Callable[[], object]) -> InvalidRequest | None:
    """The error of a call that refuses; None: it does not."""
    try:
        call()
    except InvalidRequest as error:
        return error
    return None


@st.composite
def given_requests(draw: st.DrawFn) -> Any:
    """A request that is right but for some members, which are anything."""
    kind = draw(st.sampled_from(OPERATIONS))
    spoilt = draw(st.dictionaries(st.sampled_from(sorted(kind.__slots__)), VALUES, max_size=4))
    return kind(**{"endpoint_name": "e", "body": b"{}", **spoilt})


@given(given_requests())
@example(requests.InvokeEndpointRequest(endpoint_name="e", body=b"", accept="a\r\nHost: x"))
@example(requests.InvokeEndpointRequest(endpoint_name="e/../x", body=b""))
@example(
    requests.InvokeEndpointAsyncRequest(
        endpoint_name="e", body=b"", invocation_timeout_seconds=True
    )
)
@example(requests.InvokeEndpointAsyncRequest(endpoint_name="e\n", input_location="s3://b/k"))
def test_a_request_can_be_sent_or_is_refused(request: Any) -> None:
    """What is taken becomes an HTTP request that says what was given, and nothing more."""
    error = refusal(request.validate)
    if error is not None:
        assert error.violations
        assert all(": " in violation for violation in error.violations)
        assert type(refusal(request.http_request)) is type(error)
        return
    made = request.http_request()
    parameters = request.parameters()
    assert {type(value) for value in parameters.values()} <= {str, bytes, int}
    assert made.method == "POST"
    assert made.path.split("/")[:3] == ["", "endpoints", request.endpoint_name]
    assert made.body == (request.body or b"")
    for value in made.headers.values():
        assert str(value).isascii()
        assert str(value).isprintable()
    sent = {str(value) for value in made.headers.values()}
    texts = {str(value) for name, value in parameters.items() if name not in NOT_IN_HEADERS}
    assert texts <= sent


@given(st.sampled_from(OPERATIONS), st.data())
def test_every_reason_is_named(kind: Any, data: st.DataObject) -> None:
    """Two members that are refused each by itself are both named together."""
    members = [name for name in kind.__slots__ if service.api_name(name) not in NOT_IN_HEADERS]
    names = data.draw(st.sets(st.sampled_from(members), min_size=2, max_size=3))
    # No member takes a list, and none is unknown for being one.
    request = kind(**{"endpoint_name": "e", "body": b"{}", **{name: [] for name in names}})
    with pytest.raises(InvalidRequest) as caught:
        request.validate()
    named = {violation.partition(":")[0] for violation in caught.value.violations}
    assert {service.api_name(name) for name in names} <= named


BUCKETS = st.text(st.characters(exclude_characters="/"), min_size=1)


@given(BUCKETS, st.text())
@example("b", "a//b/../c?x=1#f ")
@example("b", "")
@example("b", "/")
def test_a_location_comes_back_from_its_text(bucket: str, key: str) -> None:
    """Whatever is in the key: S3 takes everything."""
    location = S3Location(bucket, key)
    assert S3Location.parse(str(location)) == location


@given(TEXT | NEARLY.map(lambda text: f"s3:{text}") | TEXT.map(lambda text: f"s3://{text}"))
@example("s3://")
@example("s3:///key")
@example("S3://b/k")
@example(" s3://b/k")
def test_any_text_is_a_location_or_refused(text: str) -> None:
    """A location's text is what was read, but for the slash that a bucket alone lacks."""
    error = refusal(lambda: S3Location.parse(text))
    if error is not None:
        assert not text.startswith("s3://") or text[5:6] in ("", "/")
        assert repr(text) in str(error)
        return
    location = S3Location.parse(text)
    assert location.bucket
    assert "/" not in location.bucket
    assert str(location) == text + "/" * (text.count("/") == 2)


@given(BUCKETS, st.text("a/"), st.text())
def test_a_part_comes_below(bucket: str, key: str, part: str) -> None:
    """After one slash, and without one at the top."""
    below = S3Location(bucket, key) / part
    assert below.bucket == bucket
    assert below.key.endswith(part)
    above = below.key[: len(below.key) - len(part)]
    assert above == (key.rstrip("/") + "/" if key else "")


@given(TEXT | st.builds("s3://{}/{}".format, NEARLY, NEARLY) | st.just("s3://bucket/p/"))
def test_a_prefix_of_the_settings_is_a_location(text: str) -> None:
    """What the settings take can be read, and has no slash at its end."""
    try:
        found = Settings(staging=text).staging
    except SettingsError as error:
        assert set(error.problems) == {"staging"}  # noqa: PT017
        return
    assert found is not None
    location = S3Location.parse(found)
    assert not location.key.endswith("/")
    assert text.rstrip("/") == found
