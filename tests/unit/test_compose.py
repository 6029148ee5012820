"""The compose file: it is valid, and keeps what is promised of each service."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from celery_sagemaker.config import Settings, queues
from celery_sagemaker.config.celery import celery_settings
from celery_sagemaker.workers.cli.app import app

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
#: Folders of settings that compose may be pointed to.
DEPLOYMENTS = ROOT / "deploy"

FILE: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
WORKERS = [name for name in SERVICES if name.startswith("worker-")]
#: What a value of compose may be that is asked from the environment: `${NAME:-default}`.
INTERPOLATED = re.compile(r"\$\{(?P<name>\w+):?-(?P<default>[^}]*)\}")

each_service = pytest.mark.parametrize("name", SERVICES)


def seconds(text: str) -> int:
    """Seconds of a duration such as 75s."""
    assert text.endswith("s")
    return int(text[:-1])


def default(text: str) -> str:
    """A value as it is when the environment says nothing."""
    return INTERPOLATED.sub(lambda found: found["default"], text)


def variables(path: Path) -> dict[str, str | None]:
    """What an env file sets; None: the value is handed on from compose's environment."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pairs = (line.partition("=") for line in lines)
    return {name: value if separator else None for name, separator, value in pairs}


def test_it_is_valid() -> None:
    """By the schema of the compose specification."""
    command = [sys.executable, "-m", "check_jsonschema"]
    command += ["--builtin-schema", "vendor.compose-spec", str(COMPOSE)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@each_service
def test_a_service_is_looked_after(name: str) -> None:
    """A health check, a restart, and logs that end."""
    service = SERVICES[name]
    assert service["healthcheck"]["test"]
    assert service["restart"] in {"unless-stopped", "always"}
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@each_service
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    """No root, no capabilities, nothing to write to but /tmp and volumes."""
    service = SERVICES[name]
    assert service["user"].partition(":")[0] not in {"", "0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not service.keys() & {"cap_add", "privileged", "network_mode", "pid"}
    for volume in service.get("volumes", ()):
        named = isinstance(volume, str) and volume.partition(":")[0] in FILE["volumes"]
        assert named or volume["read_only"]


@each_service
def test_a_service_has_limits(name: str) -> None:
    """Of processors, memory and processes."""
    assert SERVICES[name]["deploy"]["resources"]["limits"].keys() == {"cpus", "memory", "pids"}


@each_service
def test_a_service_can_be_scaled(name: str) -> None:
    """No name of its own, and no port of every address of the machine."""
    service = SERVICES[name]
    assert "container_name" not in service
    for port in service.get("ports", ()):
        assert default(port).startswith("127.0.0.1:")


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_has_time_to_stop(name: str) -> None:
    """Twice the soft shutdown: Celery's own may take as long again."""
    service = SERVICES[name]
    soft = celery_settings(Settings())["worker_soft_shutdown_timeout"]
    assert service["environment"]["REMAP_SIGTERM"] == "SIGQUIT"
    assert seconds(service["stop_grace_period"]) > 2 * soft


def test_each_queue_has_one_kind_of_worker() -> None:
    """All workers together take from every queue, and none from another's."""
    taken = [
        queue
        for name in WORKERS
        for queue in option(SERVICES[name]["command"], "--queues").split(",")
    ]
    assert sorted(taken) == sorted(queues.ALL)


def option(command: list[str], name: str) -> str:
    """What an option of a command is given."""
    return command[command.index(name) + 1]


def test_batch_workers_have_slots_for_their_chunks() -> None:
    """And one more, so that a job is planned while chunks of others run."""
    slots = int(option(SERVICES["worker-batch"]["command"], "--concurrency"))
    assert slots > Settings().batch.chunks


def test_commands_are_ours() -> None:
    """Each service's command line is one that `celery-sagemaker` takes."""
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined] # of a group
    given = [s["command"][1:] for s in SERVICES.values() if s.get("command", [])[0] != "sh"]
    ours = [arguments for arguments in given if not arguments[0].startswith("--app=")]
    assert {name for name, *_ in ours} == {"worker", "beat", "sse", "local"}
    for name, *arguments in ours:
        if name in known:
            known[name].make_context(name, arguments)


@pytest.mark.parametrize("name", [*WORKERS, "beat"])
def test_health_is_what_the_process_shows(name: str) -> None:
    """The check looks at the file that the settings name, on a disk of the container's own."""
    service = SERVICES[name]
    file = service["environment"]["CELERY_SAGEMAKER_LIVENESS__FILE"]
    assert f"find {file} " in service["healthcheck"]["test"][1]
    assert any(mount.partition(":")[0] == str(Path(file).parent) for mount in service["tmpfs"])


def test_the_local_profile_is_the_default() -> None:
    """`docker compose --profile local up` needs no setting; nobody else's service has a profile."""
    profiles = {name: s["profiles"] for name, s in SERVICES.items() if "profiles" in s}
    assert profiles == {"local": ["local"], "flower": ["flower"]}
    for service in SERVICES.values():
        for file in service.get("env_file", ()):
            assert (ROOT / default(file)).is_file()
        needed = {k for k, how in service.get("depends_on", {}).items() if how.get("required", 1)}
        assert needed <= {"redis"}


def test_there_is_no_secret_in_it() -> None:
    """What is secret comes from the deployment's folder, and only the local one's is known."""
    assert not re.search(
        r"(?i)(password|secret|key|token)\w*\"?\s*[:=]\s*\"?\w", COMPOSE.read_text()
    )
    for service in SERVICES.values():
        assert not [n for n in service.get("environment", {}) if n.startswith(("AWS", "REDIS"))]
    example = variables(DEPLOYMENTS / "example/redis.env") | variables(
        DEPLOYMENTS / "example/celery.env"
    )
    secret = re.compile(r"PASSWORD|SECRET|KEY|TOKEN|AUTH")
    assert {example[name] for name in example if secret.search(name)} <= {"", None}


def test_a_deployment_cannot_forget_its_password() -> None:
    """Redis does not start without one, and takes it by stdin: arguments are for all to see."""
    script = SERVICES["redis"]["command"][-1]
    assert ': "$${REDIS_PASSWORD:?' in script
    before, _, after = script.partition("<<CONF\n")
    assert "requirepass" not in before
    assert "requirepass" in after
    assert variables(DEPLOYMENTS / "example/redis.env")["REDIS_PASSWORD"] == ""


def test_redis_keeps_what_it_is_given() -> None:
    """An append-only file in a volume; writes are refused before the kernel kills."""
    redis = SERVICES["redis"]
    script = " ".join(redis["command"][-1].split())
    assert "--appendonly yes" in script
    assert "--maxmemory-policy noeviction" in script
    assert "--dir /data" in script
    assert redis["volumes"] == ["redis:/data"]
    assert default(redis["deploy"]["resources"]["limits"]["memory"]) == "1g"
    assert "REDIS_MAXMEMORY:-512mb" in script


@pytest.mark.parametrize("deployment", ["local", "example"])
def test_settings_of_a_deployment_are_settings(
    deployment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its env files and its TOML file are read as they will be in a container."""
    folder = DEPLOYMENTS / deployment
    password = {"REDIS_PASSWORD": variables(folder / "redis.env")["REDIS_PASSWORD"] or "x"}
    for name, value in variables(folder / "celery.env").items():
        if value is not None:
            monkeypatch.setenv(name, value.replace("${REDIS_PASSWORD}", password["REDIS_PASSWORD"]))
    for name, value in SERVICES["beat"]["environment"].items():
        monkeypatch.setenv(name, value)
    settings = Settings.load(folder / "celery-sagemaker.toml")
    assert settings.broker_url == f"redis://:{password['REDIS_PASSWORD']}@redis:6379/0"
    assert settings.liveness.file == Path("/tmp/alive")  # noqa: S108 - a container's
    assert bool(settings.streams.token_keys) == (deployment == "local")


def test_the_image_is_lean() -> None:
    """A pinned base, the lock's versions, and a last stage that gets the environment alone."""
    text = (ROOT / "Dockerfile").read_text()
    stages = re.split(r"^FROM ", text, flags=re.MULTILINE)
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim-\w+$", text, re.MULTILINE)
    # Nothing that only developers use.
    for line in text.splitlines():
        assert "uv sync" not in line or "--locked --no-default-groups" in line
    base = next(stage for stage in stages if stage.startswith("${PYTHON_IMAGE} AS base"))
    assert "USER 10001:10001" in base
    last = stages[-1].splitlines()
    assert last == ["base AS runtime", "COPY --from=builder /opt/venv /opt/venv"]


def test_uv_is_the_makefiles() -> None:
    """One version makes the lock and reads it."""
    in_makefile = re.search(
        r"^UV_VERSION \?= (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    in_dockerfile = re.search(
        r"^ARG UV_VERSION=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )
    assert in_makefile
    assert in_dockerfile
    assert in_makefile[1] == in_dockerfile[1]
