"""Whether a rule concerns an object.

A scope is a tree of `all`, `any` and `not` over criteria and expressions. A criterion on a missing attribute is false,
on a multi-valued one it holds when any value satisfies it, and a `not_` operator is the exact complement of its
positive form. What cannot be evaluated raises and never counts as false (SYN-9 to SYN-13, SYN-17).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from datetime import tzinfo
from typing import Any

from anabranch.engine.expressions import Environment, EvalContext, EvaluationError, check, compile_to_ast
from anabranch.engine.expressions.compiling import Const, Names
from anabranch.engine.expressions.operators import truth
from anabranch.engine.instants import relative_instant
from anabranch.engine.values import ValueProblem, compare_key, fold, parse_value, to_engine
from anabranch.model.configuration import Attribute, Criterion, RelativeDate, Scope, ScopeExpression, ScopeGroup
from anabranch.model.enums import ValueType

TEXT_OPERATORS = frozenset({"equals", "starts_with", "ends_with", "contains", "in", "present"})
ORDER_OPERATORS = frozenset(
    {"equals", "less_than", "less_or_equal", "greater_than", "greater_or_equal", "in", "present"}
)
PLAIN_OPERATORS = frozenset({"equals", "in", "present"})
OPERATORS: Mapping[ValueType, frozenset[str]] = {
    ValueType.TEXT: TEXT_OPERATORS,
    ValueType.INTEGER: ORDER_OPERATORS,
    ValueType.DECIMAL: ORDER_OPERATORS,
    ValueType.DATETIME: ORDER_OPERATORS,
    ValueType.BOOLEAN: PLAIN_OPERATORS,
    ValueType.UUID: PLAIN_OPERATORS,
    ValueType.BINARY: frozenset({"present"}),
    ValueType.REFERENCE: frozenset({"present"}),
}
"""Which operators are defined for a type (SYN-10)."""


class ScopeProblem(Exception):
    """A scope that cannot be evaluated over an object; becomes error item `scope_error` (SYN-17)."""


def scope_node(
    scope: Scope,
    *,
    attributes: Mapping[str, Attribute],
    environment: Environment,
    zone: tzinfo,
    names: Names,
    const: Const,
) -> ast.expr:
    """The node that is true for the objects the scope accepts; it may raise EvaluationError when it runs."""

    def build(part: Scope) -> ast.expr:
        match part:
            case ScopeGroup(kind="not", members=members):
                return ast.UnaryOp(op=ast.Not(), operand=build(members[0]))
            case ScopeGroup(members=members) if not members:
                return ast.Constant(part.kind == "all")
            case ScopeGroup(kind=kind, members=members):
                if len(members) == 1:
                    return build(members[0])
                return ast.BoolOp(op=ast.And() if kind == "all" else ast.Or(), values=[build(one) for one in members])
            case ScopeExpression(expression=source):
                node = compile_to_ast(check(source, environment), names=names, const=const)
                return ast.Call(func=const(truth), args=[node], keywords=[])
            case Criterion():
                attribute = attributes[part.attribute]
                side = "mv" if environment.cs is None else "cs"
                arguments = [names(side, part.attribute), ast.Name(id="ctx", ctx=ast.Load())]
                return ast.Call(func=const(criterion(part, attribute, zone)), args=arguments, keywords=[])

    return build(scope)


def criterion(part: Criterion, attribute: Attribute, zone: tzinfo) -> Callable[[Any, EvalContext], bool]:
    """The test of one criterion over an engine value (or list of them); the complement for a negated one (SYN-11)."""
    test = _test(part, attribute, zone)
    negated = part.negated

    def holds(value: Any, context: EvalContext) -> bool:
        if value is None or value == []:
            return negated
        values = value if isinstance(value, list) else [value]
        return any(test(one, context) for one in values) is not negated

    return holds


def _test(part: Criterion, attribute: Attribute, zone: tzinfo) -> Callable[[Any, EvalContext], bool]:
    if part.operator == "present":
        return lambda _value, _context: True
    if isinstance(part.value, RelativeDate):
        return _relative(part, zone)
    if part.operator == "in":
        keys = {_key(_operand(one, attribute, zone), part, attribute) for one in part.value}
        return lambda value, _context: _key(value, part, attribute) in keys
    wanted = _key(_operand(part.value, attribute, zone), part, attribute)
    compare = _COMPARISONS[part.operator]
    return lambda value, _context: compare(_key(value, part, attribute), wanted)


_COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "equals": lambda a, b: bool(a == b),
    "starts_with": lambda a, b: bool(a.startswith(b)),
    "ends_with": lambda a, b: bool(a.endswith(b)),
    "contains": lambda a, b: b in a,
    "less_than": lambda a, b: bool(a < b),
    "less_or_equal": lambda a, b: bool(a <= b),
    "greater_than": lambda a, b: bool(a > b),
    "greater_or_equal": lambda a, b: bool(a >= b),
}


def _operand(value: Any, attribute: Attribute, zone: tzinfo) -> Any:
    try:
        stored = parse_value(value, attribute, zone)
    except ValueProblem as problem:
        raise ScopeProblem(f"the value of a criterion does not fit: {problem}") from None
    return to_engine(stored, attribute.type) if stored is not None else ""


def _key(value: Any, part: Criterion, attribute: Attribute) -> Any:
    """What is compared: folded text where case does not count, text as it is otherwise (SYN-12)."""
    if isinstance(value, str) and attribute.type is ValueType.TEXT:
        return fold(value) if part.ignore_case or not attribute.case_sensitive else value
    return compare_key(value, attribute) if isinstance(value, bool) else value


def _relative(part: Criterion, zone: tzinfo) -> Callable[[Any, EvalContext], bool]:
    compare = _COMPARISONS[part.operator]
    span = part.value

    def holds(value: Any, context: EvalContext) -> bool:
        return compare(value, relative_instant(span.count, span.unit, context.now, zone))

    return holds


__all__ = ["OPERATORS", "EvaluationError", "ScopeProblem", "criterion", "scope_node"]
