"""Pending exports as they shall be. Changes that name an MVO are rows of their own, found from the MVO's side too."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from anabranch.model.changes import Changes
from anabranch.model.enums import RowOp, RowState
from anabranch.model.objects import PendingExport, PendingRow
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

# The order of the parameters of write_exports.sql; `version` besides for new rows.
_FIELDS: Final = (
    "id", "cso_id", "type_id", "system_id", "mvo_id", "kind", "state", "rows", "rule", "staged_run", "config_version",
    "staged_now", "seen_seq", "sent_seq", "waiting", "attempts", "not_before", "failure",
)  # fmt: skip
_SET, _STAGED = RowOp.SET, RowState.STAGED  # looked up once: it costs more than the comparison
_ROWS: Final = _FIELDS.index("rows")
_BEFORE_ROWS: Final = attrgetter(*_FIELDS[:_ROWS])
_AFTER_ROWS: Final = attrgetter(*_FIELDS[_ROWS + 1 :])


async def write_exports(connection: Connection, changes: Changes) -> None:
    """What goes is gone, what is new (`version` 0) stands with version 1, what existed has a version higher by one."""
    if changes.sent_exports:
        await connection.execute(sql("mark_exports_sent"), changes.sent_exports, changes.sent_seq)
    if changes.gone_exports:
        await connection.execute(sql("forget_exports"), changes.gone_exports)
    known = [one for one in changes.exports if one.version]
    if known:
        fields = [_fields(one) for one in known]
        await connection.execute(sql("write_exports"), *(list(column) for column in zip(*fields, strict=True)))
        await connection.execute(sql("remove_export_values"), [one.id for one in known])
    new = [one for one in changes.exports if not one.version]
    if new:
        await connection.copy_records_to_table(
            "pending_export", records=[(*_fields(one), 1) for one in new], columns=[*_FIELDS, "version"]
        )
    await _add_values(connection, changes.exports)
    if changes.arrived:
        systems, mvos = zip(*changes.arrived, strict=True)
        await connection.execute(sql("wake_exports"), list(systems), list(mvos), sorted(set(systems)))


def _fields(export: PendingExport) -> tuple[Any, ...]:
    # Encoded here: the driver takes a list inside an array parameter for another dimension of the array.
    plain = msgspec.Raw(msgspec.json.encode(_plain(export.rows) if export.sets is None else export.sets))
    return (*_BEFORE_ROWS(export), plain, *_AFTER_ROWS(export))


def _plain(rows: Sequence[PendingRow]) -> dict[str, Any] | list[PendingRow | tuple[Any, ...]]:
    """The rows that name no MVO: what they set by attribute where that is all they say, else one by one."""
    sets: dict[str, Any] = {}
    plain = 0
    for row in rows:
        if row.target_mvo_id is None:
            plain += 1
            if row.op is _SET and row.state is _STAGED and not row.refuted and not row.raw:
                sets[row.attr] = row.value
    return sets if len(sets) == plain else [_short(one) for one in rows if one.target_mvo_id is None]


def _is_wish(row: PendingRow) -> bool:
    """True where the row only says what to do."""
    return row.state is _STAGED and not row.refuted and not row.raw


def _short(row: PendingRow) -> PendingRow | tuple[Any, ...]:
    """A row that only says what to do as three elements; what it leaves out are the defaults it is read with."""
    return (row.attr, row.op, row.value) if _is_wish(row) else row


async def _add_values(connection: Connection, exports: Sequence[PendingExport]) -> None:
    rows = [_value(export, row) for export in exports for row in export.rows if row.target_mvo_id is not None]
    if rows:
        await connection.copy_records_to_table(
            "pe_value",
            records=rows,
            columns=["export_id", "attr", "op", "target_mvo_id", "raw", "state", "refuted"],
        )


def _value(export: PendingExport, row: PendingRow) -> tuple[Any, ...]:
    return export.id, row.attr, row.op, row.target_mvo_id, row.raw, row.state, row.refuted
