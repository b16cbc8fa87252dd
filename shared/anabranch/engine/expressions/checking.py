"""From source to a checked tree.

Everything that can be known without values is known here, once a revision: that only allowed nodes stand in the tree,
that every name exists where the expression stands, that calls have the right number of arguments and patterns are
harmless. A tree that passed can fail only on its inputs.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import msgspec

from anabranch.engine.expressions import functions_text, functions_time, functions_values
from anabranch.engine.expressions.context import Environment
from anabranch.engine.expressions.patterns import pattern_problem
from anabranch.engine.expressions.problems import ExpressionError
from anabranch.engine.expressions.registry import FUNCTIONS
from anabranch.model.configuration import Attribute
from anabranch.model.enums import ValueType

__all__ = ["CheckedExpression", "check", "functions_text", "functions_time", "functions_values"]

MAX_SOURCE = 4096
MAX_NODES = 1000
MAX_DEPTH = 32
CONSTANTS: Mapping[str, Any] = {"null": None, "true": True, "false": False}
ACCESSORS = ("cs", "mv")
STATE_NAMES = ("mv_state", "delete_after")
SPECIAL = ("joined", "now", "today", "unique_value", "lookup")
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod)
COMPARISONS = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot)


class CheckedExpression(msgspec.Struct, frozen=True):
    """A tree that passed, and what it reads: attribute names by side, unique values it draws, whether it asks for the
    day. `result` and `is_list` are what can be told of the outcome; None where it depends on values."""

    tree: ast.expr
    environment: Environment
    reads_cs: frozenset[str]
    reads_mv: frozenset[str]
    draws: tuple[str, ...]
    calls_today: bool
    result: ValueType | None
    is_list: bool


def check(source: str, environment: Environment) -> CheckedExpression:
    """The checked tree of `source`. Raises ExpressionError with line and column, counted from 1 (MOD-35, MOD-36)."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"an expression has at most {MAX_SOURCE} characters, this one has {len(source)}")
    if "\0" in source:
        raise ExpressionError("an expression holds no NUL character")
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except SyntaxError as problem:
        raise ExpressionError(
            f"not an expression: {problem.msg}", problem.lineno or 1, max(problem.offset or 1, 1)
        ) from None
    except (ValueError, RecursionError, MemoryError):
        raise ExpressionError(
            "not an expression: it is nested too deeply or holds characters that mean nothing"
        ) from None
    checker = _Checker(environment)
    checker.visit(tree, 1)
    result, is_list = _outcome(tree, environment)
    return CheckedExpression(
        tree=tree,
        environment=environment,
        reads_cs=frozenset(checker.reads["cs"]),
        reads_mv=frozenset(checker.reads["mv"]),
        draws=tuple(sorted(checker.draws)),
        calls_today=checker.calls_today,
        result=result,
        is_list=is_list,
    )


def _refuse(node: ast.AST, message: str) -> ExpressionError:
    return ExpressionError(message, getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1)


def _did_you_mean(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class _Checker:
    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._nodes = 0
        self.reads: dict[str, set[str]] = {"cs": set(), "mv": set()}
        self.draws: set[str] = set()
        self.calls_today = False

    def visit(self, node: ast.expr, depth: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _refuse(node, f"an expression has at most {MAX_NODES} parts")
        if depth > MAX_DEPTH:
            raise _refuse(node, f"an expression is nested at most {MAX_DEPTH} deep")
        match node:
            case ast.Constant():
                self._constant(node)
            case ast.Name():
                self._name(node)
            case ast.Subscript():
                self._subscript(node, depth)
            case ast.Call():
                self._call(node, depth)
            case _:
                for child in self._children(node):
                    self.visit(child, depth + 1)

    def _children(self, node: ast.expr) -> list[ast.expr]:
        """The members of an operator node; raises for a node that is not on the list."""
        match node:
            case ast.List(elts=elements):
                return list(elements)
            case ast.BinOp(op=op, left=left, right=right) if isinstance(op, OPERATORS):
                if isinstance(op, ast.Mult | ast.Mod) and any(_is_text(one) for one in (left, right)):
                    raise _refuse(node, "text cannot be repeated or formatted with * and %")
                return [left, right]
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=operand):
                return [operand]
            case ast.BoolOp(values=values):
                return list(values)
            case ast.Compare(ops=ops, left=left, comparators=rest) if all(isinstance(op, COMPARISONS) for op in ops):
                if any(isinstance(op, ast.Is | ast.IsNot) for op in ops):
                    raise _refuse(node, "compare with == and !=")
                return [left, *rest]
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return [test, body, orelse]
            case _:
                raise _refuse(node, f"{_described(node)} is not part of the language")

    def _constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bytes | complex) or value is Ellipsis:
            raise _refuse(node, f"{_described(node)} is not part of the language")
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise _refuse(node, "a whole number lies within 64 bits")

    def _name(self, node: ast.Name) -> None:
        name = node.id
        if name in CONSTANTS:
            return
        if name in STATE_NAMES:
            if not self._environment.sees_metaverse_state:
                raise _refuse(node, f"{name!r} is visible in outbound rules only")
            return
        if name in ACCESSORS:
            raise _refuse(node, f'{name} is read with a name: {name}["attribute"]')
        if name in FUNCTIONS or name in SPECIAL:
            raise _refuse(node, f"{name!r} is a function: call it, {name}(...)")
        known = [*CONSTANTS, *FUNCTIONS, *SPECIAL, *ACCESSORS]
        raise _refuse(node, f"unknown name {name!r}{_did_you_mean(name, known)}")

    def _subscript(self, node: ast.Subscript, depth: int) -> None:
        if isinstance(node.value, ast.Name) and node.value.id in ACCESSORS:
            self._read(node, node.value.id)
            return
        if isinstance(node.slice, ast.Slice | ast.Tuple):
            raise _refuse(node, "slices are not part of the language; use left(), right() or substring()")
        self.visit(node.value, depth + 1)
        self.visit(node.slice, depth + 1)

    def _read(self, node: ast.Subscript, side: str) -> None:
        attributes: Mapping[str, Attribute] | None = getattr(self._environment, side)
        if attributes is None:
            raise _refuse(node, f"{side} is not visible here")
        if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, str):
            raise _refuse(node, f'{side} is read with a literal name: {side}["attribute"]')
        name = node.slice.value
        if name not in attributes:
            raise _refuse(node, f"{side} has no attribute {name!r}{_did_you_mean(name, attributes)}")
        self.reads[side].add(name)

    def _call(self, node: ast.Call, depth: int) -> None:
        if not isinstance(node.func, ast.Name):
            raise _refuse(node, "only registered functions can be called")
        name = node.func.id
        if node.keywords or any(isinstance(one, ast.Starred) for one in node.args):
            raise _refuse(node, f"{name}() takes plain arguments only")
        if name in SPECIAL:
            self._special(node, name)
        elif (known := FUNCTIONS.get(name)) is None:
            close = _did_you_mean(name, [*FUNCTIONS, *SPECIAL])
            raise _refuse(node, f"there is no function {name!r}{close}")
        else:
            given = len(node.args)
            if given < known.least or (known.most is not None and given > known.most):
                wanted = (
                    str(known.least) if known.most == known.least else f"{known.least} to {known.most or 'any number'}"
                )
                raise _refuse(node, f"{name}() takes {wanted} arguments, not {given}")
            if name in {"matches", "regex_replace"}:
                self._pattern(node)
        for argument in node.args:
            self.visit(argument, depth + 1)

    def _pattern(self, node: ast.Call) -> None:
        pattern = _literal(node.args[1])
        if pattern is None:
            raise _refuse(node.args[1], "a pattern is a literal text")
        if problem := pattern_problem(pattern):
            raise _refuse(node.args[1], problem)

    def _special(self, node: ast.Call, name: str) -> None:
        given = len(node.args)
        env = self._environment
        match name:
            case "now" | "today":
                if given:
                    raise _refuse(node, f"{name}() takes no arguments")
                if name == "now" and not env.allows_now:
                    raise _refuse(node, "now() is allowed in initial-only mappings alone; use today()")
                self.calls_today = self.calls_today or name == "today"
            case "joined":
                if not env.sees_metaverse_state:
                    raise _refuse(node, "joined() is visible in outbound rules only")
                if given != 1 or _literal(node.args[0]) is None:
                    raise _refuse(node, "joined() takes the key of a system, as a literal text")
            case "lookup":
                self._lookup(node, given)
            case _:
                self._draw(node, given)

    def _lookup(self, node: ast.Call, given: int) -> None:
        table = _literal(node.args[0]) if node.args else None
        if given not in {2, 3} or table is None:
            raise _refuse(node, "lookup() takes the name of a table as a literal text, a key and maybe a default")
        if table not in self._environment.lookups:
            raise _refuse(node, f"there is no table {table!r}{_did_you_mean(table, self._environment.lookups)}")

    def _draw(self, node: ast.Call, given: int) -> None:
        name = _literal(node.args[0]) if node.args else None
        if not self._environment.allows_draw:
            raise _refuse(node, "unique_value() is allowed in inbound mappings alone")
        if given != 2 or name is None:
            raise _refuse(node, "unique_value() takes the name of a unique value as a literal text, and candidates")
        if name not in self._environment.unique_values:
            close = _did_you_mean(name, self._environment.unique_values)
            raise _refuse(node, f"there is no unique value {name!r}{close}")
        self.draws.add(name)


def _literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _is_text(node: ast.expr) -> bool:
    return _literal(node) is not None


_WORDS: Mapping[type[ast.AST], str] = {
    ast.Attribute: "attribute access with a dot",
    ast.Lambda: "a lambda",
    ast.JoinedStr: "an f-string",
    ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension",
    ast.DictComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.NamedExpr: "an assignment",
    ast.Starred: "a starred argument",
    ast.Dict: "a dictionary",
    ast.Tuple: "a tuple",
    ast.Set: "a set",
}


def _described(node: ast.AST) -> str:
    if isinstance(node, ast.BinOp):
        return f"the operator {type(node.op).__name__}"
    if isinstance(node, ast.Constant):
        return f"the literal {node.value!r}"
    return _WORDS.get(type(node), type(node).__name__)


def literal_value(node: ast.Constant) -> Any:
    """A literal as an engine value: a number with a point is a decimal, exactly as it is written."""
    return Decimal(repr(node.value)) if isinstance(node.value, float) else node.value


def _outcome(node: ast.expr, environment: Environment) -> tuple[ValueType | None, bool]:
    """What can be told of an expression's result without values."""
    match node:
        case ast.Constant(value=value):
            kinds = {str: ValueType.TEXT, bool: ValueType.BOOLEAN, int: ValueType.INTEGER, float: ValueType.DECIMAL}
            return kinds.get(type(value)), False
        case ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()):
            return ValueType.BOOLEAN, False
        case ast.List():
            return None, True
        case ast.Subscript(value=ast.Name(id="cs" | "mv" as side), slice=ast.Constant(value=str() as name)):
            attribute = (getattr(environment, side) or {}).get(name)
            return (attribute.type, attribute.multi_valued) if attribute is not None else (None, False)
        case ast.Call(func=ast.Name(id=name)) if name in FUNCTIONS:
            return FUNCTIONS[name].result, FUNCTIONS[name].gives_list
        case ast.Call(func=ast.Name(id="now" | "today")):
            return ValueType.DATETIME, False
        case ast.Call(func=ast.Name(id="unique_value" | "lookup")):
            return ValueType.TEXT, False
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            one, other = _outcome(left, environment), _outcome(right, environment)
            return one if one == other else (None, False)
        case ast.BinOp(op=ast.Div()):
            return ValueType.DECIMAL, False
        case ast.IfExp(body=body, orelse=orelse):
            one, other = _outcome(body, environment), _outcome(orelse, environment)
            return one if one == other else (None, False)
        case _:
            return None, False
