"""The steps `detect.count` and `detect.write`: what a complete full import did not see any more.

Absence is counted over the complete set before anything is written, so that the guard can hold a truncated source
before the first object is lost (IMP-21). Only objects that existed when the run started, and that no other run has
changed since, can be absent (IMP-20).
"""

from __future__ import annotations

import numpy as np

from anabranch.import_worker.known import met_again
from anabranch.import_worker.seen import Hashes, are_seen, seen_hashes
from anabranch.model.changes import Changes, Item
from anabranch.model.enums import CsoState, GuardPoint
from anabranch.model.identity import CsoId, TypeId
from anabranch.model.objects import Cso, GuardOp
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan, system_id
from anabranch.store.port import Reader

_PRESENT = np.dtype([("id", ">i8"), ("hash", "V16")])
"""What `present_hashes` gives of each object."""


async def count_absent(task: Task) -> None:
    """Every absent object is listed for the guard; the step seals without batches of its own. Of a type whose objects
    have all been met again none is absent, and nothing more is read of it."""
    run = task.claimed.run
    changes = Changes()
    async with task.store.reader() as reader:
        populations = await reader.populations(run, GuardPoint.IMPORT_OBSOLETIONS)
        met = await met_again(reader, run)
        seen: dict[TypeId, Hashes] | None = None
        for type_id in task.compiled.types_of(system_id(task)):
            known = populations.get(type_id, 0)
            absent: list[int] = []
            if met.get(type_id, 0) != known:
                seen = seen if seen is not None else await seen_hashes(reader, run)
                absent = await _absent(task, reader, type_id, seen.get(type_id))
            changes.count("known_before", known)
            changes.count("seen_known", known - len(absent))
            changes.guard_ops += [
                GuardOp(GuardPoint.IMPORT_OBSOLETIONS, type_id, cso_id, "obsolete", "not in the source")
                for cso_id in absent
            ]
    await plan(task, [], changes)


async def _absent(task: Task, reader: Reader, type_id: TypeId, seen: Hashes | None) -> list[int]:
    """The objects of the type that are not among the seen ones, in order of ids."""
    absent: list[int] = []
    for packed in await reader.present_hashes(type_id, None, task.claimed.start_seq):
        found = np.frombuffer(packed, dtype=_PRESENT)
        there = are_seen(found["hash"].tobytes(), seen)
        absent += found["id"][~there].tolist()
        task.hold.progress()
    return sorted(absent)


async def plan_write(task: Task) -> None:
    """The listed operations, cut into ranges."""
    async with task.store.reader() as reader:
        ranges = await reader.guard_op_ranges(task.claimed.run, GuardPoint.IMPORT_OBSOLETIONS, task.claimed.batch_size)
    await plan(task, batches_of(ranges))


async def write_obsolete(task: Task) -> None:
    """The range's absent objects are obsolete; values and joins stay until teardown (IMP-20)."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> list[Cso]:
        ops = await reader.guard_ops(task.claimed.run, GuardPoint.IMPORT_OBSOLETIONS, lo, hi)
        return await reader.csos([CsoId(op.object_id) for op in ops])

    def decide(csos: list[Cso]) -> Changes:
        changes = Changes()
        for cso in csos:
            if cso.state is not CsoState.NORMAL or cso.change_seq > task.claimed.start_seq:
                changes.count("out_of_extent")
                continue
            changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
            changes.obsolete_csos.append(cso.id)
            changes.item("cso", Item(cso.id, cso.anchor or "", "obsoleted"))
            changes.count("obsoleted_absent")
        return changes

    await decide_and_commit(task, load, decide)
