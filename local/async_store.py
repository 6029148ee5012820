"""Asynchronous inferences: taken now, answered on S3 later."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .containers import Container

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True, slots=True)
class Locations:
    """Where the answers of one inference go."""

    output: str
    failure: str


def locate(bucket: str, extension: str | None, name: str) -> Locations:
    """Return the locations under the bucket's `outputs/` and `failures/`."""
    middle = f"{extension.strip('/')}/" if extension else ""
    return Locations(
        f"s3://{bucket}/outputs/{middle}{name}", f"s3://{bucket}/failures/{middle}{name}"
    )


class AsyncStore:
    """Reads inputs from S3 and writes answers there, with the credentials of the environment."""

    @cached_property
    def _s3(self) -> "S3Client":
        import boto3  # noqa: PLC0415 - loaded when the first asynchronous call comes

        return boto3.client("s3")

    def read(self, location: str) -> bytes:
        """Fetch an input."""
        bucket, key = _split(location)
        return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

    def write(self, location: str, body: bytes, content_type: str) -> None:
        """Write an answer."""
        bucket, key = _split(location)
        self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)

    def answer(
        self, container: Container, body: bytes, headers: dict[str, str], locations: Locations
    ) -> None:
        """Call the model, and write its output or its failure."""
        answer = container(body, headers)
        content = answer.body()
        if answer.status == 200:  # noqa: PLR2004 - OK
            self.write(locations.output, content, answer.content_type)
        else:
            self.fail(locations, f"Received error ({answer.status}) from model.")

    def fail(self, locations: Locations, reason: str) -> None:
        """Write a failure object; its form is not documented by AWS."""
        content = json.dumps({"error": reason}).encode()
        self.write(locations.failure, content, "application/json")


def _split(location: str) -> tuple[str, str]:
    parts = urlsplit(location)
    return parts.netloc, parts.path.lstrip("/")
