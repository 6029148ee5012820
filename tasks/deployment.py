"""What the tasks of one Celery app work with: its settings, its ledger, this process' clients."""

import os
import threading
import uuid
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import redis
from celery import Celery, current_app
from redis.backoff import ExponentialBackoff
from redis.exceptions import OutOfMemoryError
from redis.retry import Retry

from ..channels import ChannelOptions
from ..config import Settings
from ..runtime.allow import Allowed
from . import grants
from .lately import Lately
from .leases import Lease
from .ledger import Ledger
from .limits import Limits

if TYPE_CHECKING:
    from ..runtime.s3 import S3Store
    from ..runtime.transport import BotoTransport
    from .batch.calls import Caller
    from .batch.registry import Registry
    from .schedules.registry import Registry as Schedules

#: Seconds a command of ours may take: longer than a busy Redis pauses, shorter than a lease.
SOCKET_TIMEOUT = 10.0

#: Seconds between two tries of a command while Redis is away.
BACKOFF = ExponentialBackoff(cap=1.0, base=0.05)

#: Tries after the first: of a caller within about two seconds, of a worker within about a minute.
CALLER_RETRIES = 5
WORKER_RETRIES = 60

#: What a worker waits out: Redis is away, or full. A full one refuses a script before its first
#: write, so that it can be tried again.
WAITED_OUT = (redis.ConnectionError, redis.TimeoutError, OutOfMemoryError)


class Deployment:
    """The parts of one app in one process; made on first use, again after a fork."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.pid = os.getpid()
        self.owner = uuid.uuid4().hex
        """Names this process in the ledger."""
        self.lately = Lately()
        """What this process need not ask Redis again."""
        self._counted: Counter[str] = Counter()
        self._working = False

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger; transitions are checked, so a repeated command does no harm."""
        options = self.settings.ledger
        client = redis.Redis.from_url(
            self.settings.state_url,
            socket_timeout=SOCKET_TIMEOUT,
            socket_connect_timeout=self.settings.timeouts.connect,
            socket_keepalive=True,
            health_check_interval=25,
            retry=Retry(BACKOFF, CALLER_RETRIES),
        )
        return Ledger(
            client,
            self.settings.prefix,
            lease=options.lease,
            resend_after=options.resend_after,
            max_deliveries=options.max_deliveries,
            retention=options.retention,
        )

    @cached_property
    def lease(self) -> Lease:
        """This process' lease over what it runs, renewed by a thread from the first run on."""
        return Lease(self.ledger, self.owner)

    @cached_property
    def limits(self) -> Limits:
        """What each endpoint gets at once, kept to by the whole fleet."""
        return Limits(self.ledger.client, self.settings.prefix, self.settings)

    def work(self) -> None:
        """Say that this process runs tasks: it keeps a lease, and waits for a Redis away or full.

        What a run was answered has been paid for; a caller's process is told of an outage soon.
        """
        if not self._working:
            self._working = True
            self.ledger.client.set_retry(Retry(BACKOFF, WORKER_RETRIES, WAITED_OUT))
        self.lease.keep()

    @cached_property
    def channels(self) -> ChannelOptions:
        """How streams are relayed to their readers."""
        chosen = self.settings.streams
        return ChannelOptions(
            prefix=self.settings.prefix,
            ttl=chosen.ttl,
            ttl_after_end=chosen.ttl_after_end,
            heartbeat=chosen.heartbeat,
            coalesce_seconds=chosen.coalesce_seconds,
            coalesce_bytes=chosen.coalesce_bytes,
            buffer_bytes=chosen.buffer_bytes,
            wait=chosen.wait,
            grace=chosen.grace,
        )

    @cached_property
    def allowed(self) -> Allowed:
        """What this process may call, read and write."""
        return grants.allowed(self.settings, self.ledger.output_roots)

    @cached_property
    def transport(self) -> "BotoTransport":
        """The calls to SageMaker Runtime."""
        from ..runtime.transport import BotoTransport  # noqa: PLC0415 - boto3 is for workers

        return BotoTransport(
            max_connections=self.settings.concurrency,
            connect_timeout=self.settings.timeouts.connect,
            read_timeout=self.settings.timeouts.read,
            region_name=self.settings.region,
            allowed=self.allowed,
        )

    @cached_property
    def store(self) -> "S3Store":
        """S3, for staged payloads and batch jobs."""
        from ..runtime.s3 import S3Store  # noqa: PLC0415 - boto3 is for workers

        return S3Store(
            max_connections=self.settings.concurrency,
            connect_timeout=self.settings.timeouts.connect,
            read_timeout=self.settings.timeouts.read,
            region_name=self.settings.region,
            allowed=self.allowed,
        )

    @property
    def outputs(self) -> "S3Store":
        """S3, for reading what the service has answered with, wherever it is."""
        return self.store.limited(grants.OUTPUTS)

    @cached_property
    def registry(self) -> "Registry":
        """The batch jobs."""
        from .batch.registry import Registry  # noqa: PLC0415 - it knows the tasks' errors

        return Registry(self.ledger.client, self.ledger.key("batch", ""))

    @cached_property
    def schedules(self) -> "Schedules":
        """What runs again and again."""
        from .schedules.registry import Registry  # noqa: PLC0415 - it knows the settings' forms

        return Registry(self.ledger.client, self.ledger.base)

    @cached_property
    def caller(self) -> "Caller":
        """The event loop on which batch chunks call endpoints."""
        from .batch.calls import Caller  # noqa: PLC0415 - a thread, for workers only

        return Caller(self.settings, self.allowed)

    def close(self) -> None:
        """Close the connections of this process; whoever asks again makes new ones."""
        made = self.__dict__
        for name in ("caller", "transport", "store"):
            if name in made:
                made.pop(name).close()
        if "ledger" in made:
            made.pop("ledger").client.close()

    def count_requests(self) -> None:
        """Add the S3 requests made since the last count to the ledger's usage."""
        made = self.store.requests
        new = {kind: made[kind] - self._counted[kind] for kind in list(made)}
        self._counted.update(new)
        self.ledger.use({kind: number for kind, number in new.items() if number})


_settings: WeakKeyDictionary[Celery, Settings] = WeakKeyDictionary()
_deployments: WeakKeyDictionary[Celery, Deployment] = WeakKeyDictionary()
_lock = threading.RLock()
os.register_at_fork(after_in_child=lambda: globals().update(_lock=threading.RLock()))


def configure(app: Celery, settings: Settings) -> None:
    """Let an app's tasks use `settings`."""
    with _lock:
        _settings[app] = settings
        _deployments.pop(app, None)


def this_app(app: Celery | None = None) -> Celery:
    """Return `app`, or Celery's current one."""
    return app or current_app._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 - the proxy's own way


def wait_for_room(backend: Any) -> None:
    """Let a result backend try again while Redis is full, as it does while it is away.

    Otherwise Celery's thread pool would neither end the run nor acknowledge its message.
    """
    known = getattr(backend, "connection_errors", None)
    if known is not None and OutOfMemoryError not in known:
        backend.connection_errors = (*known, OutOfMemoryError)


def deployment(app: Celery) -> Deployment:
    """Return the app's parts in this process.

    An app that was never configured gets the settings of the environment and the file, over its
    own broker and result backend.

    Raises:
        SettingsError: the environment or the settings file is wrong.
    """
    found = _deployments.get(app)
    if found is not None and found.pid == os.getpid():
        return found
    with _lock:
        found = _deployments.get(app)
        if found is None or found.pid != os.getpid():
            if app not in _settings:
                _settings[app] = Settings.load(app=app.conf)
            found = _deployments[app] = Deployment(_settings[app])
        return found
