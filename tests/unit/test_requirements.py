"""What an installation brings is enough: no module is found only because a developer has more."""

import json
import re
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement

OURS = "celery-sagemaker"

#: What a worker, beat and a caller load, and the commands.
PLAIN = (
    "celery_sagemaker.workers.app",
    "celery_sagemaker.workers.cli.app",
    "kombu.transport.redis",
    "celery.backends.redis",
    "celery.bin.worker",
    "celery.bin.beat",
    "redbeat",
)
#: What each extra is for.
NEEDED = {
    "": PLAIN,
    "sse": (*PLAIN, "celery_sagemaker.workers.sse", "uvicorn.main"),
    "local": (
        "celery_sagemaker.local.stack",
        "celery_sagemaker.local.serving",
        "moto.moto_server.werkzeug_app",
        "moto.s3.responses",
    ),
    "flower": (*PLAIN, "flower.command"),
}
#: Imports modules in a process that lacks others.
IMPORT = """
import importlib, json, sys
lacking, wanted = json.loads(sys.argv[1])
sys.modules.update(dict.fromkeys(lacking))
for name in wanted:
    importlib.import_module(name)
"""


def normal(name: str) -> str:
    """A distribution's name in its normal form (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(name: str, extras: frozenset[str], seen: set[tuple[str, frozenset[str]]]) -> None:
    """Collect a distribution and all that it requires, with the extras that are asked for."""
    if (normal(name), extras) in seen:
        return
    seen.add((normal(name), extras))
    for text in metadata.requires(name) or ():
        one = Requirement(text)
        if one.marker is None or any(
            one.marker.evaluate({"extra": extra}) for extra in extras or {""}
        ):
            required(one.name, frozenset(one.extras), seen)


@pytest.mark.parametrize("extra", NEEDED)
def test_nothing_is_missing(extra: str) -> None:
    """Everything loads without what only a developer, or another extra, has."""
    seen: set[tuple[str, frozenset[str]]] = set()
    required(OURS, frozenset({extra} - {""}), seen)
    brought = {name for name, _ in seen}
    lacking = [
        top
        for top, owners in metadata.packages_distributions().items()
        if not brought & set(map(normal, owners))
    ]
    assert "pytest" in lacking
    command = [sys.executable, "-c", IMPORT, json.dumps([lacking, NEEDED[extra]])]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
