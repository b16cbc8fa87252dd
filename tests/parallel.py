"""How the tests are divided when several processes run them: by file, the long ones first.

Each process has servers of its own, so tests meet each other no more than in a single one. A file stays together, for
its fixtures' sake; the fleet tests stay together as a whole, because they copy one founded site. What takes long begins
first: a long file that begins last would be waited for by everybody.
"""

from __future__ import annotations

from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

TOGETHER: Final = ("tests/fleet/",)
LONG: Final = (
    "tests/fleet/",
    "tests/chaos/test_teeth.py",
    "tests/chaos/test_chaos.py",
    "tests/runtime/test_local_servers.py",
    "tests/fundamentals/",
    "tests/docs/test_guide.py",
    "tests/protocol/test_state_machine.py",
    "tests/services/",
    "tests/promises/",
)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]  # it comes without types
    """One file, or one place whose files stay together, is given to one process."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((place for place in TOGETHER if file.startswith(place)), file)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=rank), last=False)
        super()._assign_work_unit(node)


def rank(place: str) -> int:
    """Where a file stands among those that wait to begin: the long ones in the order given, all others behind them."""
    return next((n for n, long in enumerate(LONG) if place.startswith(long)), len(LONG))


def scheduler(config: pytest.Config, log: object) -> ByFile:
    """What divides the tests of this session among processes."""
    return ByFile(config, log)
