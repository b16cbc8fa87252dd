"""What happens in a target when its MVO goes or leaves a rule's scope (SYN-82, SYN-83)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from anabranch.engine.compiled import OutboundRule
from anabranch.model.changes import Changes, Item
from anabranch.model.enums import CsoState, DeprovisionAction, ExportKind, ExportState
from anabranch.model.identity import ExportId
from anabranch.model.objects import Cso, PendingExport
from anabranch.runtime.work import Task
from anabranch.sync_worker.extent import unjoined

_STRENGTH = (DeprovisionAction.DELETE, DeprovisionAction.DISCONNECT, DeprovisionAction.KEEP)


def strongest_action(rules: Iterable[OutboundRule]) -> DeprovisionAction:
    """Of several rules that serve one target object, delete outranks disconnect, which outranks keep (SYN-83)."""
    actions = {rule.record.deprovision_action for rule in rules if rule.record.enabled}
    return next((action for action in _STRENGTH if action in actions), DeprovisionAction.KEEP)


def never_attempted(cso: Cso, export: PendingExport | None) -> bool:
    """True for an unsent create: nothing of the object can exist in the target (EXP-8)."""
    return (
        cso.state is CsoState.PENDING_PROVISIONING
        and export is not None
        and export.kind is ExportKind.CREATE
        and export.sent_seq is None
    )


def is_under_way(export: PendingExport | None) -> bool:
    """True while an export worker is sending it: what it says then must not change, so whoever would change it leaves
    the object as it is and owed, and finds at its next turn what came of the attempt (EXP-7)."""
    return export is not None and export.state is ExportState.EXPORTING


def deprovision(
    task: Task,
    changes: Changes,
    cso: Cso,
    export: PendingExport | None,
    new_id: int,
    action: DeprovisionAction,
    *,
    mvo_goes: bool,
) -> None:
    """Carry out one target object's deprovisioning. An unsent create simply vanishes with its CSO (EXP-8)."""
    if never_attempted(cso, export):
        if export is not None:
            changes.expect_exports[export.id] = export.version
        changes.gone_csos.append(cso.id)
        changes.item("cso", Item(cso.id, cso.anchor or "", "removed", detail="its create was never sent"))
        return
    match action:
        case DeprovisionAction.KEEP if not mvo_goes:
            return
        case DeprovisionAction.DELETE:
            changes.exports.append(delete_export(task, cso, export, new_id))
            changes.item("cso", Item(cso.id, cso.anchor or "", "staged", detail="delete"))
            changes.count("deletes_staged")
            if mvo_goes:
                changes.links.append(unjoined(cso, released=True))
        case _:
            changes.links.append(unjoined(cso, released=True))
            changes.item("cso", Item(cso.id, cso.anchor or "", "disconnected", detail="deprovisioned"))
    if export is not None:
        changes.expect_exports[export.id] = export.version
        if action is not DeprovisionAction.DELETE:
            changes.gone_exports.append(export.id)


def delete_export(task: Task, cso: Cso, export: PendingExport | None, new_id: int) -> PendingExport:
    """The pending delete of a target object; it replaces unsent update rows (EXP-8)."""
    if export is not None:
        return msgspec.structs.replace(
            export,
            kind=ExportKind.DELETE,
            state=ExportState.READY,
            rows=(),
            attempts=0,
            not_before=None,
            staged_run=task.claimed.run,
            config_version=task.claimed.config_version,
            staged_now=task.claimed.now,
        )
    return PendingExport(
        id=ExportId(new_id),
        cso_id=cso.id,
        type_id=cso.type_id,
        system_id=cso.system_id,
        mvo_id=cso.mvo_id,
        kind=ExportKind.DELETE,
        state=ExportState.READY,
        rows=(),
        rule="",
        staged_run=task.claimed.run,
        config_version=task.claimed.config_version,
        staged_now=task.claimed.now,
        seen_seq=cso.change_seq,
    )
