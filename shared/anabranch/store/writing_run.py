"""What a run keeps while it works, and the results it leaves behind.

Staged rows, seen hashes, verdicts and proposals go when the run is over; listed operations, items and errors stay: they
say what was done and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch.model.changes import Changes, ErrorItem
from anabranch.model.fleet import Claimed
from anabranch.model.identity import RunId
from anabranch.model.objects import StagedRow
from anabranch.store.items import pack_items
from anabranch.store.sql_files import sql
from anabranch.store.staged_rows import packs_of

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


async def write_run_data(connection: Connection, claimed: Claimed, changes: Changes) -> None:
    """Staged rows, seen hashes, verdicts, proposals and listed operations of `changes` stand under the run; what a
    broken read of a discarded partition had staged is gone before (IMP-3)."""
    if changes.discard_partitions:
        await connection.execute(sql("discard_import_rows"), claimed.run, changes.discard_partitions)
        await connection.execute(sql("discard_import_seen"), claimed.run, changes.discard_partitions)
    if changes.import_rows:
        await _add_import_rows(connection, claimed.run, changes.import_rows)
    if changes.import_seen:
        await connection.copy_records_to_table(
            "import_seen",
            records=[(claimed.run, one.partition, one.page, one.type_id, one.hashes) for one in changes.import_seen],
            columns=["run_id", "partition", "page", "type_id", "hashes"],
        )
    if changes.verdicts:
        await connection.execute(
            sql("write_verdicts"),
            claimed.run,
            [one.type_id for one in changes.verdicts],
            [one.anchor_hash for one in changes.verdicts],
            [one.kind for one in changes.verdicts],
            [one.message for one in changes.verdicts],
        )
    if changes.proposals:
        await connection.copy_records_to_table(
            "proposal",
            records=[
                (claimed.run, one.kind, one.object_id, one.order_key, one.n, one.body) for one in changes.proposals
            ],
            columns=["run_id", "kind", "object_id", "order_key", "n", "body"],
        )
    if changes.proposal_packs:
        await connection.copy_records_to_table(
            "proposal_pack",
            records=[
                (claimed.run, one.kind, claimed.batch, one.objects, one.contests) for one in changes.proposal_packs
            ],
            columns=["run_id", "kind", "batch_id", "objects", "contests"],
        )
    if changes.guard_ops:
        await connection.copy_records_to_table(
            "guard_op",
            records=[
                (claimed.run, one.point, one.type_id, one.object_id, one.op, one.reason, one.verdict)
                for one in changes.guard_ops
            ],
            columns=["run_id", "point", "type_id", "object_id", "op", "reason", "verdict"],
        )


async def _add_import_rows(connection: Connection, run: RunId, rows: Sequence[StagedRow]) -> None:
    await connection.copy_records_to_table(
        "import_pack",
        records=[
            (
                run, one.lo, one.hi, one.type_id, one.partition, one.gone, one.ids, one.hashes, one.secondaries,
                one.rows,
            )
            for one in packs_of(rows)
        ],
        columns=[
            "run_id", "lo_id", "hi_id", "type_id", "partition", "gone", "ids", "hashes", "secondaries", "rows",
        ],
    )  # fmt: skip


async def write_items(connection: Connection, claimed: Claimed, changes: Changes) -> None:
    """One packed row for each space with items, and a row for each error and warning."""
    packs = [pack_items(space, items) for space, items in sorted(changes.items.items()) if items]
    if packs:
        await connection.execute(
            sql("write_item_packs"),
            claimed.run,
            claimed.ordinal,
            claimed.batch,
            [one.space for one in packs],
            [one.lo_id for one in packs],
            [one.hi_id for one in packs],
            [one.counts for one in packs],
            [one.packed for one in packs],
        )
    if changes.errors:
        await _add_errors(connection, claimed, changes.errors)


async def _add_errors(connection: Connection, claimed: Claimed, errors: Sequence[ErrorItem]) -> None:
    await connection.copy_records_to_table(
        "run_error",
        records=[
            (
                claimed.run, claimed.ordinal, claimed.batch, one.space, one.type_id, one.object_id, one.key,
                one.severity, one.kind, one.rule, one.message, one.count,
            )
            for one in errors
        ],
        columns=[
            "run_id", "ordinal", "batch_id", "space", "type_id", "object_id", "key", "severity", "kind", "rule",
            "message", "count",
        ],
    )  # fmt: skip


async def purge(connection: Connection) -> None:
    """Nothing is left of what ended runs kept while they worked; what they did (items, errors, listed operations)
    stays."""
    for kept in ("import_rows", "import_seen", "verdicts", "proposals", "proposal_packs"):
        await connection.execute(sql(f"purge_{kept}"))
