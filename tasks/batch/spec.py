"""What a batch job is to do: what `submit` was told, checked, in the form that Redis keeps."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Self

from pydantic import TypeAdapter, ValidationError

from ...config import errors
from ...runtime.exceptions import InvalidRequest
from ...runtime.requests import InvokeEndpointAsyncRequest, InvokeEndpointRequest

if TYPE_CHECKING:
    from ...runtime.allow import Allowed
    from .records.filters import DataProcessing
    from .records.packing import Packing
    from .records.values import Input

#: Metadata pairs, and characters of a key and of a value: as OpenAI's batch API.
METADATA = (16, 64, 512)

#: Characters of a client token: as Bedrock's clientRequestToken.
TOKEN = 256

#: Members of a request that are the job's own to set.
OURS = frozenset(
    {
        "body",
        "content_type",
        "endpoint_name",
        "filename",
        "inference_id",
        "input_location",
        "s3_output_path_extension",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """A batch job. The names are Batch Transform's in snake case."""

    endpoint: str
    transform_input: Mapping[str, str]
    """`records.Input` as JSON."""
    output: str
    """The job's own prefix on S3."""
    mode: str = "auto"
    """realtime, async, or auto: the job asks DescribeEndpoint, where it may."""
    batch_strategy: str = "SingleRecord"
    max_payload_in_mb: int = 6
    max_records: int = 100
    """Records of an invocation, with MultiRecord."""
    max_concurrent_transforms: int | None = None
    """Calls in flight at once, over all workers."""
    assemble_with: str | None = None
    join_source: str = "None"
    input_filter: str = "$"
    output_filter: str = "$"
    members: Mapping[str, str] = field(default_factory=dict)
    """Members of each request: content_type, accept, target_model, ..."""
    repeatable: bool = False
    """Whether a call that may have run may be made again."""
    uploaded: bool = False
    """Whether the input is a copy that was made for this job."""
    retry_of: str | None = None
    """The job whose failed records these are."""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def input(self) -> str:
        """Where the records are."""
        return self.transform_input["S3Uri"]

    def input_(self) -> "Input":
        """Return the input as the records' functions take it."""
        from .records.values import Input  # noqa: PLC0415 - loads boto3

        return Input.from_json(self.transform_input)

    def processing(self) -> "DataProcessing":
        """Return the filters' expressions."""
        from .records.filters import DataProcessing, JoinSource  # noqa: PLC0415

        return DataProcessing(
            input_filter=self.input_filter,
            output_filter=self.output_filter,
            join_source=JoinSource(self.join_source),
        )

    def packing(self) -> "Packing":
        """Return how records become invocations.

        Raises:
            InvalidRequest: the options do not go together.
        """
        from .records.packing import packing  # noqa: PLC0415

        return packing(
            self.input_(),
            self.batch_strategy,
            max_payload_in_mb=self.max_payload_in_mb,
            max_records=self.max_records,
        )

    def validate(self) -> None:
        """Check what can be checked before anything is read.

        Raises:
            InvalidRequest: something cannot be right; says what.
        """
        from .records.assembling import AssembleWith  # noqa: PLC0415
        from .records.filters import Filters  # noqa: PLC0415

        self._check_types()
        try:
            self.packing()
            if self.assemble_with is not None:
                AssembleWith(self.assemble_with)
            Filters.compile(self.processing(), self.input_().format)
        except ValueError as error:
            raise InvalidRequest(f"{error}.") from error
        if self.mode not in {"auto", "realtime", "async"}:
            raise InvalidRequest(f"mode is auto, realtime or async, not {self.mode!r}.")
        if self.max_concurrent_transforms is not None and self.max_concurrent_transforms < 1:
            raise InvalidRequest("max_concurrent_transforms is at least 1.")
        _check_metadata(self.metadata)
        self._check_members()

    def check(self, allowed: "Allowed") -> None:
        """Refuse what this process would not be let do.

        Raises:
            NotAllowed: the endpoint, the input or the output is not on its list.
        """
        from ...runtime.s3 import S3Location  # noqa: PLC0415 - loads boto3
        from .records.values import S3DataType  # noqa: PLC0415

        allowed.check_endpoint(self.endpoint, self.members.get("inference_component_name"))
        source, output = self.input_(), S3Location.parse(self.output)
        is_prefix = source.data_type is S3DataType.S3_PREFIX
        allowed.check_read(source.location.bucket, source.location.key, inside=is_prefix)
        allowed.check_write(output.bucket, output.key)

    def _check_types(self) -> None:
        try:
            TypeAdapter(Spec).validate_json(self.to_text(), strict=True)
        except TypeError as error:
            raise InvalidRequest(f"{error}.") from None
        except ValidationError as error:
            text = errors.in_words(errors.problems(error, {}))
            raise InvalidRequest(f"{text}.") from None

    def _check_members(self) -> None:
        known = set()
        if self.mode != "async":
            known |= {m.name for m in fields(InvokeEndpointRequest)}
        if self.mode != "realtime":
            known |= {m.name for m in fields(InvokeEndpointAsyncRequest)}
        unknown = sorted(set(self.members) - (known - OURS))
        if unknown:
            raise InvalidRequest(f"A batch job has no member {', '.join(unknown)}.")
        if self.mode == "realtime":
            self.request(b"{}", self.packing().content_type, "check").validate()

    def request(self, body: bytes, content_type: str, inference_id: str) -> InvokeEndpointRequest:
        """Return the request of one invocation."""
        return InvokeEndpointRequest(
            endpoint_name=self.endpoint,
            body=body,
            content_type=content_type or None,
            inference_id=inference_id,
            **self.members,
        )

    def to_text(self) -> str:
        """Return it as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what `to_text` wrote."""
        return cls(**json.loads(text))


def _check_metadata(metadata: Mapping[str, str]) -> None:
    pairs, key_length, value_length = METADATA
    wrong = [
        key for key, value in metadata.items() if len(key) > key_length or len(value) > value_length
    ]
    if len(metadata) > pairs or wrong:
        raise InvalidRequest(
            f"metadata is up to {pairs} pairs of strings, keys of up to {key_length} and values of"
            f" up to {value_length} characters{': ' + ', '.join(wrong) if wrong else ''}."
        )
