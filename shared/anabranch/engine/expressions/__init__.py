"""The language of mappings, scopes and conditions: checked once, compiled to Python nodes, evaluated per object.

What may live here: the grammar and its limits, what is known of types before the run, the registered functions, the
code that is generated. What may not: anything that knows rules, objects or runs; those hand in names and a context.

Who may import it: the engine's other modules, and config, which checks expressions with it. Import from here.
"""

from anabranch.engine.expressions.checked import CheckedExpression
from anabranch.engine.expressions.checking import check
from anabranch.engine.expressions.compiling import compile_function, compile_to_ast, make_function
from anabranch.engine.expressions.context import Environment, EvalContext
from anabranch.engine.expressions.failures import EvaluationError, ExpressionError, NeedsDraw
from anabranch.engine.expressions.registry import REGISTRY

__all__ = [
    "REGISTRY",
    "CheckedExpression",
    "Environment",
    "EvalContext",
    "EvaluationError",
    "ExpressionError",
    "NeedsDraw",
    "check",
    "compile_function",
    "compile_to_ast",
    "make_function",
]
