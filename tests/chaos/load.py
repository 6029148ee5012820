"""A mixed load from one process, as a web process makes it; and the readers of its streams."""

import logging
import random
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import fleet
import redis
from books import Accepted, Reading
from celery import Celery
from celery_sagemaker import tasks
from celery_sagemaker.channels import ChannelError, End, Event, Part
from celery_sagemaker.tasks import batch, schedules
from channels_harness import FOLLOWERS
from kombu.exceptions import OperationalError

logger = logging.getLogger(__name__)

#: Seconds between two requests of a kind, on average.
PACES = {"invoke": 0.4, "limited": 0.8, "async": 0.8, "stream": 2.5, "batch": 15.0}

#: Words of a stream, at least and at most.
WORDS = (5, 60)

#: Records of a batch job.
RECORDS = 150

#: How the readers of each stream follow it.
READERS = ("subscribe", "asubscribe", "subscribe")

#: Seconds between two runs of the schedules.
EVERY = 2
SCHEDULES = ("chaos-calls", "chaos-streams")

#: Part of the streams that may begin again after their readers were given a part.
RESTARTED = 0.5

#: Part of the requests that are revoked a moment later.
REVOKED = 0.04

#: Seconds after which a request is revoked, at most.
REVOKED_AFTER = 1.0

#: Part of the requests whose payload does not travel in the message.
STAGED = 0.05

#: What says that a request was not accepted. AttributeError: kombu's, when a channel is used that
#: another thread has just given up (5.7: `'NoneType' object has no attribute 'client'`).
REFUSALS = (redis.RedisError, OperationalError, OSError, AttributeError)


class Load:
    """Sends until it is stopped.

    Args:
        app: of the process that sends.
        seed: of what is sent; when is not the same each time.
        folder: where inputs of batch jobs are written.
        url: of Redis, for the readers.
    """

    def __init__(self, app: Celery, seed: int, folder: Path, url: str) -> None:
        self.accepted: list[Accepted] = []
        """Every request, refused ones too."""
        self.readings: list[Reading] = []
        self.jobs: dict[str, str | None] = {}
        """Job by client token; None while it is not accepted."""
        self._app = app
        self._seed = seed
        self._folder = folder
        self._url = url
        self._over = threading.Event()
        self._lock = threading.Lock()
        kinds: dict[str, Callable[[random.Random], None]] = {
            "invoke": self._invoke,
            "limited": self._limited,
            "async": self._invoke_async,
            "stream": self._stream,
            "batch": self._batch,
        }
        self._senders = [
            threading.Thread(target=self._send_on, args=(kind, send), name=f"load-{kind}")
            for kind, send in kinds.items()
        ]
        self._readers: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; the schedules are beat's."""
        given: dict[str, Any] = {"every": EVERY, "endpoint": fleet.SCHEDULED, "payload": "{run}"}
        schedules.add(SCHEDULES[0], **given)
        streams = {**given, "run": "stream", "endpoint": fleet.STREAM, "every": 2 * EVERY}
        schedules.add(SCHEDULES[1], overlap="queue", **streams)
        for sender in self._senders:
            sender.start()

    def stop(self) -> None:
        """Send no more; readers go on."""
        self._over.set()
        for sender in self._senders:
            sender.join()

    def finish(self) -> None:
        """Get every batch job accepted, with the token it was tried with, and pause schedules."""
        for name in SCHEDULES:
            schedules.pause(name)
        for token in [token for token, job in self.jobs.items() if job is None]:
            self._submit(token)

    def join(self, seconds: float) -> int:
        """Wait for the readers; returns how many have not come to an end."""
        give_up = time.monotonic() + seconds
        for reader in self._readers:
            reader.join(max(0.0, give_up - time.monotonic()))
        return sum(reader.is_alive() for reader in self._readers)

    def _send_on(self, kind: str, send: Callable[[random.Random], None]) -> None:
        rng = random.Random(f"load {self._seed} {kind}")
        while not self._over.wait(rng.expovariate(1 / PACES[kind])):
            send(rng)

    def _invoke(self, rng: random.Random) -> None:
        self._request(tasks.invoke, "invoke", fleet.REALTIME, rng, payload=_payload(rng))

    def _limited(self, rng: random.Random) -> None:
        self._request(tasks.invoke, "invoke", fleet.LIMITED, rng, payload="limited")

    def _invoke_async(self, rng: random.Random) -> None:
        self._request(tasks.invoke_async, "async", fleet.ASYNC, rng, payload={"n": rng.random()})

    def _stream(self, rng: random.Random) -> None:
        text = " ".join(f"w{n}" for n in range(rng.randint(*WORDS)))
        again = rng.random() < RESTARTED
        sent = self._request(
            tasks.stream, "stream", fleet.STREAM, rng, payload=text, restart_after_output=again
        )
        if sent.refused is None:
            for way in READERS:
                self._read(sent.id, way, f"{text} ")

    def _request(
        self, task: Any, kind: str, endpoint: str, rng: random.Random, *, payload: Any, **more: Any
    ) -> Accepted:
        id_, began, refused = uuid.uuid4().hex, time.time(), None
        again = bool(more.get("restart_after_output"))
        try:
            task.apply_async((endpoint, payload), more, task_id=id_)
        except REFUSALS as error:
            refused = f"{type(error).__name__}: {error}"
        sent = Accepted(id_, kind, endpoint, began, time.time(), refused, again)
        self.accepted.append(sent)
        if refused is None and rng.random() < REVOKED:
            self._over.wait(rng.uniform(0.0, REVOKED_AFTER))
            with suppress(*REFUSALS):
                tasks.revoke(id_, self._app)
        return sent

    def _batch(self, rng: random.Random) -> None:
        token = f"{self._seed}-{len(self.jobs)}"
        records = (f'{{"custom_id": "{n}", "x": {rng.randrange(100)}}}' for n in range(RECORDS))
        (self._folder / f"{token}.jsonl").write_text("\n".join(records))
        self.jobs[token] = None
        with suppress(*REFUSALS):
            self._submit(token)

    def _submit(self, token: str) -> None:
        path = self._folder / f"{token}.jsonl"
        job = batch.submit(
            fleet.BATCH, input=path, mode="realtime", client_token=token, app=self._app
        )
        self.jobs[token] = job.id

    def _read(self, stream: str, way: str, text: str) -> None:
        reading = Reading(stream, way, text)
        with self._lock:
            self.readings.append(reading)
        reader = threading.Thread(target=follow, args=(reading, self._url), daemon=True)
        self._readers.append(reader)
        reader.start()


def _payload(rng: random.Random) -> Any:
    return "x" * 100_000 if rng.random() < STAGED else {"n": rng.random()}


def follow(reading: Reading, url: str) -> None:
    """Note what a reader is given, and how it ends."""
    from celery_sagemaker.tasks import streams  # noqa: PLC0415 - the app's own channels

    options = streams.reading().options

    def take(event: Event) -> bool:
        if isinstance(event, Part):
            reading.parts.append((str(event.cursor), event.data.decode()))
        elif isinstance(event, End):
            reading.end, reading.said = "End", event.parts
        return True

    try:
        FOLLOWERS[reading.way](take, reading.stream, url, options=options)
    except ChannelError as error:
        reading.end = type(error).__name__
    except Exception as error:  # noqa: BLE001 - the books say what is honest
        reading.end = f"{type(error).__name__}: {error}"
