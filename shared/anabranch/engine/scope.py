"""Whether a rule concerns an object, and until when that verdict holds.

A scope is a tree of `all`, `any` and `not` over criteria and boolean expressions (SYN-9). It is checked once, with its
values read like a source's and its operators held against the attributes' types; then it becomes part of a generated
function. A `not_` operator is the exact complement of its positive form, so an object without a value satisfies it
(SYN-11). What cannot be evaluated raises, it is never merely false (SYN-17).

A relative date moves with the run's moment: hours by the hour, everything else at midnight in the rule's zone (SYN-13).
The moment at which it next passes an object's value is known in advance, and makes the object due without any change.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec

from anabranch.engine.expressions import (
    CheckedExpression,
    Environment,
    EvalContext,
    EvaluationError,
    ExpressionError,
    check,
    compile_to_ast,
    make_function,
)
from anabranch.engine.expressions.checked import did_you_mean
from anabranch.engine.expressions.compiling import CONTEXT, Const, Names
from anabranch.engine.expressions.operators import truth
from anabranch.engine.instants import midnight, next_midnight, relative_instant, shift_date
from anabranch.engine.values import ValueProblem, fold, parse_value, to_engine
from anabranch.model.configuration import Attribute, Criterion, RelativeDate, Scope, ScopeExpression, ScopeGroup
from anabranch.model.enums import ValueType
from anabranch.model.errors import AnabranchError

_TEXT = frozenset({"equals", "starts_with", "ends_with", "contains", "in", "present"})
_ORDERED = frozenset({"equals", "less_than", "less_or_equal", "greater_than", "greater_or_equal", "in", "present"})
_PLAIN = frozenset({"equals", "in", "present"})
OPERATORS: Mapping[ValueType, frozenset[str]] = {
    ValueType.TEXT: _TEXT,
    ValueType.INTEGER: _ORDERED,
    ValueType.DECIMAL: _ORDERED,
    ValueType.DATETIME: _ORDERED,
    ValueType.BOOLEAN: _PLAIN,
    ValueType.UUID: _PLAIN,
    ValueType.BINARY: frozenset({"present"}),
    ValueType.REFERENCE: frozenset({"present"}),
}
"""The positive operators of each type (SYN-10)."""
UNITS = frozenset({"hours", "days", "weeks", "months", "years"})


class ScopeProblem(AnabranchError):
    """The scope cannot be evaluated over an object; becomes the item `scope_error` (SYN-17)."""


class ScopeFault(msgspec.Struct, frozen=True):
    """One fault of a declared scope: `place` inside it (`all[0].value`), and line and column of an expression."""

    place: str
    message: str
    line: int = 0
    column: int = 0


class _Test(msgspec.Struct, frozen=True):
    """A criterion with its value read: engine values (folded where case does not count), or a relative date."""

    attribute: Attribute
    operator: str
    negated: bool
    folds: bool
    wanted: Any


class _Group(msgspec.Struct, frozen=True):
    kind: str
    members: tuple[_Node, ...]


_Node = _Test | _Group | CheckedExpression


class CheckedScope(msgspec.Struct, frozen=True):
    """A scope without faults. `reads` are the attributes its criteria and expressions test, `calls_today` whether an
    expression asks for the day."""

    root: _Node
    environment: Environment
    zone: tzinfo
    side: str
    reads: frozenset[str]
    calls_today: bool


# ----------------------------------------------------------------- checking


def check_scope(scope: Scope, environment: Environment, zone: tzinfo) -> CheckedScope | tuple[ScopeFault, ...]:
    """The scope, ready to be compiled, or all its faults. Its side is the one the environment shows."""
    return _Checker(environment, zone).run(scope)


class _Checker:
    def __init__(self, environment: Environment, zone: tzinfo) -> None:
        self._environment = environment
        self._zone = zone
        self._side = "mv" if environment.cs is None else "cs"
        self._attributes = (environment.mv if environment.cs is None else environment.cs) or {}
        self._faults: list[ScopeFault] = []
        self._reads: set[str] = set()
        self._calls_today = False

    def run(self, scope: Scope) -> CheckedScope | tuple[ScopeFault, ...]:
        root = self._check(scope, "")
        if root is None or self._faults:
            return tuple(self._faults)
        reads = frozenset(self._reads)
        return CheckedScope(root, self._environment, self._zone, self._side, reads, self._calls_today)

    def _fault(self, place: str, message: str, line: int = 0, column: int = 0) -> None:
        self._faults.append(ScopeFault(place.removeprefix("."), message, line, column))

    def _check(self, scope: Scope, place: str) -> _Node | None:
        match scope:
            case ScopeGroup():
                return self._group(scope, place)
            case ScopeExpression():
                return self._expression(scope, place)
            case Criterion():
                return self._criterion(scope, place)

    def _group(self, scope: ScopeGroup, place: str) -> _Node | None:
        if scope.kind not in {"all", "any", "not"}:
            self._fault(place, f"{scope.kind!r} is no group; known: all, any, not")
        if scope.kind == "any" and not scope.members:
            self._fault(f"{place}.any", "an empty 'any' is never true; name at least one condition")
        if scope.kind == "not" and len(scope.members) != 1:
            self._fault(f"{place}.not", "'not' takes exactly one condition")
        members = [self._check(one, f"{place}.{scope.kind}[{index}]") for index, one in enumerate(scope.members)]
        return _Group(scope.kind, tuple(one for one in members if one is not None))

    def _expression(self, scope: ScopeExpression, place: str) -> _Node | None:
        try:
            checked = check(scope.expression, self._environment)
        except ExpressionError as error:
            self._fault(f"{place}.expression", str(error), error.line, error.column)
            return None
        if checked.is_list or (checked.kind.is_known and checked.result is not ValueType.BOOLEAN):
            self._fault(f"{place}.expression", f"a scope is true, false or null; this expression gives {checked.kind}")
        self._reads |= checked.reads_cs | checked.reads_mv
        self._calls_today |= checked.calls_today
        return checked

    def _criterion(self, scope: Criterion, place: str) -> _Node | None:
        attribute = self._attributes.get(scope.attribute)
        if attribute is None:
            hint = did_you_mean(scope.attribute, self._attributes)
            self._fault(f"{place}.attribute", f"there is no attribute {scope.attribute!r}{hint}")
            return None
        allowed = OPERATORS[attribute.type]
        if scope.operator not in allowed:
            known = ", ".join(sorted(allowed))
            told = f"{scope.operator!r} is not defined for {attribute.name!r} of type {attribute.type}; known: {known}"
            self._fault(f"{place}.operator", told)
            return None
        if scope.ignore_case and attribute.type is not ValueType.TEXT:
            self._fault(f"{place}.ignore_case", f"{attribute.name!r} is of type {attribute.type}; only text has case")
        folds = attribute.type is ValueType.TEXT and (scope.ignore_case or not attribute.case_sensitive)
        self._reads.add(attribute.name)
        wanted = self._wanted(scope, attribute, folds, place)
        return _Test(attribute, scope.operator, scope.negated, folds, wanted)

    def _wanted(self, scope: Criterion, attribute: Attribute, folds: bool, place: str) -> Any:
        if scope.operator == "present":
            return None
        if isinstance(scope.value, RelativeDate):
            if attribute.type is not ValueType.DATETIME or scope.operator == "in":
                self._fault(f"{place}.value", "a relative date is compared with a datetime, and not by the operator in")
            elif scope.value.unit not in UNITS:
                self._fault(
                    f"{place}.value.unit", f"{scope.value.unit!r} is no unit; known: {', '.join(sorted(UNITS))}"
                )
            return scope.value
        if scope.operator == "in":
            if not isinstance(scope.value, list | tuple):
                self._fault(f"{place}.value", "the operator in takes a list of values")
                return None
            return frozenset(
                self._value(one, attribute, folds, f"{place}.value[{index}]") for index, one in enumerate(scope.value)
            )
        return self._value(scope.value, attribute, folds, f"{place}.value")

    def _value(self, value: Any, attribute: Attribute, folds: bool, place: str) -> Any:
        try:
            stored = parse_value(value, msgspec.structs.replace(attribute, keep_empty_text=True), self._zone)
        except ValueProblem as problem:
            self._fault(place, f"the value does not fit: {problem}")
            return None
        if stored is None:
            self._fault(place, f"a value of type {attribute.type} is needed to compare {attribute.name!r} with")
            return None
        made = to_engine(stored, attribute.type)
        return fold(made) if folds else made


# ----------------------------------------------------------------- compiling


def scope_node(
    scope: Scope,
    *,
    attributes: Mapping[str, Attribute],
    environment: Environment,
    zone: tzinfo,
    names: Names,
    const: Const,
) -> ast.expr:
    """The node that is true for the objects the scope accepts; evaluating it raises ScopeProblem.

    `attributes` are those of the side the scope reads from. The function it becomes part of needs a local `ctx`. A
    scope with faults raises ScopeProblem here: validation refuses it before.
    """
    shown = msgspec.structs.replace(environment, **{"mv" if environment.cs is None else "cs": attributes})
    checked = check_scope(scope, shown, zone)
    if not isinstance(checked, CheckedScope):
        raise ScopeProblem("; ".join(f"{fault.place or 'scope'}: {fault.message}" for fault in checked))
    return compile_scope(checked, names=names, const=const)


def compile_scope(checked: CheckedScope, *, names: Names, const: Const) -> ast.expr:
    """The node of a checked scope: true or false, or ScopeProblem."""
    return _Builder(checked, names, const).build(checked.root)


def compile_scope_function(checked: CheckedScope) -> Callable[[Mapping[str, Any], EvalContext], bool]:
    """A function of (engine values by attribute name, context). Raises ScopeProblem."""
    constants: dict[str, Any] = {}

    def const(value: object) -> ast.expr:
        name = f"_k{len(constants)}"
        constants[name] = value
        return ast.Name(id=name, ctx=ast.Load())

    def names(_side: str, attribute: str) -> ast.expr:
        get = ast.Attribute(value=ast.Name(id="values", ctx=ast.Load()), attr="get", ctx=ast.Load())
        shown = (checked.environment.mv if checked.side == "mv" else checked.environment.cs) or {}
        missing = [const([])] if shown[attribute].multi_valued else []
        return ast.Call(func=get, args=[ast.Constant(attribute), *missing], keywords=[])

    body = compile_scope(checked, names=names, const=const)
    return make_function(("values", CONTEXT), body, constants)


def _guarded(thunk: Callable[[], Any]) -> bool:
    try:
        return truth(thunk())
    except EvaluationError as error:
        raise ScopeProblem(f"the scope's expression cannot be evaluated: {error}") from error


class _Builder:
    def __init__(self, checked: CheckedScope, names: Names, const: Const) -> None:
        self._checked = checked
        self._names = names
        self._const = const

    def build(self, node: _Node) -> ast.expr:
        match node:
            case _Group(kind="not"):
                return ast.UnaryOp(op=ast.Not(), operand=self.build(node.members[0]))
            case _Group():
                members = [self.build(one) for one in node.members]
                if len(members) < 2:
                    return members[0] if members else ast.Constant(node.kind == "all")
                return ast.BoolOp(op=ast.And() if node.kind == "all" else ast.Or(), values=members)
            case CheckedExpression():
                thunk = ast.Lambda(
                    args=ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]),
                    body=compile_to_ast(node, names=self._names, const=self._const),
                )
                return self._call(_guarded, thunk)
            case _Test():
                test = self._test(node)
                return ast.UnaryOp(op=ast.Not(), operand=test) if node.negated else test

    def _call(self, function: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        return ast.Call(func=self._const(function), args=list(arguments), keywords=[])

    def _test(self, test: _Test) -> ast.expr:
        value = self._names(self._checked.side, test.attribute.name)
        if test.operator == "present":
            return self._present(value, test.attribute)
        if isinstance(test.wanted, RelativeDate):
            wanted = self._call(
                relative_instant,
                ast.Constant(test.wanted.count),
                ast.Constant(test.wanted.unit),
                ast.Attribute(value=ast.Name(id=CONTEXT, ctx=ast.Load()), attr="now", ctx=ast.Load()),
                self._const(self._checked.zone),
            )
            return self._call(_one_of(_COMPARE[test.operator], test.attribute.multi_valued), value, wanted)
        if test.operator in {"equals", "in"} and not test.attribute.multi_valued and not test.folds:
            plain = test.operator == "equals"
            return ast.Compare(
                left=value, ops=[ast.Eq() if plain else ast.In()], comparators=[self._const(test.wanted)]
            )
        compare = _folding(_COMPARE[test.operator]) if test.folds else _COMPARE[test.operator]
        return self._call(_one_of(compare, test.attribute.multi_valued), value, self._const(test.wanted))

    def _present(self, value: ast.expr, attribute: Attribute) -> ast.expr:
        if attribute.multi_valued:
            return self._call(bool, value)
        return ast.Compare(left=value, ops=[ast.IsNot()], comparators=[ast.Constant(None)])


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda value, wanted: bool(value == wanted),
    "in": lambda value, wanted: value in wanted,
    "starts_with": lambda value, wanted: bool(value.startswith(wanted)),
    "ends_with": lambda value, wanted: bool(value.endswith(wanted)),
    "contains": lambda value, wanted: wanted in value,
    "less_than": lambda value, wanted: bool(value < wanted),
    "less_or_equal": lambda value, wanted: bool(value <= wanted),
    "greater_than": lambda value, wanted: bool(value > wanted),
    "greater_or_equal": lambda value, wanted: bool(value >= wanted),
}


def _folding(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, wanted: compare(fold(value), wanted)


def _one_of(compare: Callable[[Any, Any], bool], multi_valued: bool) -> Callable[[Any, Any], bool]:
    """The test of a value that may be missing, or of any value of a list (SYN-11)."""
    if multi_valued:
        return lambda values, wanted: values is not None and any(compare(value, wanted) for value in values)
    return lambda value, wanted: value is not None and compare(value, wanted)


# ----------------------------------------------------------------- time


def scope_turns_at(checked: CheckedScope, values: Mapping[str, Any], now: datetime) -> datetime | None:
    """The earliest instant after `now` at which time alone could change the verdict over these engine values (SYN-8);
    None where it never will."""
    return min(_turns(checked.root, checked.zone, values, now), default=None)


def _turns(node: _Node, zone: tzinfo, values: Mapping[str, Any], now: datetime) -> Iterable[datetime]:
    match node:
        case _Group():
            for member in node.members:
                yield from _turns(member, zone, values, now)
        case CheckedExpression():
            moment = next_midnight(now, node.environment.zone) if node.calls_today else None
            if moment is not None:
                yield moment
        case _Test(wanted=RelativeDate() as span):
            held = values.get(node.attribute.name)
            for value in held if isinstance(held, list) else () if held is None else (held,):
                moment = _passes(node.operator, span, value, now, zone)
                if moment is not None:
                    yield moment


def _passes(operator: str, span: RelativeDate, value: datetime, now: datetime, zone: tzinfo) -> datetime | None:
    """When the relative date, which only ever moves forward, next reaches or passes the value as the operator asks."""
    there = relative_instant(span.count, span.unit, now, zone)
    if there > value:
        return None
    reaching = operator in {"less_or_equal", "greater_than"} or (operator == "equals" and there < value)
    if reaching and there == value:
        return None
    goal = value if reaching else value + timedelta(microseconds=1)
    try:
        if span.unit == "hours":
            return goal - timedelta(hours=span.count)
        return _first_midnight(span, goal, zone)
    except OverflowError:
        return None


def _first_midnight(span: RelativeDate, goal: datetime, zone: tzinfo) -> datetime:
    """The first midnight whose relative date is not before `goal`. Months clamp, so the way back is only a guess."""
    day = shift_date(shift_date(goal.astimezone(zone).date(), -span.count, span.unit), -4, "days")
    while midnight(shift_date(day, span.count, span.unit), zone) < goal:
        day += timedelta(days=1)
    return midnight(day, zone)
