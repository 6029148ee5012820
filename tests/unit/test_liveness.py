"""The sign of life of beat, and what is done where it cannot be given."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery, beat, signals
from celery_sagemaker.config import Settings
from celery_sagemaker.workers import create_app, liveness

#: A moment long ago, as a file's time.
LONG_AGO = (0.0, 0.0)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that was touched long ago."""
    made = tmp_path / "alive"
    made.touch()
    os.utime(made, LONG_AGO)
    return made


@pytest.fixture
def app(file: Path) -> Iterator[Celery]:
    """An app whose processes show that they are alive."""
    with create_app(Settings(liveness={"file": file})) as made:
        yield made


def test_each_tick_of_beat_is_a_sign(app: Celery, file: Path) -> None:
    """The start is none: a beat that waits for its lock does no work."""
    service = beat.Service(app, scheduler_cls=beat.Scheduler)
    signals.beat_init.send(sender=service)
    assert file.stat().st_mtime == 0
    for _ in range(2):
        os.utime(file, LONG_AGO)
        assert service.scheduler.tick() > 0
        assert time.time() - file.stat().st_mtime < 60


def test_without_a_file_beat_is_left_alone() -> None:
    """Nothing is put around its ticks."""
    with create_app(Settings()) as app:
        service = beat.Service(app, scheduler_cls=beat.Scheduler)
        signals.beat_init.send(sender=service)
        assert "tick" not in vars(service.scheduler)


def test_a_file_that_cannot_be_touched_stops_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the work goes on; the health check sees no file."""
    liveness.touch(tmp_path / "absent" / "alive")
    assert [record.message for record in caplog.records] == ["liveness_not_shown"]
