"""The ways in which an expression can be wrong: when it is checked, when it runs, and when it has to wait."""

from __future__ import annotations


class ExpressionError(Exception):
    """An expression is refused at validation; `line` and `column` count from 1 inside its source."""

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class EvaluationError(Exception):
    """An expression failed on its inputs; becomes error item `expression_error` (MOD-42)."""


class NeedsDraw(Exception):
    """A unique value has to be drawn before the expression can have a value."""

    def __init__(self, name: str, candidates: tuple[str, ...]) -> None:
        super().__init__(f"{name} is not drawn yet")
        self.name = name
        self.candidates = candidates
