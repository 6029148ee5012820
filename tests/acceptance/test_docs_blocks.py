"""Every code block of README.md and docs/ is true."""

import multiprocessing
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import boto3
import pytest
from celery_sagemaker.local.stack import LocalStack
from docs_blocks import LOCAL, LOG, Page, module_of, run_alone
from harness import Environment, Worker, behave

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: The endpoints that the pages call, by what is behind them; the others give back what they get.
ENDPOINTS: dict[str, dict[str, Any]] = {
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

#: Programs that need a worker.
CALLS = re.compile(r"\.(delay|apply_async|run_now|submit)\(")

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


@pytest.fixture(scope="module")
def children() -> ForkServerContext:
    """What forks processes that have imported everything already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["boto3", "pytest", "celery.app.amqp", "docs_blocks"])
    with pytest.MonkeyPatch.context() as patch:
        # The server has this process' path only in later versions of Python.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        forkserver.ensure_running()
    return context


@contextmanager
def worker_of(page: Page, folder: Path, environment: Environment) -> Iterator[None]:
    """A worker as the page starts it, of its own app; of ours, if it has none."""
    if not CALLS.search(page.programs):
        yield
        return
    said = re.search(r"celery -A (\S+) worker", page.document.text)
    own = [module_of(name) for name, text in page.files.items() if "install(" in text]
    named = (said[1] if said else own[0]) if own else "celery_sagemaker.workers.app"
    options = ("--pool", "threads", "--concurrency", "4")
    worker = Worker(environment, folder / "worker.log", named, options, folder)
    worker.start()
    try:
        yield
    finally:
        worker.kill()
        sys.stdout.write(worker.output)


@pytest.mark.timeout(PATIENCE)
@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_blocks(
    path: Path,
    tmp_path: Path,
    bucket: None,
    environment: Environment,
    children: ForkServerContext,
) -> None:
    """Python runs against the local stack and a worker, the rest is what it says it is."""
    page = Page(path, tmp_path, {LOCAL: environment["CELERY_SAGEMAKER_BROKER_URL"]})
    for framework in FRAMEWORKS:
        if re.search(rf"^\s*(from|import) {framework}\b", page.programs, re.MULTILINE):
            pytest.importorskip(framework, reason="dev group `frameworks` is not installed")
    page.write()
    with worker_of(page, tmp_path, environment):
        if page.programs:
            run_in_a_child(children, path, tmp_path)
        else:
            page.run()
    if any(name.startswith("test_") for name in page.files):
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."]
        subprocess.run(command, cwd=tmp_path, env=os.environ, check=True)


def run_in_a_child(context: ForkServerContext, path: Path, folder: Path) -> None:
    """Run a page in a process of its own."""
    child = context.Process(target=run_alone, args=(path, folder, dict(os.environ)), daemon=True)
    child.start()
    child.join(PATIENCE - 10)
    hangs = child.is_alive()
    child.kill()
    sys.stdout.write((folder / LOG).read_text("utf-8"))
    assert not hangs, "it does not end"
    assert child.exitcode == 0, f"exitcode {child.exitcode}"


#: What is wrong on a page, and what is said of it.
WRONG = {
    "```python\nassert 1 == 2\n```": "AssertionError",
    "<!-- invisible-code-block: python\nassert 1 == 2\n-->": "AssertionError",
    "```python\nnames_nothing()\n```": "NameError",
    "```toml\nbrokerurl = 'redis://localhost'\n```": "broker_url",
    "```toml\n# endpoints.toml\n[endpoints.e]\ntargets = 'x'\n```": "targets",
    '```json\n{"a": 1,}\n```': "JSONDecodeError",
    "```yaml\na: [\n```": "yaml",
    "```shell\ncelery-sagemaker invoke e --dat x\n```": "--dat",
    "```shell\nA=b celery-sagemaker batches list\n```": "batches",
    "```console\n$ celery-sagemaker status x | celery-sagemaker nothing\n```": "nothing",
    "    celery-sagemaker status a b": "does not take",
    "```shell\ncelery -A shop worker --pol threads\n```": "--pol",
    "```shell\nmake everything\n```": "everything",
    "```shell\npip install 'celery-sagemaker[all]'\n```": "no extra all",
    "```shell\nno-such-program\n```": "no-such-program",
    "```cobol\nSTOP RUN.\n```": "cobol",
    "```\nno language\n```": "language",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_found(
    text: str,
    tmp_path: Path,
    environment: Environment,
    children: ForkServerContext,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each kind of block can fail, and says why."""
    path = tmp_path / "page.md"
    path.write_text(f"A page.\n\n{text}\n")
    with pytest.raises(AssertionError, match="exitcode"):
        run_in_a_child(children, path, tmp_path)
    assert WRONG[text] in capsys.readouterr().out
