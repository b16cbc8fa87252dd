"""What is asked of persistence about packs of provisioned objects: a part of `Reader`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from anabranch.model.identity import PackId, RunId, SystemId, TypeId
from anabranch.model.provisioning import PackLine, ProvisionPack


class PackReader(Protocol):
    """Loads packs. What does not exist is simply not among the results."""

    async def packs_of_types(self, mvo_types: Sequence[TypeId]) -> list[PackLine]:
        """The packs of what MVOs of these types were provisioned with, by id."""

    async def packs_of_system(self, system: SystemId) -> list[PackLine]:
        """The packs of a target system, by id."""

    async def counted_packs(self, system: SystemId, run: RunId) -> list[PackLine]:
        """The packs that an export run counted and nobody has held back or taken apart since, by least anchor and
        id."""

    async def is_awaited_within_turn(self, run: RunId) -> bool:
        """Whether a sync or housekeeping run other than this one is past its `unpack` and not over. Under the turn that
        is one that was held and goes on where it stopped: it would not see what is packed meanwhile."""

    async def provision_packs(self, ids: Sequence[PackId]) -> list[ProvisionPack]:
        """By id."""
