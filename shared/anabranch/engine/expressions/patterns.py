"""Which regular expressions are allowed: those whose cost is bounded by their input (MOD-45)."""

from __future__ import annotations

import re

MAX_PATTERN = 200


def pattern_problem(source: str) -> str | None:
    """Why a pattern is refused, or None: too long, not a pattern, a back-reference, look-around, or a quantifier inside
    a quantified group."""
    if len(source) > MAX_PATTERN:
        return f"a pattern has at most {MAX_PATTERN} characters"
    try:
        re.compile(source)
    except re.error as problem:
        return f"not a pattern: {problem}"
    return _scan(source)


def _scan(source: str) -> str | None:
    groups: list[bool] = []
    place = 0
    while place < len(source):
        char = source[place]
        if char == "\\":
            if place + 1 < len(source) and source[place + 1] in "123456789":
                return "back-references are not allowed"
            place += 2
            continue
        if char == "[":
            place = _end_of_set(source, place)
            continue
        if char == "(":
            problem = _group_problem(source, place)
            if problem:
                return problem
            groups.append(False)
            place += 3 if source.startswith("(?:", place) else 1
            continue
        if char == ")":
            quantified = bool(groups) and groups.pop()
            if quantified and _is_quantifier(source, place + 1):
                return "a quantifier inside a quantified group is not allowed"
            if quantified and groups:
                groups[-1] = True
        elif char in "*+{?" and groups:
            groups[-1] = groups[-1] or char in "*+{"
        place += 1
    return None


def _group_problem(source: str, place: int) -> str | None:
    if source.startswith("(?", place) and not source.startswith("(?:", place):
        if source.startswith(("(?=", "(?!", "(?<=", "(?<!"), place):
            return "look-around is not allowed"
        return "only plain and (?:...) groups are allowed"
    return None


def _is_quantifier(source: str, place: int) -> bool:
    return place < len(source) and source[place] in "*+{"


def _end_of_set(source: str, place: int) -> int:
    place += 1
    if place < len(source) and source[place] == "^":
        place += 1
    if place < len(source) and source[place] == "]":
        place += 1
    while place < len(source) and source[place] != "]":
        place += 2 if source[place] == "\\" else 1
    return place + 1
