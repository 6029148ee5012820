"""Endpoints: whether they are there and in service, and of the kind that the settings say."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...config import EndpointSettings, Settings
from ...runtime.clients import ClientOptions, Clients
from ...runtime.exceptions import AccessDeniedException, EndpointNotFound, InferenceError
from ...runtime.translation import translate
from ...tasks.invoke_async import INVOCATION_TIMEOUT, REQUEST_TTL
from .findings import Check, Finding, duration
from .target import Target, reason

NAMED = Check(
    "endpoints.named",
    "No endpoint is looked at, nor the outputs of asynchronous ones.",
    "Name them: [endpoints.NAME] in the settings, or --endpoint NAME.",
    "endpoints",
)
DESCRIBED = Check(
    "endpoints.described",
    "Its kind, its state and its failure path are not known here; calls may work all the same.",
    "Allow sagemaker:DescribeEndpoint and DescribeEndpointConfig to whoever runs the doctor.",
)
EXISTS = Check(
    "endpoints.exists",
    "Every call of it fails with EndpointNotFound.",
    "Make it, mend its name, or look into the other region and account. The settings' names are "
    "read in lower case: name one with capitals by --endpoint.",
    "endpoints",
)
IN_SERVICE = Check(
    "endpoints.in-service",
    "While it is not in service calls fail; during an update the old version answers.",
    "Look at FailureReason and the container's log; update the endpoint, or make it again.",
)
KIND = Check(
    "endpoints.kind",
    "The settings speak of an endpoint of another kind; calls for that kind are refused.",
    "Remove the asynchronous members, or call it with invoke_async.",
    "endpoints.NAME.output_path",
)
OUTPUT_PATH = Check(
    "endpoints.output-path",
    "After a crash the output is looked for where it is not: the model is run again, and paid.",
    "Set output_path to the endpoint's S3OutputPath.",
    "endpoints.NAME.output_path",
)
FAILURE_PATH = Check(
    "endpoints.failure-path",
    "A failed inference looks pending until its deadline: hours, and without the reason.",
    "Set S3FailurePath in the endpoint configuration's AsyncInferenceConfig.OutputConfig.",
)
CONCURRENCY = Check(
    "endpoints.concurrency",
    "A serverless endpoint throttles what is above its MaxConcurrency; each retry waits.",
    "Set limits.max_concurrency to the endpoint's MaxConcurrency or below.",
    "endpoints.NAME.limits.max_concurrency",
)

#: Members of the settings that only an asynchronous endpoint heeds.
ASYNCHRONOUS = ("output_path", "request_ttl_seconds", "invocation_timeout_seconds")

#: States in which calls are answered, by what was there before.
CHANGING = frozenset({"Updating", "SystemUpdating", "RollingBack"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What SageMaker says of one endpoint."""

    name: str
    status: str | None = None
    """EndpointStatus; None: it is not there, or could not be asked."""
    failure: str = ""
    """FailureReason."""
    asynchronous: bool = False
    serverless: int | None = None
    """MaxConcurrency, if it is serverless."""
    output_path: str | None = None
    failure_path: str | None = None
    absent: bool = False
    refused: str | None = None
    """Why SageMaker does not say."""

    @property
    def subject(self) -> str:
        """What findings are about."""
        return f"endpoint {self.name}"

    @property
    def kind(self) -> str:
        """For people."""
        kind = "asynchronous" if self.asynchronous else "real-time"
        return f"serverless, {self.serverless} calls at once" if self.serverless else kind


def examine(target: Target) -> list[Finding]:
    """Ask SageMaker about every endpoint."""
    names, settings = target.names, target.settings
    if not names:
        return [NAMED.note("endpoints", "the settings name none")]
    return [f for described in probe(target) for f in judge(described, settings)]


def judge(described: Described, settings: Settings) -> Iterator[Finding]:
    """Judge what SageMaker says against the settings."""
    on, own = described.subject, settings.endpoint(described.name)
    if described.refused is not None:
        yield DESCRIBED.warning(on, described.refused)
        return
    yield EXISTS.holds(not described.absent, on, _existence(described))
    if described.absent:
        return
    yield _service(described)
    if described.asynchronous:
        yield from _asynchronous(described, settings)
    else:
        given = ", ".join(name for name in ASYNCHRONOUS if getattr(own, name) is not None)
        seen = f"it is {described.kind}" + (f", and the settings have {given}" if given else "")
        yield KIND.should(not given, on, seen)
    if described.serverless is not None:
        limit = settings.limits_of(described.name).max_concurrency
        seen = f"MaxConcurrency {described.serverless}, max_concurrency {limit or 'any'}"
        yield CONCURRENCY.should(limit and limit <= described.serverless, on, seen)


def _existence(described: Described) -> str:
    return "there is none" if described.absent else "it is there"


def _service(described: Described) -> Finding:
    on, status = described.subject, described.status
    seen = f"{status}: {described.failure}" if described.failure else str(status)
    if status in CHANGING:
        return IN_SERVICE.warning(on, seen)
    return IN_SERVICE.holds(status == "InService", on, seen)


def _asynchronous(described: Described, settings: Settings) -> Iterator[Finding]:
    on, own = described.subject, settings.endpoint(described.name)
    yield KIND.ok(on, "it is asynchronous")
    wait = f"pending for up to {duration(longest_wait(own, settings))}"
    where = f"failures go to {described.failure_path}"
    seen = where if described.failure_path else f"none: what fails looks {wait}"
    yield FAILURE_PATH.holds(described.failure_path, on, seen)
    theirs = (described.output_path or "").rstrip("/")
    if own.output_path is None:
        yield OUTPUT_PATH.ok(on, f"outputs go to {theirs}, as workers learn from the first answer")
    else:
        same = own.output_path == theirs
        seen = (
            f"outputs go to {theirs}"
            if same
            else f"the endpoint writes to {theirs}, not to {own.output_path}"
        )
        yield OUTPUT_PATH.holds(same, on, seen)


def longest_wait(own: EndpointSettings, settings: Settings) -> float:
    """Return the seconds until an asynchronous request is given up."""
    ttl = own.request_ttl_seconds or REQUEST_TTL
    timeout = own.invocation_timeout_seconds or INVOCATION_TIMEOUT
    return ttl + timeout + settings.polling.deadline_margin


def probe(target: Target) -> list[Described]:
    """Describe every endpoint."""
    clients = Clients(
        ClientOptions(
            connect_timeout=target.seconds,
            read_timeout=target.seconds,
            region_name=target.settings.region,
        )
    )
    try:
        return [describe(clients, name) for name in target.names]
    finally:
        clients.close()


def describe(clients: Clients, name: str) -> Described:
    """Ask SageMaker about one endpoint and its configuration."""
    try:
        with translate():
            found: Any = clients.sagemaker.describe_endpoint(EndpointName=name)
            config: Any = clients.sagemaker.describe_endpoint_config(
                EndpointConfigName=found["EndpointConfigName"]
            )
    except EndpointNotFound:
        return Described(name=name, absent=True)
    except AccessDeniedException as error:
        return Described(name=name, refused=f"not allowed: {reason(error)}")
    except InferenceError as error:
        return Described(name=name, refused=f"{error.code}: {reason(error)}")
    return _read(name, found, config)


def _read(name: str, found: Any, config: Any) -> Described:
    output = config.get("AsyncInferenceConfig", {}).get("OutputConfig", {})
    serverless = [v["ServerlessConfig"] for v in config["ProductionVariants"]
                  if "ServerlessConfig" in v]  # fmt: skip
    return Described(
        name=name,
        status=found["EndpointStatus"],
        failure=found.get("FailureReason", ""),
        asynchronous="AsyncInferenceConfig" in config,
        serverless=serverless[0]["MaxConcurrency"] if serverless else None,
        output_path=output.get("S3OutputPath"),
        failure_path=output.get("S3FailurePath"),
    )
