"""From source to a checked tree: everything that is not the language is refused here, with line and column.

The language is a subset of Python's expressions, so Python's own parser reads it, but nothing is taken over from
Python that is not on the list below: a node that is not named is refused (MOD-35). While walking, the checker notes
what is known of every node's type and which names the expression reads, so that whoever orders, compiles and explains
mappings need not look again.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, NoReturn

from anabranch.engine.expressions import (  # noqa: F401 - importing them registers their functions
    functions_conversion,
    functions_directory,
    functions_identity,
    functions_lists,
    functions_text,
    functions_time,
)
from anabranch.engine.expressions.checked import LITERALS, CheckedExpression, did_you_mean, is_null
from anabranch.engine.expressions.context import Environment
from anabranch.engine.expressions.date_formats import BadFormat
from anabranch.engine.expressions.failures import ExpressionError
from anabranch.engine.expressions.kinds import BOOLEAN, NULL, UNKNOWN, Kind, either
from anabranch.engine.expressions.limits import DIGITS, INTEGER_MAX, MAX_DEPTH, MAX_NODES, MAX_SOURCE
from anabranch.engine.expressions.patterns import BadPattern
from anabranch.engine.expressions.registry import REGISTRY, Function
from anabranch.engine.values import ValueProblem, decimal_text
from anabranch.model.enums import ValueType

SPECIAL = {"coalesce": (1, None), "choose": (3, None), "lookup": (2, 3), "unique_value": (2, 2), "joined": (1, 1)}
"""Functions with rules of their own, and how many arguments they take: those that leave an argument unevaluated, and
those whose first argument is a declared name."""
_MEMBER_TYPE = frozenset(
    {"first", "last", "distinct", "sort_values", "union", "intersect", "difference", "lowest", "highest", "abs_value"}
)
"""Functions whose result is of the type of their arguments, or of their members."""
_SURROGATE = re.compile("[\ud800-\udfff]")

_REFUSED: dict[str, str] = {
    "Attribute": "a dot is not allowed; call a function, such as upper(x)",
    "Lambda": "lambda is not allowed",
    "ListComp": "comprehensions are not allowed",
    "SetComp": "comprehensions are not allowed",
    "DictComp": "comprehensions are not allowed",
    "GeneratorExp": "comprehensions are not allowed",
    "JoinedStr": "f-strings are not allowed; join texts with + or concat()",
    "TemplateStr": "template strings are not allowed; join texts with + or concat()",
    "NamedExpr": "assignment is not allowed",
    "Starred": "starred arguments are not allowed",
    "Slice": "slices are not allowed; use left(), right() or substring()",
    "Tuple": "a list is written in brackets: [a, b]",
    "Dict": "dictionaries are not allowed; use lookup() or choose()",
    "Set": "a list is written in brackets: [a, b]",
}


def check(source: str, environment: Environment) -> CheckedExpression:
    """The expression, ready to be compiled. Raises ExpressionError with the first fault (MOD-34 to MOD-49)."""
    if len(source) > MAX_SOURCE:
        raise ExpressionError(f"the expression has {len(source):,} characters; {MAX_SOURCE:,} are allowed", 1, 1)
    checker = _Checker(source, environment)
    tree = checker.parse()
    kind = checker.visit(tree, 1)
    return CheckedExpression(
        source=source,
        environment=environment,
        tree=tree,
        kinds=checker.kinds,
        decimals=checker.decimals,
        constants=checker.constants,
        kind=kind,
        reads_cs=frozenset(checker.reads["cs"]),
        reads_mv=frozenset(checker.reads["mv"]),
        draws=tuple(dict.fromkeys(checker.draws)),
        lookups=frozenset(checker.lookups),
        calls_today=checker.calls_today,
        reads_state=checker.reads_state,
    )


class _Checker:
    def __init__(self, source: str, environment: Environment) -> None:
        self.source = f"[{source}\n]"
        self.environment = environment
        self.kinds: dict[ast.AST, Kind] = {}
        self.decimals: dict[ast.AST, Decimal] = {}
        self.constants: dict[ast.AST, Any] = {}
        self.reads: dict[str, set[str]] = {"cs": set(), "mv": set()}
        self.draws: list[str] = []
        self.lookups: set[str] = set()
        self.calls_today = False
        self.reads_state = False
        self._nodes = 0
        self._rules: dict[type[ast.expr], Callable[[Any, int], Kind]] = {
            ast.Constant: self._constant,
            ast.Name: self._name,
            ast.List: self._list,
            ast.BinOp: self._arithmetic,
            ast.UnaryOp: self._unary,
            ast.BoolOp: self._logic,
            ast.Compare: self._comparison,
            ast.IfExp: self._choice,
            ast.Subscript: self._subscript,
            ast.Call: self._call,
        }

    # ------------------------------------------------------------- reading

    def parse(self) -> ast.expr:
        """The one expression of the source. It is read inside brackets, so that it may spread over lines."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                body = ast.parse(self.source, mode="eval").body
        except SyntaxError as error:
            line, column = error.lineno or 1, error.offset or 1
            last = self.source.count("\n")
            if line > last:
                line, column = last, len(self.source.split("\n")[last - 1]) + 1
            raise ExpressionError(f"not an expression: {error.msg}", line, self._column(line, column)) from None
        except (ValueError, RecursionError, MemoryError):
            raise ExpressionError("not an expression: it cannot be read; simplify it", 1, 1) from None
        if not isinstance(body, ast.List) or body.end_lineno != self.source.count("\n") + 1:
            raise ExpressionError("not an expression: brackets do not match", 1, 1)
        if not body.elts:
            raise ExpressionError("the expression is empty", 1, 1)
        if len(body.elts) > 1:
            self.refuse(body.elts[1], _REFUSED["Tuple"])
        return body.elts[0]

    @staticmethod
    def _column(line: int, column: int) -> int:
        return max(1, column - 1) if line == 1 else column

    def refuse(self, node: ast.AST, message: str) -> NoReturn:
        line = getattr(node, "lineno", 1)
        text = self.source.split("\n")[line - 1].encode("utf-8", "surrogatepass")
        column = len(text[: getattr(node, "col_offset", 0)].decode("utf-8", "ignore")) + 1
        raise ExpressionError(message, line, self._column(line, column))

    def visit(self, node: ast.expr, depth: int) -> Kind:
        """What is known of the node; raises ExpressionError where it is not of the language."""
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.refuse(node, f"the expression has more than {MAX_NODES:,} parts; divide it among several mappings")
        if depth > MAX_DEPTH:
            self.refuse(node, f"the expression is nested more than {MAX_DEPTH} deep; use concat() for long sums")
        rule = self._rules.get(type(node))
        if rule is None:
            self.refuse(node, _REFUSED.get(type(node).__name__, f"{type(node).__name__} is not allowed"))
        kind = rule(node, depth)
        self.kinds[node] = kind
        return kind

    # ------------------------------------------------------------- leaves

    def _constant(self, node: ast.Constant, _depth: int) -> Kind:
        match node.value:
            case None:
                return NULL
            case bool():
                return BOOLEAN
            case str() as text:
                if "\0" in text or _SURROGATE.search(text):
                    self.refuse(node, "a text may not hold NUL or half of a surrogate pair")
                return Kind(ValueType.TEXT, False, nullable=False)
            case int() as number:
                if number > INTEGER_MAX:
                    self.refuse(node, "the number is outside the 64-bit range; write it with a decimal point")
                return Kind(ValueType.INTEGER, False, nullable=False)
            case float():
                self.decimals[node] = self._decimal(node)
                return Kind(ValueType.DECIMAL, False, nullable=False)
            case _:
                return self.refuse(node, f"a {type(node.value).__name__} literal is not allowed")

    def _decimal(self, node: ast.Constant) -> Decimal:
        text = (ast.get_source_segment(self.source, node) or "").replace("_", "")
        try:
            return Decimal(decimal_text(Decimal(text)))
        except (ArithmeticError, ValueProblem):
            return self.refuse(node, f"the number needs more than {DIGITS} significant digits")

    def _name(self, node: ast.Name, _depth: int) -> Kind:
        if node.id in LITERALS:
            return NULL if node.id == "null" else BOOLEAN
        if node.id in {"mv_state", "delete_after"}:
            if not self.environment.sees_metaverse_state:
                self.refuse(node, f"{node.id} can be seen in outbound scopes and mappings only")
            self.reads_state = True
            return Kind(ValueType.TEXT if node.id == "mv_state" else ValueType.DATETIME, False)
        if node.id in {"cs", "mv"}:
            self.refuse(node, f'{node.id} stands before an attribute name: {node.id}["name"]')
        if node.id in REGISTRY or node.id in SPECIAL:
            self.refuse(node, f"{node.id} is a function; call it: {node.id}(...)")
        known = [*LITERALS, "cs", "mv", "mv_state", "delete_after"]
        return self.refuse(node, f"unknown name {node.id!r}{did_you_mean(node.id, known)}; text is written in quotes")

    # ------------------------------------------------------------- operators

    def _list(self, node: ast.List, depth: int) -> Kind:
        types: set[ValueType | None] = set()
        for element in node.elts:
            kind = self.visit(element, depth + 1)
            if kind.is_list:
                self.refuse(element, "a list cannot hold a list; join them with union()")
            if not is_null(element):
                types.add(kind.type)
        return Kind(types.pop() if len(types) == 1 else None, True, nullable=False)

    def _arithmetic(self, node: ast.BinOp, depth: int) -> Kind:
        left, right = self.visit(node.left, depth + 1), self.visit(node.right, depth + 1)
        if not isinstance(node.op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.FloorDiv | ast.Mod):
            self.refuse(node, "this operator is not allowed; known: + - * / // %")
        is_sum = isinstance(node.op, ast.Add)
        for operand, kind in ((node.left, left), (node.right, right)):
            if kind.is_list:
                self.refuse(operand, "arithmetic takes single values, not a list; use union() to join lists")
            if not is_sum and kind.is_one(ValueType.TEXT):
                self.refuse(operand, "only + takes text; text is neither repeated nor formatted")
            if kind.is_known and not kind.is_number and not kind.is_one(ValueType.TEXT):
                self.refuse(operand, f"arithmetic takes text or numbers, not {kind}")
        nullable = left.nullable or right.nullable
        if not (left.is_known and right.is_known):
            return Kind(ValueType.DECIMAL if isinstance(node.op, ast.Div) else None, False)
        if left.is_number is not right.is_number:
            self.refuse(node, f"+ cannot join {left} and {right}; convert one of them, for example with to_text()")
        if isinstance(node.op, ast.Div) or (left.is_number and ValueType.DECIMAL in {left.type, right.type}):
            return Kind(ValueType.DECIMAL, False, nullable)
        return Kind(left.type, False, nullable)

    def _unary(self, node: ast.UnaryOp, depth: int) -> Kind:
        if isinstance(node.op, ast.Not):
            self._condition(node.operand, depth + 1)
            return BOOLEAN
        if isinstance(node.op, ast.Invert):
            self.refuse(node, "the operator ~ is not allowed")
        operand = node.operand
        if isinstance(node.op, ast.USub) and isinstance(operand, ast.Constant) and operand.value == INTEGER_MAX + 1:
            self.kinds[operand] = Kind(ValueType.INTEGER, False, nullable=False)
            self.constants[node] = -operand.value
            return self.kinds[operand]
        kind = self.visit(operand, depth + 1)
        if kind.is_list or (kind.is_known and not kind.is_number):
            self.refuse(operand, f"a sign stands before a number, not before {kind}")
        return kind

    def _condition(self, node: ast.expr, depth: int) -> None:
        kind = self.visit(node, depth)
        if kind.is_list or (kind.is_known and kind.type is not ValueType.BOOLEAN):
            self.refuse(node, f"a condition must be true, false or null, not {kind}; compare it with something")

    def _logic(self, node: ast.BoolOp, depth: int) -> Kind:
        for value in node.values:
            self._condition(value, depth + 1)
        return BOOLEAN

    def _comparison(self, node: ast.Compare, depth: int) -> Kind:
        operands = [node.left, *node.comparators]
        kinds = [self.visit(operand, depth + 1) for operand in operands]
        for index, operator in enumerate(node.ops):
            left, right, at = kinds[index], kinds[index + 1], operands[index + 1]
            if isinstance(operator, ast.Is | ast.IsNot):
                self.refuse(at, "is not allowed; compare with == or !=")
            if isinstance(operator, ast.In | ast.NotIn):
                if right.is_list is False and not is_null(at):
                    self.refuse(at, f"in looks into a list, not into {right}; use contains() for text")
                if left.is_list:
                    self.refuse(operands[index], "in looks for a single value, not for a list; use intersect()")
            elif not isinstance(operator, ast.Eq | ast.NotEq):
                self._ordering(left, right, at)
        return BOOLEAN

    def _ordering(self, left: Kind, right: Kind, at: ast.expr) -> None:
        for kind in (left, right):
            has_order = kind.is_number or kind.type in {None, ValueType.TEXT, ValueType.DATETIME}
            if kind.is_list or not has_order:
                self.refuse(at, f"{kind} has no order; only text, numbers and datetimes have")
        same = left.type is right.type or (left.is_number and right.is_number)
        if left.is_known and right.is_known and not same:
            self.refuse(at, f"{left} and {right} have no order; convert one of them first")

    def _choice(self, node: ast.IfExp, depth: int) -> Kind:
        self._condition(node.test, depth + 1)
        return self._either([node.body, node.orelse], depth)

    def _either(self, nodes: list[ast.expr], depth: int) -> Kind:
        """What is known of a value that is one of the nodes' values."""
        result: Kind | None = None
        nullable = False
        for node in nodes:
            kind = self.visit(node, depth + 1)
            if is_null(node):
                nullable = True
            else:
                result = kind if result is None else either(result, kind)
        if result is None:
            return NULL
        if nullable and result.is_list:
            return Kind(result.type, None)
        return result._replace(nullable=nullable or result.nullable)

    # ------------------------------------------------------------- accessors

    def _subscript(self, node: ast.Subscript, depth: int) -> Kind:
        if isinstance(node.value, ast.Name) and node.value.id in {"cs", "mv"}:
            return self._accessor(node, node.value.id)
        if isinstance(node.slice, ast.Slice | ast.Tuple):
            self.refuse(node.slice, _REFUSED["Slice"])
        kind = self.visit(node.value, depth + 1)
        if kind.is_list is False and not is_null(node.value):
            self.refuse(node.value, f"an index needs a list, not {kind}; use substring() for text")
        index = self.visit(node.slice, depth + 1)
        if index.is_list or (index.is_known and index.type is not ValueType.INTEGER):
            self.refuse(node.slice, f"an index is an integer, not {index}")
        return Kind(kind.type, False)

    def _accessor(self, node: ast.Subscript, side: str) -> Kind:
        attributes = self.environment.cs if side == "cs" else self.environment.mv
        if attributes is None:
            self.refuse(node, f"{side} is not visible here")
        name = self._literal(node.slice, f'{side}[...] takes an attribute name as a literal: {side}["name"]')
        attribute = attributes.get(name)
        if attribute is None:
            self.refuse(node, f"{side} has no attribute {name!r}{did_you_mean(name, attributes)}")
        self.reads[side].add(name)
        opaque = attribute.type is ValueType.REFERENCE and side == "mv"
        plain = ValueType.TEXT if attribute.type is ValueType.REFERENCE else attribute.type
        return Kind(ValueType.REFERENCE if opaque else plain, attribute.multi_valued, not attribute.multi_valued)

    def _literal(self, node: ast.expr, message: str) -> str:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        return self.refuse(node, message)

    # ------------------------------------------------------------- calls

    def _call(self, node: ast.Call, depth: int) -> Kind:
        if not isinstance(node.func, ast.Name):
            self.refuse(node.func, _REFUSED.get(type(node.func).__name__, "only a function's name can be called"))
        name = node.func.id
        if node.keywords:
            self.refuse(node.keywords[0], f"{name}() takes its arguments by position, without names")
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                self.refuse(argument, _REFUSED["Starred"])
        if name in SPECIAL:
            least, most = SPECIAL[name]
            if len(node.args) < least or (most is not None and len(node.args) > most):
                words = f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
                self.refuse(node, f"{name}() takes {words} arguments, not {len(node.args)}")
            return self._special(name, node, depth)
        function = REGISTRY.get(name)
        if function is None:
            self.refuse(node, f"there is no function {name!r}{did_you_mean(name, [*REGISTRY, *SPECIAL])}")
        return self._registered(function, node, depth)

    def _registered(self, function: Function, node: ast.Call, depth: int) -> Kind:
        most = None if function.variadic else len(function.parameters)
        if len(node.args) < function.required or (most is not None and len(node.args) > most):
            self.refuse(node, f"{function.name}() takes {function.arity} arguments, not {len(node.args)}")
        if function.name == "now" and not self.environment.allows_now:
            self.refuse(node, "now() is allowed in initial-only mappings alone; use today()")
        self.calls_today |= function.name == "today"
        kinds: list[Kind] = []
        nullable = False
        for index, argument in enumerate(node.args):
            parameter = function.parameter(index)
            kind = self.visit(argument, depth + 1)
            if index in function.literals:
                self.constants[argument] = self._prepared(function, index, argument)
            elif not is_null(argument) and parameter.accepts(kind) is False:
                self.refuse(argument, f"{function.name}() takes {parameter.label} as argument {index + 1}, not {kind}")
            nullable |= kind.nullable and not parameter.nullable
            kinds.append(kind)
        gives = function.gives
        if function.pure_of_null:
            gives = gives._replace(nullable=nullable)
            if gives.is_list and nullable:
                gives = gives._replace(is_list=None)
        if function.name in _MEMBER_TYPE and len({kind.type for kind in kinds}) == 1:
            gives = gives._replace(type=kinds[0].type)
        return gives

    def _prepared(self, function: Function, index: int, node: ast.expr) -> Any:
        if function.name == "parse_date" and is_null(node):
            return function.literals[index]("iso")
        text = self._literal(node, f"{function.name}() takes a literal text as argument {index + 1}")
        try:
            return function.literals[index](text)
        except (BadPattern, BadFormat, ValueError) as problem:
            return self.refuse(node, f"{function.name}(): {problem}")

    def _special(self, name: str, node: ast.Call, depth: int) -> Kind:
        match name:
            case "coalesce":
                kind = self._either(node.args, depth)
                return kind._replace(nullable=all(self.kinds[one].nullable for one in node.args))
            case "choose":
                return self._choose(node, depth)
            case "lookup":
                return self._lookup(node, depth)
            case "unique_value":
                return self._draw(node, depth)
            case _:
                return self._joined(node)

    def _choose(self, node: ast.Call, depth: int) -> Kind:
        value, *rest = node.args
        self.visit(value, depth + 1)
        has_default = len(rest) % 2 == 1
        pairs = rest[:-1] if has_default else rest
        for key in pairs[::2]:
            self.visit(key, depth + 1)
        result = self._either([*pairs[1::2], *rest[len(pairs) :]], depth)
        if has_default or result == NULL:
            return result
        return UNKNOWN if result.is_list else result._replace(nullable=True)

    def _declared(self, node: ast.expr, what: str, known: Iterable[str], function: str) -> str:
        name = self._literal(node, f"{function}() takes the name of {what} as a literal")
        if name not in known:
            self.refuse(node, f"there is no {what} {name!r}{did_you_mean(name, known)}")
        return name

    def _lookup(self, node: ast.Call, depth: int) -> Kind:
        self.lookups.add(self._declared(node.args[0], "table", self.environment.lookups, "lookup"))
        key = self.visit(node.args[1], depth + 1)
        if key.is_list or (key.is_known and key.type is not ValueType.TEXT):
            self.refuse(node.args[1], f"lookup() takes text as its key, not {key}; convert it with to_text()")
        if len(node.args) == 2:
            return Kind(ValueType.TEXT, False)
        default = self.visit(node.args[2], depth + 1)
        if is_null(node.args[2]):
            return Kind(ValueType.TEXT, False)
        return either(Kind(ValueType.TEXT, False, key.nullable), default)

    def _draw(self, node: ast.Call, depth: int) -> Kind:
        if not self.environment.allows_draw:
            self.refuse(node, "unique_value() is allowed in inbound mappings only")
        self.draws.append(self._declared(node.args[0], "unique value", self.environment.unique_values, "unique_value"))
        kind = self.visit(node.args[1], depth + 1)
        nothing = is_null(node.args[1])
        if (kind.is_list is False and not nothing) or (kind.is_list and kind.type not in {None, ValueType.TEXT}):
            self.refuse(node.args[1], "unique_value() takes a list of texts, for example from numbered()")
        return Kind(ValueType.TEXT, False)

    def _joined(self, node: ast.Call) -> Kind:
        if not self.environment.sees_metaverse_state:
            self.refuse(node, "joined() can be used in outbound scopes and mappings only")
        systems = self.environment.systems
        if systems is None:
            self._literal(node.args[0], "joined() takes the name of a connected system as a literal")
        else:
            self._declared(node.args[0], "connected system", systems, "joined")
        self.reads_state = True
        return BOOLEAN
