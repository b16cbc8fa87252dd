"""Patterns that cannot run away: what `matches` and `regex_replace` accept.

A backtracking matcher is only as fast as its pattern is plain. Repeating a group that itself repeats is what makes the
cost explode, so it is refused, together with references back to a group and looking around, when the rule is read
(MOD-45). The scan below follows Python's own pattern syntax, which `re` has verified first.
"""

from __future__ import annotations

import re
import warnings

from anabranch.engine.expressions.limits import MAX_PATTERN

_COUNT = re.compile(r"\{(?:\d+(?:,\d*)?|,\d*)\}", re.ASCII)
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_FLAGS = re.compile(r"\(\?([aimsux-]*)([:)])", re.ASCII)


class BadPattern(Exception):
    """The pattern cannot be used; the message says why."""


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The compiled pattern. Raises BadPattern."""
    if len(pattern) > MAX_PATTERN:
        raise BadPattern(f"the pattern has {len(pattern)} characters; {MAX_PATTERN} are allowed")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadPattern(f"the pattern is not a regular expression: {error}") from None
    _Scan(pattern).run()
    return compiled


class _Scan:
    """One pass over a valid pattern; `_open_groups` tells for each open group whether something in it is repeated."""

    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._at = 0
        self._open_groups = [False]
        self._last_repeats = False

    def run(self) -> None:
        while self._at < len(self._pattern):
            char = self._pattern[self._at]
            if char == "\\":
                self._escape()
            elif char == "[":
                self._skip_class()
            elif char == "(":
                self._open()
            elif char == ")":
                self._last_repeats = self._open_groups.pop()
                self._open_groups[-1] |= self._last_repeats
                self._at += 1
            elif char in "*+?" or _COUNT.match(self._pattern, self._at):
                self._repeat()
            else:
                self._last_repeats = False
                self._at += 1

    def _escape(self) -> None:
        if self._pattern[self._at + 1] in "123456789":
            raise BadPattern("a back-reference is not allowed in a pattern")
        self._last_repeats = False
        self._at += 2

    def _skip_class(self) -> None:
        at = self._at + 1
        at += self._pattern.startswith("^", at)
        at += self._pattern.startswith("]", at)
        while self._pattern[at] != "]":
            at += 2 if self._pattern[at] == "\\" else 1
        self._last_repeats = False
        self._at = at + 1

    def _open(self) -> None:
        rest = self._pattern[self._at :]
        if rest.startswith(("(?P=", "(?(")):
            raise BadPattern("a back-reference is not allowed in a pattern")
        if rest.startswith(_LOOK_AROUND):
            raise BadPattern("looking ahead or behind is not allowed in a pattern")
        if rest.startswith("(?#"):
            self._at += rest.index(")") + 1
            return
        flags = _FLAGS.match(rest)
        if flags is not None and "x" in flags[1]:
            raise BadPattern("the flag x is not allowed in a pattern; write it without spaces and comments")
        if flags is not None:
            self._at += flags.end()
            if flags[2] == ")":
                return
        elif rest.startswith("(?P<"):
            self._at += rest.index(">") + 1
        else:
            self._at += 3 if rest.startswith("(?>") else 1
        self._open_groups.append(False)
        self._last_repeats = False

    def _repeat(self) -> None:
        if self._last_repeats:
            raise BadPattern("a repeated group may not contain a repetition; the search could take for ever")
        count = _COUNT.match(self._pattern, self._at)
        self._at = count.end() if count is not None else self._at + 1
        if self._pattern[self._at : self._at + 1] in {"?", "+"}:
            self._at += 1
        self._open_groups[-1] = True
        self._last_repeats = False
