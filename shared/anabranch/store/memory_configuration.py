"""Applied configurations in one process: numbered for ever, and so are the names they use."""

from __future__ import annotations

from typing import Any

import msgspec

from anabranch.config.document import digest
from anabranch.config.stamps import Stamps
from anabranch.model.configuration import Configuration
from anabranch.model.enums import ChangeClass
from anabranch.model.errors import Permanent
from anabranch.model.identity import SystemId, TypeId
from anabranch.model.registry import Registry, Revision
from anabranch.store.memory_tables import SystemRow
from anabranch.store.memory_unit import Keeping


class Applied(msgspec.Struct, frozen=True):
    """One revision as it was applied; stamps by number."""

    configuration: Configuration
    digest: str
    inbound: dict[TypeId, int]
    outbound: dict[TypeId, int]
    change_class: ChangeClass
    difference: Any
    author: str
    reason: str


class Configurations(Keeping):
    """Revisions and the numbers of names."""

    _applied: list[Applied]
    _types: dict[tuple[str | None, str], TypeId]
    _mappings: dict[str, int]

    async def apply_configuration(
        self,
        configuration: Configuration,
        stamps: Stamps,
        *,
        change_class: ChangeClass,
        difference: Any,
        author: str,
        reason: str = "",
    ) -> int:
        content = digest(configuration)
        if self._applied and self._applied[-1].digest == content:
            return len(self._applied)
        self._number_names(configuration)
        self._applied.append(
            Applied(
                configuration,
                content,
                {self._types[names]: stamp for names, stamp in stamps.inbound.items()},
                {self._types[None, name]: stamp for name, stamp in stamps.outbound.items()},
                change_class,
                difference,
                author,
                reason,
            )
        )
        self._forget_partings(configuration)
        return len(self._applied)

    def _forget_partings(self, configuration: Configuration) -> None:
        """Systems that are not declared any more will give nothing back: nobody waits for them."""
        gone = {number for number, row in self.tables.systems.items() if row.key not in configuration.systems}
        runs = {run.id for run in self.tables.runs.values() if run.system in gone}
        for mvo_id in [one for one, run in self.tables.mvo_parted.items() if run in runs]:
            self.tables.mvo_parted.remove(mvo_id)

    def _number_names(self, configuration: Configuration) -> None:
        known = {row.key: number for number, row in self.tables.systems.items()}
        for system in configuration.systems.values():
            number = known.get(system.key) or SystemId(self.sequences.next_row("system"))
            self.tables.systems.put(number, SystemRow(system.key, max_parallel_exports=system.max_parallel_exports))
        types: list[tuple[str | None, str]] = [
            (system.key, key) for system in configuration.systems.values() for key in system.object_types
        ]
        for names in [*types, *((None, key) for key in configuration.metaverse)]:
            if names not in self._types:
                self._types[names] = TypeId(self.sequences.next_row("object_type"))
        for rule in configuration.rules.values():
            for mapping in rule.mappings:
                if (key := f"{rule.key}/{mapping}") not in self._mappings:
                    self._mappings[key] = self.sequences.next_row("mapping")

    async def revision(self, version: int | None = None) -> Revision:
        return self.revision_of(version)

    def revision_of(self, version: int | None) -> Revision:
        """One applied configuration with the numbers of its names. Raises Permanent when there is none."""
        number = len(self._applied) if version is None else version
        if not 1 <= number <= len(self._applied):
            raise Permanent(
                "no configuration has been applied yet; apply one first"
                if version is None
                else f"there is no configuration {version}; list the history to see their numbers"
            )
        applied = self._applied[number - 1]
        return Revision(
            version=number,
            configuration=applied.configuration,
            registry=self._registry(),
            inbound_stamps=applied.inbound,
            outbound_stamps=applied.outbound,
        )

    def _registry(self) -> Registry:
        return Registry(
            systems={row.key: number for number, row in self.tables.systems.items()},
            object_types={(system, key): one for (system, key), one in self._types.items() if system is not None},
            metaverse_types={key: one for (system, key), one in self._types.items() if system is None},
            mappings=dict(self._mappings),
        )

    def type_names(self, type_id: TypeId) -> tuple[str | None, str]:
        """The system (None for a metaverse type) and the key of an object type."""
        return next(names for names, number in self._types.items() if number == type_id)
