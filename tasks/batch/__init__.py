"""Batch jobs: records of a file, a prefix or a manifest through an endpoint that is running."""
