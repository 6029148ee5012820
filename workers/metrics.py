"""The Prometheus endpoint of a worker, as a bootstep of its main process.

With the prefork pool the calls are made by children: they count in files, where the environment
variable PROMETHEUS_MULTIPROC_DIR says so, and the main process adds them up.
"""

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from celery import bootsteps

from ..config import SettingsError
from ..tasks import observation
from ..tasks.deployment import deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from wsgiref.simple_server import WSGIServer

    from prometheus_client import Metric

    from .meters import FleetCollector, Meters

logger = logging.getLogger(__name__)

#: Set: prometheus_client keeps what it counts in files of this folder, one set for each process.
FILES = "PROMETHEUS_MULTIPROC_DIR"

#: Seconds that a scrape has to end when the worker stops.
STOP_SECONDS = 5.0


class Metrics(bootsteps.StartStopStep):
    """Serves the worker's metrics, and the fleet's, where `metrics.port` is set."""

    # After the fork: children must not inherit the socket.
    requires = ("celery.worker.components:Pool",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self._meters: Meters | None = None
        self._fleet: FleetCollector | None = None
        self._server: WSGIServer | None = None
        self._thread: threading.Thread | None = None

    def include_if(self, parent: Any) -> bool:
        """Whether there is a port."""
        return deployment(parent.app).settings.metrics.port is not None

    def create(self, parent: Any) -> None:
        """Begin to count; before the fork, so that children do."""
        try:
            from prometheus_client import REGISTRY, CollectorRegistry  # noqa: PLC0415 - an extra

            from .meters import FleetCollector, Meters  # noqa: PLC0415
        except ImportError as missing:
            needs = "needs `pip install 'celery-sagemaker[metrics]'`"
            raise SettingsError({"metrics.port": needs}) from missing
        self._registry = CollectorRegistry()
        counted = CollectorRegistry() if FILES in os.environ else self._registry
        self._meters, self._fleet = Meters(counted), FleetCollector(parent.app)
        self._registry.register(self._fleet)
        # And whatever else is counted in this process or its children.
        self._registry.register(_Children() if FILES in os.environ else REGISTRY)
        observation.observe(self._meters)

    def start(self, parent: Any) -> None:
        """Listen."""
        from prometheus_client import start_http_server  # noqa: PLC0415 - an extra

        chosen = deployment(parent.app).settings.metrics
        where = {"host": chosen.host, "port": chosen.port}
        pool = parent.pool_cls.__module__.rpartition(".")[2]
        if pool == "prefork" and FILES not in os.environ:
            logger.warning("metrics_of_children_missing", extra={"pool": pool})
        try:
            made = start_http_server(chosen.port or 0, chosen.host, self._registry)
        except OSError as error:
            # A worker without metrics works; one that does not start does not.
            extra = {**where, "error": str(error)}
            logger.error("metrics_not_served", extra=extra)  # noqa: TRY400 - a traceback says less
            return
        self._server, self._thread = made
        logger.info("metrics_served", extra={**where, "port": self._server.server_port})

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - the step's signature
        """Listen no longer."""
        if self._meters is not None:
            observation.leave(self._meters)
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(STOP_SECONDS)
        if self._fleet is not None:
            self._fleet.close()

    def terminate(self, parent: Any) -> None:
        """Stop at once."""
        self.stop(parent)


class _Children:
    """What the processes of a prefork pool have counted, the dead ones too."""

    def collect(self) -> "Iterator[Metric]":
        """Add up their files."""
        from prometheus_client import CollectorRegistry, multiprocess  # noqa: PLC0415 - an extra

        collector: Any = multiprocess.MultiProcessCollector
        yield from collector(CollectorRegistry()).collect()
