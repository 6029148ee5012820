"""One tick of the clock that every deployment has: what the ledger owes is sent.

Each step is safe to do twice, and by two clocks at once: the ledger's scripts decide.
"""

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.exceptions import ChannelError

from . import delivery
from .batch import schedule
from .deployment import Deployment, deployment
from .exceptions import LostMessage
from .schedules import ending

logger = logging.getLogger(__name__)

#: Ticks without renewal after which another clock takes over.
LEASE_TICKS = 10


@dataclass(frozen=True, slots=True)
class Ticked:
    """What one tick did."""

    leading: bool
    taken_back: int = 0
    sent: int = 0
    looks: int = 0


class Clock:
    """The clock of one worker; of all that share a prefix, the one with the lease ticks.

    Args:
        app: the Celery app.
        revoked: the ids that this worker was told to revoke.
    """

    def __init__(self, app: Celery, revoked: Callable[[], Iterable[str]] = tuple) -> None:
        self._app = app
        self._revoked = revoked
        self._closed: set[str] = set()
        self._ticked: float | None = None
        self._patient_until = 0.0

    @property
    def parts(self) -> Deployment:
        """The app's settings and ledger."""
        return deployment(self._app)

    def tick(self) -> Ticked:
        """Do what is due.

        Raises:
            redis.RedisError, kombu.exceptions.OperationalError: Redis or the broker is away.
        """
        ticked = Ticked(leading=self._lead())
        patient = self._patient()
        if ticked.leading:
            taken_back = 0 if patient else self._take_back()
            ticked = Ticked(
                leading=True, taken_back=taken_back, sent=self._resend(), looks=self._look()
            )
        schedule.tick(self._app, leading=ticked.leading, patient=patient)
        if ticked.leading:
            ending.tick(self._app)
        self._ticked = time.monotonic()
        return ticked

    def resign(self) -> None:
        """Let another worker's clock tick at once, and other workers have the batch chunks."""
        if self._holder() == self.parts.owner.encode():
            self.parts.ledger.client.delete(self._key)
        schedule.resign(self._app)

    @property
    def _key(self) -> str:
        return self.parts.ledger.key("clock")

    def _holder(self) -> object:
        return self.parts.ledger.client.get(self._key)

    def _lead(self) -> bool:
        client, owner = self.parts.ledger.client, self.parts.owner
        millis = int(self.parts.settings.polling.tick * LEASE_TICKS * 1000)
        if client.set(self._key, owner, nx=True, px=millis):
            return True
        if self._holder() != owner.encode():
            return False
        return bool(client.pexpire(self._key, millis))

    def _patient(self) -> bool:
        """Whether owners get a lease's time to be heard of: Redis was away, for them as for us."""
        options, now = self.parts.settings, time.monotonic()
        usual = options.polling.tick + options.ledger.lease / 3
        if self._ticked is not None and now - self._ticked > usual:
            self._patient_until = now + options.ledger.lease
        return now < self._patient_until

    def _take_back(self) -> int:
        taken = self.parts.ledger.reap()
        for id_ in taken:
            logger.warning("run_taken_back", extra={"id": id_})
        return len(taken)

    def _resend(self) -> int:
        ledger, sent = self.parts.ledger, 0
        empty: dict[str, bool] = {}
        for id_, lane in ledger.due(ledger.now()):
            queue = lane.rpartition("/")[0]
            if queue not in empty:
                empty[queue] = self._depth(queue) == 0
            verdict, signature = ledger.resend(id_, queue_empty=empty[queue])
            if verdict == "SEND" and not delivery.expire(self._app, id_, signature):
                logger.info("message_sent_again", extra={"id": id_})
                delivery.send(self._app, signature)
                sent += 1
            elif verdict == "TELL":
                delivery.tell_again(self._app, id_, signature)
            elif verdict == "LOST":
                error = LostMessage(f"Sent {ledger.max_deliveries} times, never begun.")
                if delivery.fail(self._app, id_, signature, error):
                    ledger.bury({"id": id_, **error.to_json()})
        return sent

    def _depth(self, queue: str) -> int:
        """Return how many messages wait in a queue; one that does not exist is made, and empty."""
        with self._app.connection_for_write() as given:
            connection: Any = given
            try:
                # A channel of its own: RabbitMQ closes one that asks for what is not there.
                with connection.channel() as channel:
                    return int(channel.queue_declare(queue, passive=True).message_count)
            except ChannelError:
                with connection.channel() as channel:
                    # Without it RabbitMQ takes the message, and drops it.
                    self._app.amqp.queues[queue](channel).declare()
                return 0

    def _look(self) -> int:
        ledger = self.parts.ledger
        # A look whose message is late, or whose worker died, is followed by another.
        prefixes = ledger.prefixes(ledger.now(), hold=ledger.resend_after)
        for prefix in prefixes:
            self._app.send_task("sagemaker.poll", args=(prefix,), ignore_result=True)
        return len(prefixes)

    def close_revoked(self) -> None:
        """End what `AsyncResult.revoke` told the workers: no message of it need be waiting."""
        now_revoked = set(self._revoked())
        for id_ in now_revoked - self._closed:
            # Celery notes what has expired in the same place, before it says so.
            signature = self.parts.ledger.signature(id_)
            if signature and not delivery.expire(self._app, id_, signature):
                delivery.revoke(id_, self._app)
        self._closed = now_revoked
