"""Celery's settings, each with its reason.

``celery_settings`` is for an app of ours; somebody else's app gets ``task_settings``, which is only
about our tasks. Settings that the installed Celery or kombu does not have are left out.
"""

import ssl
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from celery.app.defaults import NAMESPACES, flatten

from . import addresses
from .queues import INVOKE, add_queues, add_routes, queues, task_routes
from .settings import Settings

#: What every task of ours sets on itself, so that it holds in any app.
TASK_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        # A message is done when its work is: a worker that dies leaves it to another.
        "acks_late": True,
        # A killed child's task comes back. It would for ever: the ledger counts deliveries.
        "reject_on_worker_lost": True,
        # False would drop the message of a failed task on Redis.
        "acks_on_failure_or_timeout": True,
        # Read by any version, and no code travels in a message.
        "serializer": "json",
        # The ledger knows what runs; a STARTED result would be one more write.
        "track_started": False,
    }
)

#: Seconds between two signs of life of a worker's connection to RabbitMQ: a host that vanished is
#: noticed within two of them. RabbitMQ proposes 60; below 10 is for no network.
HEARTBEAT = 30


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Everything for an app of our own: ``app.conf.update(celery_settings(settings))``."""
    rabbitmq = not addresses.is_redis(settings.broker_url)
    wanted = {
        **_messages(),
        **_worker(settings),
        **_broker(settings),
        **(_rabbitmq() if rabbitmq else {}),
        **_results(settings),
        "task_queues": queues(quorum=rabbitmq),
        "task_routes": task_routes(),
        # Celery's own tasks (chord_unlock, backend_cleanup) have to be where a worker listens.
        "task_default_queue": INVOKE,
    }
    return _installed(wanted)


def task_settings(app: Celery) -> dict[str, Any]:
    """What is safe to change in somebody else's app: routes of our tasks, and their queues.

    A worker that is started without ``-Q`` listens to the app's own queues and to ours.
    """
    return {
        "task_routes": add_routes(app.conf.task_routes),
        "task_queues": add_queues(app.amqp.Queues(app.conf.task_queues).values()),
    }


def _messages() -> dict[str, Any]:
    return {
        # JSON only: whoever can write to the broker must not be able to run code.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "event_serializer": "json",
        **{f"task_{name}": value for name, value in TASK_OPTIONS.items() if name != "serializer"},
        # Events cost 37 % of the throughput.
        "worker_send_task_events": False,
        "task_send_sent_event": False,
    }


def _worker(settings: Settings) -> dict[str, Any]:
    return {
        # The work is waiting for HTTP; prefork loses as much at a kill and costs a process each.
        "worker_pool": "threads",
        "worker_concurrency": settings.concurrency,
        # What a worker has reserved, no other can start.
        "worker_prefetch_multiplier": 1,
        # SIGQUIT, and SIGTERM by REMAP_SIGTERM, first lets running calls end: nothing lost.
        "worker_soft_shutdown_timeout": 30.0,
        # Else messages that are reserved but not started go back only by the visibility timeout.
        "worker_enable_soft_shutdown_on_idle": True,
        # The inference of a running task is paid already: let it end.
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        # A message with a countdown sits in a worker's memory.
        "worker_eta_task_limit": 1000,
    }


def _broker(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker_url,
        "broker_use_ssl": certificate_check(settings.broker_url),
        # Seconds. The default lets a caller wait for a broker that does not answer.
        "broker_connection_timeout": 5,
        # A worker that outlives its broker's restart; the default gives up after 100 tries.
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_transport_options": _transport_options(settings),
    }


def _rabbitmq() -> dict[str, Any]:
    """What RabbitMQ needs besides, and its quorum queues."""
    return {
        # A queue that is only named, by `-Q` or a route, is of the same kind as ours.
        "task_default_queue_type": "quorum",
        "task_create_missing_queue_type": "quorum",
        "task_create_missing_queue_exchange_type": "topic",
        # They have no prefetch count for a whole channel: RabbitMQ would close the connection.
        "worker_detect_quorum_queues": True,
        # Without that count it is never raised again after a reconnect (celery#9512).
        "worker_enable_prefetch_count_reduction": False,
        "broker_heartbeat": HEARTBEAT,
        # RabbitMQ 4.3 refuses queues that are neither. An exclusive one would keep out a worker
        # that comes back under its name before RabbitMQ has noticed that it was gone.
        "control_queue_durable": True,
        "control_queue_exclusive": False,
        "event_queue_durable": False,
        "event_queue_exclusive": True,
    }


def _transport_options(settings: Settings) -> dict[str, Any]:
    """The broker's own options; RabbitMQ must not be given those of Redis."""
    if not addresses.is_redis(settings.broker_url):
        # Without a confirmation a message lost by RabbitMQ looks sent. There is no time limit:
        # py-amqp then closes the channel, and waits for that answer without one.
        return {"confirm_publish": True}
    from kombu.transport.redis import Channel  # noqa: PLC0415 - not needed for RabbitMQ

    wanted = {
        # Short, because the workers' heartbeat keeps visible what is running.
        "visibility_timeout": settings.visibility_timeout,
        # Look for a dead worker's messages every 5 s; by default it is about every 100 s.
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
        # Seconds. Longer than a blocking read, shorter than anybody's patience.
        "socket_timeout": 30,
        "socket_connect_timeout": 5,
        # Notice a broker that went away without a word.
        "socket_keepalive": True,
        "health_check_interval": 25,
    }
    return {name: wanted[name] for name in wanted if name in Channel.from_transport_options}


def _results(settings: Settings) -> dict[str, Any]:
    return {
        "result_backend": settings.result_url,
        "redis_backend_use_ssl": certificate_check(settings.result_url),
        "result_expires": settings.result_expires,
        # A finished inference must not fail because Redis restarts just then.
        "result_backend_always_retry": True,
        "result_backend_max_retries": 20,
        "redis_socket_timeout": 30.0,
        "redis_socket_connect_timeout": 5.0,
        "redis_socket_keepalive": True,
        "redis_retry_on_timeout": True,
    }


def certificate_check(url: str) -> dict[str, Any] | None:
    """How to check the server's certificate, where the address does not say it.

    Celery refuses a rediss:// address without; for amqps:// it checks no host name by itself.
    """
    if url.startswith("amqps://"):
        return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": urlsplit(url).hostname}
    if not url.startswith("rediss://") or "ssl_cert_reqs" in url:
        return None
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def _installed(wanted: dict[str, Any]) -> dict[str, Any]:
    """Keep what the installed Celery knows."""
    known = dict(flatten(NAMESPACES))
    return {name: value for name, value in wanted.items() if name in known}
