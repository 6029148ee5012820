"""Clients: one per process and service, made after a fork, shared between threads."""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3.session
import pytest
from celery_sagemaker.runtime import requests
from celery_sagemaker.runtime.clients import ClientOptions, Clients
from celery_sagemaker.runtime.transport import BotoTransport

SERVICES = ("runtime", "sagemaker", "s3")


@pytest.fixture
def clients(sagemaker_environment: dict[str, str]) -> Clients:
    """Clients of the local stack."""
    return Clients(ClientOptions(max_connections=7, region_name="eu-central-1"))


def fork(child: Callable[[], object]) -> Callable[[], str]:
    """Run a function in a forked child; the result waits for what it returned, as text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.write(writer, str(child()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writer)

    def result() -> str:
        with os.fdopen(reader) as pipe:
            text = pipe.read()
        assert os.waitpid(pid, 0)[1] == 0
        return text

    return result


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_is_made_once(service: str, clients: Clients) -> None:
    """Whoever asks, and however many at the same time."""
    threads = 8
    together = threading.Barrier(threads)

    def ask(_: int) -> int:
        together.wait(10)
        return id(getattr(clients, service))

    with ThreadPoolExecutor(threads) as pool:
        assert len(set(pool.map(ask, range(threads)))) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_is_as_the_options_say(service: str, clients: Clients) -> None:
    """Pool, timeouts, region; 70 seconds by default, since a model has 60."""
    config: Any = getattr(clients, service).meta.config
    assert config.max_pool_connections == 7
    assert config.connect_timeout == 5.0
    assert config.read_timeout == 70.0
    assert config.region_name == "eu-central-1"
    assert config.tcp_keepalive


def test_only_what_is_safe_to_repeat_is_repeated(clients: Clients) -> None:
    """SageMaker Runtime is called once; the control plane and S3 have botocore's retries."""
    attempts = {name: getattr(clients, name).meta.config.retries for name in SERVICES}
    assert attempts["runtime"]["total_max_attempts"] == 1
    assert attempts["sagemaker"]["mode"] == attempts["s3"]["mode"] == "standard"
    assert attempts["s3"].get("total_max_attempts", 3) == 3


def test_a_child_makes_clients_of_its_own(clients: Clients) -> None:
    """The parent's sockets are not the child's, and the parent keeps its client."""
    before = clients.runtime

    def child() -> str:
        return f"{clients.runtime is before} {clients.runtime is clients.runtime}"

    assert fork(child)() == "False True"
    assert clients.runtime is before


def test_parent_and_child_call_at_the_same_time(sagemaker_environment: dict[str, str]) -> None:
    """Each over its own connection: neither reads the other's answer."""
    transport = BotoTransport()

    def call(word: str) -> str:
        request = requests.InvokeEndpointRequest(endpoint_name="echo", body=word.encode())
        return " ".join({transport.invoke(request).text for _ in range(20)})

    assert call("parent") == "parent"
    child = fork(lambda: call("child"))
    assert call("parent") == "parent"
    assert child() == "child"


def test_a_lock_that_is_held_while_forking_is_not_the_childs(clients: Clients) -> None:
    """Another thread may be making a client just then."""
    with clients._lock:
        assert (
            fork(lambda: clients.runtime.meta.service_model.service_name)() == "sagemaker-runtime"
        )


def test_threads_of_a_child_share_its_client(clients: Clients) -> None:
    """None of them finds the parent's, however early it asks."""
    before = clients.runtime

    def child() -> str:
        threads = 8
        together = threading.Barrier(threads)

        def ask(_: int) -> Any:
            together.wait(10)
            return clients.runtime

        with ThreadPoolExecutor(threads) as pool:
            found = list(pool.map(ask, range(threads)))
        return f"{len(set(map(id, found)))} {before in found}"

    assert fork(child)() == "1 False"


def test_boto3s_default_session_is_left_alone(
    clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It belongs to the program, and is not safe to share between threads."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert clients.s3.meta.region_name == "eu-central-1"
    assert boto3.DEFAULT_SESSION is None
