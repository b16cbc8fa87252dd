"""Functions for directories: names by RFC 4514, and flags kept as bits of a number."""

from __future__ import annotations

import re

from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.limits import bounded, bounded_integer
from anabranch.engine.expressions.registry import function

_SPECIAL = re.compile(r'["+,;<>\\]')
_HEX = re.compile(r"[0-9a-fA-F]{2}")


@function("text", gives="text*")
def escape_dn(text: str) -> str:
    """The text as an attribute value inside a distinguished name (RFC 4514 section 2.4)."""
    escaped = _SPECIAL.sub(r"\\\g<0>", text).replace("\0", "\\00")
    if escaped.startswith((" ", "#")):
        escaped = "\\" + escaped
    if escaped.endswith(" ") and len(text) > 1:
        escaped = escaped[:-1] + "\\ "
    return bounded(escaped)


def _end_of_rdn(dn: str, ends: str) -> int:
    """Where the first unescaped one of the characters `ends` stands; the length of the name without one."""
    at = 0
    while at < len(dn):
        if dn[at] == "\\":
            at += 2
            continue
        if dn[at] in ends:
            return at
        at += 1
    return len(dn)


@function("text", gives="text")
def dn_parent(dn: str) -> str | None:
    """The name above this one: what follows the first unescaped comma; null when there is none."""
    end = _end_of_rdn(dn, ",")
    return dn[end + 1 :].lstrip(" ") or None


@function("text", gives="text")
def dn_first_value(dn: str) -> str | None:
    """The value of the name's first attribute, unescaped; null for an empty name."""
    if not dn.strip():
        return None
    part = dn[: _end_of_rdn(dn, ",+")]
    name, equals, value = part.partition("=")
    if not equals or not name.strip():
        raise EvaluationError("dn_first_value() takes a distinguished name such as cn=value,dc=example")
    return _unescaped(value)


def _unescaped(value: str) -> str:
    value = value.lstrip(" ")
    while value.endswith(" ") and not _ends_escaped(value[:-1]):
        value = value[:-1]
    raw = bytearray()
    at = 0
    while at < len(value):
        if value[at] != "\\":
            raw += value[at].encode("utf-8")
            at += 1
        elif _HEX.match(value, at + 1):
            raw.append(int(value[at + 1 : at + 3], 16))
            at += 3
        elif at + 1 < len(value):
            raw += value[at + 1].encode("utf-8")
            at += 2
        else:
            raise EvaluationError("dn_first_value() cannot read its argument: it ends in the middle of an escape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise EvaluationError("dn_first_value() cannot read its argument: its escaped bytes are not UTF-8") from None


def _ends_escaped(text: str) -> bool:
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


# ----------------------------------------------------------------- bits


@function("integer?", "integer", gives="boolean*")
def has_bit(number: int | None, bits: int) -> bool:
    """Whether every bit of the mask `bits` is set; null counts as 0."""
    return (number or 0) & bits == bits


@function("integer?", "integer", gives="integer*")
def set_bit(number: int | None, bits: int) -> int:
    """The number with every bit of the mask set; null counts as 0."""
    return bounded_integer((number or 0) | bits)


@function("integer?", "integer", gives="integer*")
def clear_bit(number: int | None, bits: int) -> int:
    """The number with every bit of the mask cleared; null counts as 0."""
    return bounded_integer((number or 0) & ~bits)
