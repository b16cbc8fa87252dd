"""What an import reads: known fingerprints, staged rows, what was seen, and which references resolve now.

An import compares before it writes. It asks for what is known of one page at a time, stages what is new or changed,
and decides over its complete set only when every page is there; so these verbs come in pairs of ranges and rows.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Final

from anabranch.model.errors import Permanent
from anabranch.model.identity import RunId, TypeId
from anabranch.model.objects import Cso, SourceDigests, StagedRow
from anabranch.store.port import IdRange, ReferenceTargets, SecondaryConflict
from anabranch.store.reading_ranges import cut
from anabranch.store.reading_rows import cso_of
from anabranch.store.sql_files import sql
from anabranch.store.staged_rows import ranges_of, rows_between

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

BLOCK: Final = 1_000
_BLOCKS: Final = {table: f"{table}_block" for table in ("cso", "mvo", "export", "import_row")}


def target_arrays(targets: ReferenceTargets) -> tuple[list[int], list[str], list[int]]:
    """Referring type, attribute and one allowed type, position by position."""
    flat = [(type_id, attr, one) for (type_id, attr), allowed in targets.allowed.items() for one in allowed]
    return [one[0] for one in flat], [one[1] for one in flat], [one[2] for one in flat]


class ImportReading:
    """The import's share of `Reader`."""

    _connection: Connection

    async def new_ids(self, table: str, count: int) -> Sequence[int]:
        """Fresh ids, ascending; what is left of the last block of 1,000 is never used. Raises Permanent for a table
        that has no ids to give."""
        if table not in _BLOCKS:
            raise Permanent(f"table {table!r} has no block sequence; ids are drawn for {', '.join(_BLOCKS)}")
        if count < 1:
            return []
        blocks = await self._connection.fetchval(sql("draw_id_blocks"), _BLOCKS[table], math.ceil(count / BLOCK))
        ids = [number for block in sorted(blocks) for number in range(block * BLOCK, (block + 1) * BLOCK)]
        return ids[:count]

    async def fingerprints(self, type_id: TypeId, partition: str, hashes: Sequence[bytes]) -> dict[bytes, bytes]:
        rows = await self._connection.fetch(sql("find_fingerprints"), type_id, partition, b"".join(hashes))
        return {row[0]: row[1] for row in rows}

    async def source_digests(self, type_id: TypeId, partition: str, limit: int) -> SourceDigests:
        row = (await self._connection.fetch(sql("pack_source_digests"), type_id, partition, limit))[0]
        return SourceDigests(row["packed"] or b"", row["objects"], row["latest"] or 0)

    async def change_seq_now(self) -> int:
        number: int = await self._connection.fetchval(sql("read_change_seq"))
        return number

    async def import_rows(self, run: RunId, lo: int, hi: int) -> list[StagedRow]:
        packs = await self._connection.fetch(sql("read_import_rows"), run, lo, hi)
        return rows_between((row[0] for row in packs), lo, hi)

    async def import_row_ranges(self, run: RunId, size: int) -> list[IdRange]:
        return ranges_of(await self._connection.fetchval(sql("read_import_row_ids"), run) or b"", size)

    async def import_seen(self, run: RunId) -> AsyncIterator[tuple[str, TypeId, bytes]]:
        after: tuple[str, int, int] = ("", -1, -1)
        while rows := await self._connection.fetch(sql("read_import_seen"), run, *after):
            for row in rows:
                yield row["partition"], row["type_id"], row["hashes"]
            after = (rows[-1]["partition"], rows[-1]["page"], rows[-1]["type_id"])

    async def verdicts(self, run: RunId, hashes: Sequence[bytes]) -> dict[tuple[TypeId, bytes], tuple[str, str]]:
        rows = await self._connection.fetch(sql("find_verdicts"), run, b"".join(hashes))
        return {(row["type_id"], row["anchor_hash"]): (row["kind"], row["message"]) for row in rows}

    async def count_rejected_rows(self, run: RunId) -> dict[str, int]:
        return {row["kind"]: row["n"] for row in await self._connection.fetch(sql("count_rejected_rows"), run)}

    async def unresolved_of_run(self, run: RunId) -> list[tuple[TypeId, str, int, str]]:
        rows = await self._connection.fetch(sql("find_unresolved_of_run"), run)
        return [(row["type_id"], row["attr"], row["n"], row["example"]) for row in rows]

    async def secondary_conflicts(self, run: RunId, type_ids: Sequence[TypeId]) -> list[SecondaryConflict]:
        rows = await self._connection.fetch(sql("find_secondary_conflicts"), run, type_ids)
        return [SecondaryConflict(row["type_id"], row["anchor_hash"], row["holder"]) for row in rows]

    async def csos_by_anchor(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        rows = await self._connection.fetch(sql("find_csos_by_anchor"), type_id, b"".join(hashes))
        return [cso_of(row) for row in rows]

    async def csos_by_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        return [cso_of(row) for row in await self._connection.fetch(sql("find_csos_by_secondary"), type_id, hashes)]

    async def holders_of_secondary(self, type_id: TypeId, hashes: Sequence[bytes]) -> list[Cso]:
        rows = await self._connection.fetch(sql("find_holders_of_secondary"), type_id, b"".join(hashes))
        return [cso_of(row) for row in rows]

    async def present_hashes(self, type_id: TypeId, partition: str | None, max_seq: int) -> list[bytes]:
        rows = await self._connection.fetch(sql("read_present_hashes"), type_id, partition, max_seq)
        return [row[0] for row in rows]

    async def unresolved_reference_ranges(self, targets: ReferenceTargets, size: int) -> list[IdRange]:
        return await cut(self._connection, "set_resolvable_references", size, *target_arrays(targets))
