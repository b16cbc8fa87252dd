"""What an export run will write, counted before it writes anything.

`assess` lists every pending export that is executable now, with the operation counted, for the guard `export_writes`;
the later steps send only what is on that list, with that operation (EXP-15, EXP-47). A target that is one file is
written by a single batch; its other steps have nothing to do.
"""

from __future__ import annotations

from anabranch.engine.packing import most_at_once
from anabranch.model.changes import Changes, ProposalPack
from anabranch.model.enums import ExportKind, GuardPoint
from anabranch.model.fleet import NewBatch
from anabranch.model.identity import ExportId
from anabranch.protocol.turns import WHOLE_FILE
from anabranch.runtime.connecting import connector_of, keeps_packs
from anabranch.runtime.unpacking import batches_over
from anabranch.runtime.work import Task, plan, system_id

_LOST = b"lost"
"""Noted where the file is to be written although there is nothing to export."""
_HELD = 50_000
"""So many objects from packs the writer of a file may hold at once, about a kilobyte each."""
_UNPACKED = 5_000
"""About so many objects are unpacked in a batch."""
BATCH = 100
"""Pending exports of one batch of a target that is written object by object."""


async def plan_unpack(task: Task) -> None:
    """The packs that this run cannot take as they are become rows: all of them where the target is not, or not any
    more, one that is written from packs, or where too many overlap; else those made under another revision."""
    async with task.store.reader() as reader:
        lines = await reader.packs_of_system(system_id(task))
    taken = keeps_packs(task, task.compiled.system_of(task.claimed)) and most_at_once(lines) <= _HELD
    left = [one for one in lines if not taken or one.config_version != task.claimed.config_version]
    await plan(task, batches_over(left, _UNPACKED))


async def assess(task: Task) -> None:
    """Every executable pending export is listed with its operation. Where they will be written as one file, that is
    noted for whoever opens the steps that follow; also where the file is lost, and nothing else would bring it back."""
    whole_file = connector_of(task).capabilities.whole_file
    async with task.store.unit(task.claimed) as unit:
        count = await unit.list_executable_exports(system_id(task))
        lost = whole_file and not count and await _is_lost(task)
        if whole_file and (count or lost):
            await unit.persist(Changes(proposal_packs=[ProposalPack(WHOLE_FILE, _LOST if lost else b"", b"")]))
        await unit.seal()
        await unit.done({"selected": count} if count else {})
    task.hold.sealed_with = 1


async def _is_lost(task: Task) -> bool:
    """Whether the target's file is not there though we know of objects it should hold."""
    system = task.compiled.system_of(task.claimed)
    if not await connector_of(task).is_missing():
        return False
    async with task.store.reader() as reader:
        for record in system.object_types.values():
            type_id = task.compiled.registry.object_types[(system.key, record.key)]
            if record.selected and await reader.anchor_order(type_id):
                return True
    return False


async def plan_export(task: Task) -> None:
    """One batch for a target that is a file, ranges of creates and updates otherwise."""
    if connector_of(task).capabilities.whole_file:
        async with task.store.reader() as reader:
            count = await reader.count_listed(task.claimed.run, GuardPoint.EXPORT_WRITES)
            noted = await reader.proposal_packs(task.claimed.run, WHOLE_FILE)
        lost = any(pack.objects == _LOST for _, pack in noted)
        await plan(task, [NewBatch(n=1, payload={"whole_file": True}, total=count)] if count or lost else [])
        return
    await _plan_ranges(task, {ExportKind.CREATE.value, ExportKind.UPDATE.value})


async def plan_references(task: Task) -> None:
    """What this run's own creates may have made resolvable (EXP-18)."""
    await _plan_ranges(task, {ExportKind.CREATE.value, ExportKind.UPDATE.value})


async def plan_deletes(task: Task) -> None:
    """The deletes, after everything that might still refer to them."""
    await _plan_ranges(task, {ExportKind.DELETE.value})


async def plan_retries(task: Task) -> None:
    """Writes that met another object's identifier are tried once more, after the deletes (EXP-16)."""
    await _plan_ranges(task, {ExportKind.CREATE.value, ExportKind.UPDATE.value})


async def _plan_ranges(task: Task, kinds: set[str]) -> None:
    if connector_of(task).capabilities.whole_file:
        await plan(task, [])
        return
    async with task.store.reader() as reader:
        found = await reader.executable_exports(system_id(task), task.claimed.run)
    ids: list[ExportId] = sorted(export_id for export_id, _, kind in found if kind in kinds)
    size = min(BATCH, connector_of(task).capabilities.max_batch)
    chunks = [ids[start : start + size] for start in range(0, len(ids), size)]
    await plan(
        task,
        [NewBatch(n=n, payload={"exports": list(chunk)}, total=len(chunk)) for n, chunk in enumerate(chunks, start=1)],
    )
