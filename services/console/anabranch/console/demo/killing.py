"""A sync worker dies in the middle of a batch, and one can prove that it did.

The worker is watched through the rows of the database: the moment one of them says that it holds a batch, it gets
SIGKILL. It was in the middle of it if, after its death, the batch is still leased under the same claim: nothing was
committed, and nobody but the end of the lease can free it.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Final

import msgspec

from anabranch.console.local_fleet import LocalFleet, Service

if TYPE_CHECKING:
    from anabranch.store.inspection import Inspection, LeasedBatch

_LOOK_SECONDS: Final = 0.01


class Killing(msgspec.Struct, frozen=True):
    """Who was killed over which batch of which step; `objects` the batch was about."""

    worker: str
    batch: int
    run: int
    step: str
    objects: int


async def kill_in_work(fleet: LocalFleet, inspection: Inspection, ended: asyncio.Event) -> Killing | None:
    """One sync worker was killed with a batch in its hands, and another one started in its place.

    None when the runs had `ended` before any worker could be caught.
    """
    while not ended.is_set():
        for held in await inspection.leased():
            killing = await _try(fleet, inspection, held)
            if killing is not None:
                return killing
        await asyncio.sleep(_LOOK_SECONDS)
    return None


async def _try(fleet: LocalFleet, inspection: Inspection, held: LeasedBatch) -> Killing | None:
    member = next((one for one in fleet.running(Service.SYNC) if one.pid == held.pid), None)
    if member is None or held.role != "work" or held.total < 2:
        return None
    os.kill(member.pid, signal.SIGSTOP)  # frozen first: whether it still holds the batch can then be seen, not guessed
    still = any(one.claim == held.claim for one in await inspection.leased())
    if not still:
        os.kill(member.pid, signal.SIGCONT)
        return None
    await asyncio.to_thread(fleet.kill, member.name)
    fleet.add(Service.SYNC)
    return Killing(member.name, held.batch, held.run, held.step, held.total)
