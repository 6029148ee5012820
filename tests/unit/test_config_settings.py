"""Settings: where they come from, what is refused, and what is never shown."""

import pickle
from pathlib import Path

import pytest
from celery_sagemaker.config import Settings, SettingsError, addresses

COST = "CELERY_SAGEMAKER_RETRIES__ThrottlingException__COST"
TOML = """
broker_url = "redis://:toml-secret@broker:6379/1"
staging = "s3://bucket/prefix/"

[ledger]
lease = 5

[retries.ThrottlingException]
attempts = 3

[endpoints.Digits]
content_type = "application/json"
retries = { "modelerror:5xx" = { attempts = 1 } }
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Write a configuration file."""
    path = tmp_path / "some.toml"
    path.write_text(TOML)
    return path


def problems(**values: object) -> dict[str, str]:
    """Return what is wrong with some settings."""
    with pytest.raises(SettingsError) as caught:
        Settings(**values)
    return caught.value.problems


def test_results_and_state_follow_the_broker() -> None:
    """One address is enough; each of the three can be another."""
    settings = Settings(broker_url="redis://one:6379/3", state_url="rediss://two/0")
    assert settings.result_url == "redis://one:6379/3"
    assert settings.state_url == "rediss://two/0"


def test_the_constructor_reads_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only ``load`` looks at the environment and at files."""
    monkeypatch.setenv("CELERY_SAGEMAKER_PREFIX", "other")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "celery-sagemaker.toml").write_text("concurrency = 3")
    assert Settings().prefix == "celery-sagemaker"
    assert Settings.load().prefix == "other"
    assert Settings.load().concurrency == 3


def test_every_value_knows_its_origin(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment wins over the file, key by key, also inside sections."""
    monkeypatch.setenv("CELERY_SAGEMAKER_CONFIG", str(file))
    monkeypatch.setenv("CELERY_SAGEMAKER_LEDGER__RETENTION", "60")
    monkeypatch.setenv("CELERY_SAGEMAKER_POLLING", '{"tick": 0.5}')
    monkeypatch.setenv("CELERY_SAGEMAKER_ENDPOINTS__digits__ACCEPT", "text/csv")
    monkeypatch.setenv(COST, "9")
    monkeypatch.setenv("CELERY_SAGEMAKER_REGION", "")
    settings = Settings.load()
    given = {key: value for key, value in settings.sources().items() if value != "default"}
    assert given == {
        "broker_url": f"file {file}",
        "staging": f"file {file}",
        "ledger.lease": f"file {file}",
        "ledger.retention": "env CELERY_SAGEMAKER_LEDGER__RETENTION",
        "polling.tick": "env CELERY_SAGEMAKER_POLLING",
        "retries.ThrottlingException.attempts": f"file {file}",
        "retries.ThrottlingException.cost": f"env {COST}",
        "endpoints.digits.content_type": f"file {file}",
        "endpoints.digits.accept": "env CELERY_SAGEMAKER_ENDPOINTS__digits__ACCEPT",
        "endpoints.digits.retries.ModelError:5xx.attempts": f"file {file}",
    }
    assert (settings.ledger.lease, settings.ledger.retention) == (5.0, 60)
    assert settings.staging == "s3://bucket/prefix"
    assert Settings(concurrency=2).sources()["concurrency"] == "argument"


def test_endpoints_are_found_whatever_their_case(file: Path) -> None:
    """SageMaker has no two endpoints that differ in case only."""
    settings = Settings.load(file)
    assert settings.endpoint("Digits").content_type == "application/json"
    assert settings.endpoint("DIGITS") == settings.endpoint("digits")
    assert settings.endpoint("other").content_type is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2@host:6379/0",
        "rediss://user:hunter2@host/0",
        "redis://host/0?password=hunter2",
        "redis://host/0?ssl_password=hunter2&ssl_cert_reqs=required",
        "amqps://user:hunter2@host/vhost",
    ],
)
def test_secrets_are_masked(url: str) -> None:
    """Neither ``repr`` nor ``str`` nor a dump shows a password; the attribute has it."""
    settings = Settings(broker_url=url, result_url="redis://r/0", state_url="redis://:hunter2@s/0")
    shown = f"{settings!r} {settings!s} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hunter2" not in shown
    assert "***" in shown
    assert settings.broker_url == url


def test_an_address_that_cannot_be_read_is_masked_whole() -> None:
    """Where its password ends cannot be known."""
    assert addresses.mask("redis://:hunter2@[host") == "***"


@pytest.mark.parametrize(
    "url", ["redis://:hunter2@host:port/0", "hunter2", "redis://:hunter2@/0", "redis://h/hunter2"]
)
def test_a_wrong_address_is_not_shown_either(url: str) -> None:
    """The message names the key, not the value, which may be a secret."""
    found = problems(broker_url=url)
    assert set(found) == {"broker_url"}
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("values", "key", "part"),
    [
        ({"brokr_url": "x"}, "brokr_url", "did you mean broker_url?"),
        ({"ledger": {"leese": 1}}, "ledger.leese", "did you mean lease?"),
        ({"endpoints": {"a": {"acept": 1}}}, "endpoints.a.acept", "did you mean accept?"),
        (
            {"endpoints": {"a": {"retries": {"S3Error": {"atempts": 1}}}}},
            "endpoints.a.retries.s3error.atempts",
            "did you mean attempts?",
        ),
        ({"retries": {"S3Error": {"cots": 1}}}, "retries.s3error.cots", "did you mean cost?"),
        ({"retries": {"Throttling": {}}}, "retries.throttling", "known are AccessDenied"),
        ({"xyz": 1}, "xyz", "unknown key"),
        ({"concurrency": 0}, "concurrency", "greater than or equal to 1"),
        ({"polling": {"tick": -1}}, "polling.tick", "greater than 0"),
        ({"polling": {"tick": float("inf")}}, "polling.tick", "finite"),
        ({"polling": {"min_interval": 40}}, "polling.min_interval", "longer than max_interval"),
        ({"staging": "bucket/prefix"}, "staging", "s3://bucket/prefix"),
        ({"staging": "s3://B/x"}, "staging", "s3://bucket/prefix"),
        ({"prefix": "a b"}, "prefix", "pattern"),
        ({"prefix": "{a}"}, "prefix", "pattern"),
        ({"visibility_timeout": 70}, "visibility_timeout", "longest call, 77 s"),
        ({"timeouts": {"read": 600}}, "visibility_timeout", "longest call, 607 s"),
        ({"broker_url": "sqs://"}, "broker_url", "must begin with"),
        ({"broker_url": "redis://h:0/0"}, "broker_url", "no usable port"),
        ({"state_url": "amqp://h//"}, "state_url", "must begin with"),
        ({"broker_url": "amqp://h//", "state_url": "redis://s/0"}, "result_url", "url was taken"),
        ({"endpoints": {"A": {}, "a": {}}}, "A, a", "differ in case only"),
        ({"endpoints": 3}, "endpoints", "valid dictionary"),
    ],
)
def test_an_error_names_its_key(values: dict[str, object], key: str, part: str) -> None:
    """One line per problem: the key, and what is wrong with it."""
    found = problems(**values)
    assert list(found) == [key]
    assert part in found[key]


def test_rabbitmq_cannot_keep_the_state() -> None:
    """Both addresses that would follow the broker are missing, and one run says so; one will do."""
    assert set(problems(broker_url="amqp://h//")) == {"result_url", "state_url"}
    assert Settings(broker_url="amqp://h//", result_url="redis://r/0").state_url == "redis://r/0"


def test_every_problem_is_named_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run tells all that is wrong, and where it was set."""
    path = tmp_path / "c.toml"
    path.write_text("concurrency = 0\n[ledger]\nleese = 3")
    monkeypatch.setenv("CELERY_SAGEMAKER_POLLING__TICK", "soon")
    with pytest.raises(SettingsError) as caught:
        Settings.load(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert f"ledger.leese: unknown key, did you mean lease? (file {path})" in lines
    assert any(line.endswith("(env CELERY_SAGEMAKER_POLLING__TICK)") for line in lines)
    assert "soon" not in str(caught.value)
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - made here
    assert copy.problems == caught.value.problems


def test_an_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A typing error in the environment does not go unnoticed."""
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER", "redis://x/0")
    with pytest.raises(
        SettingsError, match=r"CELERY_SAGEMAKER_BROKER: .*CELERY_SAGEMAKER_BROKER_URL"
    ):
        Settings.load()


def test_an_unreadable_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A section given as one variable has to be JSON."""
    monkeypatch.setenv("CELERY_SAGEMAKER_LEDGER", "{")
    with pytest.raises(SettingsError, match="CELERY_SAGEMAKER_LEDGER: is not JSON"):
        Settings.load()


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    """A file that was named has to be there, and to be TOML in UTF-8."""
    with pytest.raises(SettingsError, match=r"absent\.toml: cannot be read: No such file"):
        Settings.load(tmp_path / "absent.toml")
    for content in (b"a = = 1", b"a = '\xff'"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(SettingsError, match=r"bad\.toml: is not TOML"):
            Settings.load(tmp_path / "bad.toml")


def test_settings_are_immutable() -> None:
    """Nobody changes them behind another's back; a copy with a change is a new value."""
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.prefix = "x"
    assert settings.model_copy(update={"prefix": "x"}).prefix == "x"


def test_an_apps_own_broker_is_used(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    """An app that has its Redis keeps the ledger there, unless file or environment say else."""
    app = {"broker_url": ["redis://app/3", "redis://spare/0"], "result_backend": "redis://app/4"}
    settings = Settings.load(app=app)
    assert (settings.state_url, settings.result_url) == ("redis://app/3", "redis://app/4")
    assert settings.sources()["broker_url"] == "app"
    assert Settings.load(file, app=app).broker_url == "redis://:toml-secret@broker:6379/1"
    monkeypatch.setenv("CELERY_SAGEMAKER_BROKER_URL", "redis://env/0")
    assert Settings.load(app=app).state_url == "redis://env/0"


def test_an_app_on_another_broker_has_to_name_a_redis() -> None:
    """RabbitMQ keeps no ledger, and a result backend of another kind no results of ours."""
    with pytest.raises(SettingsError, match="state_url: must begin with one of redis://"):
        Settings.load(app={"broker_url": "amqp://app//", "result_backend": "db+sqlite://"})
