"""The doctor: looks at a deployment and says what is wrong, what follows, and what helps.

Each module has one subject: a value of what was seen, `probe` that looks, and `judge`, a function
of what was seen. Nothing here changes anything, but for one tiny object on S3 that is deleted
again, and keys in Redis that live for a moment.
"""

from .examination import SUBJECTS, checks, examine
from .findings import Check, Finding, Severity, count
from .target import Target

__all__ = ["SUBJECTS", "Check", "Finding", "Severity", "Target", "checks", "count", "examine"]
