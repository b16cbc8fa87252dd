"""How rules become Python functions.

Each object type's mappings compile to one function a stratum: a checked syntax tree becomes Python syntax nodes, and
those a code object. Nothing a user wrote is ever handed to the compiler as text; the templates below are ours, and
everything that varies (values, attribute names, helpers) enters as a constant bound to a generated name.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from anabranch.engine.expressions import CheckedExpression, EvaluationError, NeedsDraw, compile_to_ast
from anabranch.engine.flow_values import MISSING_INPUT, Missing, MissingFails, finisher, missing_check
from anabranch.engine.values import ConversionProblem, to_engine
from anabranch.model.configuration import Attribute
from anabranch.model.configuration import Mapping as MappingRecord
from anabranch.model.enums import ValueType, WhenMissing

_CONVERTED = frozenset({ValueType.DECIMAL, ValueType.DATETIME, ValueType.BINARY})
"""Types whose stored form differs from the value expressions see."""


class Code:
    """One function being generated: its constants, and the attribute locals its body reads."""

    def __init__(self) -> None:
        self.constants: dict[str, Any] = {}
        self._by_identity: dict[int, str] = {}

    def const(self, value: object) -> ast.Name:
        """A name that is bound to `value` wherever the generated function runs."""
        name = self._by_identity.get(id(value))
        if name is None:
            name = f"_k{len(self.constants)}"
            self.constants[name] = value
            self._by_identity[id(value)] = name
        return ast.Name(id=name, ctx=ast.Load())

    def template(self, text: str, **parts: ast.expr) -> list[ast.stmt]:
        """Statements of a template of ours, with each upper-case name replaced by its part."""
        tree = _Replace(parts).visit(ast.parse(text))
        return list(tree.body)

    def function(self, name: str, arguments: Sequence[str], body: list[ast.stmt]) -> Callable[..., Any]:
        """The compiled function."""
        definition = ast.FunctionDef(
            name=name,
            args=ast.arguments(
                posonlyargs=[],
                args=[ast.arg(arg=one) for one in arguments],
                kwonlyargs=[],
                kw_defaults=[],
                defaults=[],
            ),
            body=body or [ast.Pass()],
            decorator_list=[],
        )
        module = ast.fix_missing_locations(ast.Module(body=[definition], type_ignores=[]))
        namespace: dict[str, Any] = dict(self.constants)
        exec(compile(module, "<rules>", "exec"), namespace)  # noqa: S102 - our own nodes, never a user's text
        made: Callable[..., Any] = namespace[name]
        return made


class _Replace(ast.NodeTransformer):
    def __init__(self, parts: Mapping[str, ast.expr]) -> None:
        self._parts = parts

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._parts.get(node.id, node)


def reader(code: Code, side: str, attribute: Attribute, *, stored: bool) -> ast.expr:
    """The node that reads an attribute from the document `cs` or `mv`; engine values unless `stored`."""
    template = f"{side}.get(NAME)"
    parts: dict[str, ast.expr] = {"NAME": ast.Constant(attribute.name)}
    if not stored and attribute.type in _CONVERTED:
        template = f"CONVERT({side}.get(NAME))"
        parts["CONVERT"] = code.const(_converter(attribute))
    elif not stored and attribute.multi_valued:
        template = f"{side}.get(NAME, EMPTY)"
        parts["EMPTY"] = code.const([])
    node = ast.parse(template, mode="eval").body
    read: ast.expr = _Replace(parts).visit(node)
    return read


def _converter(attribute: Attribute) -> Callable[[Any], Any]:
    kind = attribute.type
    if attribute.multi_valued:
        return lambda stored: [to_engine(one, kind) for one in stored or ()]
    return lambda stored: None if stored is None else to_engine(stored, kind)


def expression_node(code: Code, checked: CheckedExpression, sides: Mapping[str, Mapping[str, Attribute]]) -> ast.expr:
    """The node of a checked expression; attributes are read from the documents of `sides`."""

    def names(side: str, attribute: str) -> ast.expr:
        return reader(code, side, sides[side][attribute], stored=False)

    return compile_to_ast(checked, names=names, const=code.const)


def mapping_statements(
    code: Code,
    index: int,
    rule_index: int,
    mapping: MappingRecord,
    target: Attribute,
    source: Attribute | None,
    side: str,
    checked: CheckedExpression | None,
    sides: Mapping[str, Mapping[str, Attribute]],
) -> list[ast.stmt]:
    """`offers[index]` becomes the mapping's value when its rule is live; a failure is appended and leaves it unset."""
    value, inputs = _value_node(code, mapping, source, side, checked, sides)
    finish = finisher(mapping, target, source)
    if finish is not None:
        value = ast.Call(func=code.const(finish), args=[value], keywords=[])
    parts: dict[str, ast.expr] = {
        "LIVE": ast.Constant(rule_index),
        "INDEX": ast.Constant(index),
        "VALUE": value,
        "UNSET": code.const(_unset(mapping)),
        "DRAW": code.const(NeedsDraw),
        "BAD": code.const(EvaluationError),
        "UNFIT": code.const(ConversionProblem),
        "GONE": code.const(Missing),
        "ABSENT": code.const(MissingFails),
        "KIND": ast.Constant(MISSING_INPUT),
    }
    check = ""
    if mapping.when_missing is not WhenMissing.EVALUATE and inputs:
        parts["CHECK"] = code.const(missing_check(mapping))
        parts["INPUTS"] = ast.List(elts=inputs, ctx=ast.Load())
        check = "        CHECK(INPUTS)\n"
    text = (
        "if LIVE in live:\n"
        "    try:\n"
        f"{check}"
        "        value = VALUE\n"
        "        offers[INDEX] = UNSET if value is None else value\n"
        "    except DRAW as problem:\n"
        "        failures.append((INDEX, 'needs_draw', str(problem)))\n"
        "    except GONE:\n"
        "        offers[INDEX] = UNSET\n"
        "    except ABSENT as problem:\n"
        "        failures.append((INDEX, KIND, str(problem)))\n"
        "    except UNFIT as problem:\n"
        "        failures.append((INDEX, problem.kind, str(problem)))\n"
        "    except BAD as problem:\n"
        "        failures.append((INDEX, 'expression_error', str(problem)))\n"
    )
    return code.template(text, **parts)


def _unset(mapping: MappingRecord) -> object:
    """What an absent value offers: no opinion, or an asserted null (SYN-44)."""
    return None if mapping.null_is_value else msgspec.UNSET


def _value_node(
    code: Code,
    mapping: MappingRecord,
    source: Attribute | None,
    side: str,
    checked: CheckedExpression | None,
    sides: Mapping[str, Mapping[str, Attribute]],
) -> tuple[ast.expr, list[ast.expr]]:
    if checked is not None:
        inputs = [
            reader(code, one, sides[one][attr], stored=True)
            for one, attrs in (("cs", checked.reads_cs), ("mv", checked.reads_mv))
            for attr in sorted(attrs)
            if one in sides and attr in sides[one]
        ]
        return expression_node(code, checked, sides), inputs
    if source is not None:
        node = reader(code, side, source, stored=True)
        return node, [reader(code, side, source, stored=True)]
    return code.const(mapping.source.constant), []
