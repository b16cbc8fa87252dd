"""A batch's changes of the metaverse: objects, match keys, references among them, reserved values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from anabranch.model.changes import Changes, KeyChange, MvoMark, MvoWrite, NewMvo
from anabranch.model.objects import Reservation
from anabranch.store.port import Collision
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


async def write_metaverse(connection: Connection, changes: Changes) -> None:
    """The metaverse is as `changes` says. What goes, goes after the rest was written: an object that loses a reference
    stays marked as owing an evaluation whatever else was written about it."""
    if changes.new_mvos:
        await _add_mvos(connection, changes.new_mvos)
    if changes.mvos:
        await _update_mvos(connection, changes.mvos)
    if changes.mvo_marks:
        await _mark_mvos(connection, changes.mvo_marks)
    await write_keys(connection, "match_key", changes.match_keys)
    await _write_references(connection, changes)
    await _write_reservations(connection, changes)
    if changes.gone_mvos:
        await connection.execute(sql("forget_mvos"), changes.gone_mvos)


async def write_keys(connection: Connection, table: str, keys: Sequence[KeyChange]) -> None:
    """Look-up keys of `match_key` or `cso_key` are taken away and added."""
    owner = "mvo_id" if table == "match_key" else "cso_id"
    gone = [(one.object_id, one.attr, key_hash) for one in keys for key_hash, _ in one.remove]
    if gone:
        ids, attrs, hashes = zip(*gone, strict=True)
        await connection.execute(sql(f"remove_{table}s"), ids, attrs, hashes)
    new = [(one.type_id, one.attr, key_hash, one.object_id, key) for one in keys for key_hash, key in one.add]
    if new:
        await connection.copy_records_to_table(
            table, records=new, columns=["type_id", "attr", "key_hash", owner, "key"]
        )


async def _add_mvos(connection: Connection, mvos: Sequence[NewMvo]) -> None:
    # Most objects of a batch share one provenance; it is spelled once.
    spelled: dict[int, msgspec.Raw] = {}
    for one in mvos:
        if id(one.provenance) not in spelled:
            spelled[id(one.provenance)] = msgspec.Raw(msgspec.json.encode(one.provenance))
    await connection.copy_records_to_table(
        "mvo",
        records=[(one.id, one.type_id, one.origin_key, one.doc, spelled[id(one.provenance)]) for one in mvos],
        columns=["id", "type_id", "origin_key", "doc", "provenance"],
    )
    await connection.copy_records_to_table(
        "mvo_sync",
        records=[
            (one.id, one.type_id, one.evaluated, one.outbound_due, one.outbound_stamp, one.outbound_version)
            for one in mvos
        ],
        columns=["mvo_id", "type_id", "evaluated", "outbound_due", "outbound_stamp", "outbound_version"],
    )


async def _mark_mvos(connection: Connection, marks: Sequence[MvoMark]) -> None:
    shared: dict[tuple[Any, ...], int] = {}
    numbers = [
        shared.setdefault(
            (one.outbound_due, one.outbound_stamp, one.outbound_version, one.outbound_turns_at, one.touch),
            len(shared) + 1,
        )
        for one in marks
    ]
    columns = (list(column) for column in zip(*shared, strict=True))
    await connection.execute(sql("mark_mvos"), [one.id for one in marks], numbers, *columns)


async def _update_mvos(connection: Connection, mvos: Sequence[MvoWrite]) -> None:
    shared: dict[tuple[Any, ...], int] = {}
    numbers = [shared.setdefault(_shared_by(one), len(shared) + 1) for one in mvos]
    columns = [list(column) for column in zip(*shared, strict=True)]
    columns[_DELETION] = [None if one is None else msgspec.Raw(one) for one in columns[_DELETION]]
    await connection.execute(
        sql("write_mvos"),
        [one.id for one in mvos],
        [one.doc for one in mvos],
        [one.provenance for one in mvos],
        numbers,
        *columns,
    )


_DELETION: Final = 2


def _shared_by(mvo: MvoWrite) -> tuple[Any, ...]:
    """Everything of an MVO that others of its batch probably have in common, in the order of the statement."""
    return (
        mvo.state,
        mvo.delete_after,
        None if mvo.deletion is None else msgspec.json.encode(mvo.deletion),
        mvo.evaluated,
        mvo.outbound_due,
        mvo.outbound_stamp,
        mvo.outbound_version,
        mvo.outbound_turns_at,
        mvo.touch,
        mvo.parted_in,
    )


async def _write_references(connection: Connection, changes: Changes) -> None:
    if changes.remove_mvo_refs:
        ids, attrs, targets = zip(*changes.remove_mvo_refs, strict=True)
        await connection.execute(sql("remove_mvo_refs"), ids, attrs, targets)
    if changes.add_mvo_refs:
        await connection.copy_records_to_table(
            "mvo_ref",
            records=[
                (one.mvo_id, one.attr, one.target_mvo_id, one.contributor, one.mapping_id, one.raw)
                for one in changes.add_mvo_refs
            ],
            columns=["mvo_id", "attr", "target_mvo_id", "contributor", "mapping_id", "raw"],
        )


async def _write_reservations(connection: Connection, changes: Changes) -> None:
    released = [(mvo, name, free) for mvo, names in changes.release_reservations for name, free in names.items()]
    if released:
        ids, names, instants = zip(*released, strict=True)
        await connection.execute(sql("release_reservations"), ids, names, instants)
    drawn: Sequence[Reservation] = changes.reservations
    if drawn:
        taken = await connection.fetchval(
            sql("write_reservations"),
            [one.name for one in drawn],
            [one.value_hash for one in drawn],
            [one.value for one in drawn],
            [one.mvo_id for one in drawn],
            [one.free_after for one in drawn],
        )
        if taken < len(drawn):
            raise Collision("reservation")
