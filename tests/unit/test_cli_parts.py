"""Parts of the command line: payloads, health lines, the places of servers."""

import pytest
from celery_sagemaker.workers.cli import inputs, reach, worker
from celery_sagemaker.workers.cli.configuration import rows_of


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ('{"a": 1}', "application/json"),
        ("[1]", "application/json"),
        ("5", None),
        ("1,2", None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_content_type_of_json_text_is_guessed(payload: object, expected: str | None) -> None:
    """Objects and arrays only: a number may as well be CSV."""
    assert inputs.content_type(payload, None) == expected
    assert inputs.content_type(payload, "x/y") == "x/y"


def test_a_place_shows_no_password() -> None:
    """Neither user nor password are in a message."""
    assert reach.place("rediss://user:secret@host:1/2?password=x") == "rediss://host:1/2"


def test_an_absent_redis_is_a_reason() -> None:
    """No exception: the reason is text."""
    assert reach.ping("redis://127.0.0.1:1/0")
    assert reach.ping("redis://127.0.0.1:notaport/0")


def test_sections_are_rows_with_the_source_of_the_nearest_key() -> None:
    """A nested key without a source of its own has its section's."""
    rows = rows_of({"a": 1, "b": {"c": 2, "d": {}}}, {"b": "file x", "b.c": "env Y"})
    assert rows == [("a", 1, "default"), ("b.c", 2, "env Y"), ("b.d", {}, "file x")]


def test_the_worker_takes_every_queue() -> None:
    """All queues of ours, threads."""
    made = worker.arguments(concurrency=3)
    assert "--pool=threads" in made
    assert "--concurrency=3" in made
    assert any(a.startswith("--queues=") and "sagemaker.poll" in a for a in made)
