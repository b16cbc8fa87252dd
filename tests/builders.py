"""The smallest valid records, for tests that care about one or two of their fields.

Every builder takes any field by name and fills in the rest. Hashes follow from what they are hashes of, so that two
records built from one anchor meet each other.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec

from anabranch.model.changes import Changes, CsoLink, CsoWrite, KeyChange, MvoWrite, NewCso, NewMvo, RefChange
from anabranch.model.configuration import Attribute
from anabranch.model.enums import (
    CsoState,
    ExportKind,
    ExportState,
    JoinType,
    MvoState,
    RowOp,
    RunKind,
    ValueType,
    WorkerKind,
)
from anabranch.model.fleet import Claimed
from anabranch.model.identity import (
    BatchId,
    ClaimId,
    CsoId,
    ExecutionId,
    ExportId,
    MvoId,
    RunId,
    SystemId,
    TypeId,
    WorkerId,
)
from anabranch.model.objects import Cso, Mvo, MvoRef, PendingExport, PendingRow, StagedRow

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HR = SystemId(1)
PERSON = TypeId(1)
PERSON_MVO = TypeId(9)
RUN = RunId(1)


def an_attribute(name: str = "name", **fields: Any) -> Attribute:
    return Attribute(**({"name": name, "type": ValueType.TEXT} | fields))


def id_hash(text: str) -> bytes:
    """16 bytes that stand for an anchor or a secondary id."""
    return blake2b(text.encode(), digest_size=16).digest()


def a_key_hash(text: str) -> bytes:
    """8 bytes that stand for a look-up key."""
    return blake2b(text.encode(), digest_size=8).digest()


def _identity(fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("anchor", "secondary"):
        value = fields.setdefault(name, None)
        fields.setdefault(f"{name}_hash", None if value is None else id_hash(value))
    return fields


def _object(number: int, fields: dict[str, Any]) -> dict[str, Any]:
    defaults: dict[str, Any] = {
        "id": CsoId(number),
        "partition": "",
        "anchor": f"a{number}",
        "state": CsoState.NORMAL,
        "doc": {"id": f"a{number}"},
        "fingerprint": None,
    }
    return _identity(defaults | fields)


def a_new_cso(number: int = 1, **fields: Any) -> NewCso:
    return NewCso(**_object(number, {"type_id": PERSON, "system_id": HR} | fields))


def a_cso(number: int = 1, **fields: Any) -> Cso:
    """As loaded after an import: due, joined to nothing."""
    loaded: dict[str, Any] = {
        "type_id": PERSON,
        "system_id": HR,
        "change_seq": number,
        "mvo_id": None,
        "join_type": JoinType.NONE,
        "join_rule": None,
        "link_version": 0,
        "synced_seq": 0,
        "rule_stamp": 0,
        "config_version": 0,
        "contributions": None,
        "refs_due": False,
        "failed": False,
        "released": False,
    }
    return Cso(**_object(number, loaded | fields))


def a_cso_write(number: int = 1, **fields: Any) -> CsoWrite:
    return CsoWrite(**_object(number, fields))


def a_link(cso: int = 1, mvo: int | None = None, **fields: Any) -> CsoLink:
    """The sync row after an evaluation that read `synced_seq` and found nothing wrong."""
    defaults: dict[str, Any] = {
        "cso_id": CsoId(cso),
        "mvo_id": None if mvo is None else MvoId(mvo),
        "join_type": JoinType.NONE if mvo is None else JoinType.PROJECTED,
        "join_rule": None,
        "synced_seq": 0,
        "rule_stamp": 0,
        "config_version": 1,
        "turns_at": None,
        "contributions": None,
        "refs_due": False,
        "failed": False,
        "released": False,
    }
    return CsoLink(**(defaults | fields))


def a_link_of(cso: Cso, mvo: int | None = None, **fields: Any) -> CsoLink:
    """The sync row that makes a loaded CSO evaluated as it is."""
    return a_link(cso.id, mvo, **({"synced_seq": cso.change_seq} | fields))


def a_new_mvo(number: int = 1, **fields: Any) -> NewMvo:
    defaults: dict[str, Any] = {"id": MvoId(number), "type_id": PERSON_MVO, "origin_key": f"hr/person/a{number}"}
    return NewMvo(**(defaults | fields))


def an_mvo(number: int = 1, **fields: Any) -> Mvo:
    defaults: dict[str, Any] = {
        "id": MvoId(number),
        "type_id": PERSON_MVO,
        "origin_key": f"hr/person/a{number}",
        "state": MvoState.ACTIVE,
        "delete_after": None,
        "deletion": None,
        "doc": {},
        "provenance": {},
        "evaluated": True,
        "outbound_due": False,
        "outbound_stamp": 0,
        "outbound_version": 0,
        "change_seq": number,
    }
    return Mvo(**(defaults | fields))


def an_mvo_write(number: int = 1, **fields: Any) -> MvoWrite:
    defaults: dict[str, Any] = {
        "id": MvoId(number),
        "state": MvoState.ACTIVE,
        "delete_after": None,
        "deletion": None,
        "doc": {},
        "provenance": {},
        "evaluated": True,
        "outbound_due": False,
        "outbound_stamp": 0,
        "outbound_version": 1,
    }
    return MvoWrite(**(defaults | fields))


def a_ref_change(
    cso: int, *raws: str, attr: str = "manager", type_id: int = PERSON, remove: tuple[str, ...] = ()
) -> RefChange:
    """References by identifiers that are an anchor or a secondary id of what they lead to."""
    return RefChange(
        CsoId(cso), TypeId(type_id), attr, tuple((raw, id_hash(raw), id_hash(raw)) for raw in raws), remove
    )


def a_key_change(
    number: int, *keys: str, attr: str = "mail", type_id: int = PERSON_MVO, remove: tuple[str, ...] = ()
) -> KeyChange:
    return KeyChange(
        TypeId(type_id),
        attr,
        number,
        tuple((a_key_hash(key), key) for key in keys),
        tuple((a_key_hash(key), key) for key in remove),
    )


def an_mvo_ref(mvo: int, target: int, **fields: Any) -> MvoRef:
    defaults: dict[str, Any] = {"attr": "manager", "contributor": CsoId(mvo), "mapping_id": 1, "raw": f"a{target}"}
    return MvoRef(mvo_id=MvoId(mvo), target_mvo_id=MvoId(target), **(defaults | fields))


def an_export(number: int = 1, cso: int = 1, **fields: Any) -> PendingExport:
    """An update of one attribute, staged and never sent. `version` 0: not stored yet."""
    defaults: dict[str, Any] = {
        "id": ExportId(number),
        "cso_id": CsoId(cso),
        "type_id": PERSON,
        "system_id": HR,
        "mvo_id": None,
        "kind": ExportKind.UPDATE,
        "state": ExportState.READY,
        "rows": (PendingRow("name", RowOp.SET, "x"),),
        "rule": "rule",
        "staged_run": RUN,
        "config_version": 1,
        "staged_now": NOW,
        "seen_seq": 0,
    }
    return PendingExport(**(defaults | fields))


def a_staged_row(number: int = 1, **fields: Any) -> StagedRow:
    defaults: dict[str, Any] = {
        "id": number,
        "type_id": PERSON,
        "partition": "",
        "page": 1,
        "place": f"line {number}",
        "anchor": f"a{number}",
        "change": "complete",
        "doc": {"id": f"a{number}"},
        "refs": None,
        "kept": (),
        "fingerprint": None,
        "seq_before_read": 0,
    }
    return StagedRow(**_identity(defaults | fields))


def a_claimed(batch: int = 1, **fields: Any) -> Claimed:
    """A batch of a sync run's first step, just taken."""
    defaults: dict[str, Any] = {
        "batch": BatchId(batch),
        "run": RUN,
        "ordinal": 1,
        "step": "assess",
        "role": "work",
        "worker_kind": WorkerKind.SYNC,
        "claim": ClaimId(f"claim-{batch}"),
        "epoch": 1,
        "worker": WorkerId("worker"),
        "system": HR,
        "kind": RunKind.DELTA_SYNC,
        "payload": {},
        "total": 0,
        "cursor": None,
        "counters": {},
        "failures": 0,
        "losses": 0,
        "version": 1,
        "config_version": 1,
        "now": NOW,
        "start_seq": 0,
        "page_size": 1_000,
        "batch_size": 5_000,
        "execution": ExecutionId(1),
        "trace_id": "0" * 31 + "1",
        "span_id": "0" * 15 + "1",
        "step_span_id": "0" * 15 + "2",
        "previous_span_id": None,
        "lease_until": NOW,
    }
    return Claimed(**(defaults | fields))


def expecting(*objects: Cso | Mvo | PendingExport, **lists: Any) -> Changes:
    """Changes decided from these pictures: their versions are expected, the lists are given by name."""
    changes = Changes(**lists)
    for one in objects:
        if isinstance(one, Cso):
            changes.expect_csos[one.id] = (one.change_seq, one.link_version)
        elif isinstance(one, Mvo):
            changes.expect_mvos[one.id] = one.change_seq
        else:
            changes.expect_exports[one.id] = one.version
    return changes


def altered(record: Any, **fields: Any) -> Any:
    """The record with some fields changed."""
    return msgspec.structs.replace(record, **fields)
