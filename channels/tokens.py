"""Signed tokens that open one stream for a while: a stream's id is no secret.

itsdangerous, because it signs with the time and rotates keys with nothing but the standard library;
a JWT's claims and algorithms would be more to get wrong for a token that only its issuer reads.
"""

from collections.abc import Sequence

from itsdangerous import BadData, URLSafeTimedSerializer
from starlette.requests import Request

#: Keeps tokens apart from whatever else is signed with the same key.
SALT = "celery-sagemaker.channels"

#: Characters that a key must have at least: 32 of hexadecimal are 128 bits.
KEY_LENGTH = 32

#: Seconds a token is good for. A reader that resumes later needs another.
MAX_AGE = 3600


class StreamTokens:
    """Makes tokens, and decides by them who may read or cancel a stream.

    Args:
        keys: the secret; or several, oldest first, while it is being changed.
        max_age: seconds a token is good for.

    Raises:
        ValueError: a key is shorter than 32 characters.
    """

    def __init__(self, keys: str | Sequence[str], *, max_age: int = MAX_AGE) -> None:
        chosen = [keys] if isinstance(keys, str) else list(keys)
        if not chosen or min(map(len, chosen)) < KEY_LENGTH:
            raise ValueError(f"a key needs {KEY_LENGTH} characters: secrets.token_hex()")
        self._signer = URLSafeTimedSerializer(chosen, salt=SALT)
        self._max_age = max_age

    def sign(self, stream: str, *, cancel: bool = False) -> str:
        """Make a token.

        Args:
            stream: the id of the stream to read.
            cancel: whether its holder may cancel the stream, too.
        """
        return str(self._signer.dumps({"stream": stream, "cancel": cancel}))

    def allows(self, token: str, stream: str, *, cancel: bool = False) -> bool:
        """Tell whether a token is good for a stream."""
        try:
            held = self._signer.loads(token, max_age=self._max_age)
        except BadData:
            return False
        return bool(held["stream"] == stream and (held["cancel"] or not cancel))

    async def __call__(self, request: Request, stream: str) -> bool:
        """Authorise a request by `Authorization: Bearer <token>` or the query's `token`."""
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        # EventSource cannot send headers.
        token = bearer if scheme.lower() == "bearer" else request.query_params.get("token", "")
        return self.allows(token, stream, cancel=request.method == "DELETE")
