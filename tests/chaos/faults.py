"""What a fault does to the fleet, and how it is undone."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from celery_sagemaker.local import s3_server
from fleet import WELL, Fleet
from harness import behave
from plan import Fault, Happened, Kind
from proxy import Link

#: What calls meet while the endpoint fails in every way the emulator knows.
ERRORS = {
    "ServiceUnavailable": 0.08,
    "InternalFailure": 0.05,
    "InternalDependencyException": 0.05,
    "ThrottlingException": 0.08,
    "ModelNotReadyException": 0.05,
    "ModelError:503": 0.05,
    "ModelError:500": 0.02,
    "ModelError:400": 0.02,
    "ValidationError": 0.02,
    "RequestEntityTooLarge": 0.02,
    "AccessDeniedException": 0.01,
    "502": 0.03,
    "reset": 0.03,
    "hang": 0.01,
}

#: How the streams of an attempt go wrong, by the whole second in which the fault begins.
STREAMS = (
    "ModelStreamError", "InternalStreamFailure", "unknown_exception", "truncated", "wrong_crc",
    "cut", "reset", "stall", "unknown_event", "empty_part",
)  # fmt: skip

#: Bytes that Redis may still take when it is full.
ROOM = 4_096

#: What a load balancer, or S3's front, answers instead of the service.
DOWN = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html\r\nContent-Length: 4\r\n"
    b"Connection: close\r\n\r\nDown"
)
SLOW_DOWN = (
    b"HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: 80\r\n"
    b"Connection: close\r\n\r\n"
    b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>\n"
)


def possible(old: Path | None) -> tuple[set[Kind], list[str]]:
    """Return what can be done on this machine, and why something cannot."""
    kinds, why = set(Kind), []
    if old is None:
        kinds.discard(Kind.WORKER_OLD)
        why.append("all workers are of one version: OLD=COMMIT was not given")
    return kinds, why


class Faults:
    """Lets faults happen.

    Args:
        fleet: to which.
        old: the package of an older version, for PYTHONPATH.
    """

    def __init__(self, fleet: Fleet, old: Path | None = None) -> None:
        self.happened: list[Happened] = []
        self._fleet = fleet
        self._old = old
        self._undo: dict[Fault, tuple[float, Callable[[], object]]] = {}

    def begin(self, fault: Fault) -> None:
        """Let it happen."""
        began = time.time()
        undo = _BEGIN[fault.kind](self, fault)
        self._undo[fault] = (began, undo)
        if not fault.seconds:
            self.end(fault)

    def end(self, fault: Fault) -> None:
        """Undo it."""
        began, undo = self._undo.pop(fault)
        undo()
        one = fault.worker if fault.kind.one_worker else None
        self.happened.append(Happened(fault.kind.value, began, time.time(), one))

    def heal(self) -> None:
        """Undo whatever is left."""
        for fault in list(self._undo):
            self.end(fault)

    def _kill(self, fault: Fault) -> Callable[[], object]:
        self._fleet.members[fault.worker].worker.kill()
        return _nothing

    def _term(self, fault: Fault) -> Callable[[], object]:
        self._fleet.members[fault.worker].worker.terminate()
        return _nothing

    def _stop(self, fault: Fault) -> Callable[[], object]:
        member = self._fleet.members[fault.worker]
        member.signal(signal.SIGSTOP)
        return lambda: member.signal(signal.SIGCONT)

    def _be_old(self, fault: Fault) -> Callable[[], object]:
        member = self._fleet.members[fault.worker]
        member.version = self._old
        member.worker.terminate()

        def renew() -> None:
            member.version = None
            member.worker.terminate()

        return renew

    def _move_clock(self, fault: Fault) -> Callable[[], object]:
        member = self._fleet.members[fault.worker]
        member.set_clock(fault.amount)
        return lambda: member.set_clock(0.0)

    def _kill_redis(self, _: Fault) -> Callable[[], object]:
        self._fleet.redis.kill()

        def back() -> None:
            self._fleet.redis.start()
            self._fleet.durable()

        return back

    def _stop_redis(self, _: Fault) -> Callable[[], object]:
        self._fleet.redis.signal(signal.SIGSTOP)
        return lambda: self._fleet.redis.signal(signal.SIGCONT)

    def _fill_redis(self, _: Fault) -> Callable[[], object]:
        with self._fleet.client() as client:
            used = client.info("memory")["used_memory"]
            client.config_set("maxmemory", used + ROOM)

        def empty() -> None:
            with self._fleet.client() as client:
                client.config_set("maxmemory", 0)

        return empty

    def _cut(self, fault: Fault) -> Callable[[], object]:
        self._fleet.proxy.cut(self._link(fault))
        return _nothing

    def _silence(self, fault: Fault) -> Callable[[], object]:
        link = self._link(fault)
        link.silent = True
        return link.heal

    def _slow(self, fault: Fault) -> Callable[[], object]:
        link = self._link(fault)
        link.delay = fault.amount
        return link.heal

    def _down(self, fault: Fault) -> Callable[[], object]:
        link = self._link(fault)
        link.answer = DOWN if fault.kind is Kind.ENDPOINT_DOWN else SLOW_DOWN
        return link.heal

    def _fail(self, fault: Fault) -> Callable[[], object]:
        stack, seed = self._fleet.stack, int(fault.at)
        for name, well in WELL.items():
            stream = {"fault": STREAMS[seed % len(STREAMS)], "rate": 0.5, "after_parts": 5}
            bad = {"errors": ERRORS, "failure_rate": 0.2, "stream": stream, "seed": seed}
            behave(stack, name, **{**well, **bad})

        def recover() -> None:
            for name, well in WELL.items():
                behave(stack, name, **{**well, "seed": seed + 1})

        return recover

    def _deny(self, _: Fault) -> Callable[[], object]:
        stack = self._fleet.stack
        s3_server.deny(stack.s3_url, stack.bucket, "s3:ListBucket")
        return lambda: s3_server.deny(stack.s3_url, stack.bucket)

    def _link(self, fault: Fault) -> Link:
        if fault.kind.subject == "redis":
            return self._fleet.members[fault.worker].link
        return self._fleet.endpoint if fault.kind.subject == "endpoint" else self._fleet.s3


def _nothing() -> None:
    """It was over at once."""


_BEGIN: dict[Kind, Callable[[Faults, Fault], Callable[[], object]]] = {
    Kind.WORKER_KILL: Faults._kill,
    Kind.WORKER_TERM: Faults._term,
    Kind.WORKER_STOP: Faults._stop,
    Kind.WORKER_OLD: Faults._be_old,
    Kind.CLOCK: Faults._move_clock,
    Kind.REDIS_KILL: Faults._kill_redis,
    Kind.REDIS_STOP: Faults._stop_redis,
    Kind.REDIS_FULL: Faults._fill_redis,
    Kind.REDIS_CUT: Faults._cut,
    Kind.REDIS_SILENT: Faults._silence,
    Kind.REDIS_SLOW: Faults._slow,
    Kind.ENDPOINT_CUT: Faults._cut,
    Kind.ENDPOINT_SILENT: Faults._silence,
    Kind.ENDPOINT_SLOW: Faults._slow,
    Kind.ENDPOINT_DOWN: Faults._down,
    Kind.ENDPOINT_ERRORS: Faults._fail,
    Kind.S3_CUT: Faults._cut,
    Kind.S3_SILENT: Faults._silence,
    Kind.S3_SLOW: Faults._slow,
    Kind.S3_DOWN: Faults._down,
    Kind.S3_DENIED: Faults._deny,
}
