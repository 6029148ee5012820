"""What a batch job's input is made of: records, chunks of them, and what is wrong with them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, Self

from ....runtime.exceptions import InferenceError, InvalidRequest
from ....runtime.s3 import S3Location

#: Essences of content types whose lines are JSON texts.
_JSON = {
    "application/json",
    "application/jsonlines",
    "application/jsonl",
    "application/ndjson",
    "application/x-ndjson",
    "application/x-jsonlines",
}


class S3DataType(StrEnum):
    """What an S3 location names, in Batch Transform's terms; `S3Object` is one object."""

    S3_OBJECT = "S3Object"
    S3_PREFIX = "S3Prefix"
    MANIFEST_FILE = "ManifestFile"


class SplitType(StrEnum):
    """How an object becomes records: each line is one, or the whole object is."""

    LINE = "Line"
    NONE = "None"


class Format(StrEnum):
    """What a record, or a model's answer, is read as."""

    JSON = "json"
    CSV = "csv"
    OTHER = "other"

    @staticmethod
    def of(content_type: str | None) -> "Format":
        """Return the format that a content type names."""
        return _format(content_type or "")


@lru_cache(maxsize=64)
def _format(content_type: str) -> Format:
    essence = content_type.partition(";")[0].strip().lower()
    if essence in _JSON or essence.endswith("+json"):
        return Format.JSON
    return Format.CSV if essence == "text/csv" else Format.OTHER


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a job."""

    position: int
    """Counts the job's records from 0, over all its objects."""
    id: str | None
    """Its `custom_id`; the key of an object that is one record; else None."""
    data: bytes
    """What the endpoint is sent, before any filter; empty if it was not fetched."""
    location: str | None = None
    """Where it lies on S3, if it is an object of its own."""

    @property
    def key(self) -> str | int:
        """What names the record in outputs: its id, else its position."""
        return self.position if self.id is None else self.id


@dataclass(frozen=True, slots=True)
class RecordError:
    """A record that cannot be sent, and why; its neighbours can."""

    record: Record
    error: InferenceError


@dataclass(frozen=True, slots=True)
class InputError:
    """What is wrong with a line of the input.

    Attributes:
        line: counted from 1 within `source`; 0 stands for the source as a whole.
        code: of an exception class: `InvalidJson`, `DuplicateCustomId`, ...
        source: the object's location.
    """

    line: int
    code: str
    message: str
    source: str

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Source:
    """An object that chunks are ranges of; read only as long as its ETag is the same."""

    location: str
    etag: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of records: the bytes [start, end) of one object.

    Ranges begin and end where records do. For objects that are one record each, the object is the
    listing of them that the scan wrote, and its lines name them.
    """

    index: int
    source: Source
    start: int
    end: int
    first: int
    """Position of its first record in the job."""
    count: int
    """How many records it has."""

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(**{**values, "source": Source(**values["source"])})


@dataclass(frozen=True, slots=True)
class Input:
    """Where a job's records are, and how they are cut."""

    data_type: S3DataType
    location: S3Location
    split_type: SplitType
    content_type: str

    @property
    def format(self) -> Format:
        """What its records are."""
        return Format.of(self.content_type)

    def to_json(self) -> dict[str, str]:
        """Return JSON values, named as Batch Transform's `TransformInput` does."""
        return {
            "S3DataType": self.data_type.value,
            "S3Uri": str(self.location),
            "SplitType": self.split_type.value,
            "ContentType": self.content_type,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, str]) -> Self:
        """Read what `to_json` wrote.

        Raises:
            InvalidRequest: it is no such value.
        """
        try:
            return cls(
                S3DataType(values["S3DataType"]),
                S3Location.parse(values["S3Uri"]),
                SplitType(values["SplitType"]),
                values["ContentType"],
            )
        except (KeyError, ValueError) as error:
            raise InvalidRequest(f"This is no input of a batch job: {error}.") from error
