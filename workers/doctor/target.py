"""What is examined, and how patiently."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import redis
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from ...config import Settings
from ...config.addresses import is_redis
from ...runtime.translation import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A deployment, as this machine sees it."""

    app: Celery
    settings: Settings
    endpoints: tuple[str, ...] = ()
    """To be looked at besides those of the settings."""
    seconds: float = 5.0
    """That one answer of a server may take."""

    @property
    def names(self) -> list[str]:
        """The endpoints, each once; a component's is its endpoint."""
        known = [name.partition("/")[0] for name in self.settings.endpoints]
        named = {name.partition("/")[0].lower(): name.partition("/")[0] for name in self.endpoints}
        return list({**{name: name for name in known}, **named}.values())

    @property
    def redis_broker(self) -> bool:
        """Whether messages travel through Redis."""
        return is_redis(self.settings.broker_url)


@contextmanager
def connected(url: str, seconds: float) -> Iterator[redis.Redis]:
    """A client that asks once and does not wait for long."""
    client = redis.Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), 0),
    )
    try:
        yield client
    finally:
        client.close()


def reason(error: BaseException) -> str:
    """Return what an error says, on one line and without secrets."""
    return " ".join(clean(str(error)).split()) or type(error).__name__
