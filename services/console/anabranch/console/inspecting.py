"""One object with everything around it, in names instead of numbers.

What an operator wants to know of an account is spread over the tables: its values, where each came from, whom it refers
to, what it is joined to, what waits to be written to it, what runs did to it. Sensitive values are hidden, as
everywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from anabranch.model.configuration import Attribute
from anabranch.model.enums import CsoState, ExportKind, ExportState, JoinType, RowOp, RowState
from anabranch.model.identity import TypeId
from anabranch.model.objects import Cso, Mvo, PendingExport, PendingRow
from anabranch.model.registry import Revision
from anabranch.store.inspection import Inspection, PackedObject
from anabranch.store.reading import PgReader

if TYPE_CHECKING:
    from anabranch.store.pool import Connection

Row = dict[str, Any]
HIDDEN = "***"


class ObjectPicture(msgspec.Struct, frozen=True, kw_only=True):
    """`facts` by name; the others are rows of a table each."""

    name: str
    state: str
    facts: dict[str, Any]
    values: list[Row]
    references: list[Row]
    joins: list[Row]
    exports: list[Row]
    history: list[Row]
    errors: list[Row]


async def pictures_of_csos(
    connection: Connection, revision: Revision, type_id: TypeId, identifier: str
) -> list[ObjectPicture]:
    """The objects of a connector space with that anchor or secondary identifier."""
    surroundings = _Surroundings(connection, revision)
    found = [await surroundings.of_cso(cso) for cso in await surroundings.inspection.csos(type_id, identifier)]
    packed = await surroundings.inspection.packed(type_id, identifier)
    return found + [await surroundings.of_packed(one) for one in packed]


async def pictures_of_mvos(
    connection: Connection, revision: Revision, type_id: TypeId, origin_key: str
) -> list[ObjectPicture]:
    """The metaverse objects that an object of that identifier projected; also when only the last part is given."""
    surroundings = _Surroundings(connection, revision)
    found = await surroundings.inspection.mvos(type_id, origin_key)
    return [await surroundings.of_mvo(mvo) for mvo in found]


class _Surroundings:
    def __init__(self, connection: Connection, revision: Revision) -> None:
        self.inspection = Inspection(connection)
        self._reader = PgReader(connection)
        registry, configuration = revision.registry, revision.configuration
        self._type_names = {number: f"{system}/{key}" for (system, key), number in registry.object_types.items()}
        self._mappings = {number: key for key, number in registry.mappings.items()}
        self._cso_attributes: dict[TypeId, Mapping[str, Attribute]] = {}
        for (system, key), number in registry.object_types.items():
            record = configuration.systems[system].object_types.get(key) if system in configuration.systems else None
            self._cso_attributes[number] = record.attributes if record else {}
        self._mvo_attributes: dict[TypeId, Mapping[str, Attribute]] = {
            number: configuration.metaverse[key].attributes if key in configuration.metaverse else {}
            for key, number in registry.metaverse_types.items()
        }

    async def of_cso(self, cso: Cso) -> ObjectPicture:
        refs = await self._reader.cso_refs([cso.id])
        targets = [ref.target_cso_id for ref in refs if ref.target_cso_id is not None]
        names = await self.inspection.cso_names([cso.id, *targets])
        mvo_names = await self.inspection.mvo_names([cso.mvo_id] if cso.mvo_id is not None else [])
        attributes = self._cso_attributes.get(cso.type_id, {})
        joins: list[Row] = []
        if cso.mvo_id is not None:
            joins.append(
                {"object": f"mv/{mvo_names.get(cso.mvo_id)}", "join": cso.join_type.value, "rule": cso.join_rule}
            )
        return ObjectPicture(
            name=names.get(cso.id, str(cso.id)),
            state=cso.state.value,
            facts={"secondary": cso.secondary, "partition": cso.partition or None, "due": _due(cso)},
            values=[{"attribute": name, "value": _shown(attributes, name, cso.doc[name])} for name in sorted(cso.doc)],
            references=[
                {
                    "attribute": ref.attr,
                    "identifier": ref.raw,
                    "leads_to": names.get(ref.target_cso_id or 0, "nothing yet"),
                }
                for ref in refs
            ],
            joins=joins,
            exports=await self._exports([cso], names),
            history=await self._history([("cso", cso.id, attributes)]),
            errors=await self._errors([("cso", cso.id)]),
        )

    async def of_packed(self, one: PackedObject) -> ObjectPicture:
        mvo_names = await self.inspection.mvo_names([one.mvo])
        join = {"object": f"mv/{mvo_names.get(one.mvo)}", "join": JoinType.PROVISIONED.value, "rule": one.rule}
        return ObjectPicture(
            name=self._packed_name(one),
            state=CsoState.PENDING_PROVISIONING.value,
            facts={"secondary": None, "partition": None, "due": None},
            values=[],
            references=[],
            joins=[join],
            exports=[self._packed_export(one)],
            history=await self._history([("cso", one.cso, self._cso_attributes.get(one.type_id, {}))]),
            errors=await self._errors([("cso", one.cso)]),
        )

    def _packed_name(self, one: PackedObject) -> str:
        return f"{self._type_names.get(one.type_id, one.type_id)}/anchor={one.anchor}"

    def _packed_export(self, one: PackedObject) -> Row:
        attributes = self._cso_attributes.get(one.type_id, {})
        changes = [
            f"{RowOp.SET.value} {name}={_shown(attributes, name, one.sets[name])} ({RowState.STAGED.value})"
            for name in sorted(one.sets)
        ]
        return {
            "object": self._packed_name(one),
            "kind": ExportKind.CREATE.value,
            "state": ExportState.READY.value,
            "changes": changes,
            "failure": None,
        }

    async def of_mvo(self, mvo: Mvo) -> ObjectPicture:
        links = await self._reader.links([mvo.id])
        packed = await self.inspection.packed_for(mvo)
        refs = await self._reader.mvo_refs([mvo.id])
        names = await self.inspection.mvo_names([mvo.id, *(ref.target_mvo_id for ref in refs)])
        cso_names = await self.inspection.cso_names([link.id for link in links])
        attributes = self._mvo_attributes.get(mvo.type_id, {})
        return ObjectPicture(
            name=f"mv/{names.get(mvo.id, mvo.origin_key)}",
            state=mvo.state.value,
            facts={"delete_after": mvo.delete_after, "outbound_due": mvo.outbound_due},
            values=[
                {
                    "attribute": name,
                    "value": _shown(attributes, name, mvo.doc[name]),
                    **self._provenance(mvo.provenance.get(name)),
                }
                for name in sorted(mvo.doc)
            ],
            references=[
                {
                    "attribute": ref.attr,
                    "identifier": ref.raw,
                    "leads_to": f"mv/{names.get(ref.target_mvo_id)}",
                    "from": self._mappings.get(ref.mapping_id),
                }
                for ref in refs
            ],
            joins=[
                {
                    "object": cso_names.get(link.id),
                    "state": link.state.value,
                    "join": link.join_type.value,
                    "rule": link.join_rule,
                }
                for link in links
            ]
            + [
                {
                    "object": self._packed_name(one),
                    "state": CsoState.PENDING_PROVISIONING.value,
                    "join": JoinType.PROVISIONED.value,
                    "rule": one.rule,
                }
                for one in packed
            ],
            exports=await self._exports(links, cso_names) + [self._packed_export(one) for one in packed],
            history=await self._history(
                [("mvo", mvo.id, attributes)]
                + [("cso", link.id, self._cso_attributes.get(link.type_id, {})) for link in links]
            ),
            errors=await self._errors([("mvo", mvo.id), *(("cso", link.id) for link in links)]),
        )

    def _provenance(self, origin: list[Any] | None) -> Row:
        if not origin:
            return {}
        kept = " (kept)" if len(origin) > 2 and origin[2] else ""
        return {"from": f"{self._mappings.get(origin[0], origin[0])}{kept}", "run": origin[1]}

    async def _exports(self, csos: Iterable[Cso], names: Mapping[int, str]) -> list[Row]:
        by_id = {cso.id: cso for cso in csos}
        found = await self._reader.exports_of(list(by_id))
        targets = [row.target_mvo_id for export in found for row in export.rows if row.target_mvo_id is not None]
        mvo_names = await self.inspection.mvo_names(targets)
        return [
            {
                "object": names.get(export.cso_id),
                "kind": export.kind.value,
                "state": export.state.value,
                "changes": [self._change(export, row, mvo_names) for row in export.rows],
                "failure": export.failure,
            }
            for export in found
        ]

    def _change(self, export: PendingExport, row: PendingRow, names: Mapping[int, str]) -> str:
        if row.target_mvo_id is not None or row.raw:
            value: Any = row.raw or f"mv/{names.get(row.target_mvo_id or 0)}"
        else:
            value = _shown(self._cso_attributes.get(export.type_id, {}), row.attr, row.value)
        said = f"{row.op.value} {row.attr}" + ("" if value is None else f"={value}")
        return f"{said} ({row.state.value})"

    async def _history(self, whom: list[tuple[str, int, Mapping[str, Attribute]]]) -> list[Row]:
        rows: list[Row] = []
        for space, number, attributes in whom:
            rows += [
                {
                    "at": line.at,
                    "run": line.run,
                    "profile": line.profile,
                    "step": line.step,
                    "change": line.item.change,
                    "detail": line.item.detail,
                    "values": [
                        f"{name}: {_shown(attributes, name, old)} -> {_shown(attributes, name, new)}"
                        for name, old, new, _ in line.item.values
                    ],
                }
                for line in await self.inspection.history(space, number)
            ]
        return sorted(rows, key=lambda row: (row["run"], str(row["at"])))

    async def _errors(self, whom: list[tuple[str, int]]) -> list[Row]:
        return [
            msgspec.structs.asdict(error)
            for space, number in whom
            for error in await self.inspection.errors(space, number)
        ]


def _shown(attributes: Mapping[str, Attribute], name: str, value: Any) -> Any:
    attribute = attributes.get(name)
    return HIDDEN if value is not None and attribute is not None and attribute.sensitive else value


def _due(cso: Cso) -> str | None:
    """Why the next sync will look at the object; None when it need not."""
    if cso.failed:
        return "its last evaluation failed"
    if cso.change_seq > cso.synced_seq:
        return "it changed"
    return "its references changed" if cso.refs_due else None
