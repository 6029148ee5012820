"""Which headers carry which member, operation by operation."""

import pytest
from celery_sagemaker.local import members
from celery_sagemaker.local.refusals import Refusal

X = "x-amzn-sagemaker-"


@pytest.mark.parametrize(
    ("operation", "content_type", "accept"),
    [
        ("InvokeEndpoint", "content-type", "accept"),
        ("InvokeEndpointAsync", X + "content-type", X + "accept"),
        ("InvokeEndpointWithResponseStream", "content-type", X + "accept"),
    ],
)
def test_content_type_and_accept_have_names_of_their_own(
    operation: str, content_type: str, accept: str
) -> None:
    """Under those names they reach the container; under another operation's they do not."""
    headers = {"content-type": "wrong", "accept": "wrong", "user-agent": "x"}
    headers |= {content_type: "text/csv", accept: "application/json"}
    found = members.for_container(members.read(operation, headers))
    assert found == {"content-type": "text/csv", "accept": "application/json"}


def test_a_container_sees_what_sagemaker_hands_on() -> None:
    """Attributes, ids and the model; not the variant, and no signature."""
    wanted = {
        X + "custom-attributes": "a=1",
        X + "inference-id": "i",
        X + "target-model": "m.tar.gz",
        X + "session-id": "s",
    }
    others = {X + "target-variant": "v", "authorization": "AWS4-HMAC-SHA256 ..."}
    found = members.for_container(members.read("InvokeEndpoint", wanted | others))
    assert found == wanted


def test_integers_are_integers() -> None:
    """And what is none is refused by name."""
    name = X + "requestttlseconds"
    assert members.read("InvokeEndpointAsync", {name: "60"}) == {"RequestTTLSeconds": 60}
    with pytest.raises(Refusal, match="RequestTTLSeconds"):
        members.read("InvokeEndpointAsync", {name: "soon"})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"Filename": "a.b.c", "InputLocation": "s3://b/k"}, "Filename"),
        ({"Filename": "f" * 33, "InputLocation": "s3://b/k"}, "Filename"),
        ({"S3OutputPathExtension": "s3://b", "InputLocation": "s3://b/k"}, "S3OutputPathExtension"),
        ({"RequestTTLSeconds": 59, "InputLocation": "s3://b/k"}, "RequestTTLSeconds"),
        ({"InvocationTimeoutSeconds": 3_601, "InputLocation": "s3://b/k"}, "InvocationTimeout"),
        ({}, "exactly one"),
    ],
)
def test_what_botocore_lets_through_is_refused(given: members.Members, named: str) -> None:
    """Lengths, patterns, ranges, and what belongs together: ValidationError."""
    with pytest.raises(Refusal, match=named) as caught:
        members.check("InvokeEndpointAsync", "echo", given, b"")
    assert caught.value.code == "ValidationError"
