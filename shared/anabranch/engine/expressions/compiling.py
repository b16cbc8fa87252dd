"""From a checked tree to Python nodes, and to a function of its own where no larger one is being generated.

What a user wrote never reaches Python's compiler as text: every node here is made anew, names are our own temporaries,
and all that is not a plain literal is bound as a constant. Where the checker is certain of the types, the code is as
plain as a programmer would write it (a comparison, a bare call behind a test for null); elsewhere it calls the
operators that ask at run time. The two must never differ in their result.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from anabranch.engine.expressions import functions_identity, functions_lists, operators
from anabranch.engine.expressions.checked import LITERALS, CheckedExpression, is_null
from anabranch.engine.expressions.checking import SPECIAL
from anabranch.engine.expressions.context import EvalContext
from anabranch.engine.expressions.kinds import Kind
from anabranch.engine.expressions.registry import REGISTRY, guarded
from anabranch.model.enums import ValueType

Names = Callable[[str, str], ast.expr]
"""Gives the node that reads an attribute: (`cs` or `mv`, attribute name); a missing list reads as the empty one."""
Const = Callable[[object], ast.expr]
"""Binds an object to a name of the generated function."""

CONTEXT = "ctx"
"""The generated function's name for its EvalContext."""

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operators.add,
    ast.Sub: operators.subtract,
    ast.Mult: operators.multiply,
    ast.Div: operators.divide,
    ast.FloorDiv: operators.floor_divide,
    ast.Mod: operators.remainder,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operators.equal,
    ast.NotEq: operators.not_equal,
    ast.Lt: operators.less,
    ast.LtE: operators.less_or_equal,
    ast.Gt: operators.greater,
    ast.GtE: operators.greater_or_equal,
    ast.In: operators.is_member,
    ast.NotIn: operators.is_no_member,
}
_NO_LIST: list[Any] = []


def compile_to_ast(checked: CheckedExpression, *, names: Names, const: Const) -> ast.expr:
    """The node that computes the expression. Its function needs a local `ctx`; evaluating it raises EvaluationError, or
    NeedsDraw. Attribute values must be of their declared type."""
    return _Compiler(checked, names, const).make(checked.tree)


def compile_function(checked: CheckedExpression) -> Callable[[Mapping[str, Any], Mapping[str, Any], EvalContext], Any]:
    """A function of (cs, mv, context) over engine values by attribute name. Raises EvaluationError, or NeedsDraw."""
    constants: dict[str, Any] = {}

    def const(value: object) -> ast.expr:
        name = f"_k{len(constants)}"
        constants[name] = value
        return ast.Name(id=name, ctx=ast.Load())

    def names(side: str, attribute: str) -> ast.expr:
        attributes = checked.environment.cs if side == "cs" else checked.environment.mv
        arguments: list[ast.expr] = [ast.Constant(attribute)]
        if attributes is not None and attributes[attribute].multi_valued:
            arguments.append(const(_NO_LIST))
        return _call(ast.Attribute(value=_load(side), attr="get", ctx=ast.Load()), arguments)

    body = compile_to_ast(checked, names=names, const=const)
    return make_function(("cs", "mv", CONTEXT), body, constants)


def make_function(arguments: Sequence[str], body: ast.expr, constants: Mapping[str, Any]) -> Callable[..., Any]:
    """A function that returns the node's value."""
    definition = ast.FunctionDef(
        name="expression",
        args=ast.arguments(
            posonlyargs=[], args=[ast.arg(arg=one) for one in arguments], kwonlyargs=[], kw_defaults=[], defaults=[]
        ),
        body=[ast.Return(value=body)],
        decorator_list=[],
    )
    module = ast.fix_missing_locations(ast.Module(body=[definition], type_ignores=[]))
    namespace: dict[str, Any] = dict(constants)
    exec(compile(module, "<expression>", "exec"), namespace)  # noqa: S102 - our own nodes, never a user's text
    made: Callable[..., Any] = namespace["expression"]
    return made


def _load(name: str) -> ast.Name:
    return ast.Name(id=name, ctx=ast.Load())


def _call(function: ast.expr, arguments: list[ast.expr]) -> ast.Call:
    return ast.Call(func=function, args=arguments, keywords=[])


def _is_none(node: ast.expr, *, negated: bool = False) -> ast.expr:
    return ast.Compare(left=node, ops=[ast.IsNot() if negated else ast.Is()], comparators=[ast.Constant(None)])


def _all(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else ast.BoolOp(op=ast.And(), values=tests)


def _any(tests: list[ast.expr]) -> ast.expr:
    return tests[0] if len(tests) == 1 else ast.BoolOp(op=ast.Or(), values=tests)


class _Compiler:
    def __init__(self, checked: CheckedExpression, names: Names, const: Const) -> None:
        self._checked = checked
        self._names = names
        self._const = const
        self._temporaries = 0
        self._rules: dict[type[ast.expr], Callable[[Any], ast.expr]] = {
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

    def make(self, node: ast.expr) -> ast.expr:
        return self._rules[type(node)](node)

    def _kind(self, node: ast.expr) -> Kind:
        return self._checked.kinds[node]

    def _helper(self, function: Callable[..., Any], *arguments: ast.expr) -> ast.expr:
        return _call(self._const(function), list(arguments))

    def _keep(self, value: ast.expr) -> tuple[ast.expr, Callable[[], ast.expr]]:
        """The node that computes a value and keeps it, and what reads it again afterwards."""
        self._temporaries += 1
        name = f"_t{self._temporaries}"
        return ast.NamedExpr(target=ast.Name(id=name, ctx=ast.Store()), value=value), lambda: _load(name)

    # ------------------------------------------------------------- leaves

    def _constant(self, node: ast.Constant) -> ast.expr:
        decimal = self._checked.decimals.get(node)
        return ast.Constant(node.value) if decimal is None else self._const(decimal)

    def _name(self, node: ast.Name) -> ast.expr:
        if node.id in LITERALS:
            return ast.Constant(LITERALS[node.id])
        return ast.Attribute(value=_load(CONTEXT), attr=node.id, ctx=ast.Load())

    def _list(self, node: ast.List) -> ast.expr:
        elements = [self.make(one) for one in node.elts]
        if all(self._kind(one).is_list is False for one in node.elts):
            return ast.List(elts=elements, ctx=ast.Load())
        return self._helper(operators.make_list, *elements)

    # ------------------------------------------------------------- operators

    def _arithmetic(self, node: ast.BinOp) -> ast.expr:
        if isinstance(node.op, ast.Add) and self._kind(node).is_one(ValueType.TEXT):
            return self._helper(operators.add_texts, *(self.make(one) for one in self._summands(node)))
        return self._helper(_ARITHMETIC[type(node.op)], self.make(node.left), self.make(node.right))

    def _summands(self, node: ast.expr) -> list[ast.expr]:
        """The operands of a sum of texts, however it is grouped."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and self._kind(node).is_one(ValueType.TEXT):
            return [*self._summands(node.left), *self._summands(node.right)]
        return [node]

    def _unary(self, node: ast.UnaryOp) -> ast.expr:
        if node in self._checked.constants:
            return ast.Constant(self._checked.constants[node])
        if isinstance(node.op, ast.Not):
            return ast.UnaryOp(op=ast.Not(), operand=self._condition(node.operand))
        sign = operators.negate if isinstance(node.op, ast.USub) else operators.positive
        return self._helper(sign, self.make(node.operand))

    def _condition(self, node: ast.expr) -> ast.expr:
        """The node as a Python truth; null is false."""
        kind, made = self._kind(node), self.make(node)
        if kind.is_one(ValueType.BOOLEAN):
            return (
                made if not kind.nullable else ast.Compare(left=made, ops=[ast.Is()], comparators=[ast.Constant(True)])
            )
        return self._helper(operators.truth, made)

    def _logic(self, node: ast.BoolOp) -> ast.expr:
        return ast.BoolOp(op=node.op, values=[self._condition(value) for value in node.values])

    def _choice(self, node: ast.IfExp) -> ast.expr:
        return ast.IfExp(test=self._condition(node.test), body=self.make(node.body), orelse=self.make(node.orelse))

    def _comparison(self, node: ast.Compare) -> ast.expr:
        if len(node.ops) == 1:
            return self._compare(node.ops[0], node.left, node.comparators[0])
        tests: list[ast.expr] = []
        left = self.make(node.left)
        for operator, comparator in zip(node.ops, node.comparators, strict=True):
            kept, again = self._keep(self.make(comparator))
            tests.append(self._helper(_COMPARISONS[type(operator)], left, kept))
            left = again()
        return _all(tests)

    def _compare(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr:
        made: ast.expr | None = None
        if isinstance(operator, ast.Eq | ast.NotEq):
            made = self._equality(operator, left, right)
        elif isinstance(operator, ast.In | ast.NotIn):
            made = self._membership(operator, left, right)
        else:
            made = self._ordering(operator, left, right)
        return made or self._helper(_COMPARISONS[type(operator)], self.make(left), self.make(right))

    def _equality(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr | None:
        negated = isinstance(operator, ast.NotEq)
        for literal, other in ((left, right), (right, left)):
            if is_null(literal) and self._kind(other).is_list is False:
                return _is_none(self.make(other), negated=negated)
        one, two = self._kind(left), self._kind(right)
        if not (one.is_known and two.is_known):
            return None
        if one.type is two.type or (one.is_number and two.is_number):
            return ast.Compare(left=self.make(left), ops=[operator], comparators=[self.make(right)])
        # Values of different types are equal only where both are null.
        if not (one.nullable and two.nullable):
            return ast.Constant(negated)
        both_null = _all([_is_none(self.make(left)), _is_none(self.make(right))])
        return ast.UnaryOp(op=ast.Not(), operand=both_null) if negated else both_null

    def _membership(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr | None:
        if not (self._kind(left).is_one(ValueType.TEXT) and isinstance(right, ast.List)):
            return None
        members = [one.value for one in right.elts if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if len(members) < len(right.elts):
            return None
        return ast.Compare(left=self.make(left), ops=[operator], comparators=[self._const(frozenset(members))])

    def _ordering(self, operator: ast.cmpop, left: ast.expr, right: ast.expr) -> ast.expr | None:
        one, two = self._kind(left), self._kind(right)
        if not (one.is_known and two.is_known):
            return None
        tests: list[ast.expr] = []
        operands: list[ast.expr] = []
        for node in (left, right):
            value = self.make(node)
            if self._kind(node).nullable:
                kept, again = self._keep(value)
                tests.append(_is_none(kept, negated=True))
                value = again()
            operands.append(value)
        return _all([*tests, ast.Compare(left=operands[0], ops=[operator], comparators=[operands[1]])])

    # ------------------------------------------------------------- accessors and calls

    def _subscript(self, node: ast.Subscript) -> ast.expr:
        if isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant) and node.value.id in {"cs", "mv"}:
            return self._names(node.value.id, str(node.slice.value))
        return self._helper(operators.pick, self.make(node.value), self.make(node.slice))

    def _candidates(self, node: ast.expr) -> ast.expr:
        """The node for what is offered to draw from; numbered candidates are made one by one, as they are tried."""
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "numbered":
            return self._call(node, functions_identity.candidates)
        return self.make(node)

    def _call(self, node: ast.Call, instead: Callable[..., Any] | None = None) -> ast.expr:
        """The node of a call; where the types are certain, that of `instead`, which does the same for the caller."""
        assert isinstance(node.func, ast.Name)  # noqa: S101 - the checker lets nothing else pass
        if node.func.id in SPECIAL:
            return self._special(node.func.id, node.args)
        function = REGISTRY[node.func.id]
        injected = [self._injected(one) for one in function.inject]
        arguments: list[ast.expr] = []
        tests: list[ast.expr] = []
        certain = True
        for index, argument in enumerate(node.args):
            if index in function.literals:
                arguments.append(self._const(self._checked.constants[argument]))
                continue
            parameter, kind, value = function.parameter(index), self._kind(argument), self.make(argument)
            certain &= parameter.accepts(kind) is True
            if kind.nullable and not parameter.nullable:
                kept, again = self._keep(value)
                tests.append(_is_none(kept))
                value = again()
            arguments.append(value)
        if not certain:
            plain = [
                self._const(self._checked.constants[one]) if index in function.literals else self.make(one)
                for index, one in enumerate(node.args)
            ]
            return self._helper(guarded(function.name), *injected, *plain)
        call = self._helper(instead or function.call, *injected, *arguments)
        return ast.IfExp(test=_any(tests), body=ast.Constant(None), orelse=call) if tests else call

    def _injected(self, what: str) -> ast.expr:
        if what == "zone":
            return self._const(self._checked.environment.zone)
        return ast.Attribute(value=_load(CONTEXT), attr=what, ctx=ast.Load())

    def _special(self, name: str, arguments: list[ast.expr]) -> ast.expr:
        match name:
            case "coalesce":
                return self._coalesce(arguments)
            case "choose":
                return self._choose(arguments)
            case "lookup":
                table, *rest = arguments
                assert isinstance(table, ast.Constant)  # noqa: S101 - the checker lets nothing else pass
                held = self._const(self._checked.environment.lookups[str(table.value)])
                return self._helper(functions_identity.lookup, held, *(self.make(one) for one in rest))
            case "unique_value":
                assert isinstance(arguments[0], ast.Constant)  # noqa: S101 - the checker lets nothing else pass
                named = ast.Constant(arguments[0].value)
                nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
                offer = ast.Lambda(args=nothing, body=self._candidates(arguments[1]))
                return self._helper(functions_identity.unique_value, _load(CONTEXT), named, offer)
            case _:
                joined = ast.Attribute(value=_load(CONTEXT), attr="joined", ctx=ast.Load())
                assert isinstance(arguments[0], ast.Constant)  # noqa: S101 - the checker lets nothing else pass
                return ast.Compare(left=ast.Constant(arguments[0].value), ops=[ast.In()], comparators=[joined])

    def _coalesce(self, arguments: list[ast.expr]) -> ast.expr:
        """The first value there is; what follows it is not evaluated."""
        result = self.make(arguments[-1])
        for argument in reversed(arguments[:-1]):
            kept, again = self._keep(self.make(argument))
            if self._kind(argument).is_list is False:
                missing = _is_none(kept)
            else:
                missing = self._helper(functions_lists.is_null, kept)
            result = ast.IfExp(test=missing, body=result, orelse=again())
        return result

    def _choose(self, arguments: list[ast.expr]) -> ast.expr:
        """The result behind the first key that equals the value, or the default; no other result is evaluated."""
        value, *rest = arguments
        pairs = len(rest) // 2
        result: ast.expr = self.make(rest[-1]) if len(rest) % 2 else ast.Constant(None)
        kept, again = self._keep(self.make(value))
        for index in reversed(range(pairs)):
            subject = kept if index == 0 else again()
            test = self._helper(operators.equal, subject, self.make(rest[2 * index]))
            result = ast.IfExp(test=test, body=self.make(rest[2 * index + 1]), orelse=result)
        return result
