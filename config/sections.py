"""The sections of the settings: one value per subject."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)
from pydantic_settings import NoDecode

from . import addresses

#: Characters that a key of tokens must have at least: 32 of hexadecimal are 128 bits.
KEY_LENGTH = 32

#: What a browser sends as Origin; or any.
ORIGIN = re.compile(r"https?://[^\s/?#]+|\*")

Seconds = Annotated[float, Field(gt=0)]
WholeSeconds = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Price = Annotated[float, Field(ge=0)]


def _words(given: Any) -> Any:
    """Read a list as an environment variable has it: with commas or spaces between."""
    return given.replace(",", " ").split() if isinstance(given, str) else given


def _keys(keys: Sequence[SecretStr]) -> Sequence[SecretStr]:
    if any(len(key) < KEY_LENGTH for key in keys):
        raise ValueError(f"a key needs {KEY_LENGTH} characters: `openssl rand -hex 32` makes one")
    return keys


def _origins(origins: Sequence[str]) -> Sequence[str]:
    if not all(map(ORIGIN.fullmatch, origins)):
        raise ValueError("an origin is https://host, without a path, or *")
    return origins


def _prefix(location: str) -> str:
    found = addresses.s3(location)
    if {".", ".."} & {*found.split("/")}:
        raise ValueError("has a part . or .., which no key may have")
    return found


#: NoDecode: pydantic-settings would take JSON only.
Keys = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_words), AfterValidator(_keys)]
Patterns = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Prefixes = Annotated[
    tuple[Annotated[str, AfterValidator(_prefix)], ...], NoDecode, BeforeValidator(_words)
]
Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words), AfterValidator(_origins)]


class Section(BaseModel):
    """A part of the settings: immutable, and it refuses what it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


class AllowSettings(Section):
    """What a worker may call, read and write, whatever a message says; None is anything."""

    endpoints: Patterns | None = None
    """Endpoints that may be called: `name`, or `name/component`, with `*`, `?` and `[...]`."""
    s3_read: Prefixes | None = None
    """S3 prefixes that may be read, besides those of `s3_write`, staging and async outputs."""
    s3_write: Prefixes | None = None
    """S3 prefixes that may be written, besides staging."""


class SigningSettings(Section):
    """Signed messages: with a key, none is sent unsigned and none is taken; all three, or none."""

    key: Path | None = None
    """File of this process' private key: RSA, PEM."""
    key_password: SecretStr | None = None
    """Password of the key."""
    certificate: Path | None = None
    """File of the key's certificate, PEM; every worker needs it in its store."""
    cert_store: Path | None = None
    """Folder of the certificates whose messages are taken, this process' own among them."""

    @model_validator(mode="after")
    def _whole(self) -> "SigningSettings":
        given = [self.key, self.certificate, self.cert_store]
        if any(given) and not all(given):
            raise ValueError("key, certificate and cert_store go together")
        return self


class LedgerSettings(Section):
    """The record of accepted requests."""

    lease: Seconds = 30.0
    """Seconds a run owns its row without a heartbeat."""
    resend_after: Seconds = 60.0
    """Seconds after which an accepted row without a message is sent again."""
    max_deliveries: Count = 5
    """Deliveries after which a request counts as poison."""
    retention: WholeSeconds = 259_200
    """Seconds a row is kept after its final state; three days."""


class PollingSettings(Section):
    """The search for the outputs of asynchronous inferences."""

    tick: Seconds = 1.0
    """Seconds between two looks of the clock at what is due."""
    min_interval: Seconds = 1.0
    """Seconds between two looks at one output, at first."""
    max_interval: Seconds = 30.0
    """Seconds between two looks at one output, at most."""
    deadline_margin: Annotated[int, Field(ge=0)] = 60
    """Seconds granted beyond the request's time to live and the invocation's timeout."""
    unanswered_grace: WholeSeconds = 900
    """Seconds an intent without an answer is looked for before it may be invoked again."""
    list_price: Price = 0.005
    """US dollars for 1,000 LIST requests (S3 Standard, us-east-1)."""
    head_price: Price = 0.0004
    """US dollars for 1,000 HEAD requests (S3 Standard, us-east-1)."""

    @model_validator(mode="after")
    def _ordered(self) -> "PollingSettings":
        if self.min_interval > self.max_interval:
            raise ValueError("min_interval: longer than max_interval")
        return self


class TimeoutSettings(Section):
    """How long one call may take."""

    connect: Seconds = 5.0
    """Seconds to reach the endpoint."""
    read: Seconds = 70.0
    """Seconds to wait for an answer. A model has 60: a shorter wait pays for answers it drops."""


class BudgetSettings(Section):
    """The retries an endpoint is granted, shared by every worker: a token bucket."""

    size: Count = 500
    """Tokens in a full bucket; botocore's retry quota has the same size."""
    refund: Annotated[int, Field(ge=0)] = 1
    """Tokens given back by one success."""


class LimitSettings(Section):
    """How many calls an endpoint gets at once from all workers, and when it gets none."""

    max_concurrency: Count | None = None
    """Calls at once, by the whole fleet; any number by default."""
    adaptive: bool = True
    """Whether throttling lowers the limit, down to one call, and successes raise it again."""
    breaker: bool = False
    """Whether calls stop for a while when the endpoint is down."""
    breaker_calls: Count = 20
    """Calls in the window before the breaker may open."""
    breaker_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Share of the calls that have to find the endpoint down, for the breaker to open."""
    breaker_window: Seconds = 30.0
    """Seconds for which a call counts, at most; at least half of them."""
    breaker_cooldown: Seconds = 15.0
    """Seconds without a call after the breaker has opened."""
    breaker_probes: Count = 3
    """Calls that are let through afterwards; when all of them succeed, the breaker closes."""

    @property
    def limiting(self) -> bool:
        """Whether there is anything to keep to."""
        return self.max_concurrency is not None or self.breaker


class StreamSettings(Section):
    """Response streams, and the channels that carry them to their readers."""

    first_part_timeout: Seconds | None = None
    """Seconds from the call to the stream's first part; unlimited by default."""
    idle_timeout: Seconds | None = None
    """Seconds between two parts; unlimited by default."""
    total_timeout: Seconds | None = None
    """Seconds a stream may take; unlimited by default."""
    coalesce_seconds: Annotated[float, Field(ge=0)] = 0.01
    """Seconds a record may wait for others to share a message; 0 sends each at once."""
    coalesce_bytes: Annotated[int, Field(ge=0)] = 4_096
    """Bytes of held records that are sent before their time."""
    buffer_bytes: Count = 8_388_608
    """Bytes kept while Redis is gone; then the stream ends for its readers."""
    heartbeat: Seconds = 5.0
    """Seconds between two signs of life of a silent stream; its lease is three of them."""
    ttl: Seconds = 3_600.0
    """Seconds a stream without a sign of life is kept."""
    ttl_after_end: Seconds = 600.0
    """Seconds a stream can be replayed after its end."""
    wait: Seconds = 300.0
    """Seconds a reader waits for a stream that no worker has begun."""
    grace: Seconds = 60.0
    """Seconds a reader waits for another attempt when the producer is lost."""
    token_keys: Keys = ()
    """Secrets that sign the tokens of readers, oldest first: new tokens have the last one's."""
    token_max_age: WholeSeconds = 3_600
    """Seconds a token is good for."""
    allow_origins: Origins = ()
    """Origins besides its own whose pages may read: https://host; * for any."""


class BatchSettings(Section):
    """Batch jobs."""

    chunks: Count = 2
    """Chunks that one worker runs at once; with the prefork pool, at most its processes."""
    in_flight: Count = 32
    """Calls that one chunk keeps in flight."""
    chunk_seconds: Seconds = 20.0
    """Seconds after which a run of a chunk gives the rest back: others have their turn."""
    save_seconds: Seconds = 5.0
    """Seconds after which a run writes what it has; a killed worker's run loses no more."""
    chunk_bytes: Count = 4_194_304
    """Bytes of input that a chunk has at most, or one record if that is larger."""
    chunk_records: Count = 1_000
    """Records of a chunk, where it is not known how fast the endpoint is."""
    retention: WholeSeconds = 604_800
    """Seconds for which a job that has ended is remembered; seven days."""
    transport: Literal["fast", "boto3"] = "fast"
    """What chunks call endpoints with: asyncio, or boto3 in threads."""


class LoggingSettings(Section):
    """What the log lines of our own app look like."""

    format: Literal["text", "json"] = "text"
    """`text` for people, `json` for machines: one object a line."""


class MetricsSettings(Section):
    """The endpoint of a worker from which Prometheus reads."""

    port: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """Port of the endpoint; none by default. Usual is 9464; 0 takes any that is free."""
    host: str = "0.0.0.0"  # noqa: S104 - Prometheus is another machine
    """Address at which the worker listens; by default all of the machine's."""


class LivenessSettings(Section):
    """The sign of life of a worker or beat, for whoever looks after its process."""

    file: Path | None = None
    """Touched while the process does its work; none by default. Not on a shared disk."""
    every: Seconds = 5.0
    """Seconds between two touches; beat touches it at each of its ticks."""
