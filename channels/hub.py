"""The pub/sub connection of this process to one server, shared by all who listen."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from redis.client import PubSub

from .register import Register, Sink

logger = logging.getLogger(__name__)

#: Seconds until a new wish to listen is noticed; messages themselves are handed on at once.
POLL = 0.02

#: Seconds before a lost connection is made again.
RECONNECT = 0.2

#: Seconds a connection that nobody needs is kept.
LINGER = 10.0


class Hub:
    """A thread that owns the connection: redis-py's PubSub is not safe to share.

    Args:
        connect: makes the PubSub.
        sharded: whether channels are shard channels.
        lost: called after the connection broke, before it is made again.
    """

    def __init__(
        self, connect: Callable[[], PubSub], *, sharded: bool, lost: Callable[[], None]
    ) -> None:
        self._connect = connect
        self._sharded = sharded
        self._lost = lost
        self._lock = threading.Lock()
        self._register = Register()
        self._thread: threading.Thread | None = None
        self._renew = False
        self._broken = False

    def add(self, channel: str, sink: Sink) -> None:
        """Hand a channel's messages to a sink; it is called in the hub's thread."""
        with self._lock:
            self._register.add(channel, sink)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="channels-hub", daemon=True)
                self._thread.start()

    def remove(self, channel: str, sink: Sink) -> None:
        """Hand it nothing more."""
        with self._lock:
            self._register.remove(channel, sink)

    def renew(self) -> None:
        """Make the connection anew: it is silent although something was published."""
        self._renew = True

    def _run(self) -> None:
        while not self._left():
            try:
                self._serve()
            except Exception as error:  # noqa: BLE001 - a client that its owner closes raises all sorts
                # Broken in use, it is made again at once; one that cannot be made has to wait.
                level = logging.WARNING if self._broken and self._register else logging.INFO
                logger.log(level, "pubsub_broken", extra={"error": repr(error)})
                time.sleep(RECONNECT if self._broken else 0)
                self._broken = True

    def _left(self) -> bool:
        """Let the thread go if nobody listens."""
        with self._lock:
            if not self._register:
                self._thread = None
            return self._thread is None

    def _serve(self) -> None:
        """Hand on messages until the connection breaks or was unused for a while."""
        if self._broken:
            self._lost()
        pubsub = self._connect()
        with self._lock:
            self._register.reset()
        self._renew, used = False, time.monotonic()
        try:
            while not self._renew and time.monotonic() < used + LINGER:
                self._step(pubsub)
                if self._register:
                    used = time.monotonic()
        finally:
            pubsub.close()

    def _step(self, pubsub: PubSub) -> None:
        with self._lock:
            changes, told = self._register.changes(), self._register.told
        subscribe = pubsub.ssubscribe if self._sharded else pubsub.subscribe
        unsubscribe: Callable[[str], Any] = (
            pubsub.sunsubscribe if self._sharded else pubsub.unsubscribe
        )
        # One by one: the shard channels of one command must share a slot.
        for channel in changes.subscribe:
            subscribe(channel)
        for channel in changes.unsubscribe:
            unsubscribe(channel)
        message = pubsub.get_message(timeout=POLL) if told or changes.unsubscribe else None
        if message:
            self._broken = False
            self._register.dispatch(message)
        elif not told:
            time.sleep(POLL)
