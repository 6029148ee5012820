"""A deployment's streams for browsers, as server-sent events behind signed tokens.

To be mounted in a web service, or run: `uvicorn --factory celery_sagemaker.workers.sse:create_app`.
Nothing is read before it is asked for. Needs `celery-sagemaker[sse]`.
"""

from celery import Celery
from starlette.applications import Starlette

from ..channels import asgi
from ..channels.tokens import StreamTokens
from ..config import SettingsError
from ..tasks import streams
from ..tasks.deployment import deployment, this_app

#: What to do about a missing key.
NO_KEY = (
    "no key; set it, or CELERY_SAGEMAKER_STREAMS__TOKEN_KEYS, to what `openssl rand -hex 32` prints"
)


def stream_tokens(app: Celery | None = None) -> StreamTokens:
    """Return what signs the tokens for the deployment's streams, and checks them.

    Args:
        app: by default Celery's current one.

    Raises:
        SettingsError: the settings are wrong, or name no key.
    """
    chosen = deployment(this_app(app)).settings.streams
    if not chosen.token_keys:
        raise SettingsError({"streams.token_keys": NO_KEY})
    keys = [key.get_secret_value() for key in chosen.token_keys]
    return StreamTokens(keys, max_age=chosen.token_max_age)


def create_app(app: Celery | None = None, *, authorize: asgi.Authorize | None = None) -> Starlette:
    """Make the application: `GET` and `DELETE` of `/streams/{id}`.

    Args:
        app: the Celery app whose streams are served, by default Celery's current one; without
            any, the deployment is that of the environment and the settings file.
        authorize: decides who may have a stream, by default `stream_tokens`.

    Raises:
        SettingsError: the settings are wrong, or name no key.
    """
    parts = deployment(this_app(app))
    return asgi.create_app(
        parts.settings.state_url,
        authorize or stream_tokens(app),
        options=parts.channels,
        to_text=streams.text_of,
        allow_origins=parts.settings.streams.allow_origins,
    )
