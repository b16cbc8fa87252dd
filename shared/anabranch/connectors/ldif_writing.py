"""LDIF as text: lines and records into bytes (RFC 2849).

A value is written plainly when it is a SAFE-STRING that any reader gives back unchanged, and as base64 otherwise: other
bytes than ASCII, NUL or line ends, a space, colon or `<` at the front, a space at the back. Lines are folded at 76
bytes. The same values always give the same bytes.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final

WIDTH: Final = 76
_SAFE: Final = re.compile(
    rb"(?:[\x01-\x09\x0b\x0c\x0e-\x1f\x21-\x39\x3b\x3d-\x7f](?:[\x01-\x09\x0b\x0c\x0e-\x7f]*"
    rb"[\x01-\x09\x0b\x0c\x0e-\x1f\x21-\x7f])?)?"
)

VERSION: Final = b"version: 1\n\n"


def line(name: str, value: bytes) -> bytes:
    """`name: value`, folded and ended."""
    if _SAFE.fullmatch(value):
        whole = f"{name}: ".encode() + value if value else f"{name}:".encode()
    else:
        whole = f"{name}:: ".encode() + binascii.b2a_base64(value, newline=False)
    return folded(whole)


def folded(whole: bytes) -> bytes:
    """A line that needs no more than that it is folded and ended."""
    if len(whole) <= WIDTH:
        return whole + b"\n"
    pieces = [whole[:WIDTH]]
    pieces += [whole[at : at + WIDTH - 1] for at in range(WIDTH, len(whole), WIDTH - 1)]
    return b"\n ".join(pieces) + b"\n"


def content(dn: str, attributes: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    """A content record with its closing blank line."""
    lines = [line("dn", dn.encode())]
    lines += [line(name, value) for name, values in attributes for value in values]
    return b"".join(lines) + b"\n"


def add(dn: str, attributes: Iterable[tuple[str, Sequence[bytes]]]) -> bytes:
    lines = [line("dn", dn.encode()), b"changetype: add\n"]
    lines += [line(name, value) for name, values in attributes for value in values]
    return b"".join(lines) + b"\n"


def delete(dn: str) -> bytes:
    return line("dn", dn.encode()) + b"changetype: delete\n\n"


def modify(dn: str, modifications: Iterable[tuple[str, str, Sequence[bytes]]]) -> bytes:
    """Each modification is (`add`, `delete` or `replace`; attribute; values)."""
    lines = [line("dn", dn.encode()), b"changetype: modify\n"]
    for op, name, values in modifications:
        lines.append(line(op, name.encode()))
        lines += [line(name, value) for value in values]
        lines.append(b"-\n")
    return b"".join(lines) + b"\n"


def rename(dn: str, new_rdn: str, new_superior: str | None) -> bytes:
    """The old naming value goes; without `new_superior` the object stays in its container."""
    lines = [line("dn", dn.encode()), b"changetype: modrdn\n", line("newrdn", new_rdn.encode()), b"deleteoldrdn: 1\n"]
    if new_superior is not None:
        lines.append(line("newsuperior", new_superior.encode()))
    return b"".join(lines) + b"\n"
