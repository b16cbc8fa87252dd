"""The steps `release.count` and `release.write`: target objects that a rule no longer covers are let go.

Which joined target objects an outbound `disconnect` would release follows from scope alone and is listed over the
complete set for the guard `outbound_releases`. A release ends the join at once; what the object contributed, and what
its leaving means for the MVO, is carried out by the teardown of the next sync (SYN-90). Deletes that follow from scope
are staged by `outbound` and judged when they are exported.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from anabranch.engine.compiled import Target
from anabranch.engine.scope import ScopeProblem
from anabranch.model.changes import Changes
from anabranch.model.enums import DeprovisionAction, GuardPoint
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Cso, GuardOp, Mvo, PendingExport, ServedMvo
from anabranch.runtime.loading import links_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.deprovisioning import deprovision, is_under_way, strongest_action
from anabranch.sync_worker.extent import outbound_stamps
from anabranch.sync_worker.outbound_view import accepted_rules, outbound_context


async def plan_count(task: Task) -> None:
    """Ranges of MVOs owed an outbound evaluation, where some rule could release anything at all."""
    stamps = {
        type_id: stamp
        for type_id, stamp in outbound_stamps(task).items()
        if any(_releases(target) for target in task.compiled.metaverse[type_id].targets)
    }
    ranges = []
    if stamps:
        async with task.store.reader() as reader:
            ranges = await reader.outbound_ranges(
                stamps, task.claimed.config_version, task.claimed.now, task.claimed.batch_size
            )
    await plan(task, batches_of(ranges))


def _releases(target: Target) -> bool:
    """True when leaving the scope of the target's rules would end a join."""
    scoped = any(rule.record.scope is not None for rule in target.rules)
    return scoped and strongest_action(target.rules) is DeprovisionAction.DISCONNECT


async def count_range(task: Task) -> None:
    """The range's releases are listed."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> tuple[list[ServedMvo], dict[MvoId, list[Cso]]]:
        stamps = outbound_stamps(task)
        mvos = await reader.outbound_mvos(stamps, task.claimed.config_version, task.claimed.now, lo, hi)
        return mvos, await links_by_mvo(reader, [mvo.id for mvo in mvos])

    def decide(loaded: tuple[list[ServedMvo], dict[MvoId, list[Cso]]]) -> Changes:
        changes = Changes()
        for mvo in loaded[0]:
            for cso in _released(task, mvo, loaded[1].get(mvo.id, [])):
                changes.guard_ops.append(
                    GuardOp(
                        GuardPoint.OUTBOUND_RELEASES, cso.type_id, cso.id, "disconnect", "out of scope of every rule"
                    )
                )
        return changes

    await decide_and_commit(task, load, decide)


def _released(task: Task, mvo: Mvo | ServedMvo, links: list[Cso]) -> Iterator[Cso]:
    side = task.compiled.metaverse[mvo.type_id]
    for target in side.targets:
        if _releases(target):
            for cso in links:
                if cso.type_id == target.type_id and not _is_held(task, target, mvo, links):
                    yield cso


def _is_held(task: Task, target: Target, mvo: Mvo | ServedMvo, links: list[Cso]) -> bool:
    """True when some rule accepts the MVO, or none can say: that is told by `outbound` and lets nothing go (SYN-17)."""
    try:
        return bool(accepted_rules(target, mvo, outbound_context(task, mvo, links)))
    except ScopeProblem:
        return True


async def plan_write(task: Task) -> None:
    """The listed releases, cut into ranges."""
    async with task.store.reader() as reader:
        ranges = await reader.guard_op_ranges(task.claimed.run, GuardPoint.OUTBOUND_RELEASES, task.claimed.batch_size)
    await plan(task, batches_of(ranges))


class _Loaded(msgspec.Struct, frozen=True):
    csos: list[Cso]
    mvos: dict[MvoId, Mvo]
    links: dict[MvoId, list[Cso]]
    exports: dict[CsoId, PendingExport]


async def release_range(task: Task) -> None:
    """The range's joins have ended where the scope still says so."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> _Loaded:
        ops = await reader.guard_ops(task.claimed.run, GuardPoint.OUTBOUND_RELEASES, lo, hi)
        csos = [cso for cso in await reader.csos([CsoId(op.object_id) for op in ops]) if cso.mvo_id is not None]
        ids = sorted({cso.mvo_id for cso in csos if cso.mvo_id is not None})
        exports = await reader.exports_of([cso.id for cso in csos])
        return _Loaded(
            csos,
            {mvo.id: mvo for mvo in await reader.mvos(ids)},
            await links_by_mvo(reader, ids),
            {one.cso_id: one for one in exports},
        )

    def decide(loaded: _Loaded) -> Changes:
        changes = Changes()
        for cso in loaded.csos:
            mvo = loaded.mvos.get(cso.mvo_id) if cso.mvo_id is not None else None
            if mvo is None or cso not in list(_released(task, mvo, loaded.links.get(mvo.id, []))):
                continue
            if is_under_way(loaded.exports.get(cso.id)):
                continue  # it stays owed: `outbound` finds it joined and out of scope, and leaves it marked
            changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
            changes.expect_mvos[mvo.id] = mvo.change_seq
            deprovision(task, changes, cso, loaded.exports.get(cso.id), 0, DeprovisionAction.DISCONNECT, mvo_goes=False)
            changes.count("released")
        return changes

    await decide_and_commit(task, load, decide)
