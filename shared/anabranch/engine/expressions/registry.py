"""The functions an expression may call, each with what it takes and gives.

A function is written for good arguments only: its signature is declared beside it, and null and wrong types are dealt
with once, here. Where the types are certain when the rule is read, the generated code calls the bare function;
elsewhere it calls the guarded one. Null propagates unless a parameter says that it takes null (MOD-40).

A signature is a list of parameters: `text`, `integer`, `decimal`, `number`, `boolean`, `datetime`, `binary`, `uuid`,
`any` (a single value), `list`, `value` (either), alternatives joined with `|`, and `?` behind it where null is taken
as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import msgspec

from anabranch.engine.expressions.failures import EvaluationError
from anabranch.engine.expressions.kinds import NUMBERS, UNKNOWN, Kind, name_of
from anabranch.model.enums import ValueType

F = TypeVar("F", bound=Callable[..., Any])

_SINGLE: dict[str, frozenset[ValueType]] = {
    "text": frozenset({ValueType.TEXT}),
    "integer": frozenset({ValueType.INTEGER}),
    "decimal": frozenset({ValueType.DECIMAL}),
    "number": NUMBERS,
    "boolean": frozenset({ValueType.BOOLEAN}),
    "datetime": frozenset({ValueType.DATETIME}),
    "binary": frozenset({ValueType.BINARY}),
    "uuid": frozenset({ValueType.UUID}),
}
_PYTHON: dict[ValueType, type] = {
    ValueType.TEXT: str,
    ValueType.INTEGER: int,
    ValueType.DECIMAL: Decimal,
    ValueType.BOOLEAN: bool,
    ValueType.DATETIME: datetime,
    ValueType.BINARY: bytes,
    ValueType.UUID: str,
}


class Parameter(msgspec.Struct, frozen=True):
    """One parameter: the types of single values it takes (None: every one), whether lists, whether null."""

    label: str
    types: frozenset[ValueType] | None
    takes_single: bool
    takes_list: bool
    nullable: bool
    python: frozenset[type] | None
    """The Python types it takes at run time; None for every one."""

    def accepts(self, kind: Kind) -> bool | None:
        """Whether a value of this kind is taken, null aside; None when only the run can tell."""
        verdicts: set[bool | None] = set()
        if kind.is_list is not False:
            verdicts.add(self.takes_list)
        if kind.is_list is not True:
            if not self.takes_single:
                verdicts.add(False)
            elif self.types is None:
                verdicts.add(True)
            else:
                verdicts.add(kind.type in self.types if kind.type is not None else None)
        return verdicts.pop() if len(verdicts) == 1 else None


class Function(msgspec.Struct, frozen=True):
    """A registered function. `inject` names what the generated code passes before the arguments: `now`, `zone`;
    `literals` the argument positions that must be literals, each with what turns the literal into what is passed."""

    name: str
    call: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    required: int
    variadic: bool
    gives: Kind
    inject: tuple[str, ...]
    literals: dict[int, Callable[[Any], Any]]
    pure_of_null: bool
    """True when the result is never null for arguments that are not."""

    def parameter(self, index: int) -> Parameter:
        """The parameter of the argument at `index`; the last one repeats where the function is variadic."""
        return self.parameters[min(index, len(self.parameters) - 1)]

    @property
    def arity(self) -> str:
        """How many arguments it takes, in words."""
        most = len(self.parameters)
        if self.variadic:
            return f"{self.required} or more"
        return str(most) if most == self.required else f"{self.required} to {most}"

    def mismatch(self, index: int, found: str) -> EvaluationError:
        """The error of an argument of another type."""
        return EvaluationError(
            f"{self.name}() takes {self.parameter(index).label} as argument {index + 1}, not {found}"
        )


@cache
def guarded(name: str) -> Callable[..., Any]:
    """The registered function with null and types of its arguments dealt with at run time."""
    function = REGISTRY[name]
    call, offset = function.call, len(function.inject)

    def guard(*arguments: Any) -> Any:
        for index, argument in enumerate(arguments[offset:]):
            if index in function.literals:
                continue
            parameter = function.parameter(index)
            if argument is None:
                if not parameter.nullable:
                    return None
            elif parameter.python is not None and type(argument) not in parameter.python:
                raise function.mismatch(index, name_of(argument))
        return call(*arguments)

    return guard


REGISTRY: dict[str, Function] = {}
"""Every function by name; filled by the modules of functions."""


def function(
    *signature: str,
    gives: str,
    optional: int = 0,
    variadic: bool = False,
    name: str | None = None,
    inject: tuple[str, ...] = (),
    literals: dict[int, Callable[[Any], Any]] | None = None,
) -> Callable[[F], F]:
    """Registers the decorated function under its own name, or `name` where Python needs another.

    `gives` is a type, `list TYPE`, `list` or `value` (not known), with `!` where the result is never null, and with `*`
    where it is null only when an argument is.
    """

    def register(call: F) -> F:
        key = name or call.__name__
        REGISTRY[key] = Function(
            name=key,
            call=call,
            parameters=tuple(_parameter(one) for one in signature),
            required=len(signature) - optional - (1 if variadic and optional == 0 and len(signature) > 1 else 0),
            variadic=variadic,
            gives=_kind(gives),
            inject=inject,
            literals=literals or {},
            pure_of_null=gives.endswith("*"),
        )
        return call

    return register


def _kind(text: str) -> Kind:
    word = text.rstrip("!*")
    nullable = not text.endswith("!")
    if word == "value":
        return UNKNOWN
    if word == "any":
        return Kind(None, False, nullable)
    if word == "number":
        return Kind(None, False, nullable)
    if word.startswith("list"):
        member = word.removeprefix("list").strip()
        return Kind(ValueType(member) if member else None, True, nullable)
    return Kind(ValueType(word), False, nullable)


def _parameter(text: str) -> Parameter:
    nullable = text.endswith("?")
    label = text.removesuffix("?")
    words = label.split("|")
    takes_list = "list" in words or "value" in words
    takes_any = "any" in words or "value" in words
    types: frozenset[ValueType] = frozenset().union(*(_SINGLE.get(word, frozenset()) for word in words))
    python: set[type] = {_PYTHON[one] for one in types}
    if takes_list:
        python.add(list)
    if "any" in words:
        label = "a single value"
    return Parameter(
        label={"list": "a list", "value": "a value"}.get(label, label.replace("|", " or ")),
        types=None if takes_any else types,
        takes_single=takes_any or bool(types),
        takes_list=takes_list,
        nullable=nullable,
        python=None if takes_any else frozenset(python),
    )
