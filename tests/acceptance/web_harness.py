"""A web server in a process that tests can kill, and a browser to look at what it serves."""

import http.client
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from celery_sagemaker.local.processes import Child, free_port, listening

EXAMPLES = Path(__file__).parents[2] / "examples"

#: Seconds for a page, or a server, to do what it is asked.
PATIENCE = 30.0

#: Debian's.
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

#: No window, no sandbox (root has none), and nothing that talks to anybody else.
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
    "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip


def started(name: str, command: Sequence[str], port: int, folder: Path) -> Child:
    """Start a server; return when it listens on its port."""
    made = Child(name, command, port=port, folder=folder, ready=lambda _: listening(port))
    made.wait_until_up()
    return made


class Web:
    """uvicorn with an application; it has this process' environment.

    Args:
        folder: for its log.
        arguments: for uvicorn, besides the port.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.port = free_port()
        self._folder = folder
        self._command = [sys.executable, "-m", "uvicorn", "--port", str(self.port), *arguments]
        self._child: Child | None = None

    def start(self) -> None:
        """Start it, on the same port each time; return when it listens."""
        self._child = started("web", self._command, self.port, self._folder)

    def kill(self) -> None:
        """SIGKILL: every connection breaks."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.stop()
            self._child = None

    @contextmanager
    def request(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request. Leaving closes the connection."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with closing(connection):
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            with connection.getresponse() as response:
                yield response


class Browser:
    """Headless Chromium, by the few commands of the W3C's WebDriver that are needed here."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self._driver = started("driver", [str(DRIVER), f"--port={port}"], port, folder)
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        options = {
            "binary": CHROMIUM,
            "args": [*FLAGS, f"--user-data-dir={folder / 'chromium'}"],
        }
        wanted = {"alwaysMatch": {"goog:chromeOptions": options}}
        self._session = "/session"
        self._session += "/" + self._ask("POST", "", capabilities=wanted)["sessionId"]

    def _ask(self, method: str, path: str, **members: Any) -> Any:
        body = json.dumps(members) if method == "POST" else None
        self._connection.request(method, self._session + path, body)
        answer = json.load(self._connection.getresponse())["value"]
        assert not (isinstance(answer, dict) and "error" in answer), answer
        return answer

    def open(self, url: str) -> None:
        """Go to a page; return when it is loaded."""
        self._ask("POST", "/url", url=url)

    def run(self, script: str, *arguments: object) -> Any:
        """Run JavaScript in the page; return what it returns."""
        return self._ask("POST", "/execute/sync", script=script, args=arguments)

    def text(self, id_: str) -> str:
        """What an element of the page shows, with its spaces."""
        return str(self.run("return document.getElementById(arguments[0]).textContent", id_))

    def click(self, id_: str) -> None:
        """Click on an element as a person does: it has to be visible and enabled."""
        found = self._ask("POST", "/element", using="css selector", value=f"#{id_}")
        (element,) = found.values()
        self._ask("POST", f"/element/{element}/click")

    def command(self, name: str, **parameters: object) -> Any:
        """Send a command of Chromium's own protocol."""
        return self._ask("POST", "/goog/cdp/execute", cmd=name, params=parameters)

    def quit(self) -> None:
        """End it."""
        try:
            self._ask("DELETE", "")
            self._connection.close()
        finally:
            self._driver.stop()
