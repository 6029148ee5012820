"""Signature Version 4, byte for byte as `botocore.auth.SigV4Auth` makes it. No I/O.

What is spared: the signing key is derived once per day and not once per request, and nothing is
copied into header objects on the way. A property test holds the two equal.
"""

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote

from botocore.auth import SIGNED_HEADERS_BLACKLIST
from botocore.utils import normalize_url_path

if TYPE_CHECKING:
    from botocore.credentials import ReadOnlyCredentials

ALGORITHM = "AWS4-HMAC-SHA256"

#: Headers that proxies may change, in lower case; botocore leaves them unsigned.
UNSIGNED = frozenset(SIGNED_HEADERS_BLACKLIST)

#: Paths whose canonical form is kept: one per endpoint and operation.
PATHS_KEPT = 1024


@dataclass(slots=True)
class Signer:
    """Signs POST requests without a query for one service in one region."""

    service_name: str
    region_name: str
    _key_of: tuple[str, str] = field(default=("", ""), init=False, repr=False)
    _key: bytes = field(default=b"", init=False, repr=False)

    def sign(
        self,
        credentials: "ReadOnlyCredentials",
        timestamp: str,
        *,
        host: str,
        path: str,
        headers: Iterable[tuple[str, str]],
        body: bytes,
    ) -> dict[str, str]:
        """Return the headers that sign a request: date, session token, authorization.

        Args:
            credentials: frozen ones.
            timestamp: UTC, as `20260102T030405Z`.
            host: as it is sent, with its port unless that is the scheme's own.
            path: as it is sent, percent-encoded.
            headers: those to sign, each once; botocore's exceptions are left out.
            body: as it is sent.
        """
        made = {"X-Amz-Date": timestamp}
        signed = {"host": host, "x-amz-date": timestamp}
        if credentials.token:
            made["X-Amz-Security-Token"] = credentials.token
            signed["x-amz-security-token"] = _trim(credentials.token)
        for name, value in headers:
            if (lower := name.lower()) not in UNSIGNED:
                signed[lower] = _trim(value)
        names = ";".join(order := sorted(signed))
        lines = "\n".join([f"{name}:{signed[name]}" for name in order])
        digest = sha256(body).hexdigest()
        request = f"POST\n{_canonical(path)}\n\n{lines}\n\n{names}\n{digest}"
        scope = f"{timestamp[:8]}/{self.region_name}/{self.service_name}/aws4_request"
        hashed = sha256(request.encode()).hexdigest()
        signature = hmac.digest(
            self._signing_key(str(credentials.secret_key), timestamp[:8]),
            f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashed}".encode(),
            "sha256",
        ).hex()
        made["Authorization"] = (
            f"{ALGORITHM} Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={signature}"
        )
        return made

    def _signing_key(self, secret: str, date: str) -> bytes:
        if self._key_of != (secret, date):
            key = f"AWS4{secret}".encode()
            for part in (date, self.region_name, self.service_name, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key_of, self._key = (secret, date), key
        return self._key


def _trim(value: str) -> str:
    """Signature Version 4's Trimall: no outer space, and single spaces within."""
    return " ".join(value.split())


@lru_cache(maxsize=PATHS_KEPT)
def _canonical(path: str) -> str:
    """Encode an encoded path once more, as every service but S3 wants it."""
    return quote(normalize_url_path(path), safe="/~")
