"""Celery's settings: valid, right for each broker, and no touch on what is another's."""

import ssl
import subprocess
import sys
from typing import Any

import pytest
from celery import Celery
from celery.app.defaults import NAMESPACES, flatten
from celery_sagemaker.config import Settings, queues
from celery_sagemaker.config import celery as configured
from kombu import Exchange, Queue
from kombu.transport import redis as transport

#: The names of all settings that the installed Celery has.
KNOWN = frozenset(dict(flatten(NAMESPACES)))

RABBIT = Settings(broker_url="amqp://h//", result_url="redis://r/0", state_url="redis://r/0")


def made(settings: Settings) -> Celery:
    """Make an app with our settings."""
    app = Celery("test", set_as_current=False)
    app.conf.update(configured.celery_settings(settings))
    return app


@pytest.mark.parametrize("settings", [Settings(), RABBIT], ids=["redis", "amqp"])
def test_only_settings_that_celery_knows(settings: Settings) -> None:
    """A misspelt setting would be accepted by Celery and do nothing."""
    given = configured.celery_settings(settings)
    assert set(given) <= KNOWN
    assert len(given) > 30


def test_only_transport_options_that_kombu_knows() -> None:
    """The same for the options of the Redis transport."""
    options = configured.celery_settings(Settings())["broker_transport_options"]
    assert set(options) <= set(transport.Channel.from_transport_options)
    assert options["visibility_timeout"] == 120


def test_rabbitmq_gets_no_options_of_redis() -> None:
    """Its client would refuse them."""
    options = configured.celery_settings(RABBIT)["broker_transport_options"]
    assert options == {"confirm_publish": True}


def test_rabbitmq_has_quorum_queues() -> None:
    """All of ours; and no limit drops what the ledger still counts."""
    declared = made(RABBIT).amqp.queues
    assert set(declared) == set(queues.ALL)
    for queue in declared.values():
        arguments: Any = queue.queue_arguments
        assert (arguments["x-queue-type"], queue.exchange.type) == ("quorum", "topic")
        limit = arguments["x-delivery-limit"]
        assert limit > 20 * RABBIT.ledger.max_deliveries


@pytest.mark.skipif(
    "task_create_missing_queue_type" not in KNOWN, reason="Celery 5.5 has no such setting"
)
def test_a_queue_that_is_only_named_is_of_the_same_kind() -> None:
    """By `-Q`, or by a route."""
    named = made(RABBIT).amqp.queues["named"]
    assert (named.queue_arguments, named.exchange.type) == ({"x-queue-type": "quorum"}, "topic")


def test_a_lost_connection_to_rabbitmq_leaves_the_prefetch_as_it_is() -> None:
    """Quorum queues take no second prefetch count: one that was lowered would stay low."""
    conf = made(RABBIT).conf
    assert not conf.worker_enable_prefetch_count_reduction
    assert conf.worker_detect_quorum_queues
    assert conf.worker_prefetch_multiplier == 1


def test_amqps_checks_the_host_name() -> None:
    """py-amqp checks the certificate, but whose it is only if it is told."""
    settings = Settings(broker_url="amqps://u:p@mq.example:5671//", result_url="redis://r/0")
    assert made(settings).connection_for_write().ssl == {
        "cert_reqs": ssl.CERT_REQUIRED,
        "server_hostname": "mq.example",
    }


def test_what_a_kill_must_not_lose() -> None:
    """The settings that the promises stand on, as the app sees them."""
    conf = made(Settings(concurrency=3, result_expires=60)).conf
    assert conf.accept_content == ["json"]
    assert conf.task_acks_late
    assert conf.task_reject_on_worker_lost
    assert conf.task_acks_on_failure_or_timeout
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_soft_shutdown_timeout == 30
    assert conf.worker_concurrency == 3
    assert conf.result_expires == 60
    assert conf.broker_connection_max_retries is None


@pytest.mark.parametrize("task", sorted(queues.TASKS))
def test_each_kind_of_work_has_its_queue(task: str) -> None:
    """The worker listens to every queue that a task of ours is sent to, and to no other."""
    app = made(Settings())
    queue = app.amqp.router.route({}, task)["queue"]
    assert queue.name == queues.TASKS[task]
    assert set(app.amqp.queues) == set(queues.ALL)
    assert app.amqp.router.route({}, "celery.chord_unlock")["queue"].name in queues.ALL


def test_a_declared_queue_equals_a_named_one() -> None:
    """Another app that only names the queue sends to the same place."""
    named = Celery("other", set_as_current=False).amqp.queues
    assert queues.queues() == [named[name] for name in queues.ALL]


@pytest.mark.parametrize(
    "theirs",
    [None, {"their.task": "slow"}, [{"their.*": {"queue": "slow"}}], ({"their.task": "slow"},)],
)
def test_somebody_elses_routes_stay(theirs: Any) -> None:
    """Ours are added for our tasks; theirs lead where they led."""
    app = Celery("theirs", set_as_current=False)
    app.conf.task_routes = theirs
    before = app.conf.task_default_queue
    app.conf.update(configured.task_settings(app))
    routed = app.amqp.router.route
    assert routed({}, "sagemaker.poll")["queue"].name == "sagemaker.poll"
    assert routed({}, "their.task")["queue"].name == ("slow" if theirs else before)
    assert app.conf.task_default_queue == before


def test_somebody_elses_route_for_our_task_wins() -> None:
    """Who names a task of ours has a reason, and installing twice changes nothing."""
    app = Celery("theirs", set_as_current=False)
    app.conf.task_routes = {"sagemaker.invoke": {"queue": "gpu"}}
    app.conf.update(configured.task_settings(app))
    once = app.conf.task_routes
    app.conf.update(configured.task_settings(app))
    assert app.conf.task_routes == once
    assert app.amqp.router.route({}, "sagemaker.invoke")["queue"].name == "gpu"
    assert app.amqp.router.route({}, "sagemaker.collect")["queue"].name == "sagemaker.async"


def test_somebody_elses_queues_stay() -> None:
    """A worker without -Q listens to the app's own queues as before, and to ours."""
    declared = Queue("sagemaker.poll", Exchange("special"), routing_key="p")
    for theirs, own in ((None, "mine"), ([declared], "sagemaker.poll"), ({"q": {}}, "q")):
        app = Celery("theirs", set_as_current=False)
        app.conf.update(task_default_queue="mine", task_queues=theirs)
        app.conf.update(configured.task_settings(app))
        assert set(app.amqp.queues.consume_from) == {own, *queues.ALL}
    assert app.amqp.queues["q"].routing_key == "q"


@pytest.mark.parametrize("kind", ["classic", "quorum"])
def test_our_queues_are_of_an_apps_own_kind(kind: str) -> None:
    """One quorum queue more would change how Celery treats all the others of the app."""
    app = Celery("theirs", broker="amqp://h//", set_as_current=False)
    app.conf.task_default_queue_type = kind
    app.conf.update(configured.task_settings(app))
    found = {(q.queue_arguments or {}).get("x-queue-type") for q in app.amqp.queues.values()}
    assert found == {"quorum" if kind == "quorum" else None}


def test_tls_checks_the_certificate() -> None:
    """A rediss:// address works as it is; what it says about certificates is kept."""
    app = made(Settings(broker_url="rediss://h/0"))
    backend: Any = app.backend
    assert backend.connparams["ssl_cert_reqs"] == ssl.CERT_REQUIRED
    assert app.connection_for_write().ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    asked = made(Settings(broker_url="rediss://h/0?ssl_cert_reqs=none"))
    assert asked.conf.broker_use_ssl is None


def test_an_import_reads_no_environment() -> None:
    """A broken environment is an error when settings are loaded, not when modules are."""
    code = (
        "import celery_sagemaker.config.celery, celery_sagemaker.config.queues; "
        "from celery_sagemaker.config import Settings; Settings()"
    )
    environment = {"CELERY_SAGEMAKER_CONFIG": "/absent", "CELERY_SAGEMAKER_NONSENSE": "1"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
