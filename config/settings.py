"""The settings of a deployment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from . import addresses, errors, sources
from .endpoints import EndpointSettings, RetryOverride, RetryOverrides
from .schedules import BeatSettings, Schedules, ScheduleSettings
from .sections import (
    AllowSettings,
    BatchSettings,
    BudgetSettings,
    Count,
    LedgerSettings,
    LimitSettings,
    LivenessSettings,
    LoggingSettings,
    MetricsSettings,
    PollingSettings,
    SigningSettings,
    StreamSettings,
    TimeoutSettings,
    WholeSeconds,
)

BROKER = "redis://localhost:6379/0"
SECRET = ("broker_url", "result_url", "state_url")


class Settings(BaseSettings):
    """What a deployment decides. Immutable.

    ``Settings(...)`` takes what it is given and reads nothing; ``Settings.load()`` reads the
    environment and the TOML file.

    Raises:
        SettingsError: naming every key that is wrong.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    broker_url: addresses.BrokerUrl = BROKER
    """Where messages travel: redis://, rediss://, amqp:// or amqps://."""
    result_url: addresses.RedisUrl = ""
    """Where Celery keeps results: redis:// or rediss://; the broker's by default."""
    state_url: addresses.RedisUrl = ""
    """Where the ledger and the clock keep their state; the broker's by default, or with RabbitMQ
    as the broker that of the results."""
    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$", max_length=64)] = (
        "celery-sagemaker"
    )
    """First part of every key in Redis."""
    staging: addresses.S3Prefix | None = None
    """Where payloads too big for the broker go: s3://bucket/prefix."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    """AWS region; by default what the AWS configuration says."""
    broker_payload_limit: Count = 65_536
    """Bytes a payload may have to travel in a message; a bigger one goes to staging."""
    message_limit: Count = 16_777_216
    """Bytes a task message may have, canvas included; a bigger one is refused."""
    result_inline_limit: Count = 1_048_576
    """Bytes an output may have to be kept in the result; of a bigger one, its location is."""
    visibility_timeout: WholeSeconds = 120
    """Seconds after which Redis delivers a dead worker's message again."""
    result_expires: WholeSeconds = 86_400
    """Seconds a result is kept; one day."""
    hold_limit: Annotated[float, Field(ge=0)] = 2.0
    """Seconds a retry may wait inside the worker; a longer wait frees the slot."""
    concurrency: Count = 8
    """Calls a worker process makes at once: threads and HTTP connections."""
    allow: AllowSettings = AllowSettings()
    signing: SigningSettings = SigningSettings()
    ledger: LedgerSettings = LedgerSettings()
    polling: PollingSettings = PollingSettings()
    liveness: LivenessSettings = LivenessSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    streams: StreamSettings = StreamSettings()
    budget: BudgetSettings = BudgetSettings()
    limits: LimitSettings = LimitSettings()
    """The limits of every endpoint, each by itself."""
    batch: BatchSettings = BatchSettings()
    logging: LoggingSettings = LoggingSettings()
    metrics: MetricsSettings = MetricsSettings()
    beat: BeatSettings = BeatSettings()
    schedules: Schedules = {}
    """What runs again and again, by name; beat puts it into Redis when it starts."""
    endpoints: dict[str, EndpointSettings] = {}
    """What to know about single endpoints, by name in lower case."""
    retries: RetryOverrides = {}
    """Changes to the retry policies, by error code."""

    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**sources.lower_names(values))
        except ValidationError as error:
            found = errors.problems(error, _known())
            for key in found.keys() & {"result_url", "state_url"} - values.keys():
                found[key] += "; not given, so that broker_url was taken"
            raise errors.SettingsError(found) from None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the hook's signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the hook's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Leave the environment to ``load``, so that a constructor call reads nothing."""
        return (init_settings,)

    @classmethod
    def load(cls, path: Path | None = None, *, app: Mapping[str, Any] | None = None) -> "Settings":
        """Read the TOML file and the environment, which wins.

        Args:
            path: the TOML file; by default the one that CELERY_SAGEMAKER_CONFIG names, else
                ``celery-sagemaker.toml`` in the working directory if it is there.
            app: the configuration of a Celery app (``app.conf``); its broker, and its result
                backend if that is Redis, are used where neither source names one.

        Raises:
            SettingsError: naming every key that is wrong and where it was set.
        """
        file = sources.find_file(path)
        from_file = sources.read_file(file) if file else {}
        environment = sources.read_environment(cls)
        from_app = sources.read_app(app or {})
        origins = sources.origins(from_app, from_file, file, environment)
        given = sources.merge(sources.merge(from_app, from_file), environment)
        try:
            settings = cls(**given)
        except errors.SettingsError as error:
            raise errors.SettingsError(
                {key: _with_origin(key, text, origins) for key, text in error.problems.items()}
            ) from None
        settings._origins.update(origins)
        return settings

    @field_validator("result_url", "state_url", mode="before")
    @classmethod
    def _follow_broker(cls, url: Any, info: ValidationInfo) -> Any:
        """Let results and state live where the messages do, unless told otherwise."""
        broker = info.data.get("broker_url", BROKER)
        above = broker if addresses.is_redis(broker) else info.data.get("result_url", broker)
        return url or above

    @model_validator(mode="after")
    def _consistent(self) -> "Settings":
        if self.visibility_timeout <= self.longest_call:
            raise ValueError(
                f"visibility_timeout: {self.visibility_timeout} s is not longer than the longest "
                f"call, {self.longest_call:g} s (timeouts.connect + timeouts.read + hold_limit): "
                "a running task would be delivered twice"
            )
        return self

    @property
    def longest_call(self) -> float:
        """Seconds one call and the wait behind it can hold a worker slot."""
        return self.timeouts.connect + self.timeouts.read + self.hold_limit

    def endpoint(self, name: str) -> EndpointSettings:
        """What is known about an endpoint; the defaults if nothing is.

        Names are compared without their case: SageMaker has no two that differ in it only.
        """
        return self.endpoints.get(name.lower()) or EndpointSettings()

    def limits_of(self, name: str) -> LimitSettings:
        """Join an endpoint's limits: for every endpoint, for this one, for the component.

        Args:
            name: the endpoint, or `endpoint/component`, which may have a section of its own.
        """
        above = name.partition("/")[0]
        layers = (self.limits, self.endpoint(above).limits, self.endpoint(name).limits)
        given = (layer.model_dump(exclude_unset=True) for layer in layers)
        return LimitSettings(**{key: value for layer in given for key, value in layer.items()})

    def sources(self) -> dict[str, str]:
        """Tell where each value came from.

        Returns:
            dotted key to ``default``, ``argument``, ``app``, ``env NAME`` or ``file PATH``.
        """
        given = {".".join(leaf) for leaf in sources.leaves(self.model_dump(exclude_unset=True))}
        return {
            key: self._origins.get(key.lower(), "argument" if key in given else "default")
            for key in map(".".join, sources.leaves(self.model_dump()))
        }

    @field_serializer(*SECRET)
    def _masked(self, url: str) -> str:
        return addresses.mask(url)

    def __repr_args__(self) -> Any:
        return [
            (name, addresses.mask(value) if name in SECRET else value)
            for name, value in super().__repr_args__()
        ]


def _with_origin(key: str, text: str, origins: dict[str, str]) -> str:
    """Say where a wrong value was set."""
    inside = (origin for name, origin in origins.items() if name.startswith(f"{key}."))
    origin = origins.get(key) or next(inside, None)
    return f"{text} ({origin})" if origin else text


def _known() -> dict[str, list[str]]:
    """The keys of each section."""
    models: dict[str, type[BaseModel]] = {
        "": Settings,
        "allow": AllowSettings,
        "signing": SigningSettings,
        "ledger": LedgerSettings,
        "polling": PollingSettings,
        "liveness": LivenessSettings,
        "timeouts": TimeoutSettings,
        "streams": StreamSettings,
        "budget": BudgetSettings,
        "limits": LimitSettings,
        "batch": BatchSettings,
        "logging": LoggingSettings,
        "metrics": MetricsSettings,
        "beat": BeatSettings,
        "schedules": ScheduleSettings,
        "endpoints": EndpointSettings,
        "retries": RetryOverride,
    }
    return {name: list(model.model_fields) for name, model in models.items()}
