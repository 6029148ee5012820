"""Batch jobs: records of a file, a prefix or a manifest through an endpoint that is running."""

from .chunk import batch_chunk
from .finalize import batch_finalize
from .job import Job, list_jobs, purge
from .plan import batch_plan
from .states import JobState, JobStatus, RequestCounts
from .submitting import submit

__all__ = [
    "Job",
    "JobState",
    "JobStatus",
    "RequestCounts",
    "batch_chunk",
    "batch_finalize",
    "batch_plan",
    "list_jobs",
    "purge",
    "submit",
]
