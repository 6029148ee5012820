"""Every code block of README.md and docs/ is true."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
import pytest
from celery import Celery
from celery_sagemaker.local.stack import LocalStack
from docs_blocks import Page, module_of
from harness import Environment, Worker, behave

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The endpoints that the pages call, by what is behind them; the others give back what they get.
ENDPOINTS = {
    "big-model": {"kind": "async", "delay": {"fixed": 0.2}},
    "chat": {"target": "models:tokens"},
    "churn": {},
    "classifier": {},
    "digits": {},
    "embedder": {},
    "llama": {},
    "ranker": {},
}

#: Frameworks that only the newest versions' environment has.
FRAMEWORKS = ("django", "fastapi")

#: What a newcomer types, which is run.
OURS = ".venv/bin/celery-sagemaker "
PROGRAM = Path(sys.executable).with_name("celery-sagemaker")

#: Seconds for a page with everything in it.
PATIENCE = 120


@pytest.fixture
def environment(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The acceptance tests' one, with a key for the tokens of streams."""
    monkeypatch.setenv("CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS", "docs" * 8)
    return environment


@pytest.fixture(scope="module")
def endpoints(sagemaker_local: LocalStack) -> None:
    """What the pages speak of, on the local stack: endpoints, and a bucket with an input."""
    for name, behaviour in ENDPOINTS.items():
        behave(sagemaker_local, name, **behaviour)


@pytest.fixture
def bucket(endpoints: None, environment: Environment) -> None:
    """`s3://bucket/in/records.jsonl`."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="in/records.jsonl", Body=b'{"x": 1}\n{"x": 2}\n{"x": 3}\n')


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a page's files are; what was imported from there is forgotten."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in (getattr(sys.modules[name], "__file__", None) or ""):
            del sys.modules[name]


@contextmanager
def worker_of(page: Page, folder: Path, environment: Environment) -> Iterator[Worker | None]:
    """A worker as the page starts it, of its own app; of ours, if it has none."""
    if "celery_sagemaker." not in page.programs:
        yield None
        return
    said = re.search(r"celery -A (\S+) worker", page.document.text)
    own = [module_of(name) for name, text in page.files.items() if "install(" in text]
    named = (said[1] if said else own[0]) if own else "celery_sagemaker.workers.app"
    options = ("--pool", "threads", "--concurrency", "4")
    worker = Worker(environment, folder / "worker.log", named, options, folder)
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks(
    path: Path,
    folder: Path,
    bucket: None,
    environment: Environment,
    app: Celery,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python runs against the local stack and a worker, the rest is what it says it is."""
    page = Page(path, folder, {"redis://localhost:6379/0": str(app.conf.broker_url)})
    for framework in FRAMEWORKS:
        if re.search(rf"^\s*(from|import) {framework}\b", page.programs, re.MULTILINE):
            pytest.importorskip(framework, reason="dev group `frameworks` is not installed")
    page.namespace["celery"] = app
    for name in page.files:
        monkeypatch.delitem(sys.modules, module_of(name), raising=False)
    page.write()
    with worker_of(page, folder, environment) as worker:
        try:
            page.run()
            for command in page.commands if path.name == "README.md" else ():
                if command.startswith(OURS) and " up" not in command:
                    words = shlex.split(command.removeprefix(OURS))
                    subprocess.run([PROGRAM, *words], env=os.environ, check=True)
        finally:
            if worker is not None:
                sys.stdout.write(worker.output)
    if any(name.startswith("test_") for name in page.files):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
        subprocess.run(command, cwd=folder, env=os.environ, check=True)
