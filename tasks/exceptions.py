"""Ways in which a request ends that are Celery's or the ledger's doing, not SageMaker's.

::

    InferenceError
    └─ LedgerError
       ├─ MalformedMessage
       ├─ PoisonMessage
       ├─ LostMessage
       ├─ PartlyAccepted
       ├─ Revoked
       ├─ Expired
       ├─ StreamInterrupted
       ├─ UnknownJob
       ├─ NoSuchSchedule
       └─ ScheduleExists

InvalidSchedule is an InvalidRequest: refused before anything was written.

The service's errors, and the network's, are in `celery_sagemaker.runtime.exceptions`.
"""

from typing import ClassVar

from ..runtime.exceptions import InferenceError, InvalidRequest


class LedgerError(InferenceError):
    """The request could not be run."""

    code: ClassVar[str] = "LedgerError"


class MalformedMessage(LedgerError):
    """The task message is not one that this version can read."""

    code: ClassVar[str] = "MalformedMessage"


class PoisonMessage(LedgerError):
    """Every worker that began the request died before it ended."""

    code: ClassVar[str] = "PoisonMessage"


class LostMessage(LedgerError):
    """The request's message was sent again and again, and no worker ever began it."""

    code: ClassVar[str] = "LostMessage"


class PartlyAccepted(LedgerError):
    """Of many requests, the first are accepted; the rest are not, and can be sent again.

    Members: `accepted` and `unknown`, lists of ids. Of the unknown ones it cannot be said while
    Redis is away: those that are in the ledger when it is back are run.
    """

    code: ClassVar[str] = "PartlyAccepted"


class Revoked(LedgerError):
    """The request was revoked."""

    code: ClassVar[str] = "Revoked"


class Expired(LedgerError):
    """The request's message expired before a worker began it."""

    code: ClassVar[str] = "Expired"


class StreamInterrupted(LedgerError):
    """The stream's worker died after its readers had been given a part of the output."""

    code: ClassVar[str] = "StreamInterrupted"
    may_have_run: ClassVar[bool] = True


class UnknownJob(LedgerError):
    """There is no such batch job, or no longer."""

    code: ClassVar[str] = "UnknownJob"


class NoSuchSchedule(LedgerError):
    """There is no such schedule."""

    code: ClassVar[str] = "NoSuchSchedule"


class ScheduleExists(LedgerError):
    """There is a schedule of this name already."""

    code: ClassVar[str] = "ScheduleExists"


class InvalidSchedule(InvalidRequest):
    """The schedule cannot be right, and was not added."""

    code: ClassVar[str] = "InvalidSchedule"
