"""Where settings come from: the environment and one TOML file."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource
from pydantic_settings.exceptions import SettingsError as UnreadableVariable

from .addresses import is_redis
from .errors import SettingsError, suggestion

PREFIX = "CELERY_SAGEMAKER_"
NESTED = "__"
#: Names the TOML file.
FILE_VARIABLE = "CELERY_SAGEMAKER_CONFIG"
#: Read from the working directory when no file is named and this one is there.
FILE = Path("celery-sagemaker.toml")
#: Tables whose keys are endpoint names or error codes. Environment variables lose their case, and
#: neither has two names that differ in case only, so that both sources are joined in lower case.
NAMED = frozenset({"endpoints", "retries"})

#: What is wrong with a variable that stands for a section.
NOT_JSON = "is not JSON, which a whole section has to be"

Key = tuple[str, ...]


def find_file(path: Path | None) -> Path | None:
    """Find the TOML file: the given one, the environment's, else the default if it is there."""
    named = path or os.environ.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return FILE if FILE.is_file() else None


def read_file(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SettingsError: it cannot be read, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            return lower_names(tomllib.load(file))
    except OSError as error:
        raise SettingsError({str(path): f"cannot be read: {error.strerror}"}) from error
    # TOMLDecodeError, UnicodeDecodeError, and arrays in each other without end.
    except (ValueError, RecursionError) as error:
        raise SettingsError({str(path): f"is not TOML: {error}"}) from error


def read_environment(model: type[BaseSettings]) -> dict[str, Any]:
    """Read the variables of a settings class, as pydantic-settings does.

    Raises:
        SettingsError: a variable of ours that means nothing, or a value that should be JSON.
    """
    known = model.model_fields
    unknown = {
        name: suggestion(name, [PREFIX + key.upper() for key in known], "variable")
        for path, name in variables().items()
        if path[0] not in known
    }
    if unknown:
        raise SettingsError(unknown)
    source = EnvSettingsSource(
        model, env_prefix=PREFIX, env_nested_delimiter=NESTED, env_ignore_empty=True
    )
    try:
        return lower_names(source())
    except (UnreadableVariable, RecursionError):
        raise SettingsError(dict.fromkeys(_unreadable(source), NOT_JSON)) from None


def _unreadable(source: EnvSettingsSource) -> Iterator[str]:
    """The variables that cannot be read, each by itself: what is raised names fields only."""
    everything = source.env_vars
    for name in variables().values():
        source.env_vars = {name.lower(): everything[name.lower()]}
        try:
            source()
        except (UnreadableVariable, RecursionError):
            yield name


def variables() -> dict[Key, str]:
    """The environment's variables of ours that are not empty: path of keys to name."""
    return {
        tuple(name[len(PREFIX) :].lower().split(NESTED)): name
        for name, value in os.environ.items()
        if name.upper().startswith(PREFIX) and name.upper() != FILE_VARIABLE and value
    }


def lower_names(data: dict[str, Any]) -> dict[str, Any]:
    """Put the names that users choose (endpoints, error codes) into lower case."""
    return {key: _lower(value) if key in NAMED else value for key, value in data.items()}


def _lower(table: Any) -> Any:
    if not isinstance(table, Mapping):
        return table
    lowered = {str(name).lower(): value for name, value in table.items()}
    if len(lowered) < len(table):
        raise SettingsError({", ".join(table): "names that differ in case only"})
    return {
        name: lower_names(value) if isinstance(value, dict) else value
        for name, value in lowered.items()
    }


def merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Join two nested mappings; the second one wins."""
    joined = dict(lower)
    for key, value in upper.items():
        below = joined.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        joined[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return joined


def leaves(data: Mapping[str, Any], above: Key = ()) -> Iterator[Key]:
    """Every key that has a value, as a path."""
    for key, value in data.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def read_app(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Take from a Celery app's configuration where its messages and results travel."""
    found = {}
    broker = configuration.get("broker_write_url") or configuration.get("broker_url")
    if broker:
        # A list, or a text with semicolons, names alternatives: the first one is ours.
        first = broker if isinstance(broker, str) else broker[0]
        found["broker_url"] = first.split(";")[0]
    backend = configuration.get("result_backend")
    if isinstance(backend, str) and is_redis(backend):
        found["result_url"] = backend
    return found


def origins(
    from_app: Mapping[str, Any],
    from_file: Mapping[str, Any],
    path: Path | None,
    environment: Mapping[str, Any],
) -> dict[str, str]:
    """Tell where each given key came from, by dotted key."""
    found = dict.fromkeys((".".join(leaf) for leaf in leaves(from_app)), "app")
    found |= {".".join(leaf): f"file {path}" for leaf in leaves(from_file)}
    names = variables()
    for leaf in leaves(environment):
        name = next(names[leaf[:end]] for end in range(len(leaf), 0, -1) if leaf[:end] in names)
        found[".".join(leaf)] = f"env {name}"
    return found
