"""What is refused before anything is sent, and what is not: each limit from both sides."""

from collections.abc import Iterator
from typing import Any

import pytest
from celery_sagemaker.runtime import exceptions, requests, service, validation
from celery_sagemaker.runtime.exceptions import InvalidRequest, PayloadTooLarge, UnsupportedMember

REALTIME = 6_291_456
INLINE = 128_000

#: A value of each member that is right, and its lengths or numbers that are just so.
NAME, TEXT, ID = (1, 63, "a"), (0, 1024, "a"), (1, 64, "a")
LIMITS: dict[str, dict[str, tuple[int, int, str]]] = {
    "InvokeEndpoint": {
        "endpoint_name": NAME,
        "content_type": TEXT,
        "accept": TEXT,
        "custom_attributes": TEXT,
        "target_model": (1, 1024, "m"),
        "target_variant": NAME,
        "target_container_hostname": NAME,
        "inference_id": ID,
        "enable_explanations": ID,
        "inference_component_name": NAME,
        "session_id": (1, 256, "s"),
        "prefix_aware_id": ID,
    },
    "InvokeEndpointAsync": {
        "endpoint_name": NAME,
        "content_type": TEXT,
        "accept": TEXT,
        "custom_attributes": TEXT,
        "inference_id": ID,
        "input_location": (6, 1024, "s3://b"),
        "s3_output_path_extension": (1, 512, "p"),
        "filename": (1, 32, "f"),
    },
    "InvokeEndpointWithResponseStream": {
        "endpoint_name": NAME,
        "content_type": TEXT,
        "accept": TEXT,
        "custom_attributes": TEXT,
        "target_variant": NAME,
        "target_container_hostname": NAME,
        "inference_id": ID,
        "inference_component_name": NAME,
        "session_id": (1, 256, "s"),
        "prefix_aware_id": ID,
    },
}
LENGTHS = [
    pytest.param(operation, member, *limit, id=f"{operation}.{member}")
    for operation, members in LIMITS.items()
    for member, limit in members.items()
]


@pytest.fixture(autouse=True)
def late_members(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing of one test's model is seen by the next."""
    validation._shape.cache_clear()
    yield
    validation._shape.cache_clear()


def make(operation: str, **members: Any) -> requests.Request:
    """A request of an operation that is right but for what is given."""
    if operation == "InvokeEndpointAsync":
        given = {"endpoint_name": "e", "input_location": "s3://bucket/key"} | members
        return requests.InvokeEndpointAsyncRequest(**given)
    request_type: Any = getattr(requests, f"{operation}Request")
    made: requests.Request = request_type(**{"endpoint_name": "e", "body": b"{}"} | members)
    return made


def needs(operation: str, member: str) -> None:
    """Skip a test of a member that the installed botocore does not have."""
    if service.api_name(member) not in service.members(operation):
        pytest.skip(f"the installed botocore has no {member}")


def refused(operation: str, **members: Any) -> InvalidRequest:
    """The error that a request is refused with."""
    with pytest.raises(InvalidRequest) as caught:
        make(operation, **members).validate()
    return caught.value


@pytest.mark.parametrize(("operation", "member", "least", "most", "start"), LENGTHS)
def test_a_length_within_its_limits_is_right(
    operation: str, member: str, least: int, most: int, start: str
) -> None:
    """The shortest and the longest value pass."""
    needs(operation, member)
    for length in (least, most):
        make(operation, **{member: start.ljust(length, "x")[:length]}).validate()


@pytest.mark.parametrize(("operation", "member", "least", "most", "start"), LENGTHS)
def test_a_length_beyond_its_limits_is_refused(
    operation: str, member: str, least: int, most: int, start: str
) -> None:
    """One character more is refused, by the API's name; so is one less, where there is a least."""
    needs(operation, member)
    name = service.api_name(member)
    (violation,) = refused(operation, **{member: start.ljust(most + 1, "x")}).violations
    assert violation == f"{name}: has {most + 1:,} characters, at most {most:,}"
    if least:
        assert f"{name}: " in str(refused(operation, **{member: start[: least - 1]}))


@pytest.mark.parametrize("operation", LIMITS)
def test_every_member_of_text_has_its_limits_here(operation: str) -> None:
    """A new member of the API fails this test until its limits are written down."""
    shape = service.operation_model(operation).input_shape
    assert shape is not None
    texts = {name for name, member in shape.members.items() if member.type_name == "string"}
    assert texts <= {service.api_name(member) for member in LIMITS[operation]}


@pytest.mark.parametrize(
    ("member", "least", "most"),
    [("request_ttl_seconds", 60, 21_600), ("invocation_timeout_seconds", 1, 3_600)],
)
def test_a_number_has_its_range(member: str, least: int, most: int) -> None:
    """Both ends pass, and what lies beyond either is refused."""
    for value in (least, most):
        make("InvokeEndpointAsync", **{member: value}).validate()
    name = service.api_name(member)
    for value in (least - 1, most + 1):
        assert refused("InvokeEndpointAsync", **{member: value}).violations[0].startswith(name)


@pytest.mark.parametrize(
    ("member", "wrong"),
    [
        ("endpoint_name", "bad name!"),
        ("endpoint_name", "-starts"),
        ("endpoint_name", "ends-"),
        ("endpoint_name", "line\n"),
        ("endpoint_name", "größe"),
        ("custom_attributes", "größe"),
        ("custom_attributes", "two\nlines"),
        ("content_type", "text/plain\r\nX-Other: 1"),
        ("accept", "\x7f"),
        ("inference_id", " starts"),
        ("inference_id", "ends\n"),
        ("filename", "a.b.c"),
        ("filename", ".hidden"),
        ("filename", "a b"),
        ("s3_output_path_extension", "s3://x y"),
        ("s3_output_path_extension", "s3:x"),
        ("s3_output_path_extension", "https:x"),
        ("s3_output_path_extension", "a b"),
        ("input_location", "bucket/key"),
        ("input_location", "ftp://bucket/key"),
        ("input_location", "s3://"),
    ],
)
def test_a_text_of_other_characters_is_refused(member: str, wrong: str) -> None:
    """What botocore sends, and the service refuses, is refused here."""
    error = refused("InvokeEndpointAsync", **{member: wrong})
    assert service.api_name(member) in str(error)
    assert type(error) is InvalidRequest


@pytest.mark.parametrize(
    ("operation", "member", "right"),
    [
        ("InvokeEndpoint", "endpoint_name", "a--1"),
        ("InvokeEndpoint", "session_id", "NEW_SESSION"),
        ("InvokeEndpoint", "target_model", "/models/one two.tar.gz"),
        ("InvokeEndpoint", "custom_attributes", ""),
        ("InvokeEndpoint", "enable_explanations", "`true`"),
        ("InvokeEndpoint", "inference_component_name", "a--b"),
        ("InvokeEndpointAsync", "filename", "a-b_c.json"),
        ("InvokeEndpointAsync", "s3_output_path_extension", "2026/01!_.*'()-x"),
        ("InvokeEndpointAsync", "input_location", "https://bucket.s3.amazonaws.com/key"),
        ("InvokeEndpointAsync", "input_location", "s3://bucket"),
        ("InvokeEndpointWithResponseStream", "session_id", "a-1"),
    ],
)
def test_unusual_text_is_not_refused(operation: str, member: str, right: str) -> None:
    """No stricter than the service: patterns written for Java mean the same here."""
    make(operation, **{member: right}).validate()


@pytest.mark.parametrize("operation", ["InvokeEndpoint", "InvokeEndpointWithResponseStream"])
def test_a_real_time_body_has_a_limit(operation: str) -> None:
    """6,291,456 bytes pass; one more is refused, and the way out is named."""
    make(operation, body=bytes(REALTIME)).validate()
    error = refused(operation, body=bytes(REALTIME + 1))
    assert type(error) is PayloadTooLarge
    assert "6,291,457 bytes" in str(error)
    assert "invoke_async" in str(error)


def test_seven_megabytes_are_for_invoke_async() -> None:
    """Whoever sends them is told so."""
    error = refused("InvokeEndpoint", body=bytes(7_000_000))
    assert "Body: has 7,000,000 bytes, at most 6,291,456; invoke_async" in str(error)


def test_an_asynchronous_body_has_a_limit() -> None:
    """128,000 bytes pass; one more is refused, and InputLocation is named."""
    needs("InvokeEndpointAsync", "body")
    make("InvokeEndpointAsync", body=bytes(INLINE), input_location=None).validate()
    error = refused("InvokeEndpointAsync", body=bytes(INLINE + 1), input_location=None)
    assert type(error) is PayloadTooLarge
    assert "128,001 bytes, at most 128,000; InputLocation" in str(error)


def test_a_body_that_is_too_large_is_not_all() -> None:
    """With something else wrong the error is the general one, and has both."""
    error = refused("InvokeEndpoint", body=bytes(REALTIME + 1), inference_id="x" * 65)
    assert type(error) is InvalidRequest
    assert len(error.violations) == 2


@pytest.mark.parametrize("members", [{"body": b"{}"}, {"input_location": None}])
def test_an_asynchronous_payload_is_in_one_place(members: dict[str, Any]) -> None:
    """Neither both nor none of Body and InputLocation."""
    error = refused("InvokeEndpointAsync", **members)
    assert "Body, InputLocation: exactly one of them" in error.violations


def test_a_stream_begins_no_session() -> None:
    """NEW_SESSION, which matches the pattern of an id, is not one here."""
    error = refused("InvokeEndpointWithResponseStream", session_id="NEW_SESSION")
    assert any("NEW_SESSION" in violation for violation in error.violations)


@pytest.mark.parametrize(
    ("members", "what"),
    [
        ({"body": "text"}, "Body: is str, expected bytes"),
        ({"body": {"a": 1}}, "Body: is dict, expected bytes"),
        ({"accept": b"text/plain"}, "Accept: is bytes, expected str"),
        ({"inference_id": 7}, "InferenceId: is int, expected str"),
    ],
)
def test_a_member_has_its_type(members: dict[str, Any], what: str) -> None:
    """A value of another type is named, not counted in the wrong unit."""
    assert refused("InvokeEndpoint", **members).violations == [what]


@pytest.mark.parametrize("value", ["60", 60.0, True])
def test_a_number_has_its_type(value: object) -> None:
    """Neither text nor a fraction nor a truth is a number of seconds."""
    error = refused("InvokeEndpointAsync", request_ttl_seconds=value)
    assert error.violations[0].startswith("RequestTTLSeconds: is ")


def test_what_is_missing_is_named() -> None:
    """A required member that is None."""
    error = refused("InvokeEndpoint", endpoint_name=None, body=None)
    assert error.violations == ["Body: is missing", "EndpointName: is missing"]


def test_every_violation_is_in_one_error() -> None:
    """Nobody repairs a request one refusal at a time."""
    error = refused(
        "InvokeEndpointAsync",
        endpoint_name="bad name!" * 11,
        inference_id="x" * 200,
        request_ttl_seconds=99_999,
        invocation_timeout_seconds=7_200,
        filename="a.b.c",
        s3_output_path_extension="s3://x y",
        custom_attributes="größe",
    )
    named = {violation.split(":")[0] for violation in error.violations}
    assert named == {
        "EndpointName", "InferenceId", "RequestTTLSeconds", "InvocationTimeoutSeconds",
        "Filename", "S3OutputPathExtension", "CustomAttributes",
    }  # fmt: skip
    assert all(violation in str(error) for violation in error.violations)


def test_what_is_sensitive_is_not_repeated() -> None:
    """The model says whose values do not belong in a log."""
    assert "geheim" not in str(refused("InvokeEndpoint", custom_attributes="geheim: größe"))


@pytest.mark.parametrize(("operation", "name"), validation.BROUGHT_BY)
def test_a_member_that_botocore_lacks_is_refused(
    operation: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the version that has it, and beside whatever else is wrong."""
    members = service.members(operation) - {name}
    monkeypatch.setattr(service, "members", lambda _: members)
    snake = {
        "Body": "body", "Filename": "filename", "PrefixAwareId": "prefix_aware_id",
        "S3OutputPathExtension": "s3_output_path_extension",
    }[name]  # fmt: skip
    given: dict[str, Any] = {snake: b"{}" if name == "Body" else "a", "inference_id": "x" * 65}
    if name == "Body":
        given["input_location"] = None
    error = refused(operation, **given)
    assert type(error) is UnsupportedMember
    assert [violation.split(":")[0] for violation in error.violations] == sorted(
        [name, "InferenceId"]
    )
    assert validation.BROUGHT_BY[operation, name] in str(error)


def test_a_right_request_of_old_members_needs_no_new_botocore(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What an old botocore has not is only missed by whoever uses it."""
    known = {
        operation: {
            name
            for name in service.members(operation)
            if (operation, name) not in validation.BROUGHT_BY
        }
        for operation in LIMITS
    }
    monkeypatch.setattr(service, "members", lambda operation: known[operation])
    for operation in LIMITS:
        make(operation).validate()
    assert not service.async_body_supported()


def test_an_invalid_request_has_no_http_form() -> None:
    """It is refused, as ours, before botocore's serializer sees it."""
    with pytest.raises(exceptions.InvalidRequest):
        make("InvokeEndpoint", endpoint_name="bad name!").http_request()
