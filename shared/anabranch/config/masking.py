"""What is shown in place of a secret, wherever text about settings or options reaches a person or a log."""

from __future__ import annotations

import re
from typing import Any

MASK = "***"

_URL_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/?#:@]*):[^\s'\"]*@")
_QUERY_PASSWORD = re.compile(r"(?i)([?&](?:password|sslpassword|token|secret)=)[^&#\s]*")
_SECRET_NAME = re.compile(r"(?i)passw|secret|token|credential|private[-_]?key|api[-_]?key")
_ONLY_A_REFERENCE = re.compile(r"\$\{(?:env|file):[^{}]*\}\Z")


def mask_urls(text: str) -> str:
    """The text with the password of every URL in it hidden; user, host and path stay."""
    return _QUERY_PASSWORD.sub(rf"\g<1>{MASK}", _URL_PASSWORD.sub(rf"\g<1>:{MASK}@", text))


def mask_options(value: Any, name: str = "") -> Any:
    """Options as they may be shown: URL passwords hidden, and whatever is named like a secret, unless it is a reference
    to one."""
    match value:
        case dict():
            return {key: mask_options(member, key) for key, member in value.items()}
        case list() | tuple():
            return [mask_options(member, name) for member in value]
        case str() if _SECRET_NAME.search(name) and not _ONLY_A_REFERENCE.match(value):
            return MASK
        case int() if _SECRET_NAME.search(name) and not isinstance(value, bool):
            return MASK
        case str():
            return mask_urls(value)
        case _:
            return value
