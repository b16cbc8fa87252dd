"""Functions on text. Whatever grows is measured before it is built (MOD-36)."""

from __future__ import annotations

import re

from anabranch.engine import texts
from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.kinds import name_of
from anabranch.engine.expressions.limits import MAX_SEARCHED, MAX_TEXT, bounded, bounded_list, text_size, too_large
from anabranch.engine.expressions.patterns import compile_pattern
from anabranch.engine.expressions.registry import function
from anabranch.engine.values import fold as fold_text

_NO_DIGITS = re.compile(r"[^0-9]+")


@function("text", gives="text*")
def trim(text: str) -> str:
    return text.strip()


@function("text", gives="text*")
def collapse_spaces(text: str) -> str:
    return texts.collapse_spaces(text)


@function("text", gives="text*")
def upper(text: str) -> str:
    return bounded(text.upper())


@function("text", gives="text*")
def lower(text: str) -> str:
    return bounded(text.lower())


@function("text", gives="text*")
def title(text: str) -> str:
    return bounded(texts.title(text))


@function("text", gives="text*")
def strip_accents(text: str) -> str:
    return bounded(texts.strip_accents(text))


@function("text", gives="text*")
def to_ascii(text: str) -> str:
    return bounded(texts.to_ascii(text))


@function("text", gives="text*")
def fold(text: str) -> str:
    return bounded(fold_text(text))


@function("text", gives="text*")
def digits_only(text: str) -> str:
    return _NO_DIGITS.sub("", text)


@function("text", gives="integer*")
def length(text: str) -> int:
    """The number of characters."""
    return len(text)


def _count(count: int, name: str) -> int:
    if count < 0:
        raise EvaluationError(f"{name}() takes a count of 0 or more")
    return count


@function("text", "integer", gives="text*")
def left(text: str, count: int) -> str:
    return text[: _count(count, "left")]


@function("text", "integer", gives="text*")
def right(text: str, count: int) -> str:
    return text[max(0, len(text) - _count(count, "right")) :]


@function("text", "integer", "integer", gives="text*", optional=1)
def substring(text: str, start: int, count: int | None = None) -> str:
    """The characters from `start`, which counts from 0; all that follow, or `count` of them."""
    if start < 0:
        raise EvaluationError("substring() takes a start of 0 or more")
    return text[start:] if count is None else text[start : start + _count(count, "substring")]


@function("text", "text", "text", gives="text*")
def replace(text: str, old: str, new: str) -> str:
    if not old:
        raise EvaluationError("replace() needs a text to look for that is not empty")
    found = text.count(old)
    if found and text_size(text) + found * (text_size(new) - text_size(old)) > MAX_TEXT:
        raise too_large()
    return text.replace(old, new)


def _padding(text: str, width: int, fill: str, name: str) -> str:
    if len(fill) != 1:
        raise EvaluationError(f"{name}() fills with a single character")
    missing = max(0, width - len(text))
    if text_size(fill) * missing + text_size(text) > MAX_TEXT:
        raise too_large()
    return fill * missing


@function("text", "integer", "text", gives="text*", optional=1)
def pad_left(text: str, width: int, fill: str = " ") -> str:
    return _padding(text, width, fill, "pad_left") + text


@function("text", "integer", "text", gives="text*", optional=1)
def pad_right(text: str, width: int, fill: str = " ") -> str:
    return text + _padding(text, width, fill, "pad_right")


@function("text", "text", gives="boolean*")
def starts_with(text: str, start: str) -> bool:
    return text.startswith(start)


@function("text", "text", gives="boolean*")
def ends_with(text: str, end: str) -> bool:
    return text.endswith(end)


@function("text", "text", gives="boolean*")
def contains(text: str, part: str) -> bool:
    return part in text


def _searched(text: str) -> str:
    if text_size(text) > MAX_SEARCHED:
        raise EvaluationError(f"patterns search at most {MAX_SEARCHED // 1024} KiB of text; shorten it with left()")
    return text


@function("text", "text", gives="boolean*", literals={1: compile_pattern})
def matches(text: str, pattern: re.Pattern[str]) -> bool:
    """Whether the pattern is found anywhere in the text; `^` and `$` tie it to the ends."""
    return pattern.search(_searched(text)) is not None


@function("text", "text", "text", gives="text*", literals={1: compile_pattern})
def regex_replace(text: str, pattern: re.Pattern[str], new: str) -> str:
    r"""Every match replaced by `new`, where `\1` or `\g<name>` stands for a group of the pattern."""
    parts: list[str] = []
    size, end = 0, 0
    try:
        for match in pattern.finditer(_searched(text)):
            part = text[end : match.start()] + match.expand(new)
            parts.append(part)
            size += text_size(part)
            if size > MAX_TEXT:
                raise too_large()
            end = match.end()
    except (re.error, IndexError):
        raise EvaluationError("regex_replace() cannot use its replacement; write \\\\ for a backslash") from None
    return bounded("".join(parts) + text[end:])


# ----------------------------------------------------------------- text and lists


@function("text?", gives="text!", variadic=True)
def concat(*parts: str | None) -> str:
    """The parts one after the other; null counts as empty."""
    return bounded("".join([part for part in parts if part is not None]))


@function("list", "text", gives="text")
def join_text(values: list[object], separator: str) -> str | None:
    """The texts of the list with the separator between them, null and empty ones dropped; null when nothing is left."""
    kept: list[str] = []
    for value in values:
        if type(value) is str:
            if value:
                kept.append(value)
        elif value is not None:
            raise EvaluationError(f"join_text() joins text, not {name_of(value)}; convert it with to_text()")
    return bounded(separator.join(kept)) if kept else None


@function("text?", "text?", gives="list text!")
def split(text: str | None, separator: str | None) -> list[object]:
    """The parts of the text, trimmed, without empty ones; null gives the empty list."""
    if text is None or separator is None:
        return []
    if not separator:
        raise EvaluationError("split() needs a separator that is not empty")
    return bounded_list([part for part in map(str.strip, text.split(separator)) if part])
