"""The clock of a process, which decides nothing.

PostgreSQL's time rules every deadline. A process only asks its own clock how much of a lease it may still trust,
counted from before the request that renewed it, so a wrong or slow clock can make it stop sooner and never hold on
longer. The boot-time clock is used where there is one, because it goes on while a machine sleeps.
"""

from __future__ import annotations

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", None)


def monotonic() -> float:
    """Seconds that only grow, sleep of the machine included where the system can tell."""
    return time.clock_gettime(_BOOTTIME) if _BOOTTIME is not None else time.monotonic()
