"""The example's page in a browser: a stream is whole, however often its connection breaks."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from celery_sagemaker.channels import Publisher
from celery_sagemaker.local.stack import LocalStack
from celery_sagemaker.tasks.deployment import deployment
from harness import Worker, behave, eventually
from web_harness import CHROMIUM, DRIVER, EXAMPLES, PATIENCE, Browser, Web

#: `required` turns the skip into a failure.
WANTED = os.environ.get("CELERY_SAGEMAKER_TEST_BROWSER")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and WANTED != "required", reason="needs chromium and chromium-driver"
)

FIRST_HALF = "".join(f"{number} " for number in range(50))
WHOLE = "".join(f"{number} " for number in range(100))


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, for all tests here."""
    made = Browser(tmp_path_factory.mktemp("browser"))
    yield made
    made.quit()


@pytest.fixture
def web(
    app: Celery, sagemaker_local: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Web]:
    """The example, in front of an endpoint that stops half-way."""
    behave(sagemaker_local, "halves", target="models:halves")
    monkeypatch.setenv("CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS", "test" * 8)
    monkeypatch.setenv("STREAMING_ENDPOINT", "halves")
    made = Web(tmp_path, "--app-dir", str(EXAMPLES), "streaming_web:app")
    made.start()
    yield made
    made.kill()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Path]:
    """A file that lets the model go on; there at the end in any case."""
    made = tmp_path / "gate"
    yield made
    made.touch()


def ask(browser: Browser, web: Web, prompt: object) -> None:
    """Open the page and ask."""
    browser.open(f"http://127.0.0.1:{web.port}/")
    browser.run("document.getElementById('prompt').value = arguments[0]", str(prompt))
    browser.click("ask")


def shows(browser: Browser, text: str, state: str = "") -> None:
    """Return when the page shows a text, and a state that begins so."""
    give_up = time.monotonic() + PATIENCE
    while True:
        seen = browser.text("text"), browser.text("state")
        if seen[0] == text and seen[1].startswith(state):
            return
        assert time.monotonic() < give_up, seen
        time.sleep(0.05)


def test_a_text_is_whole_after_cuts(browser: Browser, web: Web, worker: Worker, gate: Path) -> None:
    """While the model is silent, and while parts come: no gap, nothing twice."""
    worker.start()
    ask(browser, web, gate)
    shows(browser, FIRST_HALF)
    for times in ("1 reconnect.", "2 reconnects."):
        browser.click("cut")
        shows(browser, FIRST_HALF, f"Reading: 50 parts, {times}")
    gate.touch()
    browser.run("document.getElementById('cut').click()")
    shows(browser, WHOLE, "Complete: 100 parts, ")


def test_a_text_is_whole_after_the_web_server_died(
    browser: Browser, web: Web, worker: Worker, gate: Path
) -> None:
    """The browser comes back by itself; the token is as good for the next process."""
    worker.start()
    ask(browser, web, gate)
    shows(browser, FIRST_HALF)
    web.kill()
    gate.touch()
    web.start()
    shows(browser, WHOLE, "Complete: 100 parts, 1 reconnect.")


def publisher(browser: Browser, app: Celery, **options: Any) -> Publisher:
    """Open the page's stream as a worker does, by hand."""
    eventually(lambda: bool(browser.run("return typeof stream === 'object'")))
    parts = deployment(app)
    id_ = browser.run("return stream.id")
    url = parts.settings.state_url
    return Publisher.open(id_, url, framing="text", options=parts.channels, **options)


def test_a_restart_and_an_error_are_shown(browser: Browser, web: Web, app: Celery) -> None:
    """What an earlier attempt said is taken back; markup in a record is text."""
    ask(browser, web, "x")
    first = publisher(browser, app)
    first.append(b"said in vain")
    shows(browser, "said in vain")
    first.suspend(10.0)
    second = publisher(browser, app)
    second.append(b"<b>again</b>")
    second.error("ModelStreamError", "It broke.")
    failed = "Failed after 1 part, 0 reconnects: ModelStreamError: It broke."
    shows(browser, "<b>again</b>", failed)


def test_a_stream_is_stopped(browser: Browser, web: Web, app: Celery) -> None:
    """By the page's button, with a token that says that it may."""
    ask(browser, web, "x")
    told = threading.Event()
    producing = publisher(browser, app, on_cancel=told.set)
    producing.append(b"on and on")
    shows(browser, "on and on")
    browser.click("stop")
    assert told.wait(PATIENCE)
    producing.cancelled()
    shows(browser, "on and on", "Cancelled after 1 part, 0 reconnects.")
