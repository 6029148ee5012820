"""A RabbitMQ of the tests' own: Debian's package, in a folder, without a trace outside of it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from celery_sagemaker.config import queues
from celery_sagemaker.local.guardian import guarded_folder
from celery_sagemaker.local.processes import HOST, Child, free_port, listening
from harness import eventually
from kombu import Connection
from kombu.exceptions import ChannelError

#: Where Debian's package has the server; the one on PATH starts another user's.
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"

#: Seconds that it may take to start.
START_SECONDS = 120.0

MISSING = "no RabbitMQ: apt-get install rabbitmq-server"


class RabbitMQ:
    """One node, which can be killed and started again with what it had.

    Args:
        folder: of all its files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"amqp://guest:guest@{HOST}:{self.port}//"
        names = free_port()
        self._environment = {
            "HOME": str(folder),  # of the cookie
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_NODENAME": f"tests-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(folder / "rabbitmq"),
            # The script becomes the server, instead of starting it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }
        (folder / "enabled_plugins").write_text("[].")
        # Erlang's name server would stay when it is started by a node.
        self._names = self._child("epmd", ["epmd", "-port", str(names)], names)
        self._names.wait_until_up()
        self.start()

    @property
    def pid(self) -> int:
        """The node's process id."""
        return self._node.pid

    def start(self) -> None:
        """Start it; returns when it takes connections."""
        self._node = self._child("rabbitmq", [SERVER], self.port)
        # Longer than other services may take: a busy machine has several to start.
        eventually(self._node.alive, START_SECONDS)

    def kill(self) -> None:
        """Kill it, with SIGKILL."""
        os.kill(self.pid, signal.SIGKILL)
        self._node.stop()

    def stop(self) -> None:
        """Stop everything."""
        self.kill()
        self._names.stop()

    def clear(self) -> None:
        """Empty our queues, which are there afterwards."""
        with Connection(self.url) as connection:
            for queue in queues.queues(quorum=True):
                bound = queue(connection.channel())
                bound.declare()
                bound.purge()

    def wrote_down(self, queue: str) -> bool:
        """Whether a quorum queue would survive a SIGKILL: it is written down seconds later."""
        files = (self._folder / "mnesia").glob("*/quorum/*/names.dets")
        return any(queue.encode() in file.read_bytes() for file in files)

    @contextmanager
    def without_majority(self, queue: str) -> Iterator[None]:
        """Let a quorum queue confirm nothing, as when most of its nodes are gone."""
        name = f"'%2F_{queue}'"
        self.control("eval", f"sys:suspend({name}).")
        try:
            yield
        finally:
            self.control("eval", f"sys:resume({name}).")

    def control(self, *arguments: str) -> None:
        """Run `rabbitmqctl`."""
        subprocess.run(
            [Path(SERVER).with_name("rabbitmqctl"), *arguments],
            env={**os.environ, **self._environment},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    def depth(self, queue: str) -> int | None:
        """How many messages wait in a queue; None: there is no such queue."""
        with Connection(self.url) as connection:
            channel: Any = connection.channel()
            try:
                found = channel.queue_declare(queue, passive=True)
            except ChannelError:
                return None
            return int(found.message_count)

    def _child(self, name: str, command: list[str], port: int) -> Child:
        return Child(
            name,
            command,
            port=port,
            folder=self._folder,
            ready=lambda _: listening(port),
            environment=self._environment,
        )


@contextmanager
def own_rabbitmq() -> Iterator[RabbitMQ]:
    """A RabbitMQ for one session; the test is skipped where none is installed."""
    if not Path(SERVER).exists() or shutil.which("epmd") is None:
        pytest.skip(MISSING)
    with guarded_folder() as folder:
        node = RabbitMQ(folder)
        try:
            yield node
        finally:
            node.stop()
