"""boto3's clients for one process: made on first use, made again after a fork."""

import os
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .exceptions import ClientConfigurationError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker_runtime import SageMakerRuntimeClient


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """How clients connect; seconds. Credentials come from boto3's ordinary chain."""

    max_connections: int = 10
    connect_timeout: float = 5.0
    read_timeout: float = 70.0
    """A model has 60 seconds to answer; AWS advises 70 for the socket."""
    region_name: str | None = None


class Clients:
    """The three clients that inference needs; safe to share between threads."""

    def __init__(self, options: ClientOptions) -> None:
        self._options = options
        self._forget()
        _everywhere.add(self)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    @property
    def runtime(self) -> "SageMakerRuntimeClient":
        """SageMaker Runtime; botocore's retries, which run a model again, are off."""
        client: SageMakerRuntimeClient = self._client(
            "sagemaker-runtime", {"mode": "standard", "total_max_attempts": 1}
        )
        return client

    @property
    def sagemaker(self) -> "SageMakerClient":
        """SageMaker's control plane, with botocore's standard retries."""
        client: SageMakerClient = self._client("sagemaker", {"mode": "standard"})
        return client

    @property
    def s3(self) -> "S3Client":
        """S3, with botocore's standard retries: its requests are safe to repeat."""
        client: S3Client = self._client("s3", {"mode": "standard"})
        return client

    def close(self) -> None:
        """Close the connections that are open; a later call opens new ones."""
        made, self._made = self._made, {}
        for client in made.values():
            client.close()

    def _client(self, service: str, retries: dict[str, Any]) -> Any:
        found = self._made.get(service)
        if found is None:
            with self._lock:
                found = self._made.get(service)
                if found is None:
                    found = self._made[service] = self._make(service, retries)
        return found

    def _make(self, service: str, retries: dict[str, Any]) -> Any:
        import boto3  # noqa: PLC0415 - a web process may never need it
        from botocore.config import Config  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415

        from .translation import clean, translate  # noqa: PLC0415

        options = self._options
        config = Config(
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            max_pool_connections=options.max_connections,
            retries=retries,  # type: ignore[arg-type]
            tcp_keepalive=True,
        )
        try:
            with translate():
                # A session of our own: boto3's default one is not safe to share between threads.
                session = Session()
                factory = session.get_component("response_parser_factory")
                factory.set_parser_defaults(timestamp_parser=parse_moment)
                create: Callable[..., Any] = boto3.session.Session(botocore_session=session).client
                return create(service, region_name=options.region_name, config=config)
        except ValueError as error:
            # An endpoint's address that is none.
            text = f"No client can be made: {clean(str(error))}."
            raise ClientConfigurationError(text) from error


def parse_moment(value: Any) -> datetime:
    """Return the moment that a service wrote, as botocore does.

    A LIST has 1,000 of them: reading them as ISO 8601 takes a quarter of the time of the whole
    (16 ms for 58 ms) that botocore's way takes, by dateutil, which knows every form there is.
    """
    from botocore.utils import parse_timestamp  # noqa: PLC0415

    if isinstance(value, str) and value[10:11] == "T":
        with suppress(ValueError):
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return moment
    return parse_timestamp(value)


#: Every `Clients` of this process. After a fork their sockets are the parent's, and so, perhaps,
#: are their held locks; a child has one thread then, and no race.
_everywhere: "weakref.WeakSet[Clients]" = weakref.WeakSet()


def _forget_all() -> None:
    for clients in _everywhere:
        clients._forget()  # noqa: SLF001 - this module's own


os.register_at_fork(after_in_child=_forget_all)
