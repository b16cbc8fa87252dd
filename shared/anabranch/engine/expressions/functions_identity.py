"""Functions that give an identity its names and numbers, and the tables kept with the configuration.

A drawn value is no function of the inputs alone: who asks gets what is reserved for the object, and where nothing is
reserved yet the evaluation stops, to be taken up again once the draw is settled (SYN-64 to SYN-67).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, overload

from anabranch.engine.expressions.context import EvalContext
from anabranch.engine.expressions.failures import EvaluationError, NeedsDraw
from anabranch.engine.expressions.kinds import name_of
from anabranch.engine.expressions.limits import bounded
from anabranch.engine.expressions.registry import function

MAX_NUMBERED = 10_000


@function("text", "integer", "integer", gives="list text*")
def numbered(base: str, first: int, last: int) -> list[str]:
    """`base`, then `base` with each number from `first` to `last` at its end, or before the last `@` (SYN-64)."""
    return list(candidates(base, first, last))


class Candidates(Sequence[str]):
    """What `numbered` gives, each made when it is looked at: most who draw take the first of many. All are different,
    and none is blank."""

    __slots__ = ("_base", "_end", "_numbers", "_stem")

    def __init__(self, base: str, stem: str, numbers: range, end: str) -> None:
        self._base, self._stem, self._numbers, self._end = base, stem, numbers, end

    def __len__(self) -> int:
        return 1 + len(self._numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        places = range(len(self))[index]
        return self._at(places) if isinstance(places, int) else [self._at(one) for one in places]

    def __iter__(self) -> Iterator[str]:
        yield self._base
        for number in self._numbers:
            yield f"{self._stem}{number}{self._end}"

    def _at(self, place: int) -> str:
        return f"{self._stem}{self._numbers[place - 1]}{self._end}" if place else self._base


def candidates(base: str, first: int, last: int) -> Candidates:
    """What `numbered` gives for the same arguments, one by one. Raises EvaluationError."""
    if not base.strip():
        raise EvaluationError("numbered() needs a base that is not blank; give another with coalesce() or choose()")
    if last - first >= MAX_NUMBERED:
        raise EvaluationError(f"numbered() makes at most {MAX_NUMBERED:,} candidates")
    name, at, domain = base.rpartition("@")
    stem, end = (name, at + domain) if at else (base, "")
    bounded(base + str(last))
    return Candidates(base, stem, range(first, last + 1), end)


def unique_value(context: EvalContext, name: str, offer: Callable[[], Any]) -> str | None:
    """The value this object has drawn, or draws now among what `offer` gives; null for null (SYN-64). Raises NeedsDraw.

    Candidates are made only where one has to be drawn: they may be many, and a value once drawn stays (SYN-67).
    """
    if context.held is not None and (held := context.held(name)) is not None:
        return held
    given = offer()
    offered: Sequence[str] | None = given if type(given) is Candidates else _offered(given)
    if not offered:
        return None
    if context.draw is None:
        raise NeedsDraw(name, offered)
    return context.draw(name, offered)


def _offered(given: Any) -> tuple[str, ...] | None:
    """The texts of a list of candidates, each once. Raises EvaluationError for what is none."""
    if given is None:
        return None
    if type(given) is not list:
        raise EvaluationError(f"unique_value() takes a list of candidates, not {name_of(given)}")
    for one in given:
        if one is not None and type(one) is not str:
            raise EvaluationError(
                f"unique_value() draws text, not {name_of(one)}; convert the candidates with to_text()"
            )
    return tuple(dict.fromkeys(one for one in given if one is not None and one.strip()))


@function("text", "integer", gives="integer*")
def stable_number(text: str, count: int) -> int:
    """A number from 0 to `count` - 1 that belongs to the text for ever: its SHA-256 digest modulo `count`."""
    if count < 1:
        raise EvaluationError("stable_number() takes a count of 1 or more")
    return int.from_bytes(sha256(text.encode("utf-8")).digest()) % count


def lookup(table: Mapping[str, str], key: Any, default: Any = None) -> Any:
    """The table's value for the key, compared code point by code point; a missing key gives the default (MOD-49)."""
    if key is None:
        return None
    if type(key) is not str:
        raise EvaluationError(f"lookup() takes text as its key, not {name_of(key)}; convert it with to_text()")
    return table.get(key, default)
