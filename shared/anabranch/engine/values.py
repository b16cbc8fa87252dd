"""Values: how they are stored, compared, ordered and read.

A document is JSON, and every value in it has exactly one canonical form, so that two equal values are the same text and
a comparison is a comparison of what is stored. Numbers that JSON cannot carry exactly (decimals), instants, bytes and
uuids are canonical strings, typed by the schema. What a source writes is parsed once, on the way in; whatever cannot be
represented without loss is refused, never rounded, cut or wrapped.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from anabranch.engine.instants import from_local, read_instant
from anabranch.engine.texts import collapse_spaces, title
from anabranch.model.configuration import Attribute
from anabranch.model.enums import TextCleanup, ValueType

StoredValue = str | int | bool

_INT_MIN, _INT_MAX = -(2**63), 2**63 - 1
_MAX_DIGITS = 38
_TRUE = frozenset({"true", "yes", "1", "t", "y"})
_FALSE = frozenset({"false", "no", "0", "f", "n"})
_INTEGER = re.compile(r"[+-]?[0-9]+\Z", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{32}\Z")
_SPACES = re.compile(r"\s+")
TEXTS = frozenset({ValueType.TEXT, ValueType.REFERENCE})
"""Types whose values are read as they are spelled."""
_REPEATED = 40
"""Characters of the longest text whose instant is remembered."""
_EXACT = Context(prec=_MAX_DIGITS, traps=[Inexact, InvalidOperation])


class ValueProblem(Exception):
    """A source's value cannot be used: `attribute_value_error`, or `value_out_of_range`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class ConversionProblem(Exception):
    """A mapping's value does not fit its target: `value_conversion_failed` or `multiple_values_for_single`."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


# ----------------------------------------------------------------- reading


def parse_value(raw: object, attribute: Attribute, zone: tzinfo | None = None) -> StoredValue | None:
    """The stored form of one value as a source gives it; None for empty text (IMP-16).

    `zone` is read into instants without one (MOD-6). Raises ValueProblem; its message names the attribute and shows the
    value unless it is sensitive.
    """
    if raw is None:
        return None
    if raw in ("", b"") and not (attribute.type is ValueType.TEXT and attribute.keep_empty_text):
        return None
    try:
        stored: StoredValue = _PARSERS[attribute.type](raw, zone)
    except ValueProblem as problem:
        shown = "" if attribute.sensitive else f" ({_excerpt(raw)})"
        raise ValueProblem(problem.kind, f"{attribute.name!r}: {problem}{shown}") from None
    return stored


def parse_values(raws: Sequence[object], attribute: Attribute, zone: tzinfo | None = None) -> Any:
    """The stored form of a whole attribute: one value, or a list in canonical order; None without a value."""
    values = [value for value in (parse_value(raw, attribute, zone) for raw in raws) if value is not None]
    if attribute.multi_valued:
        return canonical_set(values, attribute) or None
    if not values:
        return None
    if len(values) > 1 and len({compare_key(value, attribute) for value in values}) > 1:
        raise ValueProblem("attribute_value_error", f"{attribute.name!r} holds {len(values)} values but may hold one")
    return values[0]


def _excerpt(raw: object) -> str:
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def _bad(message: str) -> ValueProblem:
    return ValueProblem("attribute_value_error", message)


def _out_of_range(message: str) -> ValueProblem:
    return ValueProblem("value_out_of_range", message)


def _parse_text(raw: object, zone: tzinfo | None) -> str:
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise _bad("not UTF-8 text") from None
    text = raw if isinstance(raw, str) else _text_of(raw, zone)
    if "\0" in text:
        raise _bad("contains a NUL character, which cannot be stored")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise _bad("contains half of a surrogate pair, which is no character") from None
    return text


def _text_of(raw: object, zone: tzinfo | None) -> str:
    """The text of a native value: that of its stored form, so that it does not depend on the source's driver."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case float() | Decimal():
            return str(_parse_decimal(raw, None))
        case datetime():
            return datetime_text(raw if raw.tzinfo is not None else from_local(raw, zone or UTC))
        case _:
            return str(raw)


def _parse_integer(raw: object, _zone: tzinfo | None) -> int:
    if type(raw) is str and len(raw) <= 18 and raw.isascii() and raw.isdigit():  # nearly every number of every source
        return int(raw)
    if isinstance(raw, bool):
        raise _bad("a boolean is not an integer")
    if isinstance(raw, int):
        number = raw
    elif isinstance(raw, float | Decimal):
        exact = Decimal(raw)
        if not exact.is_finite():
            raise _bad("not a whole number")
        if exact.adjusted() > _MAX_DIGITS:  # before a number of a million digits is written out
            raise _out_of_range("outside the 64-bit range")
        if exact != exact.to_integral_value():
            raise _bad("not a whole number")
        number = int(exact)
    else:
        text = _parse_text(raw, None).strip()
        if not _INTEGER.match(text):
            raise _bad("not a whole number")
        if len(text.lstrip("+-0")) > 20:
            raise _out_of_range("outside the 64-bit range")
        number = int(text.lstrip("+-0") or 0) * (-1 if text[0] == "-" else 1)
    if not _INT_MIN <= number <= _INT_MAX:
        raise _out_of_range("outside the 64-bit range")
    return number


def _parse_decimal(raw: object, _zone: tzinfo | None) -> str:
    if isinstance(raw, bool):
        raise _bad("a boolean is not a number")
    try:
        if isinstance(raw, Decimal | int):
            number = Decimal(raw)
        elif isinstance(raw, float):
            number = Decimal(repr(raw))
        else:
            text = _parse_text(raw, None).strip()
            if "_" in text or not text.isascii():
                raise _bad("not a number")
            number = Decimal(text)
    except InvalidOperation:
        raise _bad("not a number") from None
    return decimal_text(number)


def decimal_text(number: Decimal) -> str:
    """The canonical text: no exponent, no trailing zeros, no negative zero (MOD-4). Raises ValueProblem."""
    if not number.is_finite():
        raise _bad("not a finite number")
    if number.is_zero():
        return "0"
    if number.adjusted() >= _MAX_DIGITS or number.adjusted() < -_MAX_DIGITS:
        raise _out_of_range(f"more than {_MAX_DIGITS} significant digits")
    try:
        number = _EXACT.plus(number).normalize(_EXACT)
    except Inexact:
        raise _out_of_range(f"more than {_MAX_DIGITS} significant digits") from None
    return format(number, "f")


def _parse_boolean(raw: object, _zone: tzinfo | None) -> bool:
    if isinstance(raw, bool):
        return raw
    text = _parse_text(raw, None).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _bad("neither true nor false")


def _parse_datetime(raw: object, zone: tzinfo | None) -> str:
    try:
        if isinstance(raw, datetime):
            return datetime_text(raw if raw.tzinfo is not None else from_local(raw, zone or UTC))
        if type(raw) is str and len(raw) <= _REPEATED:
            return _instant_text(raw, zone)
        return datetime_text(read_instant(_parse_text(raw, None).strip(), zone or UTC))
    except OverflowError:
        raise _out_of_range("outside the years 1 to 9999") from None
    except ValueError as error:
        raise _bad(str(error)) from None


@lru_cache(maxsize=16_384)  # forty years of days: most instants of a source are dates, and come again and again
def _instant_text(raw: str, zone: tzinfo | None) -> str:
    return datetime_text(read_instant(_parse_text(raw, None).strip(), zone or UTC))


def datetime_text(moment: datetime) -> str:
    """The canonical text of an instant in UTC: seconds, or microseconds where there are any (MOD-5)."""
    try:
        utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError:
        raise _out_of_range("outside the years 1 to 9999") from None
    return utc.isoformat().removesuffix("+00:00") + "Z"


def _parse_binary(raw: object, _zone: tzinfo | None) -> str:
    if isinstance(raw, bytes | bytearray | memoryview):
        return base64.b64encode(bytes(raw)).decode("ascii")
    try:
        return base64.b64encode(base64.b64decode(_SPACES.sub("", str(raw)), validate=True)).decode("ascii")
    except (binascii.Error, ValueError):
        raise _bad("not base64") from None


def _parse_uuid(raw: object, _zone: tzinfo | None) -> str:
    if isinstance(raw, bytes) and len(raw) == 16:
        digits = raw.hex()
    else:
        digits = _parse_text(raw, None).strip().lower().removeprefix("urn:uuid:").strip("{}").replace("-", "")
    if not _UUID.match(digits):
        raise _bad("not a uuid")
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_PARSERS: Mapping[ValueType, Any] = {
    ValueType.TEXT: _parse_text,
    ValueType.INTEGER: _parse_integer,
    ValueType.DECIMAL: _parse_decimal,
    ValueType.BOOLEAN: _parse_boolean,
    ValueType.DATETIME: _parse_datetime,
    ValueType.BINARY: _parse_binary,
    ValueType.UUID: _parse_uuid,
    ValueType.REFERENCE: _parse_text,
}


# ----------------------------------------------------------------- comparing and ordering


def fold(text: str) -> str:
    """The folded key of a text: NFC, then full Unicode case folding; accents count (MOD-2)."""
    return unicodedata.normalize("NFC", text).casefold() if not text.isascii() else text.lower()


def folds(attribute: Attribute) -> bool:
    """Whether the attribute's texts are compared without case (MOD-2)."""
    return not attribute.case_sensitive and attribute.type in TEXTS


def compare_key(value: Any, attribute: Attribute) -> Hashable:
    """What two stored values of the attribute have in common exactly when they are equal under its type."""
    if isinstance(value, str) and folds(attribute):
        return fold(value)
    return (bool, value) if type(value) is bool else value


def same_values(one: Any, other: Any, attribute: Attribute) -> bool:
    """Whether two stored attribute values (single, list or None) are equal under the type's equality."""
    if one == other and isinstance(one, bool) is isinstance(other, bool):
        return True
    if one is None or other is None:
        return False
    if attribute.multi_valued:
        left = one if isinstance(one, list) else [one]
        right = other if isinstance(other, list) else [other]
        return {compare_key(v, attribute) for v in left} == {compare_key(v, attribute) for v in right}
    return compare_key(one, attribute) == compare_key(other, attribute)


def order_key(value: Any, attribute: Attribute) -> Any:
    """The key that sorts stored values of one attribute into canonical order (MOD-10)."""
    match attribute.type:
        case ValueType.DECIMAL:
            return Decimal(value)
        case ValueType.DATETIME:
            return value.removesuffix("Z")
        case ValueType.BINARY:
            return base64.b64decode(value)
        case _:
            return value


def order_text(value: Any, attribute: Attribute) -> str:
    """Text whose code-point order is the canonical order of the values, for sorting in PostgreSQL ("C" collation)."""
    match attribute.type:
        case ValueType.INTEGER:
            return f"{int(value) - _INT_MIN:020d}"
        case ValueType.DATETIME:
            return str(value).removesuffix("Z")
        case ValueType.BINARY:
            return base64.b64decode(value).hex()
        case ValueType.DECIMAL:
            scaled = int(_WIDE.add(Decimal(value), 10**_MAX_DIGITS).scaleb(2 * _MAX_DIGITS, _WIDE))
            return f"{scaled:0{3 * _MAX_DIGITS + 1}d}"
        case _:
            return str(value)


_WIDE = Context(prec=4 * _MAX_DIGITS)


def canonical_set(values: Iterable[Any], attribute: Attribute) -> list[Any]:
    """The values as a set in canonical order; among spellings of one value the lowest is kept (MOD-9)."""
    if folds(attribute):
        lowest: dict[str, str] = {}
        for value in values:
            key = fold(value)
            kept = lowest.get(key)
            if kept is None or value < kept:
                lowest[key] = value
        return sorted(lowest.values())
    if attribute.type in _ORDERED_AS_STORED:
        return sorted(set(values))
    return sorted(set(values), key=lambda value: order_key(value, attribute))


_ORDERED_AS_STORED = frozenset(
    {ValueType.TEXT, ValueType.REFERENCE, ValueType.INTEGER, ValueType.BOOLEAN, ValueType.UUID}
)
"""Types whose stored values sort into canonical order by themselves."""


def set_difference(old: Sequence[Any], new: Sequence[Any], attribute: Attribute) -> tuple[list[Any], list[Any]]:
    """(added, removed) between two stored sets, in canonical order, in time linear in their sizes (MOD-12)."""
    had = {compare_key(value, attribute) for value in old}
    has = {compare_key(value, attribute) for value in new}
    added = canonical_set((value for value in new if compare_key(value, attribute) not in had), attribute)
    removed = canonical_set((value for value in old if compare_key(value, attribute) not in has), attribute)
    return added, removed


# ----------------------------------------------------------------- engine values


def to_engine(stored: Any, kind: ValueType) -> Any:
    """The value expressions work with: Decimal, aware datetime, bytes; the others as they are stored."""
    match kind:
        case ValueType.DECIMAL:
            return Decimal(stored)
        case ValueType.DATETIME:
            return datetime.fromisoformat(stored)
        case ValueType.BINARY:
            return base64.b64decode(stored)
        case _:
            return stored


def to_stored(value: Any, target: Attribute) -> StoredValue:
    """The stored form of an engine value in an attribute, converted only where nothing is lost (MOD-11).

    Raises ConversionProblem, kind `value_conversion_failed`.
    """
    try:
        stored: StoredValue = _CONVERTERS[target.type](value)
    except (ValueProblem, ConversionProblem) as problem:
        raise ConversionProblem(
            "value_conversion_failed",
            f"{target.name!r} takes {target.type.value}: {problem}; convert it in the expression",
        ) from None
    return stored


def _no_fit(value: Any) -> ConversionProblem:
    return ConversionProblem("value_conversion_failed", f"a {type(value).__name__} does not fit")


def _store_text(value: Any) -> str:
    if not isinstance(value, str):
        raise _no_fit(value)
    return _parse_text(value, None)


def _store_integer(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _no_fit(value)
    return _parse_integer(value, None)


def _store_decimal(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise _no_fit(value)
    return decimal_text(Decimal(value))


def _store_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise _no_fit(value)
    return value


def _store_datetime(value: Any) -> str:
    if not isinstance(value, datetime):
        raise _no_fit(value)
    return datetime_text(value)


def _store_binary(value: Any) -> str:
    if not isinstance(value, bytes):
        raise _no_fit(value)
    return base64.b64encode(value).decode("ascii")


def _store_uuid(value: Any) -> str:
    if not isinstance(value, str):
        raise _no_fit(value)
    return _parse_uuid(value, None)


_CONVERTERS: Mapping[ValueType, Any] = {
    ValueType.TEXT: _store_text,
    ValueType.INTEGER: _store_integer,
    ValueType.DECIMAL: _store_decimal,
    ValueType.BOOLEAN: _store_boolean,
    ValueType.DATETIME: _store_datetime,
    ValueType.BINARY: _store_binary,
    ValueType.UUID: _store_uuid,
    ValueType.REFERENCE: _store_text,
}


_CLEANUPS: Mapping[TextCleanup, Callable[[str], str]] = {
    TextCleanup.TRIM: str.strip,
    TextCleanup.COLLAPSE_SPACES: collapse_spaces,
    TextCleanup.UPPER: str.upper,
    TextCleanup.LOWER: str.lower,
    TextCleanup.TITLE: title,
}
"""In the order in which they are applied."""


def cleaner(cleanups: Sequence[TextCleanup]) -> Callable[[Any], Any]:
    """What cleans up text, in the order trim, collapse, case, blank being no value; other types stay (SYN-37)."""
    steps = [step for one, step in _CLEANUPS.items() if one in cleanups]

    def clean(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        for step in steps:
            value = step(value)
        return value if value and not value.isspace() else None

    return clean


def clean(value: Any, cleanups: Sequence[TextCleanup]) -> Any:
    """A single value after the cleanups."""
    return cleaner(cleanups)(value)


# ----------------------------------------------------------------- identity


def text_hash(text: str) -> bytes:
    """16 bytes that stand for a text: BLAKE2b, which resists a source that would make two identities collide."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def anchor_key(value: Any, attribute: Attribute) -> tuple[str, bytes]:
    """The text of an anchor or secondary id and its 16-byte hash under the attribute's case rule (MOD-15)."""
    text = str(value)
    return text, text_hash(fold(text) if folds(attribute) else text)
