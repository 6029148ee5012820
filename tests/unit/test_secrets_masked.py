"""Texts, and records of a log, without what is nobody's business."""

import io
import logging
from collections.abc import Callable

import pytest
from celery_sagemaker.runtime.secrets import masked
from celery_sagemaker.workers import quiet
from hypothesis import example, given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    "text",
    [
        'Could not connect to the endpoint URL: "https://user:SECRET@host/path"',
        "redis://:SECRET@host:6379/0",
        "proxy http://user:SEC@RET@proxy:3128 refused",
        "http://user:SECRET'\"x@host/",
        "https://b.s3.amazonaws.com/k?X-Amz-Credential=SECRET&X-Amz-Signature=SECRET&x=1",
        "GET /k?X-Amz-Security-Token=SECRET%3D%3D",
        "x-amz-security-token:SECRET\nhost:h",
        "{'X-Amz-Security-Token': b'SECRET', 'a': 1}",
        "AWS4-HMAC-SHA256 Credential=SECRET/20260101/r/s/aws4_request, Signature=SECRET",
        "rediss://h/0?ssl_password=SECRET&password=SECRET",
        "aws_secret_access_key = SECRET",
        "AWS_SESSION_TOKEN=SECRET",
        '{"SecretAccessKey": 1, "aws_secret_access_key": "SECRET"}',
    ],
)  # fmt: skip
def test_a_secret_is_masked(text: str) -> None:
    """Wherever a library's message quotes it."""
    shown = masked(text)
    assert "SEC" not in shown
    assert "RET" not in shown
    assert "***" in shown


@given(
    st.text(),
    st.text(alphabet=st.characters(exclude_characters="/", exclude_categories=["Z", "C"])),
)
@example("", "p@ss:w\"ord'")
def test_no_password_of_an_address_is_left(before: str, password: str) -> None:
    """Whatever characters it has that an address may have."""
    shown = masked(f"{before} https://u:§{password}§@host/")
    assert f"§{password}§" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "Could not find endpoint: https://host:8443/path?x=1",
        "The request signature we calculated does not match",
        "user@example.com wrote",
        "s3://bucket/a@b",
        "",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    """A message says what went wrong."""
    assert masked(text) == text


def test_a_log_has_neither_the_message_nor_the_cause_of_an_error_unmasked() -> None:
    """Foreign errors stay as the cause of ours; a traceback prints them."""
    logger, stream = logging.getLogger(__name__), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(message)s, address=%(address)s"))
    logger.addHandler(handler)
    quiet._set_up(logger)
    error = RuntimeError("ours")
    error.__cause__ = ValueError("at https://user:SECRET@host/")
    where = "https://user:SECRET@host/"
    logger.error("failed at %s", where, exc_info=error, extra={"address": where})
    assert "SECRET" not in stream.getvalue()
    assert "failed at https://***@host/, address=https://***@host/" in stream.getvalue()
    assert "ValueError: at https://***@host/" in stream.getvalue()


@pytest.fixture
def levels(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Give the root logger a level; what is set besides is taken back."""
    for name in quiet.TALKATIVE:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.NOTSET)
    return lambda level: monkeypatch.setattr(logging.getLogger(), "level", level)


def test_talkative_libraries_keep_a_level_that_was_given(
    levels: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who wants to see what they write says so by name."""
    levels(logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("botocore"), "level", logging.DEBUG)
    quiet._set_up(logging.getLogger(__name__))
    assert logging.getLogger("botocore").level == logging.DEBUG
    assert logging.getLogger("urllib3").level == logging.INFO


def test_talkative_libraries_say_no_more_than_the_others(levels: Callable[[int], None]) -> None:
    """A worker at WARNING hears no INFO of them."""
    levels(logging.WARNING)
    quiet._set_up(logging.getLogger(__name__))
    assert logging.getLogger("botocore").getEffectiveLevel() == logging.WARNING
