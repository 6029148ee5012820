"""Addresses: which of them are usable, and how they look with their secrets masked."""

import re
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator

MASK = "***"
REDIS = ("redis", "rediss")
BROKERS = (*REDIS, "amqp", "amqps")
#: Query arguments of redis-py's URLs that are secrets.
SECRET_ARGUMENTS = frozenset({"password", "ssl_password"})
#: Bucket names: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def mask(url: str) -> str:
    """Show an address without its passwords."""
    try:
        parts = urlsplit(url)
        secret = parts.password
    except ValueError:
        return MASK
    place = parts.netloc
    if secret is not None:
        user, _, host = place.rpartition("@")
        place = f"{user.split(':', 1)[0]}:{MASK}@{host}"
    return urlunsplit(parts._replace(netloc=place, query=_mask_query(parts.query)))


def _mask_query(query: str) -> str:
    arguments = parse_qsl(query, keep_blank_values=True)
    if not any(name in SECRET_ARGUMENTS for name, _ in arguments):
        return query
    shown = [(name, MASK if name in SECRET_ARGUMENTS else value) for name, value in arguments]
    return urlencode(shown, safe="*")


def is_redis(url: str) -> bool:
    """Tell whether an address is a Redis (or Valkey) server's."""
    return urlsplit(url).scheme in REDIS


def _parts(url: str, schemes: tuple[str, ...]) -> SplitResult:
    known = ", ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is not a URL (host or port cannot be read)") from None
    if parts.scheme not in schemes:
        raise ValueError(f"must begin with one of {known}")
    if not parts.hostname or port == 0:
        raise ValueError("names no host or no usable port")
    return parts


def _redis(url: str) -> str:
    database = _parts(url, REDIS).path.strip("/")
    if database and not database.isdecimal():
        raise ValueError("the part behind the host is a database number, such as /0")
    return url


def _broker(url: str) -> str:
    scheme = _parts(url, BROKERS).scheme
    return _redis(url) if scheme in REDIS else url


def s3(location: str) -> str:
    """Return an S3 prefix without its final slash.

    Raises:
        ValueError: it is none.
    """
    scheme, _, rest = location.partition("://")
    bucket = rest.partition("/")[0]
    if scheme != "s3" or not BUCKET.fullmatch(bucket):
        raise ValueError("must look like s3://bucket/prefix")
    return location.rstrip("/")


BrokerUrl = Annotated[str, AfterValidator(_broker)]
RedisUrl = Annotated[str, AfterValidator(_redis)]
S3Prefix = Annotated[str, AfterValidator(s3)]
