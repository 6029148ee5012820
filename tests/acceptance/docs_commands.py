"""The commands in the documentation: programs that exist, with options that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery.bin.celery import celery as celery_command
from celery_sagemaker.workers.cli.app import app
from typer.main import get_command

ROOT = Path(__file__).parents[2]

#: Programs of others, whose options are not checked here.
OTHERS = frozenset({
    "apt-get", "aws", "cat", "cd", "cp", "curl", "docker", "dockerd", "export", "git", "gunicorn",
    "jq",
    "kubectl", "mkdir", "openssl", "pip-audit", "pytest", "python", "python3",
    "rabbitmq-diagnostics", "rabbitmq-plugins", "rabbitmqctl", "redis-cli", "redis-server",
    "source", "sudo", "systemctl", "uv", "uvicorn", "valkey-cli",
})  # fmt: skip

#: Extras that `pip install 'celery-sagemaker[...]'` may name.
EXTRA = re.compile(r"(?:celery-sagemaker|\.)\[([\w,-]+)\]")

#: The part of a line that goes to or comes from another program, or a file.
REDIRECTED = re.compile(r"^(\||\|\||&&|;|[0-9]?>{1,2}|<|&)$")


def commands(text: str, *, console: bool) -> Iterator[str]:
    """Yield the commands of a block; those of a console come after `$ ` or `# `."""
    for line in text.replace("\\\n", " ").splitlines():
        if not console:
            yield line
        elif line.startswith(("$ ", "# ")):
            yield line[2:]


def check(command: str) -> None:
    """Refuse a command that does not exist, or has options that do not."""
    for program, *arguments in calls(command):
        name = Path(program).name
        if name == "celery-sagemaker":
            check_options(get_command(app), arguments)
        elif name == "celery":
            check_options(celery_command, arguments)
        elif name == "make":
            check_targets(arguments)
        elif name == "pip":
            check_extras(arguments)
        else:
            assert name in OTHERS, f"{command!r}: what is {name}?"


def calls(command: str) -> Iterator[list[str]]:
    """Yield the programs of a line, each with its arguments."""
    words: list[str] = []
    redirected = False
    for word in [*shlex.split(command, comments=True), ";"]:
        if REDIRECTED.match(word):
            if words and not redirected:
                yield words
            words, redirected = [], word[-1] in "<>"
        elif words or not re.match(r"\w+=", word):  # not a variable for the program
            words.append(word)


def check_options(command: Any, arguments: list[str]) -> None:
    """Walk down to the subcommand, and read its options as it would."""
    while arguments and hasattr(command, "commands"):
        takes = {name: option for option in command.params for name in option.opts}
        while arguments and arguments[0].startswith("-"):
            option = takes[arguments.pop(0).partition("=")[0]]
            if not option.is_flag:
                arguments.pop(0)
        if arguments:
            name = arguments.pop(0)
            assert name in command.commands, f"{command.name} has no command {name!r}"
            command = command.commands[name]
    # Parsed as a context would, but that such a one swallows errors, or runs the command.
    parser = command.make_parser(command.context_class(command, info_name=command.name))
    _, left, _ = parser.parse_args(arguments)
    assert not left, f"{command.name} does not take {left}"


def check_targets(arguments: list[str]) -> None:
    """Targets that the Makefile has; the rest are variables."""
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    unknown = {word for word in arguments if "=" not in word} - set(targets)
    assert not unknown, f"the Makefile has no {unknown}"


def check_extras(arguments: list[str]) -> None:
    """Extras that pyproject.toml has."""
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    table = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^(\w+) = ", table, re.MULTILINE))
    for named in EXTRA.findall(" ".join(arguments)):
        assert set(named.split(",")) <= extras, f"there is no extra {named}"
