"""A checked expression: the tree, what is known of its parts, and what it reads.

It is all that outlives the source text: whoever orders mappings looks at what it reads, whoever compiles it at its
tree.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

import msgspec

from anabranch.engine.expressions.context import Environment
from anabranch.engine.expressions.kinds import Kind
from anabranch.model.enums import ValueType

LITERALS: dict[str, bool | None] = {"null": None, "true": True, "false": False}


class CheckedExpression(msgspec.Struct, frozen=True, kw_only=True):
    """An expression of the language, with what it reads.

    `reads_cs` and `reads_mv` are attribute names, `draws` the unique values in the order of the text. `kind` is what is
    known of the value it gives; `reads_state` tells whether it sees the state of the MVO (MOD-48).
    """

    source: str
    environment: Environment
    tree: ast.expr
    kinds: dict[ast.AST, Kind]
    decimals: dict[ast.AST, Decimal]
    constants: dict[ast.AST, Any]
    kind: Kind
    reads_cs: frozenset[str]
    reads_mv: frozenset[str]
    draws: tuple[str, ...]
    lookups: frozenset[str]
    calls_today: bool
    reads_state: bool

    @property
    def is_plain_draw(self) -> bool:
        """Whether it is nothing but one draw of a unique value, among candidates that follow from the CSO alone."""
        draws = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call) and _names(node, "unique_value")]
        return draws == [self.tree] and not self.reads_mv and not self.reads_state

    @property
    def result(self) -> ValueType | None:
        """The type of the result or of its members, where it is known before the expression runs."""
        return self.kind.type

    @property
    def is_list(self) -> bool | None:
        """Whether the result is a list; None where only the run tells."""
        return self.kind.is_list


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _names(node: ast.Call, function: str) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id == function


def is_null(node: ast.expr) -> bool:
    """Whether the node is the literal null."""
    return (isinstance(node, ast.Name) and node.id == "null") or (isinstance(node, ast.Constant) and node.value is None)
