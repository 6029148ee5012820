"""Ways in which a batch job's data are wrong.

InvalidRequest
└─ InvalidInput                 found while validating; the job does not begin
   ├─ EmptyInput
   ├─ InvalidManifest
   ├─ InvalidJson
   ├─ InputRecordTooLarge
   ├─ InvalidCustomId
   └─ DuplicateCustomId
InferenceError
└─ RecordsError                 found while the job runs
   ├─ InputChanged
   ├─ FilterMismatch
   └─ AnswerMismatch
"""

from ....runtime.exceptions import InferenceError, InvalidRequest


class InvalidInput(InvalidRequest):
    """The input of the batch job is wrong."""


class EmptyInput(InvalidInput):
    """The input has no records."""


class InvalidManifest(InvalidInput):
    """The object is not a SageMaker manifest file."""


class InvalidJson(InvalidInput):
    """The line is not one JSON text in UTF-8."""


class InputRecordTooLarge(InvalidInput):
    """The record is larger than the endpoint takes."""


class InvalidCustomId(InvalidInput):
    """A custom_id is a string of 1 to 512 characters."""


class DuplicateCustomId(InvalidInput):
    """The custom_id is already that of another record."""


class RecordsError(InferenceError):
    """The record could not be processed."""


class InputChanged(RecordsError):
    """The input was replaced while the job was running."""


class FilterMismatch(RecordsError):
    """The filter selects nothing of this record, or cannot be applied to it."""


class AnswerMismatch(RecordsError):
    """The model's answer does not have one part for each record that it was sent."""
