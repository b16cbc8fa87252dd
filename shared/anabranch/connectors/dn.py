"""Distinguished names: taken apart, put together and compared component by component.

A comma inside a value is not a boundary and `CN=Ann` is the same name as `cn=ann`, so names are never compared as text
nor cut at commas. Comparing folds case and runs of spaces, as directories do for nearly all naming attributes; the
spelling that is written stays the one that was given. RFC 4514 rules the text form; the older spelling with quotes
(RFC 2253, section 4) is read, not written.
"""

from __future__ import annotations

import re
from typing import Final

_ATTRIBUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]*|[0-9]+(?:\.[0-9]+)*")
_SPECIAL: Final = ' "#+,;<=>\\'
_HEX: Final = "0123456789abcdefABCDEF"

Rdn = tuple[tuple[str, str], ...]
"""One component: (attribute, value) pairs, several of them in a multi-valued RDN."""
Dn = tuple[Rdn, ...]
"""Components from the object up to the root."""


class BadName(ValueError):
    """The text is no distinguished name."""


def parse(text: str) -> Dn:
    """The components of a name, values unescaped; the empty text is the root. Raises `BadName`."""
    if not text.strip():
        return ()
    at, components, pairs = 0, [], []
    while True:
        attribute, at = _read_attribute(text, at)
        value, at = _read_value(text, at)
        pairs.append((attribute, value))
        end = text[at : at + 1]
        if end != "+":
            components.append(tuple(pairs))
            pairs = []
        if not end:
            return tuple(components)
        at += 1


def _read_attribute(text: str, at: int) -> tuple[str, int]:
    equals = text.find("=", at)
    name = text[at : equals if equals >= 0 else len(text)].strip()
    if equals < 0 or _ATTRIBUTE.fullmatch(name) is None:
        raise BadName(f"{text!r}: {name!r} is not followed by = and a value; write name=value, parted by commas")
    return name, equals + 1


def _read_value(text: str, at: int) -> tuple[str, int]:
    while text[at : at + 1] == " ":
        at += 1
    if text[at : at + 1] == '"':
        return _read_quoted(text, at + 1)
    raw = bytearray()
    kept = 0  # spaces after this length are padding, unless they were escaped
    while at < len(text) and text[at] not in ",;+":
        if text[at] == "\\":
            piece, at = _read_escape(text, at)
            raw += piece
            kept = len(raw)
            continue
        raw += text[at].encode("utf-8", "surrogatepass")
        if text[at] != " ":
            kept = len(raw)
        at += 1
    return _as_text(text, bytes(raw[:kept])), at


def _read_quoted(text: str, at: int) -> tuple[str, int]:
    raw = bytearray()
    while at < len(text) and text[at] != '"':
        if text[at] == "\\":
            piece, at = _read_escape(text, at)
            raw += piece
        else:
            raw += text[at].encode("utf-8", "surrogatepass")
            at += 1
    at += 1
    while text[at : at + 1] == " ":
        at += 1
    if at > len(text) or text[at : at + 1] not in ("", ",", ";", "+"):
        raise BadName(f"{text!r}: a quoted value does not end where its component ends")
    return _as_text(text, bytes(raw)), at


def _read_escape(text: str, at: int) -> tuple[bytes, int]:
    pair = text[at + 1 : at + 3]
    if len(pair) == 2 and pair[0] in _HEX and pair[1] in _HEX:
        return bytes.fromhex(pair), at + 3
    if pair and pair[0] in _SPECIAL:
        return pair[0].encode(), at + 2
    raise BadName(f"{text!r}: a backslash stands before {pair[:1]!r}, which needs none")


def _as_text(name: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadName(f"{name!r}: a value is not UTF-8 once its escapes are resolved") from error


def escape(value: str) -> str:
    """A value as it stands inside a name (RFC 4514, section 2.4)."""
    escaped = "".join(f"\\{one}" if one in '"+,;<>\\' else "\\00" if one == "\0" else one for one in value)
    if escaped[:1] in (" ", "#"):
        escaped = f"\\{escaped}"
    if len(value) > 1 and value.endswith(" "):
        escaped = f"{escaped[:-1]}\\ "
    return escaped


def format_rdn(rdn: Rdn) -> str:
    return "+".join(f"{attribute}={escape(value)}" for attribute, value in rdn)


def format_dn(name: Dn) -> str:
    return ",".join(map(format_rdn, name))


def key(name: Dn) -> Dn:
    """What equal names have in common: folded attributes and values, members of a component in order."""
    return tuple(
        tuple(sorted((attribute.lower(), " ".join(value.casefold().split())) for attribute, value in rdn))
        for rdn in name
    )


def folded(name: Dn) -> str:
    """One text for equal names, another one for any other."""
    return format_dn(key(name))


def is_within(name: Dn, container: Dn) -> bool:
    """True for the container itself and everything below it."""
    depth = len(container)
    return len(name) >= depth and key(name)[len(name) - depth :] == key(container)
