"""Are Redis, RabbitMQ and S3 there? Asked before what would otherwise retry for a minute."""

import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

from .exits import Exit, fail

#: Seconds to connect and to answer PING.
PING_SECONDS = 3.0


def require_redis(urls: Iterable[str]) -> None:
    """End with exit code 3 and one line unless every Redis, and a broker that is none, answers."""
    from ...config.addresses import is_redis  # noqa: PLC0415 - `--help` needs none of it

    for url in dict.fromkeys(urls):
        name, look = ("Redis", ping) if is_redis(url) else ("RabbitMQ", log_in)
        problem = look(url)
        if problem is not None:
            fail(Exit.UNREACHABLE, f"cannot reach {name} at {place(url)}: {problem}")


def ping(url: str) -> str | None:
    """Why a Redis does not answer, or None when it does."""
    import redis  # noqa: PLC0415 - `--help` needs none of it
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=PING_SECONDS,
            socket_connect_timeout=PING_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        with client:
            client.ping()
    except (redis.RedisError, OSError, ssl.SSLError, ValueError) as error:
        return str(error) or type(error).__name__
    return None


def log_in(url: str) -> str | None:
    """Why RabbitMQ does not let us in, or None when it does."""
    from kombu import Connection  # noqa: PLC0415 - `--help` needs none of it
    from kombu.exceptions import ChannelError, KombuError  # noqa: PLC0415
    from kombu.exceptions import ConnectionError as BrokerError  # noqa: PLC0415

    from ...config.celery import certificate_check  # noqa: PLC0415

    checked = certificate_check(url) or False
    with Connection(url, connect_timeout=PING_SECONDS, ssl=checked) as connection:
        try:
            connection.ensure_connection(max_retries=1)
        except (KombuError, BrokerError, ChannelError, OSError) as error:
            return str(error) or type(error).__name__
    return None


def require_s3(location: str | None) -> None:
    """End with exit code 3 and one line unless S3 answers for a location, if one is given.

    Any answer will do: whether the worker may write there is for its policy to say.
    """
    if location is None:
        return
    from ...runtime.exceptions import InferenceError, S3AccessDenied, S3BucketNotFound  # noqa: PLC0415
    from ...runtime.s3 import S3Location, S3Store  # noqa: PLC0415

    store = S3Store(connect_timeout=PING_SECONDS, read_timeout=PING_SECONDS)
    try:
        next(store.list(S3Location.parse(location)), None)
    except S3AccessDenied:
        return
    except S3BucketNotFound:
        fail(Exit.UNREACHABLE, f"S3: there is no bucket for {location}")
    except InferenceError as error:
        fail(Exit.UNREACHABLE, f"cannot reach S3 for {location}: {error}")
    finally:
        store.close()


def place(url: str) -> str:
    """A URL's scheme, host, port and path: no user and no password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
