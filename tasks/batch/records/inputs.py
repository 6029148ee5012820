"""From what a caller names to the objects that hold the records."""

import json
import mimetypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ....runtime.exceptions import InvalidRequest, S3ObjectNotFound
from ....runtime.s3 import S3Location, S3Store
from .blocks import BLOCK
from .exceptions import InvalidManifest
from .values import Format, Input, S3DataType, SplitType

#: Content types of records by the key's suffix, where Python's own table says nothing.
SUFFIXES = {".jsonl": "application/json", ".ndjson": "application/json", ".csv": "text/csv"}

T = TypeVar("T", S3DataType, SplitType)

MANIFEST = 'A manifest file is [{"prefix": "s3://bucket/prefix/"}, "key", ...]'


@dataclass(frozen=True, slots=True)
class Named:
    """An object that an input names.

    Attributes:
        id: its key below the input's prefix.
        size: bytes, if the listing told.
    """

    location: S3Location
    id: str
    size: int | None


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
    where = S3Location.parse(location)
    is_prefix = not where.key or where.key.endswith("/")
    data = _member(S3DataType, data_type, "S3Prefix" if is_prefix else "S3Object")
    if data is not S3DataType.S3_PREFIX and is_prefix:
        raise InvalidRequest(f"{location} is a prefix, not an object ({data.value}).")
    is_one = data is S3DataType.S3_OBJECT
    split = _member(SplitType, split_type, "Line" if is_one else "None")
    return Input(data, where, split, content_type or _guess(where.key, split))


def upload(path: Path, location: S3Location, store: S3Store) -> None:
    """Put a local file where the workers can read it, in parts if it is large.

    Raises:
        InvalidRequest: there is no such file, or it cannot be read.
        S3Error, TransportError: it was not written.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InvalidRequest(f"The input cannot be read: {error}.") from error
    with file:
        store.put_blocks(location, iter(lambda: file.read(BLOCK), b""), _guess(path.name))


def named(input_: Input, store: S3Store) -> Iterator[Named]:
    """Yield the objects that an input names, in the order in which their records count.

    Raises:
        InvalidManifest: the manifest file is none.
        S3ObjectNotFound: the object or the manifest file is not there.
        S3Error, TransportError: the input cannot be read now.
    """
    where = input_.location
    match input_.data_type:
        case S3DataType.S3_OBJECT:
            head = store.head(where)
            if head is None:
                raise S3ObjectNotFound(f"{where} is not there.")
            yield Named(where, where.key.rpartition("/")[2], head.size)
        case S3DataType.S3_PREFIX:
            for found in store.list(where):
                # What consoles make to show a folder is no record.
                if not found.location.key.endswith("/"):
                    id_ = found.location.key.removeprefix(where.key)
                    yield Named(found.location, id_, found.size)
        case S3DataType.MANIFEST_FILE:
            yield from _manifest(store.get(where).body or b"")


def _manifest(body: bytes) -> Iterator[Named]:
    prefix, keys = _read_manifest(body)
    try:
        root = S3Location.parse(prefix)
    except InvalidRequest as error:
        raise InvalidManifest(f"{MANIFEST}: {error}") from error
    for key in keys:
        # Prefix and key are put together as they are: the prefix need not end in a slash.
        yield Named(S3Location(root.bucket, root.key + key), key, None)


def _read_manifest(body: bytes) -> tuple[str, list[str]]:
    try:
        entries: Any = json.loads(body)
    except ValueError:
        entries = None
    match entries:
        case [{"prefix": str(prefix), **others}, *keys] if not others:
            if all(isinstance(key, str) for key in keys):
                return prefix, keys
    raise InvalidManifest(f"{MANIFEST}.")


def _guess(name: str, split: SplitType = SplitType.NONE) -> str:
    suffix = Path(name).suffix.lower()
    found = SUFFIXES.get(suffix) or mimetypes.guess_type(name)[0]
    if split is SplitType.LINE:
        # Lines of text are taken for JSON: it is found out at once if they are not.
        return found if Format.of(found) is not Format.OTHER and found else "application/json"
    return found or "application/octet-stream"


def _member(kind: type[T], value: T | str | None, default: str) -> T:
    try:
        return kind(default if value is None else value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise InvalidRequest(f"{kind.__name__} is one of {names}, not {value!r}.") from None
