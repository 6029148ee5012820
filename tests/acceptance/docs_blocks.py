"""What each kind of code block in the documentation is held to.

A block of Python runs, in the page's namespace and in the page's order. One that begins with the
name of a file (`# shop.py`) is that file, which the page's worker and its later blocks import. TOML
is settings, or (`# endpoints.toml`) behaviours of the local stack. Each line of a shell block is a
command that exists. What a page needs and nobody wants to read is in an HTML comment,
`<!-- invisible-code-block: python`, before the block that needs it.

A page with Python runs in a process of its own: what it does to the state of Celery, Django and
Python is gone with it.
"""

import importlib
import json
import os
import re
import sys
import tomllib
import traceback
import warnings
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import docs_commands
import yaml
from celery_sagemaker.config import Settings
from celery_sagemaker.config.sources import lower_names
from celery_sagemaker.local import behaviours
from celery_sagemaker.tasks.deployment import deployment
from celery_sagemaker.workers import create_app
from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import CodeBlockParser
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer

#: A block's first line that says which file it is.
FILE = re.compile(r"# ([\w./-]+\.(?:py|toml))\n")

#: Code without a language: four spaces, and a program that is ours.
BARE = re.compile(r"^ {4}((?:\S*/)?celery-sagemaker .*)$", re.MULTILINE)

#: Where the pages have Redis.
LOCAL = "redis://localhost:6379/0"

#: What a page printed, in its folder.
LOG = "page.log"

#: Only read. `text` is output; the browser's test runs the page that JavaScript is from; the others
#: belong to programs that are not here.
READ = frozenset({"dockerfile", "html", "ini", "javascript", "nginx", "promql", "text"})


class Page:
    """A page with its blocks.

    Args:
        path: the Markdown file.
        folder: on `sys.path`; where the files go that blocks are.
        meant: what stands for a word of the page that is only known when it runs.
    """

    def __init__(self, path: Path, folder: Path, meant: dict[str, str]) -> None:
        self._folder, self._meant = folder, meant
        self._checks: dict[str, Callable[[Example], None]] = {
            "python": self._python,
            "toml": self._toml,
            "json": self._json,
            "yaml": self._yaml,
            "console": self._console,
            "shell": self._shell,
        }
        parsers = [CodeBlockParser(language, check) for language, check in self._checks.items()]
        self.document = Sybil([*parsers, self._refuse_unknown]).parse(path)
        self.namespace = self.document.namespace
        self.namespace["__name__"] = "page"

    @property
    def files(self) -> dict[str, str]:
        """The files that blocks are."""
        named = ((FILE.match(example.parsed), example) for example in self.document)
        return {match[1]: self._text(example) for match, example in named if match}

    @property
    def programs(self) -> str:
        """The Python of the page."""
        return "".join(e.parsed for e in self.document if e.region.evaluator == self._python)

    def write(self) -> None:
        """Write the files that blocks are, so that a worker can import them."""
        for name, text in self.files.items():
            file = self._folder / name
            if file.parent != self._folder:
                file.parent.mkdir(exist_ok=True)
                (file.parent / "__init__.py").touch()
            file.write_text(text, "utf-8")

    def run(self) -> None:
        """Hold every block to what its kind promises; the first that is not so raises."""
        for example in self.document:
            example.evaluate()
        for line in BARE.findall(self.document.text):
            docs_commands.check(line)

    def _text(self, example: Example) -> str:
        text = str(example.parsed)
        for word, meaning in self._meant.items():
            text = text.replace(word, meaning)
        return text

    def _python(self, example: Example) -> None:
        text = self._text(example)
        named = FILE.match(text)
        if named is None:
            lines = "\n" * (example.line + example.parsed.line_offset)
            code = compile(lines + text, example.path, "exec", dont_inherit=True)
            exec(code, example.namespace)  # noqa: S102 - our own page
        elif not named[1].startswith(("test_", "conftest")):  # those are pytest's
            module = vars(importlib.import_module(module_of(named[1])))
            example.namespace.update({k: v for k, v in module.items() if not k.startswith("__")})

    def _toml(self, example: Example) -> None:
        values = tomllib.loads(self._text(example))
        if example.parsed.startswith("# endpoints.toml\n"):
            for behaviour in values["endpoints"].values():
                behaviours.parse(behaviour)
        else:
            Settings(**lower_names(values))

    def _json(self, example: Example) -> None:
        try:
            json.loads(example.parsed)
        except ValueError:  # JSON Lines
            for line in example.parsed.splitlines():
                json.loads(line)

    def _yaml(self, example: Example) -> None:
        list(yaml.safe_load_all(example.parsed))

    def _console(self, example: Example) -> None:
        for command in docs_commands.commands(example.parsed, console=True):
            docs_commands.check(command)

    def _shell(self, example: Example) -> None:
        for command in docs_commands.commands(example.parsed, console=False):
            docs_commands.check(command)

    def _refuse_unknown(self, document: Document) -> Iterable[Region]:
        for region in FencedCodeBlockLexer("[^\n]*")(document):
            language = region.lexemes["language"].strip()
            if not language.startswith("{") and language not in {*READ, *self._checks}:
                line = document.text.count("\n", 0, region.start) + 1
                raise ValueError(f"{document.path}:{line}: nobody knows the language {language!r}")
        return ()


def module_of(file: str) -> str:
    """Return the module that a file is."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def run_alone(path: Path, folder: Path, environment: dict[str, str]) -> None:
    """Run a page in this process, which is for nothing else; it ends with 1 if something is wrong.

    Celery's current app is ours, over the environment's settings.
    """
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    with (folder / LOG).open("w") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            _run_alone(path, folder)
        except BaseException:  # noqa: BLE001 - whatever it is, the parent shows it
            traceback.print_exc()
            log.flush()
            os._exit(1)


def _run_alone(path: Path, folder: Path) -> None:
    settings = Settings.load()
    app = create_app(settings)
    app.set_default()
    page = Page(path, folder, {LOCAL: settings.broker_url})
    page.namespace["celery"] = app
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", "Call to deprecated setex", DeprecationWarning)
        page.run()
    deployment(app).close()
