"""What became of each write, recorded.

A write that succeeded is applied to the CSO, so that our picture is what the target holds or has been sent; its rows
wait for an import that confirms them, unless the target confirms itself (EXP-28, EXP-29). A failed attempt counts once,
waits longer each time, and ends as a dead letter (EXP-32, EXP-33).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import blake2b

import msgspec

from anabranch.connectors.port import FailureClass, Outcome
from anabranch.engine.confirming import state_of
from anabranch.engine.exporting import apply_rows
from anabranch.engine.identifiers import reference_hashes
from anabranch.engine.keys import key_changes
from anabranch.engine.values import anchor_key
from anabranch.export_worker.identifiers import Identifiers
from anabranch.model.changes import Changes, CsoWrite, ErrorItem, Item, NewCso, RefChange
from anabranch.model.configuration import Attribute
from anabranch.model.enums import CsoState, ExportKind, ExportState, RowOp, RowState, ValueType
from anabranch.model.identity import CsoId, ExportId
from anabranch.model.objects import Cso, CsoRef, Document, PendingExport, PendingRow, SentPicture
from anabranch.protocol.claims import export_backoff
from anabranch.runtime.work import Task

MAX_ATTEMPTS = 5
Shown = tuple[tuple[str, None, object, None], ...]
# Looked up once: a member of an enumeration costs more than the rest of a comparison.
_SET, _REMOVE, _CLEAR = RowOp.SET, RowOp.REMOVE, RowOp.CLEAR
_STAGED, _SENT, _NOT_CONFIRMED = RowState.STAGED, RowState.SENT, RowState.NOT_CONFIRMED
_EXPORTED = {kind: f"exported_{kind.value}s" for kind in ExportKind}
_UNCOUNTED = frozenset({FailureClass.RATE_LIMITED, FailureClass.UNREACHABLE, FailureClass.AUTHENTICATION})


def is_resolvable(row: PendingRow, identifiers: Identifiers) -> bool:
    """Whether the row would be sent now (EXP-17)."""
    if row.state is not _STAGED and row.state is not _NOT_CONFIRMED:
        return False
    return row.target_mvo_id is None or row.op is _REMOVE or identifiers.of_mvo(row.target_mvo_id) is not None


def resolvable(rows: Sequence[PendingRow], identifiers: Identifiers) -> tuple[list[PendingRow], list[PendingRow]]:
    """The rows that would be sent now, and those that wait for the object they refer to (EXP-17).

    A reference row that is sent carries the identifier it is sent with.
    """
    now: list[PendingRow] = []
    waiting: list[PendingRow] = []
    for row in rows:
        if row.state is not _STAGED and row.state is not _NOT_CONFIRMED:
            continue
        if row.target_mvo_id is None or row.op is _REMOVE:  # a removal brings the identifier the target knows
            now.append(row)
        elif (found := identifiers.of_mvo(row.target_mvo_id)) is not None:
            now.append(msgspec.structs.replace(row, raw=found[1]))
        else:
            waiting.append(row)
    return now, waiting


def record_success(
    task: Task,
    changes: Changes,
    cso: Cso,
    refs: Sequence[CsoRef],
    export: PendingExport,
    identifiers: Identifiers,
    sent_seq: int,
    *,
    confirmed: bool,
) -> None:
    """The write of `export` reached the target; with `confirmed` the target vouches for it itself."""
    changes.expect_exports[export.id] = export.version
    changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
    if export.kind is ExportKind.DELETE:
        changes.gone_csos.append(cso.id)
        changes.item("export", Item(export.id, cso.anchor or "", "deprovisioned"))
        changes.count("deprovisioned")
        return
    attributes = task.compiled.object_types[cso.type_id][1].attributes
    sent, _ = resolvable(export.rows, identifiers)
    _apply(task, changes, cso, apply_rows(cso.doc, sent, attributes), confirmed=confirmed)
    changes.cso_refs.extend(reference_changes(task, cso, refs, sent, identifiers))
    rows = _left_over(export, sent, identifiers, confirmed=confirmed)
    if rows:
        waiting = any(row.state is _STAGED for row in rows)
        changes.exports.append(
            msgspec.structs.replace(
                export,
                waiting=waiting,
                kind=ExportKind.UPDATE if confirmed else export.kind,
                rows=tuple(rows),
                state=state_of(rows),
                sent_seq=sent_seq,
                attempts=0,
                not_before=None,
                failure=None,
            )
        )
    else:
        changes.gone_exports.append(export.id)
    _tell(changes, cso, export.id, export.kind, _shown(attributes, sent))


def goes_out_whole(sent: SentPicture, attributes: Mapping[str, Attribute], identifiers: Identifiers) -> bool:
    """Whether all of it goes out at once, for the first time: then `record_whole` may record it."""
    if sent.kind is ExportKind.DELETE:
        return False
    if any(row.refuted or not is_resolvable(row, identifiers) for row in sent.naming):
        return False
    for row in sent.rows:
        if row.raw or row.refuted or row.state is not _STAGED:
            return False
        if row.op is _CLEAR and attributes[row.attr].type is ValueType.REFERENCE:
            return False
    return True


def record_whole(
    task: Task,
    changes: Changes,
    sent: SentPicture,
    refs: Sequence[CsoRef],
    identifiers: Identifiers,
    sent_seq: int,
    hidden: frozenset[str],
    *,
    confirmed: bool,
) -> None:
    """What `record_success` records of an export that goes out whole, decided from less; `hidden` are the object type's
    sensitive attributes."""
    changes.expect_exports[sent.export] = sent.version
    changes.expect_csos[sent.id] = (sent.change_seq, sent.link_version)
    attributes = task.compiled.object_types[sent.type_id][1].attributes
    came: Document | None = None
    shown: Shown = ()
    if sent.sets is not None:
        doc = {**sent.doc, **sent.sets}
        came = {attr: "***" if attr in hidden else value for attr, value in sent.sets.items()} if hidden else sent.sets
    else:
        doc, shown = apply_rows(sent.doc, sent.rows, attributes), _shown(attributes, sent.rows)
    if sent.naming:
        named, _ = resolvable(sent.naming, identifiers)
        changes.cso_refs.extend(reference_changes(task, sent, refs, named, identifiers))
        shown += _shown(attributes, named)
    _apply(task, changes, sent, doc, confirmed=confirmed)
    if confirmed:
        changes.gone_exports.append(sent.export)
    else:
        changes.sent_exports.append(sent.export)
        changes.sent_seq = sent_seq
    _tell(changes, sent, sent.export, sent.kind, shown, came)


def _tell(
    changes: Changes,
    cso: Cso | SentPicture,
    export: ExportId,
    kind: ExportKind,
    shown: Shown,
    came: Document | None = None,
) -> None:
    """The item and the counts of a create or an update that was carried out; who waited for the object is woken."""
    if cso.mvo_id is not None and cso.anchor_hash is None:
        changes.arrived.append((cso.system_id, cso.mvo_id))
    tell_exported(changes, export, cso.anchor or "", kind, shown, came)


def tell_exported(
    changes: Changes, export: ExportId, anchor: str, kind: ExportKind, shown: Shown, came: Document | None
) -> None:
    """The item and the counts of an export that was carried out."""
    changes.item("export", Item(export, anchor, "exported", shown, kind.value, came))
    changes.count("exported")
    changes.count(_EXPORTED[kind])


def _left_over(
    export: PendingExport, sent: Sequence[PendingRow], identifiers: Identifiers, *, confirmed: bool
) -> list[PendingRow]:
    """The rows that stay in the pending export once `sent` have gone out: those not sent, and, until an import or the
    target itself vouches for them, those that were."""
    if len(sent) == len(export.rows):
        return [] if confirmed else [msgspec.structs.replace(row, state=_SENT) for row in export.rows]
    rows: list[PendingRow] = []
    for row in export.rows:
        if not is_resolvable(row, identifiers):
            rows.append(row)
        elif not confirmed:
            rows.append(msgspec.structs.replace(row, state=_SENT))
    return rows


def _shown(attributes: Mapping[str, Attribute], sent: Sequence[PendingRow]) -> Shown:
    """The sent values as the history keeps them; of a sensitive attribute only that it was sent (AUD-13)."""
    return tuple(
        [
            (
                row.attr,
                None,
                "***" if attributes[row.attr].sensitive else None if row.op is _CLEAR else row.raw or row.value,
                None,
            )
            for row in sent
        ]
    )


def _apply(task: Task, changes: Changes, cso: Cso | SentPicture, doc: Document, *, confirmed: bool) -> None:
    """The object holds `doc` in the target, as its CSO says from now on."""
    record = task.compiled.object_types[cso.type_id][1]
    anchor_value = doc.get(record.anchor)
    anchor, anchor_hash = (
        anchor_key(anchor_value, record.attributes[record.anchor])
        if anchor_value is not None
        else (cso.anchor, cso.anchor_hash)
    )
    secondary, secondary_hash = cso.secondary, cso.secondary_hash
    if record.secondary is not None and doc.get(record.secondary) is not None:
        secondary, secondary_hash = anchor_key(doc[record.secondary], record.attributes[record.secondary])
    state = CsoState.NORMAL if confirmed or cso.state is CsoState.NORMAL else cso.state
    changes.csos.append(
        CsoWrite(
            id=cso.id,
            partition=cso.partition,
            anchor=anchor,
            anchor_hash=anchor_hash,
            secondary=secondary,
            secondary_hash=secondary_hash,
            state=state,
            doc=doc,
            fingerprint=None,
            touch=True,
            synced=True,
        )
    )
    keyed = task.compiled.cso_key_attrs.get(cso.type_id)
    if keyed:
        changes.cso_keys.extend(key_changes(cso.type_id, keyed, cso.id, cso.doc, doc))


class ReferenceDelta(msgspec.Struct, frozen=True):
    """What sent rows change in one reference attribute: new identifiers with their objects, and those that go."""

    attr: str
    new: dict[str, CsoId]
    gone: tuple[str, ...]


def reference_deltas(
    refs: Sequence[CsoRef], sent: Sequence[PendingRow], identifiers: Identifiers
) -> list[ReferenceDelta]:
    """What the sent reference rows change in an object's references, by attribute."""
    naming = [row for row in sent if row.target_mvo_id is not None or row.raw or row.op is _CLEAR]
    if not naming:
        return []
    held: dict[str, list[CsoRef]] = {}
    for ref in refs:
        held.setdefault(ref.attr, []).append(ref)
    add: dict[str, dict[str, CsoId]] = {}
    remove: dict[str, set[str]] = {}
    for row in naming:
        if (row.op is _CLEAR or row.op is _SET) and held.get(row.attr):
            remove.setdefault(row.attr, set()).update(ref.raw for ref in held[row.attr])
        if row.op is _REMOVE:
            remove.setdefault(row.attr, set()).add(row.raw)
        elif row.target_mvo_id is not None and (found := identifiers.of_mvo(row.target_mvo_id)) is not None:
            add.setdefault(row.attr, {})[found[1]] = found[0]
    return [
        ReferenceDelta(attr, add.get(attr, {}), tuple(sorted(remove.get(attr, set()) - add.get(attr, {}).keys())))
        for attr in sorted(add.keys() | remove.keys())
    ]


def reference_changes(
    task: Task, cso: Cso | SentPicture, refs: Sequence[CsoRef], sent: Sequence[PendingRow], identifiers: Identifiers
) -> list[RefChange]:
    """What the sent reference rows change in the CSO's references, ready to be written."""
    changes: list[RefChange] = []
    for delta in reference_deltas(refs, sent, identifiers):
        target = task.compiled.reference_target(cso.type_id, delta.attr)
        added = tuple((raw, *reference_hashes(raw, target)) for raw in sorted(delta.new))
        changes.append(RefChange(cso.id, cso.type_id, delta.attr, added, delta.gone, tuple(sorted(delta.new.items()))))
    return changes


def record_failure(task: Task, changes: Changes, cso: Cso | NewCso, export: PendingExport, outcome: Outcome) -> None:
    """The attempt failed: the export waits longer than the last time, or becomes a dead letter."""
    if export.version:  # one that came from a pack is not stored yet
        changes.expect_exports[export.id] = export.version
    counts = outcome.failure_class not in _UNCOUNTED
    attempts = export.attempts + (1 if counts else 0)
    dead = outcome.failure_class is FailureClass.PERMANENT or attempts >= MAX_ATTEMPTS
    kind = outcome.kind or "export_refused"
    wait = export_backoff(attempts, _jitter(export, attempts), outcome.retry_after or 0.0)
    changes.exports.append(
        msgspec.structs.replace(
            export,
            state=ExportState.DEAD_LETTER if dead else ExportState.READY,
            attempts=attempts,
            not_before=None if dead else task.claimed.now + timedelta(seconds=wait),
            failure=kind,
        )
    )
    changes.errors.append(
        ErrorItem(
            space="export",
            kind=kind,
            key=cso.anchor or "",
            message=outcome.message,
            type_id=cso.type_id,
            object_id=export.id,
            rule=export.rule,
        )
    )
    changes.count("errored")


def _jitter(export: PendingExport, attempts: int) -> float:
    """From -1 to 1, so that a crowd does not return at once; it follows from the export and the attempt, so that a
    repeated batch waits alike."""
    digest = blake2b(f"{export.id}:{attempts}".encode(), digest_size=2).digest()
    return 2 * int.from_bytes(digest, "big") / 65535 - 1
