"""S3 that refuses, as with a policy that lacks an action."""

import uuid
from collections.abc import Callable
from urllib.error import HTTPError

import boto3
import pytest
from botocore.exceptions import ClientError
from celery_sagemaker.local import s3_server
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.runtime.exceptions import S3AccessDenied
from celery_sagemaker.runtime.s3 import S3Location, S3Store


@pytest.fixture
def bucket(sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]) -> S3Location:
    """A bucket of the test's own, with one object in it."""
    name = f"denied-{uuid.uuid4().hex}"
    boto3.client("s3").create_bucket(Bucket=name)
    S3Store().put(S3Location(name, "there"), b"x")
    return S3Location(name, "")


def test_without_list_bucket_what_is_absent_is_hidden(
    bucket: S3Location, sagemaker_local: LocalStack
) -> None:
    """403 for the listing and for an absent object, by GET and HEAD; what is there is read."""
    store = S3Store()
    s3_server.deny(sagemaker_local.s3_url, bucket.bucket, "s3:ListBucket")
    for look in (store.get, store.head, lambda location: list(store.list(location))):
        with pytest.raises(S3AccessDenied):
            look(bucket / "absent")
    assert store.get(bucket / "there").body == b"x"
    s3_server.deny(sagemaker_local.s3_url, bucket.bucket)
    assert store.head(bucket / "absent") is None


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"])
def test_an_action_on_objects_is_denied(
    bucket: S3Location, sagemaker_local: LocalStack, action: str
) -> None:
    """The one that was named, and no other."""
    store = S3Store()
    s3_server.deny(sagemaker_local.s3_url, bucket.bucket, action)
    requests: dict[str, Callable[[], object]] = {
        "s3:PutObject": lambda: store.put(bucket / "new", b"y"),
        "s3:GetObject": lambda: store.get(bucket / "there"),
        "s3:DeleteObject": lambda: store.delete([bucket / "there"]),
    }
    with pytest.raises(S3AccessDenied):
        requests.pop(action)()
    for request in requests.values():
        request()


def test_a_lifecycle_can_be_hidden(bucket: S3Location, sagemaker_local: LocalStack) -> None:
    """As by a policy without s3:GetLifecycleConfiguration."""
    s3_server.deny(sagemaker_local.s3_url, bucket.bucket, "s3:GetLifecycleConfiguration")
    with pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("s3").get_bucket_lifecycle_configuration(Bucket=bucket.bucket)


def test_the_bucket_of_the_stack_expires_what_is_staged(
    sagemaker_local: LocalStack, sagemaker_environment: dict[str, str]
) -> None:
    """After seven days, as the documentation advises."""
    found = boto3.client("s3").get_bucket_lifecycle_configuration(Bucket=sagemaker_local.bucket)
    (rule,) = found["Rules"]
    assert (rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) == ("staging/", 7)


def test_an_unknown_action_is_refused(sagemaker_local: LocalStack) -> None:
    """Else a test would believe in a fault that is none."""
    with pytest.raises(HTTPError):
        s3_server.deny(sagemaker_local.s3_url, "bucket", "s3:Anything")
