"""Text functions."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from anabranch.engine import texts
from anabranch.engine.expressions.operators import MAX_TEXT
from anabranch.engine.expressions.problems import EvaluationError
from anabranch.engine.expressions.registry import expect, function
from anabranch.engine.values import fold as fold_text
from anabranch.model.enums import ValueType

_SEARCHED = 4096


@function(1)
def trim(text: Any) -> str:
    return str(expect(text, str).strip())


@function(1)
def collapse_spaces(text: Any) -> str:
    return texts.collapse_spaces(expect(text, str))


@function(1)
def upper(text: Any) -> str:
    return str(expect(text, str).upper())


@function(1)
def lower(text: Any) -> str:
    return str(expect(text, str).lower())


@function(1)
def title(text: Any) -> str:
    return texts.title(expect(text, str))


@function(1, name="fold")
def fold_(text: Any) -> str:
    return fold_text(expect(text, str))


def _count(value: Any) -> int:
    number = expect(value, int)
    if number < 0:
        raise EvaluationError("needs a count of 0 or more")
    return int(number)


@function(2)
def left(text: Any, count: Any) -> str:
    return str(expect(text, str)[: _count(count)])


@function(2)
def right(text: Any, count: Any) -> str:
    number = _count(count)
    return str(expect(text, str)[-number:]) if number else ""


@function(2, 3)
def substring(text: Any, start: Any, count: Any = MAX_TEXT) -> str:
    """From a position counted from 0."""
    first = _count(start)
    return str(expect(text, str)[first : first + _count(count)])


@function(3)
def replace(text: Any, old: Any, new: Any) -> str:
    if not expect(old, str):
        raise EvaluationError("needs something to look for")
    return str(expect(text, str).replace(old, expect(new, str)))


@function(1, result=ValueType.INTEGER)
def length(text: Any) -> int:
    return len(expect(text, str))


def _padding(text: Any, width: Any, filler: Any) -> tuple[str, int, str]:
    if len(expect(filler, str)) != 1:
        raise EvaluationError("pads with exactly one character")
    size = _count(width)
    if size > MAX_TEXT:
        raise EvaluationError(f"pads to at most {MAX_TEXT} characters")
    return expect(text, str), size, filler


@function(2, 3)
def pad_left(text: Any, width: Any, filler: Any = " ") -> str:
    body, size, char = _padding(text, width, filler)
    return body.rjust(size, char)


@function(2, 3)
def pad_right(text: Any, width: Any, filler: Any = " ") -> str:
    body, size, char = _padding(text, width, filler)
    return body.ljust(size, char)


@function(2, result=ValueType.BOOLEAN)
def starts_with(text: Any, part: Any) -> bool:
    return bool(expect(text, str).startswith(expect(part, str)))


@function(2, result=ValueType.BOOLEAN)
def ends_with(text: Any, part: Any) -> bool:
    return bool(expect(text, str).endswith(expect(part, str)))


@function(2, result=ValueType.BOOLEAN)
def contains(text: Any, part: Any) -> bool:
    return expect(part, str) in expect(text, str)


@lru_cache(maxsize=256)
def _pattern(source: str) -> re.Pattern[str]:
    return re.compile(source)


@function(2, result=ValueType.BOOLEAN)
def matches(text: Any, pattern: Any) -> bool:
    return _pattern(expect(pattern, str)).search(_searched(text)) is not None


@function(3)
def regex_replace(text: Any, pattern: Any, new: Any) -> str:
    put = expect(new, str)
    return _pattern(expect(pattern, str)).sub(lambda _found: put, _searched(text))


def _searched(text: Any) -> str:
    if len(expect(text, str)) > _SEARCHED:
        raise EvaluationError(f"patterns search at most {_SEARCHED} characters")
    return str(text)


@function(1)
def strip_accents(text: Any) -> str:
    return texts.strip_accents(expect(text, str))


@function(1)
def to_ascii(text: Any) -> str:
    """ASCII letters for Latin ones; what has no counterpart is left out."""
    return texts.to_ascii(expect(text, str))


@function(1)
def digits_only(text: Any) -> str:
    return "".join(char for char in expect(text, str) if "0" <= char <= "9")


@function(1, None, takes_null=True)
def concat(*parts: Any) -> str:
    return "".join(expect(part, str) for part in parts if part is not None)


@function(1, 2, takes_null=True)
def join_text(values: Any, separator: Any = "") -> str | None:
    if values is None or separator is None:
        return None
    kept = [expect(value, str) for value in expect(values, list) if value]
    return expect(separator, str).join(kept) if kept else None


@function(2, gives_list=True, takes_null=True)
def split(text: Any, separator: Any) -> list[str] | None:
    if text is None:
        return []
    if separator is None or not expect(separator, str):
        raise EvaluationError("needs a separator")
    return [part for part in (one.strip() for one in expect(text, str).split(separator)) if part]
