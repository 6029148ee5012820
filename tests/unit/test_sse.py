"""The application of a deployment's streams: where its keys come from, and where they do not go."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from celery_sagemaker.channels import tokens
from celery_sagemaker.config import Settings, SettingsError, sections
from celery_sagemaker.tasks import configure
from celery_sagemaker.workers import sse
from celery_sagemaker.workers.cli.configuration import rows_of

OLD, NEW = "hunter2-" * 4, "hunter3-" * 4
VARIABLE = "CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS"


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app that is nobody's current one."""
    made = Celery("sse", set_as_current=False)
    yield made
    made.close()


def with_streams(app: Celery, **chosen: object) -> Celery:
    """Let an app have settings of streams."""
    configure(app, Settings(streams=chosen))
    return app


def test_importing_it_reads_nothing(tmp_path: Path) -> None:
    """Neither the environment nor the file, however wrong they are."""
    (tmp_path / "celery-sagemaker.toml").write_text("= wrong")
    code = "import celery_sagemaker.workers.sse"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)


def test_without_a_key_there_is_no_application(app: Celery) -> None:
    """One line says what to do; whoever has another authorisation needs no key."""
    configure(app, Settings())
    with pytest.raises(SettingsError) as caught:
        sse.create_app(app)
    assert str(caught.value) == f"streams.token_keys: {sse.NO_KEY}"
    assert VARIABLE in sse.NO_KEY

    async def anybody(*_: object) -> bool:
        return True

    assert [route.path for route in sse.create_app(app, authorize=anybody).routes] == [  # type: ignore[attr-defined]
        "/streams/{stream}"
    ]


def test_keys_change_without_an_interruption(app: Celery) -> None:
    """The last key signs, and tokens of the others are good until their key is taken out."""
    before = sse.stream_tokens(with_streams(app, token_keys=OLD)).sign("a")
    both = sse.stream_tokens(with_streams(app, token_keys=[OLD, NEW]))
    after = sse.stream_tokens(with_streams(app, token_keys=[NEW]))
    assert both.allows(before, "a")
    assert after.allows(both.sign("a"), "a")
    assert not after.allows(before, "a")


def test_tokens_are_good_for_as_long_as_the_settings_say(
    app: Celery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In seconds, from when they were signed."""
    signer = sse.stream_tokens(with_streams(app, token_keys=[NEW], token_max_age=60))
    clock = type(signer._signer.make_signer(None))
    now = signer._signer.make_signer(None).get_timestamp()  # type: ignore[attr-defined]
    monkeypatch.setattr(clock, "get_timestamp", lambda _: now)
    token = signer.sign("a")
    for later, good in ((60, True), (61, False)):
        monkeypatch.setattr(clock, "get_timestamp", lambda _, at=now + later: at)
        assert signer.allows(token, "a") is good


def test_keys_and_origins_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """With commas between; the file has lists."""
    monkeypatch.setenv(VARIABLE, f"{OLD},{NEW}")
    monkeypatch.setenv("CELERY_SAGEMAKER_STREAMS__ALLOW_ORIGINS", "https://a, http://b:8000")
    found = Settings.load()
    assert [key.get_secret_value() for key in found.streams.token_keys] == [OLD, NEW]
    assert found.streams.allow_origins == ("https://a", "http://b:8000")
    assert found.sources()["streams.token_keys"] == f"env {VARIABLE}"


def test_keys_are_never_shown() -> None:
    """By `repr`, a dump, or the command `config`."""
    settings = Settings(streams={"token_keys": [OLD, NEW]})
    rows = rows_of(settings.model_dump(mode="json"), settings.sources())
    shown = f"{settings!r} {settings} {settings.streams!r} {settings.model_dump()} {rows}"
    assert "hunter" not in shown + settings.model_dump_json()
    assert "***" in json.dumps({key: value for key, value, _ in rows}["streams.token_keys"])


@pytest.mark.parametrize(
    ("chosen", "part"),
    [
        ({"token_keys": "hunter2"}, "token_keys: a key needs 32 characters"),
        ({"token_keys": [OLD, "hunter2"]}, "token_keys: a key needs 32 characters"),
        ({"allow_origins": "app.example"}, "allow_origins: an origin is https://host"),
        ({"allow_origins": ["https://a/"]}, "allow_origins: an origin is https://host"),
    ],
)
def test_what_cannot_be_right_is_refused(chosen: dict[str, object], part: str) -> None:
    """With the key's name, and without the secret."""
    with pytest.raises(SettingsError, match=f"streams.{part}") as caught:
        Settings(streams=chosen)
    assert "hunter" not in str(caught.value)


def test_the_settings_ask_for_what_the_signer_asks_for() -> None:
    """A key that the settings take is never refused later."""
    assert sections.KEY_LENGTH == tokens.KEY_LENGTH
    assert sections.StreamSettings().token_max_age == tokens.MAX_AGE
