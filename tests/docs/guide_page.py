"""A page of the guide as something that can be followed: files to be written, commands with the answers shown.

A fence whose second word is a path is that file; one called `console` holds commands after `$ `, each followed by what
the page says it answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

_FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TRACE = re.compile(r"\b[0-9a-f]{32}\b")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")


class ShownFile(msgspec.Struct, frozen=True):
    """A file the reader is asked to write."""

    path: str
    text: str


class ShownCommand(msgspec.Struct, frozen=True):
    """A command the reader is asked to call, and its answer."""

    line: str
    answer: str


def parts(page: Path) -> Iterator[ShownFile | ShownCommand]:
    """What a reader does, in the order of the page."""
    for language, path, body in _FENCE.findall(page.read_text(encoding="utf-8")):
        if path:
            yield ShownFile(path, body)
        elif language == "console":
            for command in body.split("$ ")[1:]:
                line, _, answer = command.partition("\n")
                yield ShownCommand(line, answer)


def comparable(answer: str) -> str:
    """The answer without what differs from day to day, and without the widths of columns."""
    lines = _TRACE.sub("TRACE", _INSTANT.sub("TIME", answer)).splitlines()
    return "\n".join(" ".join(line.split()) for line in lines)
