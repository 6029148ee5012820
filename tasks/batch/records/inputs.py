"""From what a caller names to the input of a job."""

from pathlib import Path

from ....runtime.s3 import S3Location, S3Store
from .values import Input, S3DataType, SplitType


def resolve(
    location: str,
    *,
    data_type: S3DataType | str | None = None,
    split_type: SplitType | str | None = None,
    content_type: str | None = None,
) -> Input:
    """Return the input that an S3 location names; nothing is asked of S3.

    Args:
        location: `s3://bucket/key`, or `s3://bucket/prefix/` with the final slash.
        data_type: by default a prefix if the location ends in a slash, else one object.
        split_type: by default Line for one object, None for a prefix or a manifest file.
        content_type: of the records; by default what the key's suffix says, else
            application/json for lines and application/octet-stream for whole objects.

    Raises:
        InvalidRequest: it is no location, or these do not go together.
    """
    raise NotImplementedError


def upload(path: Path, location: S3Location, store: S3Store) -> None:
    """Put a local file where the workers can read it, in parts if it is large.

    Raises:
        InvalidRequest: there is no such file, or it cannot be read.
        S3Error, TransportError: it was not written.
    """
    raise NotImplementedError
