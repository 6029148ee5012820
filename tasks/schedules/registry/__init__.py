"""The schedules in Redis."""
