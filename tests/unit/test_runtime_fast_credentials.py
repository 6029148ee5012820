"""Credentials that end, and an event loop that goes on."""

import asyncio
import datetime as dt
import logging
import threading
from collections.abc import Awaitable, Callable

import pytest
from botocore.credentials import (
    Credentials,
    DeferredRefreshableCredentials,
    RefreshableCredentials,
)
from botocore.exceptions import CredentialRetrievalError
from celery_sagemaker.runtime.credentials import WAIT_BEFORE, LoopCredentials

#: botocore renews from this many seconds before the end on.
ADVISORY = 900


class Issuer:
    """Issues credentials numbered from 1, each good for an hour from its clock's time."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        self.issued = self.asked = 0
        self.error: Exception | None = None
        self.may_issue = threading.Event()
        self.may_issue.set()
        self.threads: set[int] = set()

    def issue(self) -> dict[str, str]:
        """Return new credentials, when that is allowed; as botocore's fetchers do."""
        assert self.may_issue.wait(10)
        self.asked += 1
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        self.issued += 1
        end = self.now + dt.timedelta(hours=1)
        key = f"key-{self.issued}"
        return {"access_key": key, "secret_key": "s", "token": "t", "expiry_time": end.isoformat()}

    def credentials(self) -> RefreshableCredentials:
        """Return credentials that botocore renews here."""
        first = self.issue()
        return RefreshableCredentials(
            access_key=first["access_key"],
            secret_key=first["secret_key"],
            token=first["token"],
            expiry_time=dt.datetime.fromisoformat(first["expiry_time"]),
            refresh_using=self.issue,
            method="test",
            time_fetcher=lambda: self.now,
        )

    def pass_until(self, seconds_before_end: float) -> None:
        """Let time pass until shortly before the first credentials' end."""
        self.now += dt.timedelta(seconds=3600 - seconds_before_end)


async def key(credentials: LoopCredentials) -> str:
    """Return the access key that a request would be signed with."""
    return str((await credentials.frozen()).access_key)


def run(body: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine."""

    async def limited() -> None:
        async with asyncio.timeout(20):
            await body()

    asyncio.run(limited())


def test_lasting_credentials_are_used_as_they_are() -> None:
    """Keys of a user have no end."""

    async def body() -> None:
        made = LoopCredentials(Credentials("a", "b"))
        assert [await key(made), await key(made)] == ["a", "a"]
        await made.close()

    run(body)


def test_good_credentials_are_not_renewed() -> None:
    """As long as botocore would not renew them, nothing is asked."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(issuer.credentials())
        await key(made)
        issuer.pass_until(ADVISORY + 1)
        assert await key(made) == "key-1"
        assert issuer.issued == 1

    run(body)


def test_renews_beside_the_requests() -> None:
    """Near their end the old ones serve on while a thread fetches new ones, once."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(issuer.credentials())
        await key(made)
        issuer.pass_until(ADVISORY - 1)
        issuer.may_issue.clear()
        assert [await key(made) for _ in range(50)] == ["key-1"] * 50
        issuer.may_issue.set()
        await made.close()
        assert await key(made) == "key-2"
        assert issuer.issued == 2

    run(body)


@pytest.mark.parametrize("seconds_before_end", [WAIT_BEFORE - 1, -1])
def test_waits_when_there_is_no_time(seconds_before_end: float) -> None:
    """Right before their end, and after it, all requests wait for one renewal, off the loop."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(issuer.credentials())
        await key(made)
        issuer.pass_until(seconds_before_end)
        issuer.may_issue.clear()
        waiting = [asyncio.create_task(key(made)) for _ in range(20)]
        await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        issuer.may_issue.set()
        assert await asyncio.gather(*waiting) == ["key-2"] * 20
        assert issuer.issued == 2

    run(body)


def test_never_asks_in_the_loops_thread() -> None:
    """What may block runs elsewhere."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(DeferredRefreshableCredentials(issuer.issue, "assume-role"))
        issuer.now = dt.datetime.now(dt.UTC)
        assert await key(made) == "key-1"
        assert threading.get_ident() not in issuer.threads

    run(body)


def test_a_cancelled_request_does_not_end_the_renewal() -> None:
    """The others still get what they wait for."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(issuer.credentials())
        await key(made)
        issuer.pass_until(0)
        issuer.may_issue.clear()
        first, second = asyncio.create_task(key(made)), asyncio.create_task(key(made))
        await asyncio.sleep(0)
        first.cancel()
        issuer.may_issue.set()
        assert await second == "key-2"
        assert first.cancelled()

    run(body)


def test_good_credentials_outlive_a_failed_renewal(caplog: pytest.LogCaptureFixture) -> None:
    """A metadata service that is away for a while stops nobody, and is not asked all the time."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(issuer.credentials())
        await key(made)
        issuer.pass_until(WAIT_BEFORE + 1)
        issuer.error = CredentialRetrievalError(provider="test", error_msg="away")
        for _ in range(3):
            assert await key(made) == "key-1"
            await made.close()
        assert issuer.asked == 2

    with caplog.at_level(logging.WARNING, "celery_sagemaker"):
        run(body)
    assert "credentials_not_renewed" in caplog.text


def test_ended_credentials_fail_every_request_until_there_are_new_ones() -> None:
    """The error is botocore's own, and the next request tries again."""

    async def body() -> None:
        issuer = Issuer()
        made = LoopCredentials(issuer.credentials())
        await key(made)
        issuer.pass_until(-1)
        issuer.error = CredentialRetrievalError(provider="test", error_msg="away")
        for _ in range(2):
            with pytest.raises(CredentialRetrievalError):
                await key(made)
        issuer.error = None
        assert await key(made) == "key-2"

    run(body)
