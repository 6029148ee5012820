"""Redis, S3 and a SageMaker endpoint on this machine, each a process of its own."""

from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from . import behaviours as endpoints
from . import redis_server, s3_server
from .guardian import guarded_folder
from .processes import HOST, Child, python

#: What the extra `local` brings, and the services cannot do without.
EXTRA = ("moto", "starlette", "uvicorn")

BUCKET = "celery-sagemaker-local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the endpoint and S3 listen."""

    host: str = HOST
    """127.0.0.1, or 0.0.0.0 for every address of the machine."""
    endpoint_port: int = 0
    """0 is a free port."""
    s3_port: int = 0
    """0 is a free port."""


class LocalStack:
    """The local stack; a context manager.

    Args:
        behaviours: TOML file of endpoints; without one there is `echo`, of both kinds.
        place: where the endpoint and S3 listen; by default on free ports of 127.0.0.1.
        with_redis: whether Redis is part of it.

    Raises:
        ValueError: the file is wrong (on `start`).
        RuntimeError: a service does not start; says which and why (on `start`).
    """

    bucket = BUCKET

    def __init__(
        self,
        behaviours: Path | None = None,
        *,
        place: Place | None = None,
        with_redis: bool = True,
    ) -> None:
        self._behaviours = behaviours
        self._place = place or Place()
        self._with_redis = with_redis
        self._parts = ExitStack()
        self._children: dict[str, Child] = {}

    def start(self) -> Self:
        """Start everything; returns when all of it answers."""
        endpoints.read(self._behaviours)
        _require()
        try:
            folder = self._parts.enter_context(guarded_folder())
            if self._with_redis:
                self._add(redis_server.start(folder))
            self._add(s3_server.start(folder, self._place.host, self._place.s3_port))
            self._add(self._endpoint(folder))
            for child in self._children.values():
                child.wait_until_up()
            s3_server.make_bucket(self._children["s3"].port, self.bucket)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop everything and remove its files."""
        self._children.clear()
        self._parts.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def redis_url(self) -> str:
        """Redis, database 0."""
        return f"redis://{HOST}:{self._children['redis'].port}/0"

    @property
    def s3_url(self) -> str:
        """S3's address."""
        return self._url("s3")

    @property
    def endpoint_url(self) -> str:
        """SageMaker Runtime's address."""
        return self._url("endpoint")

    def environment(self) -> dict[str, str]:
        """Return the variables that point botocore and the tasks here."""
        made = {
            **self._aws(),
            "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": self.endpoint_url,
            "AWS_ENDPOINT_URL_SAGEMAKER": self.endpoint_url,
            "CELERY_SAGEMAKER_STAGING": f"s3://{self.bucket}/staging",
        }
        if self._with_redis:
            made["CELERY_SAGEMAKER_BROKER_URL"] = self.redis_url
        return made

    def health(self) -> dict[str, bool]:
        """Return which service answers."""
        return {name: child.alive() for name, child in self._children.items()}

    def ended(self) -> list[str]:
        """Return which service's process has ended."""
        return [name for name, child in self._children.items() if not child.running]

    def _aws(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            # moto's server answers for every service whose module is there, and STS needs no more.
            "AWS_ENDPOINT_URL_STS": self.s3_url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def _endpoint(self, folder: Path) -> Child:
        given = [str(self._behaviours.resolve())] if self._behaviours else []
        arguments = [self.bucket, *given]
        return python(
            "endpoint",
            "serving",
            arguments,
            folder=folder,
            health="/ping",
            environment=self._aws(),
            host=self._place.host,
            port=self._place.endpoint_port,
        )

    def _add(self, child: Child) -> None:
        self._children[child.name] = child
        self._parts.callback(child.stop)

    def _url(self, name: str) -> str:
        return f"http://{HOST}:{self._children[name].port}"


def _require() -> None:
    missing = [name for name in EXTRA if find_spec(name) is None]
    if missing:
        what = ", ".join(missing)
        raise RuntimeError(f"{what} is missing: pip install 'celery-sagemaker[local]'")
