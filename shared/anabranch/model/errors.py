"""The errors whose type is the decision.

`Retryable` means the same work may succeed later: the batch goes back with a delay and counts a failure.
`Permanent` means repeating cannot help. `BadInput` collects located faults of something a person wrote. Everything
else that escapes is our own fault and is allowed to crash loudly.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class AnabranchError(Exception):
    """A fault that is told to a person in one sentence: what, where, what to do."""


class Retryable(AnabranchError):
    """The same work may succeed later; `delay` is the least number of seconds to wait, None for the usual backoff."""

    def __init__(self, message: str, delay: float | None = None) -> None:
        super().__init__(message)
        self.delay = delay


class Permanent(AnabranchError):
    """Repeating cannot help; a person has to change something first."""


class ClaimLost(AnabranchError):
    """The batch was taken by another claim; this worker writes nothing more about it."""


class Fault(msgspec.Struct, frozen=True, order=True):
    """One located fault: file (or other place), line and column counted from 1 (0 when the place has none)."""

    place: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        where = f"{self.place}:{self.line}:{self.column}" if self.line else self.place
        return f"{where}: {self.message}"


class BadInput(AnabranchError):
    """Something a person wrote cannot be used; every fault is named at once, in the order of the text."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = sorted(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))

    @classmethod
    def of(cls, place: str, messages: Iterable[str]) -> BadInput:
        """Several faults of one place that has no lines, such as a setting or a server."""
        return cls([Fault(place, 0, 0, message) for message in messages])
