"""The step `outbound`: what each MVO wants of its targets becomes pending exports.

Every MVO that is owed an evaluation is held against its targets: an account is provisioned, changed by exactly the
values that differ, or deprovisioned when no rule holds it any more. What is owed stays marked on the MVO until the
evaluation commits, and an evaluation that finds no difference writes no pending export (SYN-69, SYN-71).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import msgspec

from anabranch.engine.compiled import Target
from anabranch.engine.confirming import state_of
from anabranch.engine.creating import created
from anabranch.engine.exporting import Wish, difference
from anabranch.engine.expressions import EvalContext
from anabranch.engine.scope import ScopeProblem
from anabranch.engine.values import anchor_key
from anabranch.model.changes import Changes, CsoWrite, ErrorItem, Item, MvoMark
from anabranch.model.enums import CsoState, DeprovisionAction, ExportKind, ExportState
from anabranch.model.identity import CsoId, ExportId, MvoId, SystemId
from anabranch.model.objects import Connector, Cso, CsoRef, MvoRef, PendingExport, PendingRow, ServedMvo
from anabranch.runtime.loading import refs_by_cso, refs_by_mvo
from anabranch.runtime.work import Task, batches_of, decide_and_commit, plan
from anabranch.store.port import Reader
from anabranch.sync_worker.deprovisioning import deprovision, is_under_way, never_attempted, strongest_action
from anabranch.sync_worker.extent import outbound_stamps
from anabranch.sync_worker.newcomers import Newcomers, offers_of, secondary_of
from anabranch.sync_worker.outbound_view import accepted_rules, outbound_context


async def plan_outbound(task: Task) -> None:
    """Ranges of MVOs owed an outbound evaluation."""
    async with task.store.reader() as reader:
        ranges = await reader.outbound_ranges(
            outbound_stamps(task),
            task.claimed.config_version,
            task.claimed.now,
            task.claimed.batch_size,
        )
    await plan(task, batches_of(ranges))


class Loaded(msgspec.Struct, frozen=True):
    """MVOs owed an evaluation, their connectors, references and pending exports, and ids for what is new."""

    mvos: Sequence[ServedMvo]
    refs: dict[MvoId, list[MvoRef]]
    joined: dict[MvoId, list[Connector]]
    csos: dict[CsoId, Cso]
    """The connectors in target systems."""
    cso_refs: dict[CsoId, list[CsoRef]]
    exports: dict[CsoId, PendingExport]
    cso_ids: Sequence[int]
    export_ids: Sequence[int]
    packs: bool
    """Whether what is provisioned may be packed."""


async def outbound_range(task: Task) -> None:
    """The range's pending exports say what its targets lack."""
    lo, hi = task.claimed.payload["lo"], task.claimed.payload["hi"]

    async def load(reader: Reader) -> Loaded:
        stamps = outbound_stamps(task)
        mvos = await reader.outbound_mvos(stamps, task.claimed.config_version, task.claimed.now, lo, hi)
        ids = [mvo.id for mvo in mvos]
        joined: dict[MvoId, list[Connector]] = {}
        for one in await reader.connectors(ids):
            joined.setdefault(one.mvo_id, []).append(one)
        targets = {target.system_id for side in task.compiled.metaverse.values() for target in side.targets}
        csos = [one.cso_id for some in joined.values() for one in some if one.system_id in targets]
        wanted = sum(len(task.compiled.metaverse[mvo.type_id].targets) for mvo in mvos)
        return Loaded(
            mvos=mvos,
            refs=await refs_by_mvo(reader, ids),
            joined=joined,
            csos={cso.id: cso for cso in await reader.csos(csos)} if csos else {},
            cso_refs=await refs_by_cso(reader, csos) if csos else {},
            exports={one.cso_id: one for one in await reader.exports_of(csos)} if csos else {},
            cso_ids=await reader.new_ids("cso", wanted),
            export_ids=await reader.new_ids("export", wanted),
            packs=not await reader.is_awaited_within_turn(task.claimed.run),
        )

    await decide_and_commit(task, load, lambda loaded: Evaluator(task, loaded).evaluate())


class Evaluator:
    """Evaluates one range of MVOs against all their targets."""

    def __init__(self, task: Task, loaded: Loaded) -> None:
        self._task = task
        self._loaded = loaded
        self._export_ids: Iterator[int] = iter(loaded.export_ids)
        self._newcomers = Newcomers(task, iter(loaded.cso_ids), self._export_ids, packs=loaded.packs)
        self._changes = Changes()
        self._given: set[tuple[MvoId, SystemId]] = set()
        """Who was given an object in which system just now."""

    def evaluate(self) -> Changes:
        """What the range writes."""
        for mvo in self._loaded.mvos:
            self._changes.expect_mvos[mvo.id] = mvo.change_seq
            side = self._task.compiled.metaverse[mvo.type_id]
            links = self._loaded.joined.get(mvo.id, [])
            seen = outbound_context(self._task, mvo, links)
            failed = False
            for target in side.targets:
                failed |= not self._serve(mvo, target, links, seen)
            self._mark(mvo, failed=failed)
            self._changes.count("outbound_evaluated")
        self._newcomers.finish(self._changes)
        return self._changes

    def _mark(self, mvo: ServedMvo, *, failed: bool) -> None:
        """The evaluation is no longer owed; one that failed stays owed (SYN-74)."""
        stamp = self._task.compiled.revision.outbound_stamps.get(mvo.type_id, 0)
        self._changes.mvo_marks.append(MvoMark(mvo.id, failed, stamp, self._task.claimed.config_version))

    def _serve(self, mvo: ServedMvo, target: Target, links: Sequence[Connector], seen: EvalContext) -> bool:
        """One target's evaluation; False when it failed, or has to wait, and stays owed."""
        held = next((one for one in links if one.system_id == target.system_id), None)
        cso = self._loaded.csos.get(held.cso_id) if held is not None else None
        given = (mvo.id, target.system_id) in self._given
        if given or (cso is not None and cso.type_id != target.type_id):
            if self._accepts(mvo, target, seen):
                holder = cso.anchor if cso is not None else "an object of another type"
                self._error(mvo, "target_slot_taken", f"its place in {target.system.key} is held by {holder}")
            return True
        try:
            accepted = accepted_rules(target, mvo, seen)
        except ScopeProblem as problem:
            self._error(mvo, "scope_error", f"{target.system.key}.{target.record.key}: {problem}")
            return False
        export = self._loaded.exports.get(cso.id) if cso is not None else None
        if is_under_way(export):
            detail = f"{target.system.key}: a change is just being sent"
            self._changes.item("mvo", Item(mvo.id, mvo.origin_key, "waiting", detail=detail))
            return False
        if not accepted:
            return cso is None or self._deprovision(target, cso, export)
        if cso is not None and cso.state is CsoState.OBSOLETE:
            return True
        offers = self._offers(mvo, target, cso, accepted, seen)
        if offers is None:
            return False
        if cso is None:
            return self._provision(mvo, target, accepted, offers)
        wishes = [
            one.wish(offers[one.index], self._referred(mvo, one.follows) if one.follows is not None else None)
            for one in self._newcomers.way(target, accepted).columns.all
        ]
        self._update(mvo, target, cso, export, wishes)
        return True

    def _accepts(self, mvo: ServedMvo, target: Target, seen: EvalContext) -> bool:
        try:
            accepted = accepted_rules(target, mvo, seen)
        except ScopeProblem:
            return False
        return any(target.rules[index].record.provision for index in accepted)

    def _deprovision(self, target: Target, cso: Cso, export: PendingExport | None) -> bool:
        """False for an object that is still joined though it would be released: the release was held back, or was not
        due when the releases were counted, and stays owed to the next run (GRD-3, GRD-6)."""
        action = strongest_action(target.rules)
        if export is not None and export.kind is ExportKind.DELETE:
            return True
        if action is DeprovisionAction.DELETE or never_attempted(cso, export):
            self._changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
            deprovision(self._task, self._changes, cso, export, next(self._export_ids), action, mvo_goes=False)
            return True
        return action is not DeprovisionAction.DISCONNECT

    def _offers(
        self, mvo: ServedMvo, target: Target, cso: Cso | None, accepted: tuple[int, ...], seen: EvalContext
    ) -> list[Any] | None:
        """What the accepting rules' mappings give, by index of link; None when one failed."""
        way = self._newcomers.way(target, accepted)
        offers = offers_of(target, cso.doc if cso is not None else {}, mvo.doc, seen, way.accepted)
        if isinstance(offers, tuple):
            index, kind, message = offers
            self._error(mvo, kind, f"{target.links[index].key}: {message}", target.links[index].rule)
            return None
        return offers

    def _referred(self, mvo: ServedMvo, attr: str) -> tuple[MvoId, ...]:
        refs = self._loaded.refs.get(mvo.id, ())
        return tuple(ref.target_mvo_id for ref in refs if ref.attr == attr)

    def _provision(self, mvo: ServedMvo, target: Target, accepted: tuple[int, ...], offers: Sequence[Any]) -> bool:
        way = self._newcomers.way(target, accepted)
        if not way.provisions:
            return True
        new = created(way.columns, offers, partial(self._referred, mvo))
        if new.sets.get(target.record.anchor) is None:
            message = f"{target.system.key}.{target.record.key}: the anchor {target.record.anchor!r} would be empty; "
            self._error(mvo, "missing_input", message + "map a value to it")
            return False
        self._newcomers.provision(self._changes, mvo, target, new)
        self._given.add((mvo.id, target.system_id))
        return True

    def _update(
        self, mvo: ServedMvo, target: Target, cso: Cso, export: PendingExport | None, wishes: list[Wish]
    ) -> None:
        """Bring the pending export of an existing target object up to date, or cancel what has become needless."""
        creating = cso.state is CsoState.PENDING_PROVISIONING and (export is None or export.sent_seq is None)
        present = export.rows if export is not None and export.kind is not ExportKind.DELETE else ()
        rows = difference(wishes, cso.doc, self._loaded.cso_refs.get(cso.id, ()), present, creating=creating)
        if export is None and not rows:
            return
        if export is not None:
            if rows == export.rows and export.kind is not ExportKind.DELETE:
                return
            self._changes.expect_exports[export.id] = export.version
            if not rows:
                self._changes.gone_exports.append(export.id)
                self._changes.count("cancelled_exports")
                return
        self._changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        kind = ExportKind.CREATE if creating or (export and export.kind is ExportKind.CREATE) else ExportKind.UPDATE
        if creating:
            self._rename_unsent(target, cso, rows)
        self._stage(mvo, target, cso.id, export, kind, rows)

    def _rename_unsent(self, target: Target, cso: Cso, rows: tuple[PendingRow, ...]) -> None:
        """An unsent create whose identifiers changed carries the new ones; nothing in the target knows the old."""
        anchor = _value_of(rows, target.record.anchor)
        text = (
            anchor_key(anchor, target.record.attributes[target.record.anchor])[0] if anchor is not None else cso.anchor
        )
        secondary = secondary_of(target, {row.attr: row.value for row in rows})
        if (text, secondary) != (cso.anchor, cso.secondary):
            self._changes.csos.append(
                CsoWrite(
                    id=cso.id,
                    partition=cso.partition,
                    anchor=text,
                    anchor_hash=None,
                    secondary=secondary,
                    secondary_hash=None,
                    state=cso.state,
                    doc=cso.doc,
                    fingerprint=None,
                    touch=False,
                )
            )

    def _stage(
        self,
        mvo: ServedMvo,
        target: Target,
        cso_id: CsoId,
        export: PendingExport | None,
        kind: ExportKind,
        rows: tuple[PendingRow, ...],
    ) -> None:
        fresh = PendingExport(
            id=ExportId(next(self._export_ids)) if export is None else export.id,
            cso_id=cso_id,
            type_id=target.type_id,
            system_id=target.system_id,
            mvo_id=mvo.id,
            kind=kind,
            state=ExportState.READY if export is None else state_of(rows),
            rows=rows,
            rule=target.rules[0].record.key,
            staged_run=self._task.claimed.run,
            config_version=self._task.claimed.config_version,
            staged_now=self._task.claimed.now,
            seen_seq=mvo.change_seq,
            sent_seq=export.sent_seq if export is not None else None,
            version=export.version if export is not None else 0,
        )
        self._changes.exports.append(fresh)
        self._changes.item("mvo", Item(mvo.id, mvo.origin_key, "staged", detail=f"{target.system.key}: {kind.value}"))
        if export is None:
            self._changes.count(f"{kind.value}s_staged")

    def _error(self, mvo: ServedMvo, kind: str, message: str, rule: str | None = None) -> None:
        self._changes.errors.append(
            ErrorItem(
                space="mvo",
                kind=kind,
                key=mvo.origin_key,
                message=message,
                type_id=mvo.type_id,
                object_id=mvo.id,
                rule=rule,
            )
        )


def _value_of(rows: Sequence[PendingRow], attr: str) -> Any:
    return next((row.value for row in rows if row.attr == attr), None)
