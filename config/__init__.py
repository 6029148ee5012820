"""What a deployment decides: settings, retry policies, queues, Celery's settings."""

from .endpoints import EndpointSettings, RetryOverride
from .errors import SettingsError
from .settings import Settings

__all__ = ["EndpointSettings", "RetryOverride", "Settings", "SettingsError"]
