"""S3: whether payloads can be staged, and outputs be found and read."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...config import Settings
from ...runtime.exceptions import InferenceError, S3AccessDenied
from ...runtime.s3 import S3Location, S3Store
from .endpoints import Described
from .endpoints import probe as describe
from .findings import Check, Finding, duration
from .target import Target, reason

STAGING = Check(
    "s3.staging",
    "Payloads over broker_payload_limit are refused where they are sent.",
    "Set staging = s3://bucket/prefix; callers write there, workers and endpoints read.",
    "staging",
)
WRITABLE = Check(
    "s3.writable",
    "Large payloads cannot be staged: sending them fails with S3AccessDenied or S3Error.",
    "Allow s3:PutObject on the prefix (and kms:GenerateDataKey where the bucket has a key).",
    "staging",
)
READABLE = Check(
    "s3.readable",
    "Workers cannot read what is there: inferences fail though the model has answered.",
    "Allow s3:GetObject on the prefix (and kms:Decrypt where the bucket has a key).",
)
LISTED = Check(
    "s3.list-bucket",
    "An output that is not written yet looks forbidden (403): each one costs a request of its "
    "own, and a missing s3:GetObject stays hidden until the deadline.",
    "Allow s3:ListBucket on the bucket's own ARN, arn:aws:s3:::BUCKET; on BUCKET/* it has no "
    "effect.",
)
REACHABLE = Check(
    "s3.reachable",
    "Neither payloads nor outputs can be read or written.",
    "Mend the bucket's name, its region, or the network (a gateway endpoint for S3).",
)
EXPIRY = Check(
    "s3.expiry",
    "Outputs are deleted while results and ledger still name them.",
    "Let the lifecycle rule expire later, or shorten ledger.retention and result_expires.",
    "ledger.retention",
)
STAGED_EXPIRY = Check(
    "s3.staging-expiry",
    "Nothing deletes staged payloads: they are kept, and paid for, for ever.",
    "A lifecycle rule on the staging prefix that expires objects after a few days.",
    "staging",
)
LEFT = Check(
    "s3.left-behind",
    "One small object of the doctor's stays; nothing else does.",
    "Allow s3:DeleteObject to whoever runs the doctor, or let the lifecycle rule delete it.",
)

#: Seconds of a day, in which lifecycle rules count.
DAY = 86_400

#: Where payloads are staged, below the setting.
INPUTS = "inputs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefix:
    """What was seen of one S3 prefix. The reasons are None where all went well."""

    location: str
    use: str
    """`staging`, `outputs of NAME` or `failures of NAME`."""
    away: str | None = None
    """Why the bucket cannot be reached."""
    unwritten: str | None = None
    unread: str | None = None
    unlisted: str | None = None
    left: str | None = None
    """An object of ours that could not be deleted."""
    rules: tuple[Mapping[str, Any], ...] | None = field(default=None)
    """The bucket's lifecycle rules; None: we may not see them."""

    @property
    def subject(self) -> str:
        """What findings are about."""
        return f"{self.location} ({self.use})"

    @property
    def staging(self) -> bool:
        """Whether payloads are written there."""
        return self.use == "staging"

    @property
    def days(self) -> float | None:
        """Days after which its objects are deleted; None: never, or not known."""
        key = S3Location.parse(self.location).key
        found = [_days(rule) for rule in self.rules or () if _covers(rule, key)]
        return min((days for days in found if days is not None), default=None)


def examine(target: Target) -> list[Finding]:
    """Look at the staging prefix, and at every output and failure path."""
    findings = [] if target.settings.staging else [STAGING.note("staging", "it is not set")]
    found = probe(target, describe(target))
    return findings + [f for prefix in found for f in judge(prefix, target.settings)]


def judge(prefix: Prefix, settings: Settings) -> Iterator[Finding]:
    """Judge a prefix."""
    on = prefix.subject
    if prefix.away is not None:
        yield REACHABLE.fault(on, prefix.away)
        return
    if prefix.staging:
        seen = f"writing is refused: {prefix.unwritten}" if prefix.unwritten else "can be written"
        yield WRITABLE.holds(prefix.unwritten is None, on, seen)
    else:
        seen = f"listing is refused: {prefix.unlisted}" if prefix.unlisted else "can be listed"
        yield LISTED.holds(prefix.unlisted is None, on, seen)
    yield from _reading(prefix)
    if prefix.left is not None:
        yield LEFT.note(on, prefix.left)
    if prefix.rules is not None:
        yield _expiry(prefix, settings)


def _reading(prefix: Prefix) -> Iterator[Finding]:
    if prefix.unread is not None:
        yield READABLE.fault(prefix.subject, f"reading is refused: {prefix.unread}")
    elif prefix.unlisted is None and prefix.unwritten is None:
        yield READABLE.ok(prefix.subject, "can be read")


def _expiry(prefix: Prefix, settings: Settings) -> Finding:
    days, on = prefix.days, prefix.subject
    seen = "nothing expires" if days is None else f"objects expire after {days:g} d"
    if prefix.staging:
        return STAGED_EXPIRY.note(on, seen) if days is None else STAGED_EXPIRY.ok(on, seen)
    kept = max(settings.ledger.retention, settings.result_expires)
    return EXPIRY.should(
        days is None or days * DAY >= kept, on, f"{seen}, rows and results after {duration(kept)}"
    )


def _covers(rule: Mapping[str, Any], key: str) -> bool:
    if rule.get("Status") != "Enabled":
        return False
    chosen = rule.get("Filter", {})
    if set(chosen) - {"Prefix"}:
        # By tag or size: not those that endpoints write.
        return False
    return f"{key}/".startswith(str(chosen.get("Prefix", rule.get("Prefix", ""))))


def _days(rule: Mapping[str, Any]) -> float | None:
    days = rule.get("Expiration", {}).get("Days")
    return None if days is None else float(days)


def probe(target: Target, described: list[Described]) -> list[Prefix]:
    """Try every prefix with what is done there."""
    store = S3Store(
        connect_timeout=target.seconds,
        read_timeout=target.seconds,
        region_name=target.settings.region,
    )
    try:
        staging = target.settings.staging
        found = [_write(store, f"{staging}/{INPUTS}")] if staging else []
        return found + [
            _read(store, location, use) for location, use in _outputs(target, described)
        ]
    finally:
        store.close()


def _outputs(target: Target, described: list[Described]) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    for endpoint in described:
        own = target.settings.endpoint(endpoint.name)
        paths = (
            (endpoint.output_path or own.output_path, "outputs"),
            (endpoint.failure_path, "failures"),
        )
        for path, what in paths:
            if path and path not in seen:
                seen.add(path)
                yield path.rstrip("/"), f"{what} of {endpoint.name}"


def _write(store: S3Store, location: str) -> Prefix:
    """Put, get and delete one tiny object."""
    mine = S3Location.parse(location) / f"doctor-{uuid.uuid4().hex}"
    seen: dict[str, Any] = {"location": location, "use": "staging"}
    try:
        store.put(mine, b"celery-sagemaker doctor", "text/plain")
    except S3AccessDenied as error:
        return Prefix(**seen, unwritten=reason(error), rules=_rules(store, mine.bucket))
    except InferenceError as error:
        return Prefix(**seen, away=f"{error.code}: {reason(error)}")
    for name, work in (
        ("unread", lambda: store.get(mine)),
        ("left", lambda: store.delete([mine])),
    ):
        try:
            work()
        except InferenceError as error:
            seen[name] = f"{mine}: {reason(error)}"
    return Prefix(**seen, rules=_rules(store, mine.bucket))


def _read(store: S3Store, location: str, use: str) -> Prefix:
    """List the prefix, and ask for an object that is not there: 404 says that it could be read."""
    root = S3Location.parse(location)
    seen: dict[str, Any] = {"location": location, "use": use}
    try:
        next(store.list(root / ""), None)
    except S3AccessDenied as error:
        seen["unlisted"] = reason(error)
    except InferenceError as error:
        return Prefix(**seen, away=f"{error.code}: {reason(error)}")
    if "unlisted" not in seen:
        try:
            store.head(root / f"doctor-{uuid.uuid4().hex}")
        except InferenceError as error:
            seen["unread"] = reason(error)
    return Prefix(**seen, rules=_rules(store, root.bucket))


def _rules(store: S3Store, bucket: str) -> tuple[Mapping[str, Any], ...] | None:
    try:
        return store.lifecycle(bucket)
    except InferenceError:
        # A permission that nobody needs but the doctor.
        return None
