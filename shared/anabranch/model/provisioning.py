"""New objects of a target that are about to be created there, many at a time.

A first load provisions an account for everybody. Each of them is an object nobody has looked at yet and a create that
nobody has tried: nothing about it differs from its neighbours but its values. So they are kept in packs until their
target has them, or until somebody has to look at one of them by itself.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from anabranch.model.identity import CsoId, ExportId, MvoId, PackId, RunId, SystemId, TypeId
from anabranch.model.objects import Document


class Provisioned(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One object of a pack: a CSO in `pending_provisioning` and its pending create, which sets single values alone.
    `seen_seq` is the number of the MVO it was made from."""

    cso: CsoId
    export: ExportId
    mvo: MvoId
    seen_seq: int
    anchor: str
    sets: Document


class ProvisionPack(msgspec.Struct, frozen=True, kw_only=True):
    """Objects of one type of a target, in order of anchor ("C" order); what they have in common is said once. `id` is 0
    while it is not stored."""

    id: PackId = PackId(0)
    system_id: SystemId
    type_id: TypeId
    mvo_type_id: TypeId
    rule: str
    staged_run: RunId
    config_version: int
    staged_now: datetime
    objects: tuple[Provisioned, ...]


class PackLine(msgspec.Struct, frozen=True):
    """A stored pack without its objects: how many there are, the least anchor and the greatest."""

    id: PackId
    type_id: TypeId
    config_version: int
    objects: int
    lo_anchor: str
    hi_anchor: str
