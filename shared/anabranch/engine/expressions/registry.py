"""The functions an expression may call, by name: exactly these (MOD-46)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import DecimalException
from typing import Any

import msgspec

from anabranch.engine.expressions.operators import bounded, kind
from anabranch.engine.expressions.problems import EvaluationError
from anabranch.model.enums import ValueType


class Function(msgspec.Struct, frozen=True):
    """A registered function: how it is called and what it gives. `most` None means any number of arguments."""

    name: str
    call: Callable[..., Any]
    least: int
    most: int | None
    result: ValueType | None
    gives_list: bool
    takes_null: bool


FUNCTIONS: dict[str, Function] = {}
_ARGUMENT_NAMES = {str: "text", int: "an integer", list: "a list", bytes: "binary"}


def function(
    least: int,
    most: int | None = -1,
    *,
    result: ValueType | None = ValueType.TEXT,
    gives_list: bool = False,
    takes_null: bool = False,
    name: str = "",
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function with its number of arguments; null in gives null out unless `takes_null` (MOD-40)."""

    def register(body: Callable[..., Any]) -> Callable[..., Any]:
        own = name or body.__name__.rstrip("_")
        FUNCTIONS[own] = Function(
            own,
            _guarded(own, body, takes_null=takes_null),
            least,
            least if most == -1 else most,
            result,
            gives_list,
            takes_null,
        )
        return body

    return register


def _guarded(name: str, body: Callable[..., Any], *, takes_null: bool) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        if not takes_null and None in arguments and any(one is None for one in arguments):
            return None
        try:
            return bounded(body(*arguments))
        except EvaluationError as problem:
            raise EvaluationError(f"{name}(): {problem}") from None
        except (ValueError, ArithmeticError, DecimalException, TypeError, AttributeError, IndexError) as problem:
            shown = ", ".join(kind(one) for one in arguments)
            raise EvaluationError(f"{name}() cannot be applied to ({shown}): {type(problem).__name__}") from problem

    return call


def expect(value: Any, wanted: type) -> Any:
    """The value, if it is of the wanted type; raises EvaluationError that says what was given."""
    if type(value) is not wanted:
        raise EvaluationError(f"needs {_ARGUMENT_NAMES.get(wanted, wanted.__name__)}, not {kind(value)}")
    return value
