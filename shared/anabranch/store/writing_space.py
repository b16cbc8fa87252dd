"""A batch's changes of the connector spaces: objects, links, references, keys.

What leaves goes first, so that the places it held (a slot at an MVO, an anchor) are free for what comes in the same
commit; what an arrival or a departure means for objects that refer to it comes last, so that nothing overwrites it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from anabranch.model.changes import Changes, CsoLink, CsoWrite, NewCso, RefChange
from anabranch.store.sql_files import sql
from anabranch.store.writing_metaverse import write_keys

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

_Value = TypeVar("_Value")


async def write_space(connection: Connection, changes: Changes, placed: Mapping[int, int] | None = None) -> None:
    """The connector spaces are as `changes` says. `placed` tells which MVO a CSO is joined to so far, where known."""
    fallen: list[int] = []
    if changes.gone_csos:
        fallen = [row[0] for row in await connection.fetch(sql("forget_csos"), changes.gone_csos)]
    leaving = [one for one in changes.links if placed is None or placed.get(one.cso_id, one.mvo_id) != one.mvo_id]
    if leaving:
        await _free_links(connection, leaving)
    if changes.new_csos:
        await _add_csos(connection, changes.new_csos)
    if changes.links:
        await _update_links(connection, changes.links)
    if changes.csos:
        await _update_csos(connection, changes.csos)
    if changes.obsolete_csos:
        await connection.execute(sql("obsolete_csos"), changes.obsolete_csos)
    await _write_references(connection, changes.cso_refs)
    await write_keys(connection, "cso_key", changes.cso_keys)
    if fallen:
        await connection.execute(sql("touch_fallen_csos"), fallen)
    if changes.joined_csos:
        await connection.execute(sql("mark_references_due"), changes.joined_csos)


async def _add_csos(connection: Connection, csos: Sequence[NewCso]) -> None:
    numbers = await connection.fetchval(sql("draw_change_numbers"), len(csos))
    await connection.copy_records_to_table(
        "cso",
        records=[
            (
                one.id, one.type_id, one.partition, one.anchor, one.anchor_hash, one.secondary, one.secondary_hash,
                one.state, one.doc, one.fingerprint, number,
            )
            for one, number in zip(csos, numbers, strict=True)
        ],
        columns=[
            "id", "type_id", "partition", "anchor", "anchor_hash", "secondary", "secondary_hash",
            "state", "doc", "fingerprint", "change_seq",
        ],
    )  # fmt: skip
    await connection.copy_records_to_table(
        "cso_sync",
        records=[
            (
                one.id, one.type_id, one.system_id, one.state, number, one.mvo_id, one.join_type, one.join_rule,
                one.refs_due, number if one.synced else 0,
            )
            for one, number in zip(csos, numbers, strict=True)
        ],
        columns=[
            "cso_id", "type_id", "system_id", "state", "change_seq", "mvo_id", "join_type", "join_rule", "refs_due",
            "synced_seq",
        ],
    )  # fmt: skip


async def _update_csos(connection: Connection, csos: Sequence[CsoWrite]) -> None:
    shared: dict[tuple[Any, ...], int] = {}
    numbers = [shared.setdefault((one.partition, one.state, one.touch, one.synced), len(shared) + 1) for one in csos]
    await connection.execute(
        sql("write_csos"),
        [one.id for one in csos],
        _unless_empty([one.anchor for one in csos]),
        _unless_empty([one.anchor_hash for one in csos]),
        _unless_empty([one.secondary for one in csos]),
        _unless_empty([one.secondary_hash for one in csos]),
        [one.doc for one in csos],
        _unless_empty([one.fingerprint for one in csos]),
        numbers if len(shared) > 1 else [],
        *(list(column) for column in zip(*shared, strict=True)),
    )


def _unless_empty(values: list[_Value | None]) -> list[_Value | None]:
    """The values, or nothing where there is none among them: the driver looks at every element of an array."""
    return [] if values.count(None) == len(values) else values


async def _free_links(connection: Connection, leaving: Sequence[CsoLink]) -> None:
    await connection.execute(sql("free_moved_links"), [one.cso_id for one in leaving], [one.mvo_id for one in leaving])


async def _update_links(connection: Connection, links: Sequence[CsoLink]) -> None:
    shared: dict[tuple[Any, ...], int] = {}
    numbers = [shared.setdefault(_shared_by(one), len(shared) + 1) for one in links]
    columns = [list(column) for column in zip(*shared, strict=True)]
    columns[_CONTRIBUTIONS] = [None if one is None else msgspec.Raw(one) for one in columns[_CONTRIBUTIONS]]
    await connection.execute(
        sql("write_links"),
        [one.cso_id for one in links],
        [one.mvo_id for one in links],
        [one.synced_seq for one in links],
        numbers if len(shared) > 1 else [],
        *columns,
    )


_CONTRIBUTIONS: Final = 5


def _shared_by(link: CsoLink) -> tuple[Any, ...]:
    """Everything of a link that others of its batch probably have in common, in the order of the statement."""
    contributions = link.contributions
    return (
        link.join_type,
        link.join_rule,
        link.rule_stamp,
        link.config_version,
        link.turns_at,
        None if contributions is None else msgspec.json.encode(contributions),
        link.refs_due,
        link.failed,
        link.released,
        link.settled_in,
    )


async def _write_references(connection: Connection, changes: Sequence[RefChange]) -> None:
    gone = [(one.cso_id, one.attr, raw) for one in changes for raw in one.remove]
    if gone:
        ids, attrs, raws = zip(*gone, strict=True)
        await connection.execute(sql("remove_cso_refs"), ids, attrs, raws)
    new = [
        (one.cso_id, one.type_id, one.attr, raw, by_anchor, by_secondary, known.get(raw))
        for one, known in ((one, dict(one.targets)) for one in changes)
        for raw, by_anchor, by_secondary in one.add
    ]
    if new:
        await connection.copy_records_to_table(
            "cso_ref",
            records=new,
            columns=["cso_id", "type_id", "attr", "raw", "anchor_hash", "secondary_hash", "target_cso_id"],
        )
