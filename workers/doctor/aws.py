"""AWS: who we are there, where, by which clock, and how calls are made."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from ...runtime.clients import ClientOptions, Clients
from . import clocks
from .findings import Check, Finding, duration
from .target import Target, reason

REGION = Check(
    "aws.region",
    "No client can be made: every inference fails with ClientConfigurationError.",
    "Set AWS_REGION, the profile's region, or CELERY_SAGEMAKER_REGION.",
    "region",
)
CREDENTIALS = Check(
    "aws.credentials",
    "Every inference fails with CredentialsUnavailable.",
    "Give the process a role (ECS, EKS, EC2), a profile or keys: boto3's ordinary chain.",
)
IDENTITY = Check(
    "aws.identity",
    "AWS does not take these credentials, or cannot be asked: inferences will fail alike.",
    "Renew the credentials; where only STS is out of reach, add its VPC endpoint.",
)
CLOCK = Check(
    "aws.clock",
    "A signature that is five minutes early or late is refused (403), for every call.",
    "Let this host keep time by NTP (chronyc tracking).",
)
RETRIES = Check(
    "aws.retries",
    "botocore runs the model again after a read timeout, three or five times, and each is paid.",
    "Let calls go through this package's clients; upgrade it if they do.",
)
READ_TIMEOUT = Check(
    "aws.read-timeout",
    "A model has 60 s: answers that come later than the timeout are paid for and dropped.",
    "timeouts.read = 70, as AWS advises.",
    "timeouts.read",
)

#: Seconds that a real-time model has to answer.
MODEL_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was seen of AWS."""

    region: str | None
    source: str | None
    """Where the credentials come from, by botocore's name; None: there are none."""
    arn: str | None = None
    endpoint: str = ""
    """Of STS."""
    refused: str | None = None
    """Why STS does not know us, or why there are no credentials."""
    answered: bool = True
    """Whether STS answered at all."""
    skew: float | None = None
    """Seconds by which its clock is ahead of ours; None: it said nothing."""
    uncertain: float = clocks.HEADER
    """Seconds by which that may be off."""
    attempts: int | None = None
    """HTTP requests that botocore makes for one inference, at most."""


def examine(target: Target) -> list[Finding]:
    """Ask STS who we are, and our own clients how they call."""
    return list(judge(probe(target), target.settings.timeouts.read))


def judge(account: Account, read_timeout: float) -> Iterator[Finding]:
    """Judge the account and how it is called.

    Args:
        account: what was seen.
        read_timeout: seconds that a call waits for its answer.
    """
    region, source = account.region, account.source
    yield REGION.holds(region, "AWS", f"region {region}" if region else "no region is configured")
    there = f"credentials from {source}"
    yield CREDENTIALS.holds(source, "AWS", there if source else account.refused or "there are none")
    if source and region:
        yield _identity(account)
    if account.skew is not None:
        yield clocks.judge(CLOCK, "AWS", account.skew, uncertain=account.uncertain)
    if account.attempts is not None:
        seen = _times(account.attempts)
        yield RETRIES.holds(account.attempts == 1, "calls", seen)
    seen = f"answers are awaited for {duration(read_timeout)}"
    yield READ_TIMEOUT.should(read_timeout > MODEL_SECONDS, "calls", seen)


def _times(attempts: int) -> str:
    often = "once" if attempts == 1 else f"up to {attempts} times"
    return f"botocore sends a request {often}"


def _identity(account: Account) -> Finding:
    if account.arn:
        return IDENTITY.ok("AWS", f"{account.arn}, says {account.endpoint}")
    seen = f"{account.endpoint}: {account.refused}"
    return IDENTITY.fault("AWS", seen) if account.answered else IDENTITY.warning("AWS", seen)


def probe(target: Target) -> Account:
    """Look at the credentials and ask STS."""
    import boto3  # noqa: PLC0415 - loaded when it is needed
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    region = target.settings.region
    try:
        session = boto3.session.Session()
        region = region or session.region_name
        credentials = session.get_credentials()
    except BotoCoreError as error:
        return Account(region=region, source=None, refused=reason(error))
    source = None if credentials is None else str(credentials.method)
    if source is None or region is None:
        return Account(region=region, source=source)
    return _ask(session, region, source, target)


def _ask(session: Any, region: str, source: str, target: Target) -> Account:
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    from botocore.parsers import ResponseParserError  # noqa: PLC0415

    config = Config(
        connect_timeout=target.seconds,
        read_timeout=target.seconds,
        retries={"mode": "standard", "total_max_attempts": 1},
    )
    sts = session.client("sts", region_name=region, config=config)
    seen: dict[str, Any] = {"region": region, "source": source, "endpoint": sts.meta.endpoint_url}
    seen["attempts"] = _attempts(region)
    before = time.time()
    try:
        answer: Any = sts.get_caller_identity()
        seen["arn"] = str(answer["Arn"])
    except ClientError as error:
        # A refusal has a `Date` as well.
        answer, seen["refused"] = error.response, reason(error)
    except (BotoCoreError, ResponseParserError) as error:
        return Account(**seen, refused=reason(error), answered=False)
    finally:
        sts.close()
    return Account(**(seen | _clock(before, answer, time.time())))


def _clock(before: float, answer: Any, after: float) -> dict[str, float]:
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    if date is None:
        return {}
    # It has whole seconds: on average it was half a second later.
    theirs = parsedate_to_datetime(date).timestamp() + clocks.HEADER / 2
    return {
        "skew": clocks.skew(before, theirs, after),
        "uncertain": clocks.HEADER + (after - before) / 2,
    }


def _attempts(region: str) -> int | None:
    clients = Clients(ClientOptions(region_name=region))
    try:
        config: Any = clients.runtime.meta.config
    finally:
        clients.close()
    return (config.retries or {}).get("total_max_attempts")
