"""What a deployment says about one endpoint, and about one error's retries."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .addresses import S3Prefix
from .errors import suggestion
from .retries import CODES
from .sections import Count, LimitSettings, Section


class RetryOverride(Section):
    """What to change in the retry policy of one error; what is absent stays."""

    attempts: Count | None = None
    """Calls in all, the first one included; 1 is no retry."""
    wait_initial: Annotated[float, Field(ge=0)] | None = None
    """Seconds, the longest first wait."""
    wait_max: Annotated[float, Field(ge=0)] | None = None
    """Seconds, the longest wait."""
    cost: Annotated[int, Field(ge=0)] | None = None
    """Tokens a retry takes from the endpoint's budget."""


def _code(name: str) -> str:
    """Give a code its own spelling."""
    for code in CODES:
        if code.lower() == name.lower():
            return code
    raise ValueError(f"{suggestion(name, CODES, 'error code')}; known are {', '.join(CODES)}")


RetryOverrides = dict[Annotated[str, AfterValidator(_code)], RetryOverride]


class EndpointSettings(Section):
    """One endpoint: what its requests have in common."""

    output_path: S3Prefix | None = None
    """Where the endpoint writes asynchronous outputs (its S3OutputPath), s3://bucket/prefix."""
    content_type: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """ContentType of requests that name none."""
    accept: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """Accept of requests that name none."""
    request_ttl_seconds: Annotated[int, Field(ge=60, le=21_600)] | None = None
    """Seconds an asynchronous request may wait in the endpoint's queue (RequestTTLSeconds)."""
    invocation_timeout_seconds: Annotated[int, Field(ge=1, le=3_600)] | None = None
    """Seconds the model has for an asynchronous request (InvocationTimeoutSeconds)."""
    repeatable: bool = False
    """Whether a request that may have run already can be sent again."""
    limits: LimitSettings = LimitSettings()
    """Changes to the limits for this endpoint; what is not given is as for every endpoint."""
    transport: Literal["fast", "boto3"] | None = None
    """What batch chunks call this endpoint with; by default as `batch.transport` says."""
    retries: RetryOverrides = Field(default_factory=dict)
    """Changes to the retry policies for this endpoint, by error code."""
