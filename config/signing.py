"""Signed messages: Celery's own, set up from our settings.

Celery signs what a message carries (arguments, callbacks, chain and chord) with the sender's key,
and a worker takes it only with the certificate of a sender that it knows. It does not sign headers:
docs/explanation/security.md says what that leaves open.
"""

from typing import TYPE_CHECKING, Any

from .errors import SettingsError

if TYPE_CHECKING:
    from celery import Celery

    from .sections import SigningSettings
    from .settings import Settings


def signing_settings(signing: "SigningSettings") -> dict[str, Any]:
    """Return Celery's settings for signed messages; none where there is no key."""
    if signing.key is None:
        return {}
    password = signing.key_password
    return {
        "task_serializer": "auth",
        "accept_content": ["auth"],
        # Results are not signed: whoever writes to their Redis can write any.
        "result_accept_content": ["json"],
        "security_key": str(signing.key),
        "security_key_password": password and password.get_secret_value().encode(),
        "security_certificate": str(signing.certificate),
        "security_cert_store": str(signing.cert_store),
    }


def sign(app: "Celery", settings: "Settings") -> None:
    """Let an app sign its messages, and take signed ones only, if the settings have a key.

    Celery's serializers are the process': every app in it that names `auth` signs with this key.

    Raises:
        SettingsError: `cryptography` is not installed, or a file cannot be used.
    """
    if settings.signing.key is None:
        return
    # celery.security raises Celery's errors, and cryptography's as SecurityError.
    from celery.exceptions import ImproperlyConfigured, SecurityError  # noqa: PLC0415

    try:
        app.setup_security()  # type: ignore[no-untyped-call, unused-ignore]
    except ImproperlyConfigured as error:
        text = "needs cryptography: pip install 'celery-sagemaker[signing]'"
        raise SettingsError({"signing": text}) from error
    except (OSError, SecurityError, TypeError, ValueError) as error:
        raise SettingsError({"signing": f"cannot be used: {error}"}) from error
