"""What an expression reads, seen from outside: attributes of either side, and the names of tables and unique values.

The order of mappings (MOD-39) and the stamps (MOD-29) need to know which attribute depends on which. The language is a
subset of Python's expressions (MOD-34), so its syntax tree tells that; whether the expression is a good one is the
engine's to judge.
"""

from __future__ import annotations

import ast
import warnings

import msgspec


class Reads(msgspec.Struct, frozen=True):
    """Names of `cs[...]` and `mv[...]`, of the tables looked up in and of the unique values drawn.

    `readable` is false where the source is no expression or hides such a name behind a computation.
    """

    cs: frozenset[str] = frozenset()
    mv: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    unique_values: frozenset[str] = frozenset()
    readable: bool = True


def reads_of(source: str) -> Reads:
    """The names that the expression reads."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(f"({source}\n)", mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Reads(readable=False)
    found: dict[str, set[str]] = {"cs": set(), "mv": set(), "lookup": set(), "unique_value": set()}
    readable = True
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=ast.Name(id="cs" | "mv" as side), slice=ast.Constant(value=str(name))):
                found[side].add(name)
            case ast.Call(func=ast.Name(id="lookup" | "unique_value" as function), args=[ast.Constant(str(name)), *_]):
                found[function].add(name)
            case ast.Call(func=ast.Name(id="lookup" | "unique_value")):
                readable = False
            case _:
                pass
    tables, unique_values = frozenset(found["lookup"]), frozenset(found["unique_value"])
    return Reads(frozenset(found["cs"]), frozenset(found["mv"]), tables, unique_values, readable)
