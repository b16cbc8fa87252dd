"""Rows that a commit concerns are locked before the first of them is written.

Besides those a decision was made about, a commit also writes to objects that merely refer to something: they are locked
with the others, each table once and in id order, metaverse before connector space before pending exports, so that two
commits meet in the same order and wait instead of dead-locking. The sync row's lock stands for the whole object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anabranch.model.changes import Changes
from anabranch.store.port import Moved
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


async def lock_rows(connection: Connection, changes: Changes) -> tuple[Moved, dict[int, int]]:
    """Everything `changes` will write to is locked until the transaction ends; the answer names what is no longer as it
    was read, or gone, and to which MVO those of the locked CSOs are joined that are."""
    placed: dict[int, int] = {}
    mvos, csos, exports = {}, {}, {}
    mvo_ids = {*changes.expect_mvos, *(one.id for one in changes.mvos), *changes.gone_mvos}
    mvo_ids.update(one.id for one in changes.mvo_marks)
    if mvo_ids:
        rows = await connection.fetch(sql("lock_mvos"), sorted(mvo_ids), changes.gone_mvos)
        mvos = {row["mvo_id"]: row["change_seq"] for row in rows}
    cso_ids = {
        *changes.expect_csos,
        *(one.id for one in changes.csos),
        *(one.cso_id for one in changes.links),
        *changes.obsolete_csos,
        *changes.gone_csos,
    }
    if cso_ids or changes.joined_csos or changes.gone_mvos:
        concerned = (changes.gone_csos, changes.joined_csos, changes.gone_mvos)
        if any(concerned):
            rows = await connection.fetch(sql("lock_csos"), sorted(cso_ids), *concerned)
        else:
            rows = await connection.fetch(sql("lock_given_csos"), sorted(cso_ids))
        csos = {row[0]: (row[1], row[2]) for row in rows}
        placed = {row[0]: row[3] for row in rows if row[3] is not None}
    export_ids = {
        *changes.expect_exports,
        *changes.gone_exports,
        *changes.sent_exports,
        *(one.id for one in changes.exports if one.version),
    }
    if export_ids:
        rows = await connection.fetch(sql("lock_exports"), sorted(export_ids))
        exports = {row["id"]: row["version"] for row in rows}
    taken = sorted({*changes.gone_packs, *changes.unpacked})
    packs = {row["id"] for row in await connection.fetch(sql("lock_packs"), taken)} if taken else set()
    moved = Moved(
        frozenset(one for one, read in changes.expect_csos.items() if csos.get(one) != read),
        frozenset(one for one, read in changes.expect_mvos.items() if mvos.get(one) != read),
        frozenset(one for one, read in changes.expect_exports.items() if exports.get(one) != read),
        frozenset(one for one in taken if one not in packs),
    )
    return moved, placed
