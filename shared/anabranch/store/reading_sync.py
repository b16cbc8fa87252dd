"""What a sync reads: due objects, metaverse objects with their links, keys, references, reservations, and owed work."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from anabranch.model.changes import ProposalPack
from anabranch.model.enums import GuardPoint
from anabranch.model.identity import BatchId, CsoId, MvoId, RunId, SystemId, TypeId
from anabranch.model.objects import Connector, Cso, GuardOp, KeyHit, Mvo, MvoRef, Proposal, Reservation, ServedMvo
from anabranch.store.due import due_set
from anabranch.store.pool import one_row
from anabranch.store.port import Due, IdRange
from anabranch.store.reading_export import unpacked
from anabranch.store.reading_ranges import HIGHEST, LOWEST, cut, pick
from anabranch.store.reading_rows import CSO_STATES, cso_of, mvo_of, served_of
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class SyncReading:
    """The sync's share of `Reader`."""

    _connection: Connection

    async def due_ranges(self, due: Due, size: int) -> list[IdRange]:
        name, params = due_set(due)
        return await cut(self._connection, name, size, *params)

    async def due_csos(self, due: Due, lo: int, hi: int) -> list[Cso]:
        name, params = due_set(due)
        return [cso_of(row) for row in await pick(self._connection, "pick_csos", name, lo, hi, *params)]

    async def anchors_differ(self, due: Due) -> bool:
        name, params = due_set(due)
        return bool((await pick(self._connection, "compare_anchors", name, LOWEST, HIGHEST, *params))[0][0])

    async def metaverse_moved(self, system: SystemId, run: RunId, mvo_types: Sequence[TypeId]) -> bool:
        row = await one_row(self._connection, sql("has_metaverse_moved"), system, run, mvo_types)
        return bool(row[0])

    async def mvos(self, ids: Sequence[MvoId]) -> list[Mvo]:
        return [mvo_of(row) for row in await self._connection.fetch(sql("read_mvos"), ids)]

    async def links(self, mvo_ids: Sequence[MvoId], besides: Sequence[CsoId] = ()) -> list[Cso]:
        return [cso_of(row) for row in await self._connection.fetch(sql("read_links"), mvo_ids, besides)]

    async def connectors(self, mvo_ids: Sequence[MvoId]) -> list[Connector]:
        rows = await self._connection.fetch(sql("read_connectors"), mvo_ids)
        return [Connector(row[0], row[1], row[2], row[3], CSO_STATES[row[4]]) for row in rows]

    async def mvo_refs(self, mvo_ids: Sequence[MvoId]) -> list[MvoRef]:
        return [MvoRef(*row) for row in await self._connection.fetch(sql("read_mvo_refs"), mvo_ids)]

    async def match_candidates(self, type_id: TypeId, attr: str, hashes: Sequence[bytes]) -> list[KeyHit]:
        return [KeyHit(*row) for row in await self._connection.fetch(sql("find_match_keys"), type_id, attr, hashes)]

    async def keyed(self) -> frozenset[tuple[TypeId, str]]:
        return frozenset((row[0], row[1]) for row in await self._connection.fetch(sql("read_keyed")))

    async def page_of_mvos(self, type_id: TypeId, after: int, limit: int) -> list[Mvo]:
        return [mvo_of(row) for row in await self._connection.fetch(sql("page_mvos"), type_id, after, limit)]

    async def page_of_csos(self, type_id: TypeId, after: int, limit: int) -> list[Cso]:
        return [cso_of(row) for row in await self._connection.fetch(sql("page_csos"), type_id, after, limit)]

    async def types_with_keys(self, types: Sequence[TypeId]) -> frozenset[TypeId]:
        return frozenset(row[0] for row in await self._connection.fetch(sql("find_types_with_keys"), types))

    async def match_keys_of(self, mvo_ids: Sequence[MvoId]) -> list[tuple[MvoId, str, bytes, str]]:
        return [
            (row[0], row[1], row[2], row[3]) for row in await self._connection.fetch(sql("read_match_keys"), mvo_ids)
        ]

    async def reservations(self, name: str, hashes: Sequence[bytes]) -> list[Reservation]:
        return [Reservation(*row) for row in await self._connection.fetch(sql("find_reservations"), name, hashes)]

    async def reservations_of(self, mvo_ids: Sequence[MvoId]) -> list[Reservation]:
        return [Reservation(*row) for row in await self._connection.fetch(sql("read_reservations"), mvo_ids)]

    async def proposed_contests(self, run: RunId, kind: str) -> tuple[array[int], array[int]]:
        objects, pairs = await one_row(self._connection, sql("read_contests"), run, kind)
        return unpacked(objects), unpacked(pairs)

    async def proposals(self, run: RunId, kind: str, lo: int, hi: int) -> list[Proposal]:
        return [Proposal(*row) for row in await self._connection.fetch(sql("read_proposals"), run, kind, lo, hi)]

    async def proposal_packs(self, run: RunId, kind: str) -> list[tuple[BatchId, ProposalPack]]:
        rows = await self._connection.fetch(sql("read_proposal_packs"), run, kind)
        return [(row[0], ProposalPack(kind, row[1], row[2])) for row in rows]

    async def proposed_objects(self, run: RunId, kind: str, batch: BatchId) -> bytes:
        packed: bytes | None = await self._connection.fetchval(sql("read_proposal_pack"), run, kind, batch)
        return packed or b""

    async def ordered_among(self, run: RunId, kind: str, objects: Sequence[int]) -> frozenset[int]:
        rows = await self._connection.fetch(sql("find_ordered_among"), run, kind, objects)
        return frozenset(row[0] for row in rows)

    async def guard_op_ranges(self, run: RunId, point: GuardPoint, size: int) -> list[IdRange]:
        return await cut(self._connection, "set_guard_ops", size, run, point)

    async def populations(self, run: RunId, point: GuardPoint) -> dict[TypeId, int]:
        rows = await self._connection.fetch(sql("read_populations"), run, point.value)
        return {row["type_id"]: row["population"] for row in rows}

    async def count_listed(self, run: RunId, point: GuardPoint) -> int:
        count: int = await self._connection.fetchval(sql("count_listed"), run, point.value)
        return count

    async def guard_ops(self, run: RunId, point: GuardPoint, lo: int, hi: int) -> list[GuardOp]:
        return [GuardOp(*row) for row in await self._connection.fetch(sql("read_guard_ops"), run, point, lo, hi)]

    async def due_deletions(
        self, run: RunId | None, mvo_types: Sequence[TypeId], now: datetime, inherits: Sequence[TypeId] = ()
    ) -> list[tuple[TypeId, MvoId]]:
        rows = await self._connection.fetch(sql("find_due_deletions"), run, mvo_types, now, inherits)
        return [(row[0], row[1]) for row in rows]

    async def outbound_ranges(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, size: int
    ) -> list[IdRange]:
        types, values = list(stamps), list(stamps.values())
        return await cut(self._connection, "set_outbound", size, types, values, config_version, now)

    async def outbound_mvos(
        self, stamps: dict[TypeId, int], config_version: int, now: datetime, lo: int, hi: int
    ) -> list[ServedMvo]:
        types, values = list(stamps), list(stamps.values())
        owed = (types, values, config_version, now)
        rows = await pick(self._connection, "pick_served_mvos", "set_outbound", lo, hi, *owed)
        return [served_of(row) for row in rows]
