"""Exit codes of the command line, and the one way to use them."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NoReturn

import typer


class Exit(IntEnum):
    """What the process says to the shell."""

    OK = 0
    #: The inference ended in an error; for `demo`: what docs/reference/cli.md says.
    FAILED = 1
    #: The command line, the settings or the request are wrong; nothing was sent.
    USAGE = 2
    #: Redis, S3 or a part of the local stack cannot be reached or started.
    UNREACHABLE = 3
    #: The answer did not arrive in `--timeout` seconds; the inference goes on.
    TIMED_OUT = 4
    #: No inference with this id is known.
    UNKNOWN_ID = 5
    #: Ctrl-C: `stream` cancelled its stream, `subscribe` left it. 128 and the signal's number.
    INTERRUPTED = 130


def fail(code: Exit, message: str) -> NoReturn:
    """End the process with one line on stderr."""
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(code)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the errors a user can do something about into one line and an exit code."""
    from kombu.exceptions import ChannelError, OperationalError  # noqa: PLC0415 - not for `--help`
    from kombu.exceptions import ConnectionError as BrokerError  # noqa: PLC0415
    from redis.exceptions import RedisError  # noqa: PLC0415

    from ...config import SettingsError  # noqa: PLC0415
    from ...runtime import exceptions  # noqa: PLC0415

    try:
        yield
    except SettingsError as error:
        fail(Exit.USAGE, f"settings: {'; '.join(str(error).splitlines())}")
    except exceptions.InvalidRequest as error:
        fail(Exit.USAGE, str(error))
    except RedisError as error:
        fail(Exit.UNREACHABLE, f"Redis: {error}")
    except (OperationalError, BrokerError, ChannelError) as error:
        fail(Exit.UNREACHABLE, f"broker: {error}")
    except exceptions.S3Error as error:
        fail(Exit.UNREACHABLE, f"S3: {error}")
    except exceptions.InferenceError as error:
        fail(Exit.UNREACHABLE, f"{error.code}: {error}")
