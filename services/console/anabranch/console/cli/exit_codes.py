"""What a command's exit code says, defined once: for scripts, the help pages and the reference."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from anabranch.model.errors import AnabranchError


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    OBJECT_ERRORS = 5
    HELD = 6
    TIMEOUT = 124
    INTERRUPTED = 130


PLAN_FOUND_CHANGES: Final = ExitCode.USAGE
"""`config plan` answers 2 when there are changes, as such commands do elsewhere."""

MEANINGS: Final[dict[ExitCode, str]] = {
    ExitCode.OK: "everything was done",
    ExitCode.FAILED: "it failed; stderr says why",
    ExitCode.USAGE: "the command was called wrongly; or `config plan` found changes",
    ExitCode.NOT_FOUND: "what was named does not exist",
    ExitCode.NOT_ALLOWED: "it is refused without a further confirmation",
    ExitCode.OBJECT_ERRORS: "the run completed, with errors on single objects",
    ExitCode.HELD: "a guard holds the run until it is released or rejected",
    ExitCode.TIMEOUT: "the time given by `--timeout` is over; the run goes on",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C; runs that were started go on",
}


class CommandFault(AnabranchError):
    """A command ends with this sentence on stderr and this code."""

    def __init__(self, message: str, code: ExitCode = ExitCode.FAILED) -> None:
        super().__init__(message)
        self.code = code


def not_found(message: str) -> CommandFault:
    return CommandFault(message, ExitCode.NOT_FOUND)
