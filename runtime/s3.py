"""S3: where payloads are staged and asynchronous outputs appear."""

import copy
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from .allow import ANYTHING, Allowed
from .clients import ClientOptions, Clients
from .exceptions import InvalidRequest, S3AccessDenied, S3Error, S3ObjectNotFound

#: Objects on one page of a listing, and of one DeleteObjects: S3's own limit.
PAGE = 1_000

#: Bytes from which an object is written in parts, and of each part (s3transfer's default).
PART = 8 * 1_048_576

HIDDEN = (
    "S3 refuses to say whether {location} is there (403). Without s3:ListBucket on the bucket"
    " itself, an output that is not written yet looks so."
)


@dataclass(frozen=True, slots=True)
class S3Location:
    """A bucket and a key, or a prefix of keys."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `s3://bucket/key`.

        Raises:
            InvalidRequest: it is not such a location.
        """
        scheme, _, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise InvalidRequest(f"An S3 location is s3://bucket/key, not {text!r}.")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, part: str) -> "S3Location":
        key = f"{self.key.rstrip('/')}/{part}" if self.key else part
        return S3Location(self.bucket, key)


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object that is there; `body` is None when it was not fetched."""

    location: S3Location
    size: int
    last_modified: datetime
    content_type: str | None = None
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class S3Range:
    """Some bytes of an object; `size` and `etag` are the whole object's."""

    body: bytes
    size: int
    etag: str


class _Reader:
    """A file over an iterable of blocks, for s3transfer."""

    def __init__(self, blocks: Iterable[bytes]) -> None:
        self._blocks = iter(blocks)
        self._rest = b""
        self.size = 0

    def read(self, size: int = -1) -> bytes:
        """Return `size` bytes, fewer only at the end."""
        parts, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            block = next(self._blocks, None)
            if block is None:
                break
            parts.append(block)
            length += len(block)
        found = b"".join(parts)
        cut = length if size < 0 else min(size, length)
        self._rest = found[cut:]
        self.size += cut
        return found[:cut]


class S3Store:
    """S3 through boto3. `requests` counts what is paid for: GET, HEAD, LIST and PUT.

    Args:
        max_connections, connect_timeout, read_timeout, region_name: as of `BotoTransport`.
        allowed: what may be read and written; every method refuses the rest as NotAllowed.
    """

    def __init__(
        self,
        *,
        max_connections: int = 10,
        connect_timeout: float = 5.0,
        read_timeout: float = 70.0,
        region_name: str | None = None,
        allowed: Allowed = ANYTHING,
    ) -> None:
        self._allowed = allowed
        self._clients = Clients(
            ClientOptions(
                max_connections=max_connections,
                connect_timeout=connect_timeout,
                read_timeout=read_timeout,
                region_name=region_name,
            )
        )
        # Adding to a key that is there loses no count between threads; a key's first one could.
        self.requests: Counter[str] = Counter(dict.fromkeys(("GET", "HEAD", "LIST", "PUT"), 0))

    def limited(self, allowed: Allowed) -> Self:
        """Return this store under other limits; connections and counts are shared."""
        other = copy.copy(self)
        other._allowed = allowed  # noqa: SLF001 - its own
        return other

    def close(self) -> None:
        """Close the connections that are open."""
        self._clients.close()

    def put(self, location: S3Location, body: bytes, content_type: str | None = None) -> None:
        """Write an object, replacing the one that is there.

        Raises:
            S3Error, TransportError: it was not written.
        """
        self._allowed.check_write(location.bucket, location.key)
        typed: dict[str, Any] = {"ContentType": content_type} if content_type else {}
        with self._request("PUT"):
            self._clients.s3.put_object(
                Bucket=location.bucket, Key=location.key, Body=body, **typed
            )

    def get(self, location: S3Location, max_bytes: int | None = None) -> S3Object:
        """Fetch an object; one larger than `max_bytes` comes without its body.

        Raises:
            S3ObjectNotFound, S3Error, TransportError: it was not fetched.
        """
        self._allowed.check_read(location.bucket, location.key)
        with self._request("GET"):
            found: Any = self._clients.s3.get_object(Bucket=location.bucket, Key=location.key)
            size = int(found["ContentLength"])
            body = None
            if max_bytes is None or size <= max_bytes:
                body = found["Body"].read()
            else:
                found["Body"].close()
        return S3Object(location, size, found["LastModified"], found.get("ContentType"), body)

    def put_blocks(
        self, location: S3Location, blocks: Iterable[bytes], content_type: str | None = None
    ) -> None:
        """Write an object of any size, holding about 8 MiB of it; it appears whole or not at all.

        Raises:
            S3Error, TransportError: it was not written.
        """
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - boto3 is loaded late

        self._allowed.check_write(location.bucket, location.key)
        source: Any = _Reader(blocks)
        config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART)
        config.use_threads = False
        with self._request("PUT"):
            self._clients.s3.upload_fileobj(
                source,
                location.bucket,
                location.key,
                ExtraArgs={"ContentType": content_type} if content_type else {},
                Config=config,
            )
        if source.size >= PART:
            # Of the requests for begin, parts and end, one is counted already.
            self.requests["PUT"] += -(-source.size // PART) + 1

    def get_range(
        self, location: S3Location, start: int, end: int, etag: str | None = None
    ) -> S3Range:
        """Fetch the bytes [start, end) of an object, as far as it has them.

        Args:
            location: the object.
            start: the first byte, counted from 0.
            end: the byte after the last; more than `start`.
            etag: the object must still have it.

        Raises:
            S3ObjectNotFound, S3Error, TransportError: they were not fetched; S3Error with the
                error_code PreconditionFailed if the object has another ETag.
        """
        self._allowed.check_read(location.bucket, location.key)
        unchanged: dict[str, Any] = {"IfMatch": etag} if etag else {}
        try:
            with self._request("GET"):
                found: Any = self._clients.s3.get_object(
                    Bucket=location.bucket,
                    Key=location.key,
                    Range=f"bytes={start}-{end - 1}",
                    **unchanged,
                )
                body = found["Body"].read()
        except S3Error as error:
            if start == 0 and error.members.get("error_code") == "InvalidRange":
                # An empty object has no first byte.
                return S3Range(b"", 0, etag or "")
            raise
        size = int(found["ContentRange"].rpartition("/")[2])
        return S3Range(body, size, found["ETag"])

    def delete(self, locations: Iterable[S3Location]) -> None:
        """Delete objects, 1,000 a request; one that is not there is no error.

        Raises:
            S3Error, TransportError: some were not deleted.
        """
        by_bucket = itertools.groupby(locations, key=lambda location: location.bucket)
        for bucket, found in by_bucket:
            keys = (location.key for location in found)
            while page := list(itertools.islice(keys, PAGE)):
                self._delete(bucket, page)

    def _delete(self, bucket: str, keys: "list[str]") -> None:
        for key in keys:
            self._allowed.check_write(bucket, key)
        with self._request("DELETE"):
            answer: Any = self._clients.s3.delete_objects(
                Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
            )
        for refused in answer.get("Errors", []):
            raise S3Error(
                f"{refused['Code']}: s3://{bucket}/{refused['Key']} was not deleted.",
                {"error_code": refused["Code"]},
            )

    def head(self, location: S3Location) -> S3Object | None:
        """Return what is known of an object, or None when it, or its bucket, is not there.

        Raises:
            S3AccessDenied: also when it is not there, and s3:ListBucket is missing.
        """
        self._allowed.check_read(location.bucket, location.key)
        try:
            with self._request("HEAD"):
                found: Any = self._clients.s3.head_object(Bucket=location.bucket, Key=location.key)
        except S3ObjectNotFound:
            return None
        except S3AccessDenied as error:
            raise S3AccessDenied(HIDDEN.format(location=location), error.members) from error
        size = int(found["ContentLength"])
        return S3Object(location, size, found["LastModified"], found.get("ContentType"))

    def list(self, prefix: S3Location) -> Iterator[S3Object]:
        """Yield the objects under a prefix, 1,000 a request.

        Raises:
            S3Error, TransportError: it cannot be listed.
        """
        self._allowed.check_read(prefix.bucket, prefix.key, inside=True)
        after: dict[str, Any] = {}
        while True:
            with self._request("LIST"):
                page: Any = self._clients.s3.list_objects_v2(
                    Bucket=prefix.bucket, Prefix=prefix.key, MaxKeys=PAGE, **after
                )
            for entry in page.get("Contents", []):
                location = S3Location(prefix.bucket, entry["Key"])
                yield S3Object(location, int(entry["Size"]), entry["LastModified"])
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def lifecycle(self, bucket: str) -> tuple[dict[str, Any], ...]:
        """Return a bucket's lifecycle rules; none where there is no configuration.

        Raises:
            S3Error, TransportError: they cannot be read.
        """
        try:
            with self._request("GET"):
                found: Any = self._clients.s3.get_bucket_lifecycle_configuration(Bucket=bucket)
        except S3Error as error:
            if error.members.get("error_code") == "NoSuchLifecycleConfiguration":
                return ()
            raise
        return tuple(found["Rules"])

    def _request(self, kind: str) -> Any:
        from .translation import s3_error, translate  # noqa: PLC0415

        self.requests[kind] += 1
        return translate(s3_error)
