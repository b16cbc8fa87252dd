"""How an expression goes wrong: before it ever runs, while it runs, or for want of a value that must be drawn first.

Messages name functions, operators and types, never the values they met: a value may be a secret, and the item that
carries the message is read by people who may not see it.
"""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.model.errors import AnabranchError


class ExpressionError(AnabranchError):
    """The source is not an expression of the language; `line` and `column` count from 1 within the source (MOD-35)."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.line = line
        self.column = column


class EvaluationError(AnabranchError):
    """A valid expression has no result for these inputs; becomes the item `expression_error` (MOD-42)."""


class NeedsDraw(Exception):
    """The evaluation cannot go on before one of `candidates` is reserved under the unique value `name` (SYN-66)."""

    def __init__(self, name: str, candidates: Sequence[str]) -> None:
        super().__init__(f"a value of {name!r} has to be drawn first")
        self.name = name
        self.candidates = candidates
