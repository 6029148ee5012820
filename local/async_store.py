"""Inputs and answers of asynchronous inferences, on S3."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread

from ..runtime.clients import ClientOptions, Clients

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

#: Requests at once, each in a thread; others wait. moto answers no faster with more.
REQUESTS = 16

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Locations:
    """Where the answers of one inference go."""

    output: str
    failure: str


def roots(bucket: str) -> Locations:
    """Return an endpoint's S3OutputPath and S3FailurePath."""
    return Locations(f"s3://{bucket}/outputs", f"s3://{bucket}/failures")


def locate(bucket: str, extension: str | None, name: str) -> Locations:
    """Return the locations of one inference's answers under these paths."""
    middle = f"{extension.strip('/')}/" if extension else ""
    root = roots(bucket)
    return Locations(f"{root.output}/{middle}{name}", f"{root.failure}/{middle}{name}")


class AsyncStore:
    """Reads inputs from S3 and writes answers there, with the credentials of the environment."""

    async def read(self, location: str) -> bytes:
        """Fetch an input.

        Raises:
            botocore.exceptions.ClientError: there is none, or S3 refuses.
        """
        bucket, key = _split(location)

        def get() -> bytes:
            return self._s3.get_object(Bucket=bucket, Key=key)["Body"].read()

        return await self._thread(get)

    async def write(self, location: str, body: bytes, content_type: str) -> None:
        """Write an output."""
        bucket, key = _split(location)
        await self._thread(
            lambda: self._s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType=content_type)
        )

    async def fail(self, locations: Locations, reason: str) -> None:
        """Write a failure object; its form is not documented by AWS."""
        content = json.dumps({"error": reason}).encode()
        await self.write(locations.failure, content, "application/json")

    async def _thread(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._limiter)

    @cached_property
    def _limiter(self) -> CapacityLimiter:
        return CapacityLimiter(REQUESTS)

    @cached_property
    def _s3(self) -> "S3Client":
        # Loaded when the first asynchronous answer is due.
        return Clients(ClientOptions(max_connections=REQUESTS)).s3


def _split(location: str) -> tuple[str, str]:
    parts = urlsplit(location)
    return parts.netloc, parts.path.lstrip("/")
