"""When the worker's event loop is woken by a timer; that it helps, test_load shows."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from celery.concurrency.base import BasePool
from celery.concurrency.thread import TaskPool
from celery_sagemaker.workers.waking import INTERVAL, Waking
from kombu.asynchronous.hub import Hub


def consumer(pool: type[BasePool] = TaskPool, **channel: Any) -> Any:
    """Return a consumer with a pool and a channel."""
    found = SimpleNamespace(channel=SimpleNamespace(**channel))
    return SimpleNamespace(pool=Mock(spec=pool), task_consumer=found, timer=Mock(), steps=[])


@pytest.mark.parametrize(
    ("pool", "wakes", "wanted"),
    [(TaskPool, False, True), (TaskPool, True, False), (BasePool, False, False)],
)
def test_only_threads_under_a_loop_that_sleeps_need_it(
    monkeypatch: pytest.MonkeyPatch, pool: type[BasePool], wakes: bool, wanted: bool
) -> None:
    """Processes wake the loop through their pipes, and kombu 5.7 can be woken by threads."""
    monkeypatch.delattr(Hub, "_create_waker", raising=False)
    if wakes:
        monkeypatch.setattr(Hub, "_create_waker", Mock(), raising=False)
    assert Waking(parent := consumer(pool)).include_if(parent) is wanted


def test_a_broker_that_is_asked_is_looked_at_until_the_consumer_stops() -> None:
    """Once, also when the consumer starts again; the timer's entry is cancelled at the end."""
    parent = consumer(unacked_index_key="unacked_index")
    step = Waking(parent)
    step.start(parent)
    step.start(parent)
    entry = parent.timer.call_repeatedly.return_value
    assert [call.args[0] for call in parent.timer.call_repeatedly.call_args_list] == [INTERVAL] * 2
    assert entry.cancel.call_count == 1
    step.stop(parent)
    step.stop(parent)
    assert entry.cancel.call_count == 2


def test_a_broker_that_sends_is_left_alone() -> None:
    """RabbitMQ's socket wakes the loop."""
    parent = consumer()
    Waking(parent).start(parent)
    parent.timer.call_repeatedly.assert_not_called()
