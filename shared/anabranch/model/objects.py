"""Objects as the engine reads them: connector space, metaverse, references, pending exports.

A record is a picture of committed rows at the moment they were loaded. `change_seq` and `link_version` say which
picture: a decision is only written over the versions it was made from. Documents hold stored forms (JSON-able canonical
values, multi-valued attributes as lists in canonical order) and never references; those are rows of their own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from anabranch.model.enums import CsoState, ExportKind, ExportState, JoinType, MvoState, RowOp, RowState
from anabranch.model.identity import CsoId, ExportId, MvoId, RunId, SystemId, TypeId

Document = dict[str, Any]
"""Attribute name to stored value, or to a list of them where the attribute is multi-valued."""

Contributions = dict[str, dict[str, Any]]
"""Attribute to {mapping id as text: stored value, or None for an asserted null}; only attributes that more than one
mapping can feed (MOD-47)."""

Provenance = dict[str, list[Any]]
"""Attribute to [mapping id, run id]; for a `union` attribute the mapping of the best-ranked contributor. A third
element True marks a kept value that no living contribution gives (SYN-44)."""


class Cso(msgspec.Struct, frozen=True, gc=False):
    """A connector space object with its link to the metaverse; the fields in the order of the view `cso_picture`."""

    id: CsoId
    type_id: TypeId
    system_id: SystemId
    partition: str
    anchor: str | None
    anchor_hash: bytes | None
    secondary: str | None
    secondary_hash: bytes | None
    state: CsoState
    doc: Document
    fingerprint: bytes | None
    change_seq: int
    mvo_id: MvoId | None
    join_type: JoinType
    join_rule: str | None
    link_version: int
    synced_seq: int
    rule_stamp: int
    config_version: int
    contributions: Contributions | None
    refs_due: bool
    failed: bool
    released: bool


class Mvo(msgspec.Struct, frozen=True, gc=False):
    """A metaverse object; the fields in the order of the view `mvo_picture`. `deletion` is the snapshot taken when its
    deletion rule fired (SYN-55)."""

    id: MvoId
    type_id: TypeId
    origin_key: str
    state: MvoState
    delete_after: datetime | None
    deletion: dict[str, Any] | None
    doc: Document
    provenance: Provenance
    evaluated: bool
    outbound_due: bool
    outbound_stamp: int
    outbound_version: int
    change_seq: int


class ServedMvo(msgspec.Struct, frozen=True, gc=False):
    """A metaverse object as its targets see it."""

    id: MvoId
    type_id: TypeId
    origin_key: str
    state: MvoState
    delete_after: datetime | None
    doc: Document
    change_seq: int


class Connector(msgspec.Struct, frozen=True, gc=False):
    """That an MVO has a CSO in a system, without what is in it."""

    cso_id: CsoId
    mvo_id: MvoId
    type_id: TypeId
    system_id: SystemId
    state: CsoState


class CsoRef(msgspec.Struct, frozen=True, gc=False):
    """One reference value of a CSO: the raw identifier, and what it leads to once resolved."""

    cso_id: CsoId
    attr: str
    raw: str
    target_cso_id: CsoId | None
    target_mvo_id: MvoId | None
    """The MVO the target CSO is joined to at the time of loading."""


class RawRef(msgspec.Struct, frozen=True, gc=False):
    """The raw identifier of one reference value, which is all that an expression sees of it."""

    cso_id: CsoId
    attr: str
    raw: str


class MvoRef(msgspec.Struct, frozen=True, gc=False):
    """One reference value of an MVO, with the CSO and mapping that contribute it and the identifier it came from."""

    mvo_id: MvoId
    attr: str
    target_mvo_id: MvoId
    contributor: CsoId
    mapping_id: int
    raw: str


class PendingRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One value-level change. References name an MVO in `target_mvo_id`; a removal also the raw identifier."""

    attr: str
    op: RowOp
    value: Any = None
    state: RowState = RowState.STAGED
    refuted: int = 0
    target_mvo_id: MvoId | None = None
    raw: str = ""


class PendingExport(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The changes waiting to reach one CSO's target object. `rows` hold plain and reference rows alike."""

    id: ExportId
    cso_id: CsoId
    type_id: TypeId
    system_id: SystemId
    mvo_id: MvoId | None
    kind: ExportKind
    state: ExportState
    rows: tuple[PendingRow, ...]
    rule: str
    staged_run: RunId
    config_version: int
    staged_now: datetime
    seen_seq: int
    sent_seq: int | None = None
    waiting: bool = False
    """Everything unsent in it refers to objects the target does not have yet (EXP-17); it costs a run nothing."""
    attempts: int = 0
    not_before: datetime | None = None
    failure: str | None = None
    version: int = 0
    sets: Document | None = None
    """Of a new one: what it sets, single value by single value, in place of rows that say the same. Never read back."""

    def all_rows(self) -> tuple[PendingRow, ...]:
        """Its rows, also of one that is given by what it sets."""
        return self.rows if self.sets is None else tuple([PendingRow(k, RowOp.SET, v) for k, v in self.sets.items()])


class TargetPicture(msgspec.Struct, frozen=True, gc=False):
    """One object of a target and what waits for it, as far as a file is written from it. `known`: the target has it.
    Rows that name an MVO are missing where they were not asked for.

    Where what waits are single values that were never sent, as for most creates, they stand in `sets`, in order of
    their rows, and `rows` holds only those that name an MVO.
    """

    id: CsoId
    type_id: TypeId
    anchor: str | None
    known: bool
    secondary: str | None
    state: CsoState
    doc: Document
    export: ExportId | None = None
    version: int = 0
    kind: ExportKind = ExportKind.UPDATE
    rows: tuple[PendingRow, ...] = ()
    sets: Document | None = None
    packed_for: MvoId | None = None
    """Of one that stands in a pack: its MVO."""


class SentPicture(msgspec.Struct, frozen=True, gc=False):
    """A pending export and its object, as far as is needed to record that it was carried out. `rows` are the plain
    ones, or `sets` in their place as in `TargetPicture`; `naming` are those that name an MVO."""

    export: ExportId
    version: int
    kind: ExportKind
    rows: tuple[PendingRow, ...]
    sets: Document | None
    naming: tuple[PendingRow, ...]
    id: CsoId
    type_id: TypeId
    system_id: SystemId
    mvo_id: MvoId | None
    state: CsoState
    partition: str
    anchor: str | None
    anchor_hash: bytes | None
    secondary: str | None
    secondary_hash: bytes | None
    doc: Document
    change_seq: int
    link_version: int


class StagedRow(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """One new or changed object of an import, waiting to be settled. `kept` names attributes that keep their stored
    value because the one read could not be used (IMP-12); `change` is `complete`, `partial` or `delete`."""

    id: int
    type_id: TypeId
    partition: str
    page: int
    place: str
    anchor: str
    anchor_hash: bytes
    secondary: str | None
    secondary_hash: bytes | None
    change: str
    doc: Document
    refs: dict[str, list[str]] | None
    kept: tuple[str, ...]
    fingerprint: bytes | None
    seq_before_read: int


class SourceDigests(msgspec.Struct, frozen=True):
    """What some CSOs were read from: `packed` has 32 bytes for each whose fingerprint has a second half, that half and
    the anchor hash; `objects` is how many CSOs were looked at, and `latest` the greatest change_seq among them."""

    packed: bytes
    objects: int
    latest: int


class KeyHit(msgspec.Struct, frozen=True):
    """An object that holds a key: `object_id` an MVO (match keys) or a CSO (with the MVO it is joined to)."""

    key_hash: bytes
    key: str
    object_id: int
    mvo_id: MvoId | None = None


class Reservation(msgspec.Struct, frozen=True):
    """A drawn value and who holds it; a released one stays taken until `free_after`."""

    name: str
    value_hash: bytes
    value: str
    mvo_id: MvoId | None
    free_after: datetime | None = None


class Proposal(msgspec.Struct, frozen=True):
    """What one object would do, kept until the complete set is known and settled in canonical order."""

    kind: str
    object_id: int
    order_key: str
    body: dict[str, Any]
    n: int | None = None


class GuardOp(msgspec.Struct, frozen=True):
    """One operation a guard judges: `op` says what would be done to `object_id`."""

    point: str
    type_id: TypeId
    object_id: int
    op: str
    reason: str = ""
    verdict: str = "listed"
