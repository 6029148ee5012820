"""What a deployment decides about its channels."""

import re
from dataclasses import dataclass

#: Prefixes, too, stand in keys that people read: no braces (hash tags), spaces or wildcards.
PREFIX = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOptions:
    """Times in seconds, sizes in bytes. All processes of a deployment share them.

    Raises:
        ValueError: a value makes no sense.
    """

    prefix: str = "celery-sagemaker"
    """Of all keys and channels. Pub/sub ignores database numbers: deployments that share a server
    need different prefixes."""
    ttl: float = 3600.0
    """A live stream without a sign of life is forgotten after this."""
    ttl_after_end: float = 600.0
    """How long readers can still replay a stream that has ended."""
    meta_ttl: float = 86_400.0
    """How long a stream's state is known, and a second run of it refused."""
    heartbeat: float = 5.0
    """Between two signs of life of a producer; its lease is three of them."""
    max_entries: int = 50_000
    """A fuse, not a window: about where Redis trims a log that a producer floods. A response of
    eight minutes, as long as SageMaker lets one take, has 48,000 entries at most."""
    coalesce_seconds: float = 0.01
    """How long a record may wait for others to share its entry; 0 sends each at once."""
    coalesce_bytes: int = 4096
    """Held records of this size are sent before their time."""
    buffer_bytes: int = 8 * 2**20
    """Records a producer keeps while Redis is gone; then the stream ends: `relay_overflow`."""
    end_wait: float = 10.0
    """How long the end of a stream waits for Redis before it is left to the background."""
    wait: float = 30.0
    """How long a reader waits for a stream that nobody has opened yet."""
    grace: float = 60.0
    """How long a reader waits for another attempt after the producer's lease ran out, and for a
    Redis that is gone."""
    idle: float = 5.0
    """A reader that has heard nothing for this long looks into the log."""
    inbox: int = 1000
    """Live frames kept for a slow reader; it reads what is beyond from the log."""

    def __post_init__(self) -> None:
        if not PREFIX.fullmatch(self.prefix):
            raise ValueError(f"prefix {self.prefix!r} is not {PREFIX.pattern}")
        for name in ("ttl", "ttl_after_end", "meta_ttl", "heartbeat", "wait", "grace", "idle"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0 seconds")
        if min(self.coalesce_seconds, self.coalesce_bytes, self.end_wait) < 0:
            raise ValueError("neither coalescing nor waiting for the end can be negative")
        if min(self.max_entries, self.buffer_bytes, self.inbox) < 1:
            raise ValueError("max_entries, buffer_bytes and inbox must be at least 1")
        if self.meta_ttl < self.ttl:
            raise ValueError("meta_ttl must not be shorter than ttl: the state outlives the log")

    @property
    def lease(self) -> float:
        """How long a producer counts as alive after its last sign of life."""
        return 3 * self.heartbeat
