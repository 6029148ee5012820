"""The TOML of emulated endpoints."""

from pathlib import Path

import pytest
from celery_sagemaker.local import behaviours, refusals

ECHO = "[endpoints.echo]\n"


def test_without_a_file_there_is_echo() -> None:
    """It serves both kinds of calls."""
    assert behaviours.read(None)["echo"].kind == "both"


def test_a_file_is_read(tmp_path: Path) -> None:
    """Keys that are not given have their defaults."""
    path = tmp_path / "endpoints.toml"
    path.write_text(ECHO + 'kind = "async"\ndelay = { uniform = [1, 2] }\nerrors = { "502" = 0.5 }')
    read = behaviours.read(path)["echo"]
    assert (read.kind, read.delay.uniform, read.errors) == ("async", (1, 2), {"502": 0.5})
    assert read.container_timeout == 60


@pytest.mark.parametrize(
    ("toml", "named"),
    [
        (ECHO + "latncy = 1", "endpoints.echo.latncy"),
        (ECHO + "latency = { fixd = 1 }", "endpoints.echo.latency.fixd"),
        (ECHO + "latency = { fixed = -1 }", "endpoints.echo.latency.fixed"),
        (ECHO + "latency = { fixed = 1, uniform = [1, 2] }", "endpoints.echo.latency: "),
        (ECHO + "latency = { uniform = [2, 1] }", "shortest, then longest"),
        (ECHO + "throttle = 0", "endpoints.echo.throttle"),
        (ECHO + "failure_rate = 1.5", "endpoints.echo.failure_rate"),
        (ECHO + 'kind = "batch"', "endpoints.echo.kind"),
        (ECHO + "errors = { Teapot = 0.1 }", "endpoints.echo.errors: .*no such error: Teapot"),
        (ECHO + "errors = { hang = 0.6, reset = 0.6 }", "add up to more than 1"),
        (ECHO + "errors = { hang = 2 }", "endpoints.echo.errors.hang"),
        (ECHO + 'stream = { fault = "explode" }', "endpoints.echo.stream.fault"),
        (ECHO + 'stream = { error_code = "Bad" }', "endpoints.echo.stream.error_code"),
        ("[endpoint.echo]", "endpoints: .*; endpoint: "),
        ("[endpoints]", "endpoints: "),
        ("endpoints = ", "Invalid value"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, toml: str, named: str) -> None:
    """One line with the file's name and the key."""
    path = tmp_path / "endpoints.toml"
    path.write_text(toml)
    with pytest.raises(ValueError, match=named) as caught:
        behaviours.read(path)
    assert str(caught.value).startswith("endpoints.toml: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [*refusals.STATUS, "ModelError:0", "ModelError:503", "504"])
def test_every_error_can_be_injected(name: str) -> None:
    """What the TOML may name is an answer of its status, logged by its name."""
    assert behaviours.parse({"errors": {name: 1}}).errors == {name: 1.0}
    made = refusals.injected(name, "echo")
    assert isinstance(made, refusals.Refusal)
    assert 400 <= made.status < 600
    assert made.outcome == ("ModelError:500" if name == "ModelError" else name)


@pytest.mark.parametrize("name", ["", "ModelError:", "ModelError:x", "200", "Hang", "hang:1"])
def test_no_other_error_can(name: str) -> None:
    """Misspelt ones are refused, not ignored."""
    assert not refusals.known(name)
