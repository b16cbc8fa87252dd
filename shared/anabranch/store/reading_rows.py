"""From a row to the record the engine reads.

A row is decoded once by the driver (documents by msgspec, instants aware); what remains is to give closed lists of
names their types and to bring the two homes of a pending export's changes together: plain ones live inside its row,
those that name an MVO in rows of their own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import msgspec

from anabranch.model.enums import CsoState, ExportKind, ExportState, JoinType, MvoState, RowOp, RowState
from anabranch.model.identity import ExportId
from anabranch.model.objects import Cso, Document, Mvo, PendingExport, PendingRow, SentPicture, ServedMvo, TargetPicture

# A dictionary look-up instead of an enum call: these run once for each object of each batch.
CSO_STATES = {state.value: state for state in CsoState}
_JOIN_TYPES = {kind.value: kind for kind in JoinType}
_EXPORT_KINDS = {kind.value: kind for kind in ExportKind}
_EXPORT_STATES = {state.value: state for state in ExportState}
_SETS = msgspec.json.Decoder(dict[str, Any])
_ROW_OPS = {op.value: op for op in RowOp}
_ROW_STATES = {state.value: state for state in RowState}
_ROWS = msgspec.json.Decoder(tuple[PendingRow, ...])
_MVO_STATES = {state.value: state for state in MvoState}


def cso_of(row: asyncpg.Record) -> Cso:
    """The CSO a row of `cso_picture` shows; column by column, because the record has the view's order."""
    values: tuple[Any, ...] = (*row[:8], CSO_STATES[row[8]], *row[9:13], _JOIN_TYPES[row[13]], *row[14:])
    return Cso(*values)


def mvo_of(row: asyncpg.Record) -> Mvo:
    """The MVO a row of `mvo_picture` shows, likewise."""
    values: tuple[Any, ...] = (*row[:3], _MVO_STATES[row[3]], *row[4:])
    return Mvo(*values)


def served_of(row: asyncpg.Record) -> ServedMvo:
    """The MVO a row shows to its targets."""
    id_, type_id, origin_key, state, delete_after, doc, change_seq = row
    return ServedMvo(id_, type_id, origin_key, _MVO_STATES[state], delete_after, doc, change_seq)


def naming_rows(values: Iterable[asyncpg.Record]) -> dict[ExportId, list[PendingRow]]:
    """The rows that name an MVO, by export; by attribute, MVO and identifier, whatever order they were written in."""
    by_export: defaultdict[ExportId, list[PendingRow]] = defaultdict(list)
    for export, attr, op, mvo, raw, state, refuted in values:
        by_export[export].append(PendingRow(attr, _ROW_OPS[op], None, _ROW_STATES[state], refuted, mvo, raw))
    return by_export


def as_sent(rows: Iterable[PendingRow]) -> tuple[PendingRow, ...]:
    """The rows of an export of which everything has been sent."""
    return tuple(
        [PendingRow(one.attr, one.op, one.value, RowState.SENT, 0, one.target_mvo_id, one.raw) for one in rows]
    )


def stored_rows(text: str, *, all_sent: bool) -> tuple[PendingRow, ...]:
    """The plain rows, whichever way they are stored."""
    if text.startswith("{"):
        state = RowState.SENT if all_sent else RowState.STAGED
        return tuple([PendingRow(attr, RowOp.SET, value, state) for attr, value in _SETS.decode(text).items()])
    rows = _ROWS.decode(text)
    return as_sent(rows) if all_sent else rows


def exports_of(rows: Iterable[asyncpg.Record], naming: Mapping[ExportId, list[PendingRow]]) -> list[PendingExport]:
    """Pending exports with all changes: plain ones (`rows`, JSON text) in stored order, then those that name an MVO."""
    exports = []
    for row in rows:
        fields: dict[str, Any] = dict(row)
        fields["kind"] = _EXPORT_KINDS[fields["kind"]]
        fields["state"] = _EXPORT_STATES[fields["state"]]
        all_sent = fields.pop("all_sent")
        others = naming.get(fields["id"], ())
        fields["rows"] = (
            *stored_rows(fields["rows"], all_sent=all_sent),
            *(as_sent(others) if all_sent else others),
        )
        exports.append(PendingExport(**fields))
    return exports


def _plain_rows(text: str, *, all_sent: bool) -> tuple[tuple[PendingRow, ...], Document | None]:
    """The stored rows, or the values they set where that is all they do."""
    if text.startswith("{") and not all_sent:
        return (), _SETS.decode(text)
    return stored_rows(text, all_sent=all_sent), None


def target_picture_of(row: asyncpg.Record, naming: Mapping[ExportId, list[PendingRow]]) -> TargetPicture:
    """What a row of `read_target_objects` shows."""
    cso, type_id, anchor, known, secondary, state, doc, export, version, kind, text, all_sent = row
    if export is None:
        return TargetPicture(cso, type_id, anchor, known, secondary, CSO_STATES[state], doc)
    rows, sets = _plain_rows(text, all_sent=all_sent)
    if export in naming:
        rows = (*rows, *(as_sent(naming[export]) if all_sent else naming[export]))
    return TargetPicture(
        cso, type_id, anchor, known, secondary, CSO_STATES[state], doc, export, version, _EXPORT_KINDS[kind], rows, sets
    )


def sent_picture_of(row: asyncpg.Record, naming: Mapping[ExportId, list[PendingRow]]) -> SentPicture:
    """What a row of `read_sent_exports` shows."""
    export, version, kind, text, all_sent, cso, type_id, system, mvo, state, *rest = row
    rows, sets = _plain_rows(text, all_sent=all_sent)
    others = as_sent(naming.get(export, ())) if all_sent else tuple(naming.get(export, ()))
    kind, state = _EXPORT_KINDS[kind], CSO_STATES[state]
    return SentPicture(export, version, kind, rows, sets, others, cso, type_id, system, mvo, state, *rest)
