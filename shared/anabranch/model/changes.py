"""What one batch wants written, as a value.

A handler loads, the engine decides, and the decision arrives here as one `Changes`: lists of rows for each table, in
the order in which the store writes them. Nothing in it is written unless all of it is, in the transaction that also
ends the batch. `expect_*` carry the versions the decision was made from; the store locks these rows in id order first
and tells which have moved, and those are loaded and decided again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from anabranch.model.enums import CsoState, JoinType, MvoState
from anabranch.model.identity import CsoId, ExportId, MvoId, PackId, RunId, SystemId, TypeId
from anabranch.model.objects import (
    Contributions,
    Document,
    GuardOp,
    MvoRef,
    PendingExport,
    Proposal,
    Provenance,
    Reservation,
    StagedRow,
)
from anabranch.model.provisioning import ProvisionPack


class NewCso(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A CSO row that does not exist yet, with its sync row."""

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
    mvo_id: MvoId | None = None
    join_type: JoinType = JoinType.NONE
    join_rule: str | None = None
    refs_due: bool = False
    synced: bool = False
    """Its number is stored as `synced_seq` too, so that the CSO is not due (EXP-28)."""


class CsoWrite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The wide row of an existing CSO as it shall be. `touch` draws a new `change_seq`; without it the number stays
    (an export's own echo, or a fingerprint that is merely remembered)."""

    id: CsoId
    partition: str
    anchor: str | None
    anchor_hash: bytes | None
    secondary: str | None
    secondary_hash: bytes | None
    state: CsoState
    doc: Document
    fingerprint: bytes | None
    touch: bool = True
    synced: bool = False
    """With `touch`: store the new number as `synced_seq` too, so that the CSO is not due (EXP-28)."""


class CsoLink(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The narrow sync row of an existing CSO as it shall be; `link_version` grows by one."""

    cso_id: CsoId
    mvo_id: MvoId | None
    join_type: JoinType
    join_rule: str | None
    synced_seq: int
    rule_stamp: int
    config_version: int
    turns_at: datetime | None
    contributions: Contributions | None
    refs_due: bool
    failed: bool
    released: bool
    settled_in: RunId | None = None
    """The run whose settling of matches evaluates it; its flow leaves it out. None: as it is."""


class RefChange(msgspec.Struct, frozen=True, gc=False):
    """References of one CSO attribute to add (raw, hash by anchor rule, hash by secondary rule) and to take away."""

    cso_id: CsoId
    type_id: TypeId
    attr: str
    add: tuple[tuple[str, bytes, bytes], ...]
    remove: tuple[str, ...]
    targets: tuple[tuple[str, CsoId], ...] = ()
    """Added raw identifiers whose target is known already, as after an export that wrote them."""


class KeyChange(msgspec.Struct, frozen=True, gc=False):
    """Look-up keys of one object attribute to add and to take away, as (hash, key)."""

    type_id: TypeId
    attr: str
    object_id: int
    add: tuple[tuple[bytes, str], ...]
    remove: tuple[tuple[bytes, str], ...]


class NewMvo(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    id: MvoId
    type_id: TypeId
    origin_key: str
    doc: Document = {}
    provenance: Provenance = {}
    evaluated: bool = False
    outbound_due: bool = False
    outbound_stamp: int = 0
    outbound_version: int = 0


class MvoMark(msgspec.Struct, frozen=True, gc=False):
    """An existing MVO's marks of its outbound evaluation; its own values stay. `touch` draws a new `change_seq`: it
    refers to others than before."""

    id: MvoId
    outbound_due: bool
    outbound_stamp: int
    outbound_version: int
    outbound_turns_at: datetime | None = None
    touch: bool = False


class MvoWrite(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An existing MVO as it shall be. `touch` draws a new `change_seq` (a value changed); provenance alone does not."""

    id: MvoId
    state: MvoState
    delete_after: datetime | None
    deletion: dict[str, Any] | None
    doc: Document
    provenance: Provenance
    evaluated: bool
    outbound_due: bool
    outbound_stamp: int
    outbound_version: int
    outbound_turns_at: datetime | None = None
    touch: bool = True
    parted_in: RunId | None = None
    """The run that has just taken an object of a source from it; None leaves what stands, and so does another run's
    whose system may still give it an object back."""


class Item(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The result of one step for one object: the kind of `change`, `values` (attribute, old, new, mapping id).

    Where values came to be that no mapping is named for, `came` may hold them by attribute instead: they are read back
    as the first of the `values`."""

    object_id: int
    key: str
    change: str
    values: tuple[tuple[str, Any, Any, int | None], ...] = ()
    detail: str = ""
    came: dict[str, Any] | None = None

    def spelled_out(self) -> Item:
        """The same with everything in `values`."""
        if self.came is None:
            return self
        values = tuple((name, None, value, None) for name, value in self.came.items())
        return Item(self.object_id, self.key, self.change, self.values + values, self.detail)


class ErrorItem(msgspec.Struct, frozen=True, kw_only=True):
    """An error or warning about one object, kept as a row of its own. `space` is cso, mvo, export or source."""

    space: str
    kind: str
    key: str
    message: str
    severity: str = "error"
    type_id: TypeId | None = None
    object_id: int | None = None
    rule: str | None = None
    count: int = 1


class SeenHashes(msgspec.Struct, frozen=True):
    """The sorted 16-byte anchor hashes one page held of one object type, joined to one text of bytes."""

    partition: str
    page: int
    type_id: TypeId
    hashes: bytes


class ProposalPack(msgspec.Struct, frozen=True):
    """What one batch proposes to settle: the ids of its objects (8 bytes each, ascending), and for each contest an
    object may be in, the contest's 8-byte hash followed by the object's id. Little-endian.

    The writer of a file leaves one too, of what remains to be recorded; only `export_worker.file_results` reads it.
    """

    kind: str
    objects: bytes
    contests: bytes


class Verdict(msgspec.Struct, frozen=True):
    """An identity an import rejects over its complete set."""

    type_id: TypeId
    anchor_hash: bytes
    kind: str
    message: str


class Changes(msgspec.Struct, kw_only=True):
    """Everything one batch writes besides its own row. Built by a handler; given away once."""

    expect_csos: dict[CsoId, tuple[int, int]] = msgspec.field(default_factory=dict)
    """CSO id to (change_seq, link_version) as read."""
    expect_mvos: dict[MvoId, int] = msgspec.field(default_factory=dict)
    expect_exports: dict[ExportId, int] = msgspec.field(default_factory=dict)
    """Pending export id to `version` as read."""

    new_csos: list[NewCso] = msgspec.field(default_factory=list)
    csos: list[CsoWrite] = msgspec.field(default_factory=list)
    obsolete_csos: list[CsoId] = msgspec.field(default_factory=list)
    links: list[CsoLink] = msgspec.field(default_factory=list)
    gone_csos: list[CsoId] = msgspec.field(default_factory=list)
    """Removed with link, references, keys and pending export; references to them fall back to their raw identifier."""
    cso_refs: list[RefChange] = msgspec.field(default_factory=list)
    cso_keys: list[KeyChange] = msgspec.field(default_factory=list)
    new_mvos: list[NewMvo] = msgspec.field(default_factory=list)
    mvos: list[MvoWrite] = msgspec.field(default_factory=list)
    mvo_marks: list[MvoMark] = msgspec.field(default_factory=list)
    gone_mvos: list[MvoId] = msgspec.field(default_factory=list)
    """Removed with match keys and references; MVOs that referred to them lose the reference, take a new number and
    become due for outbound evaluation (SYN-61, SYN-62)."""
    joined_csos: list[CsoId] = msgspec.field(default_factory=list)
    """CSOs that joined here: whatever refers to them becomes due for references (SYN-51)."""
    unkeyed: list[tuple[TypeId, str]] = msgspec.field(default_factory=list)
    """Attributes of which all keys go, because nobody keeps them, or because they are to be completed."""
    keyed: list[tuple[TypeId, str]] = msgspec.field(default_factory=list)
    """Attributes of which every object of the type has its keys from now on."""
    match_keys: list[KeyChange] = msgspec.field(default_factory=list)
    add_mvo_refs: list[MvoRef] = msgspec.field(default_factory=list)
    remove_mvo_refs: list[tuple[MvoId, str, MvoId]] = msgspec.field(default_factory=list)
    reservations: list[Reservation] = msgspec.field(default_factory=list)
    release_reservations: list[tuple[MvoId, dict[str, datetime]]] = msgspec.field(default_factory=list)
    """MVO and, for each reservation name, the instant from which the value is free again (SYN-68)."""
    exports: list[PendingExport] = msgspec.field(default_factory=list)
    """Pending exports as they shall be, new or existing (by id); `version` grows by one."""
    gone_exports: list[ExportId] = msgspec.field(default_factory=list)
    sent_exports: list[ExportId] = msgspec.field(default_factory=list)
    """Pending exports of which every row has been sent for the first time, and nothing else changes."""
    sent_seq: int = 0
    """What their `sent_seq` becomes: the number that every later change exceeds."""
    provision_packs: list[ProvisionPack] = msgspec.field(default_factory=list)
    """New ones."""
    gone_packs: list[PackId] = msgspec.field(default_factory=list)
    """Packs whose objects were created in their target, and are written here. One that is gone already has moved."""
    unpacked: list[PackId] = msgspec.field(default_factory=list)
    """Packs whose objects and creates are written one by one here, as they stand. An export that has counted such a
    pack goes on with its creates. One that is gone already has moved."""
    arrived: list[tuple[SystemId, MvoId]] = msgspec.field(default_factory=list)
    """MVOs that have an object in a target system now: exports that waited for it are executable at once (EXP-18)."""

    discard_partitions: list[str] = msgspec.field(default_factory=list)
    """Partitions whose staged rows and seen hashes of this run go first: their read began anew (IMP-3)."""
    import_rows: list[StagedRow] = msgspec.field(default_factory=list)
    import_seen: list[SeenHashes] = msgspec.field(default_factory=list)
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
    proposals: list[Proposal] = msgspec.field(default_factory=list)
    proposal_packs: list[ProposalPack] = msgspec.field(default_factory=list)
    guard_ops: list[GuardOp] = msgspec.field(default_factory=list)

    items: dict[str, list[Item]] = msgspec.field(default_factory=dict)
    """By space: cso, mvo, export."""
    errors: list[ErrorItem] = msgspec.field(default_factory=list)
    counters: dict[str, int] = msgspec.field(default_factory=dict)

    def count(self, name: str, n: int = 1) -> None:
        """Add to one of the batch's counters, which add up to the run's totals (AUD-4)."""
        if n:
            self.counters[name] = self.counters.get(name, 0) + n

    def item(self, space: str, item: Item) -> None:
        """Remember one object's result."""
        self.items.setdefault(space, []).append(item)
