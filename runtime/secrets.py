"""What a text may quote that is nobody's business, masked."""

import re

#: Each pattern keeps its groups: an address' user and password, up to the last @ before its path
#: (a password may have one); values by the names under which AWS, Redis and HTTP carry secrets.
_SECRETS = (
    (re.compile(r"(://)[^/\s]*@"), r"\1***@"),
    (
        re.compile(
            r"(?i)((?:x-amz-(?:security-token|credential|signature)[\"']?\s*[:=]"
            r"|\b(?:credential|signature|(?:ssl_)?password)="
            r"|aws_?(?:secret_?access_?key|session_?token)[\"']?\s*[:=])\s*b?[\"']?)"
            r"[^\s&\"'\\,]+"
        ),
        r"\1***",
    ),
)


def masked(text: str) -> str:
    """Return a text without passwords in addresses, signatures, credentials and tokens."""
    for pattern, kept in _SECRETS:
        text = pattern.sub(kept, text)
    return text
