"""boto3's clients for one process: made on first use, made again after a fork."""

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

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
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._made: dict[str, Any] = {}

    @property
    def runtime(self) -> "SageMakerRuntimeClient":
        """SageMaker Runtime; botocore's retries, which run a model again, are off."""
        client: SageMakerRuntimeClient = self._client(
            "sagemaker-runtime", {"total_max_attempts": 1}
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

    def _client(self, service: str, retries: dict[str, Any]) -> Any:
        if self._pid != os.getpid():
            # After a fork: sockets are the parent's, and so, perhaps, is a held lock.
            self._pid, self._lock, self._made = os.getpid(), threading.Lock(), {}
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

        from .translation import translate  # noqa: PLC0415

        options = self._options
        config = Config(
            connect_timeout=options.connect_timeout,
            read_timeout=options.read_timeout,
            max_pool_connections=options.max_connections,
            retries=retries,  # type: ignore[arg-type]
            tcp_keepalive=True,
        )
        with translate():
            # A session of our own: boto3's default one is not safe to share between threads.
            create: Callable[..., Any] = boto3.session.Session().client
            return create(service, region_name=options.region_name, config=config)
