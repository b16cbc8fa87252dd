"""From a checked tree to nodes of a generated function.

The nodes are built here from nothing but calls of our own helpers; a user's text reaches them only as constants. The
generated function calls its context `ctx`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from typing import Any

from anabranch.engine.expressions import operators
from anabranch.engine.expressions.checking import CONSTANTS, CheckedExpression, literal_value
from anabranch.engine.expressions.context import EvalContext
from anabranch.engine.expressions.operators import bounded, kind
from anabranch.engine.expressions.problems import EvaluationError
from anabranch.engine.expressions.registry import FUNCTIONS
from anabranch.engine.instants import today
from anabranch.engine.values import to_engine
from anabranch.model.configuration import Attribute

Names = Callable[[str, str], ast.expr]
"""(side, attribute) to the node that reads it."""
Const = Callable[[object], ast.Name]
"""Binds a value to a name of the generated function."""

_BINARY: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operators.add,
    ast.Sub: operators.subtract,
    ast.Mult: operators.multiply,
    ast.Div: operators.divide,
    ast.FloorDiv: operators.floor_divide,
    ast.Mod: operators.modulo,
}
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operators.equals,
    ast.NotEq: operators.differs,
    ast.Lt: operators.less,
    ast.LtE: operators.less_or_equal,
    ast.Gt: operators.greater,
    ast.GtE: operators.greater_or_equal,
    ast.In: operators.contained,
    ast.NotIn: operators.not_contained,
}


def compile_to_ast(checked: CheckedExpression, *, names: Names, const: Const) -> ast.expr:
    """The node whose value is the expression's; it may raise EvaluationError or NeedsDraw when it runs."""
    return _Builder(checked, names, const).build(checked.tree)


def compile_function(
    checked: CheckedExpression,
) -> Callable[[Mapping[str, Any], Mapping[str, Any], EvalContext], Any]:
    """A function of (cs, mv, context) for use outside a generated type function; documents hold stored values."""
    constants: dict[str, Any] = {}

    def const(value: object) -> ast.Name:
        name = f"_k{len(constants)}"
        constants[name] = value
        return ast.Name(id=name, ctx=ast.Load())

    def names(side: str, attribute: str) -> ast.expr:
        found: Mapping[str, Attribute] = getattr(checked.environment, side)
        return _call(const(_reader(found[attribute])), [ast.Name(id=side, ctx=ast.Load())])

    arguments = [ast.arg(arg=one) for one in ("cs", "mv", "ctx")]
    node = ast.Expression(
        body=ast.Lambda(
            args=ast.arguments(posonlyargs=[], args=arguments, kwonlyargs=[], kw_defaults=[], defaults=[]),
            body=compile_to_ast(checked, names=names, const=const),
        )
    )
    code = compile(ast.fix_missing_locations(node), "<expression>", "eval")
    made: Callable[[Mapping[str, Any], Mapping[str, Any], EvalContext], Any] = eval(code, constants)  # noqa: S307 - our own nodes
    return made


def _reader(attribute: Attribute) -> Callable[[Mapping[str, Any]], Any]:
    def read(document: Mapping[str, Any]) -> Any:
        value = document.get(attribute.name)
        if attribute.multi_valued:
            return [to_engine(one, attribute.type) for one in value or ()]
        return None if value is None else to_engine(value, attribute.type)

    return read


def _call(function: ast.expr, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(func=function, args=arguments, keywords=[])


class _Builder:
    def __init__(self, checked: CheckedExpression, names: Names, const: Const) -> None:
        self._environment = checked.environment
        self._names = names
        self._const = const

    def build(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant():
                return self._literal(literal_value(node))
            case ast.Name(id=name):
                return self._literal(CONSTANTS[name]) if name in CONSTANTS else self._context(name)
            case ast.Subscript(value=ast.Name(id="cs" | "mv" as side), slice=ast.Constant(value=str() as name)):
                return self._names(side, name)
            case ast.Subscript(value=value, slice=index):
                return self._apply(operators.item, value, index)
            case ast.List(elts=elements):
                made = ast.List(elts=[self.build(one) for one in elements], ctx=ast.Load())
                return _call(self._const(_without_nulls), [made])
            case ast.BinOp(op=op, left=left, right=right):
                return self._apply(_BINARY[type(op)], left, right)
            case ast.UnaryOp():
                return self._unary(node)
            case ast.BoolOp(op=op, values=values):
                return ast.BoolOp(op=op, values=[self._truth(one) for one in values])
            case ast.Compare():
                return self._compare(node)
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return ast.IfExp(test=self._truth(test), body=self.build(body), orelse=self.build(orelse))
            case ast.Call(func=ast.Name(id=name), args=arguments):
                return self._function(name, arguments)
            case _:
                raise TypeError(f"{type(node).__name__} passed the check and cannot be compiled")

    def _unary(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(op=ast.Not(), operand=self._truth(node.operand))
        if isinstance(node.op, ast.USub):
            return self._apply(operators.negate, node.operand)
        return self._apply(operators.negate, ast.UnaryOp(op=ast.USub(), operand=node.operand))

    def _literal(self, value: Any) -> ast.expr:
        if value is None or isinstance(value, bool | int | str):
            return ast.Constant(value)
        return self._const(value)

    def _context(self, name: str) -> ast.expr:
        return ast.Attribute(value=ast.Name(id="ctx", ctx=ast.Load()), attr=name, ctx=ast.Load())

    def _apply(self, function: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        return _call(self._const(function), [self.build(one) for one in arguments])

    def _truth(self, node: ast.expr) -> ast.expr:
        built = self.build(node)
        if isinstance(node, ast.Compare | ast.BoolOp) or (
            isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)
        ):
            return built
        return _call(self._const(operators.truth), [built])

    def _compare(self, node: ast.Compare) -> ast.expr:
        """A chain is the conjunction of its pairs; operands have no effects, so writing one twice is harmless."""
        operands = [node.left, *node.comparators]
        pairs = [
            self._apply(_COMPARE[type(op)], operands[place], operands[place + 1]) for place, op in enumerate(node.ops)
        ]
        return pairs[0] if len(pairs) == 1 else ast.BoolOp(op=ast.And(), values=pairs)

    def _function(self, name: str, arguments: list[ast.expr]) -> ast.expr:
        if name in FUNCTIONS:
            return _call(self._const(FUNCTIONS[name].call), [self.build(one) for one in arguments])
        context = ast.Name(id="ctx", ctx=ast.Load())
        match name:
            case "now":
                return self._context("now")
            case "today":
                return _call(self._const(_today(self._environment.zone)), [context])
            case "joined":
                return _call(self._const(_joined), [context, *(self.build(one) for one in arguments)])
            case "lookup":
                table = self._environment.lookups[_text(arguments[0])]
                return _call(self._const(_lookup(table)), [self.build(one) for one in arguments[1:]])
            case _:
                return _call(self._const(_draw), [context, *(self.build(one) for one in arguments)])


def _text(node: ast.expr) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise TypeError("a literal text passed the check and is none")
    return node.value


def _without_nulls(values: list[Any]) -> list[Any]:
    """A list literal as it is; null members stay, because join_text and coalesce give them their meaning."""
    bounded(values)
    return values


def _today(zone: tzinfo) -> Callable[[EvalContext], datetime]:
    return lambda context: today(context.now, zone)


def _joined(context: EvalContext, system: str) -> bool:
    return system in context.joined


def _lookup(table: Mapping[str, str]) -> Callable[..., Any]:
    def lookup(key: Any, default: Any = None) -> Any:
        if key is None:
            return None
        if not isinstance(key, str):
            raise EvaluationError(f"lookup(): the key must be text, not {kind(key)}")
        return table.get(key, default)

    return lookup


def _draw(context: EvalContext, name: str, candidates: Any) -> Any:
    if candidates is None:
        return None
    if not isinstance(candidates, list):
        raise EvaluationError(f"unique_value(): candidates are a list, not {kind(candidates)}; use numbered()")
    offered = tuple(dict.fromkeys(one for one in candidates if isinstance(one, str) and one))
    if not offered:
        return None
    if context.draw is None:
        raise EvaluationError("unique_value(): nothing can be drawn here")
    return context.draw(name, offered)
