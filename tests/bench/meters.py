"""What a cycle costs: processor seconds and memory of each role, read from the operating system (Linux).

PostgreSQL gives every connection a process that ends with it; the postmaster has reaped those, so its own figure and
those of the living together are everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system seconds the process has used, with those of the children it has reaped; 0 when it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):  # it ended before it was opened, or before it was read
        return 0.0
    return sum(int(ticks) for ticks in after_name[11:15]) / _TICKS


def family_seconds(pid: int) -> float:
    """`cpu_seconds` of a process and all of its living children."""
    return cpu_seconds(pid) + sum(cpu_seconds(child) for child in _children(pid))


def peak_mebibytes(pids: Iterable[int]) -> float:
    """The largest resident set any of the processes ever had; 0 when all are gone."""
    return max((_peak(pid) for pid in pids), default=0) / 1024


def _peak(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []
