"""The demo as a user runs it, with fewer images."""

import json
import subprocess
import sys

import pytest

CLI = (sys.executable, "-c", "from celery_sagemaker.workers.cli import main; main()")


@pytest.mark.timeout(150)
def test_the_demo_answers_every_image_once() -> None:
    """Exit code 0, every answer there, no slot held, the faults met; and a stream at the end."""
    found = subprocess.run(
        [*CLI, "demo", "--limit", "300", "--json"],
        capture_output=True,
        text=True,
        timeout=140,
        check=False,
    )
    assert found.returncode == 0, found.stderr + found.stdout
    numbers = json.loads(found.stdout)
    for mode in ("invoke", "invoke_async", "batch"):
        assert numbers["modes"][mode]["answers"] == 300
        assert numbers["modes"][mode]["accuracy"] >= 0.9
    for mode in ("invoke", "invoke_async"):
        assert numbers["modes"][mode]["slots_held_while_waiting"] == 0
    assert numbers["modes"]["invoke"]["failed_calls"]
    assert numbers["modes"]["invoke_async"]["most_waiting"] > 0
    batch = numbers["modes"]["batch"]
    assert (batch["state"], batch["manifest"]) == ("completed", True)
    assert batch["request_counts"]["total"] == batch["request_counts"]["succeeded"] == 300
    assert batch["failed_calls"]
    assert sum(numbers["s3_requests"].values()) >= 300
    streamed = numbers["stream"]
    assert (streamed["finish"], streamed["readers_agree"]) == ("complete", True)
    assert streamed["text"].endswith("This looks like a handwritten 0 to me.\n")
    # A record for each of eight rows and eight words, and two that say that it is complete.
    assert streamed["parts"] == 18
    assert numbers["problems"] == []
