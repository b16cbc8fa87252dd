"""What is known of one object, and what the fleet is doing at this very moment.

An operator asks about an account and wants its values, where each came from, what waits for it and what was done to
it. All of that stands in rows that are written for other reasons; here it is read together, with names in the place of
numbers. Nothing is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from anabranch.model.changes import Item
from anabranch.model.identity import CsoId, ExportId, MvoId, SystemId, TypeId
from anabranch.model.objects import Cso, Document, Mvo
from anabranch.store.faults import translated
from anabranch.store.items import unpack_items
from anabranch.store.pool import one_row
from anabranch.store.reading import PgReader
from anabranch.store.reading_rows import cso_of, mvo_of
from anabranch.store.sql_files import sql

if TYPE_CHECKING:
    from anabranch.store.pool import Connection


class HistoryLine(msgspec.Struct, frozen=True, kw_only=True):
    """One item of an object: what a step of a run did to it. `at` is when its batch committed."""

    run: int
    profile: str
    step: str
    at: datetime | None
    item: Item


class ObjectError(msgspec.Struct, frozen=True, kw_only=True):
    """One error or warning about an object."""

    run: int
    profile: str
    step: str
    at: datetime | None
    severity: str
    kind: str
    rule: str | None
    message: str


class PackedObject(msgspec.Struct, frozen=True):
    """A new object of a target that stands in a pack: it is to be created there with what `sets` says."""

    system_id: SystemId
    type_id: TypeId
    rule: str
    cso: CsoId
    export: ExportId
    mvo: MvoId
    anchor: str
    sets: Document


class LeasedBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch in the hands of the process `pid`."""

    batch: int
    run: int
    step: str
    worker_kind: str
    role: str
    total: int
    claim: str
    pid: int


class Inspection:
    """The questions about single objects, each one statement on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def mvos(self, type_id: TypeId, origin_key: str) -> list[Mvo]:
        """Metaverse objects of a type by the key of the object that projected them, `system/type/anchor` or its end."""
        with translated("look for the object"):
            return [
                mvo_of(row) for row in await self._connection.fetch(sql("find_mvos_by_origin"), type_id, origin_key)
            ]

    async def csos(self, type_id: TypeId, identifier: str) -> list[Cso]:
        """Objects of a connector space by their anchor or secondary identifier as stored."""
        with translated("look for the object"):
            return [cso_of(row) for row in await self._connection.fetch(sql("find_csos_by_text"), type_id, identifier)]

    async def packed(self, type_id: TypeId, anchor: str) -> list[PackedObject]:
        """Objects of a target that still stand in packs, by their anchor."""
        return [one for one in await self._packed("find_packs_over_anchor", type_id, anchor) if one.anchor == anchor]

    async def packed_for(self, mvo: Mvo) -> list[PackedObject]:
        """What the metaverse object has in targets and still stands in packs."""
        return [one for one in await self._packed("find_packs_over_mvo", mvo.type_id, mvo.id) if one.mvo == mvo.id]

    async def _packed(self, name: str, type_id: TypeId, value: int | str) -> list[PackedObject]:
        with translated("look for the object"):
            rows = await self._connection.fetch(sql(name), type_id, value)
            packs = await PgReader(self._connection).provision_packs([row["id"] for row in rows])
        return [
            PackedObject(pack.system_id, pack.type_id, pack.rule, one.cso, one.export, one.mvo, one.anchor, one.sets)
            for pack in packs
            for one in pack.objects
        ]

    async def mvo_names(self, ids: Iterable[int]) -> dict[int, str]:
        """Number to `type/origin key`."""
        rows = await self._connection.fetch(sql("name_mvos"), sorted(set(ids)))
        return {row["id"]: row["key"] for row in rows}

    async def cso_names(self, ids: Iterable[int]) -> dict[int, str]:
        """Number to `system/type/identifier`."""
        rows = await self._connection.fetch(sql("name_csos"), sorted(set(ids)))
        return {row["id"]: row["key"] for row in rows}

    async def history(self, space: str, number: int) -> list[HistoryLine]:
        """Every item of an object of `cso`, `mvo` or `export`, oldest first."""
        lines = []
        for row in await self._connection.fetch(sql("list_item_packs"), space, number):
            lines += [
                HistoryLine(run=row["run_id"], profile=row["profile"], step=row["step"], at=row["at"], item=item)
                for item in unpack_items(row["packed"])
                if item.object_id == number
            ]
        return lines

    async def errors(self, space: str, number: int) -> list[ObjectError]:
        """Every error and warning of an object, oldest first."""
        return [
            ObjectError(**{"run" if name == "run_id" else name: value for name, value in row.items()})
            for row in await self._connection.fetch(sql("list_object_errors"), space, number)
        ]

    async def leased(self) -> list[LeasedBatch]:
        """The batches in work, with who has them."""
        return [LeasedBatch(**row) for row in await self._connection.fetch(sql("list_leased_batches"))]

    async def clock(self) -> datetime:
        """The server's time."""
        now: datetime = (await one_row(self._connection, sql("read_clock")))[0]
        return now

    async def versions(self) -> tuple[str, str]:
        """The server's version and the database's name."""
        row = await one_row(self._connection, sql("read_versions"))
        return row["server"], row["database"]
