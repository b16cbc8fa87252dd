"""The language of mappings, scopes and conditions: a small subset of Python expressions.

What may live here: the check of a source text against the allowed nodes and names, its compilation to nodes of a
generated function, the operators and registered functions, and what an evaluation may know.

What may not: anything that executes a user's text, anything that repeats, and anything that reads a clock.

Who may import it: the engine and, to check what is declared, config.
"""

from __future__ import annotations

from anabranch.engine.expressions.checking import CheckedExpression, check
from anabranch.engine.expressions.compiling import compile_function, compile_to_ast
from anabranch.engine.expressions.context import Environment, EvalContext
from anabranch.engine.expressions.problems import EvaluationError, ExpressionError, NeedsDraw
from anabranch.engine.expressions.registry import FUNCTIONS

__all__ = [
    "FUNCTIONS",
    "CheckedExpression",
    "Environment",
    "EvalContext",
    "EvaluationError",
    "ExpressionError",
    "NeedsDraw",
    "check",
    "compile_function",
    "compile_to_ast",
]
