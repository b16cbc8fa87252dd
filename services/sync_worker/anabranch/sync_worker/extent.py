"""What a sync run concerns: the due objects of its system, and the context its expressions see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from anabranch.engine.compiled import InboundType
from anabranch.engine.expressions import EvalContext, NeedsDraw
from anabranch.model.changes import CsoLink, MvoWrite
from anabranch.model.enums import JoinType, RunKind
from anabranch.model.identity import CsoId, RunId, TypeId
from anabranch.model.objects import Contributions, Cso, CsoRef, Document, Mvo, RawRef
from anabranch.protocol.turns import turn_types
from anabranch.runtime.loading import raw_refs_by_cso
from anabranch.runtime.work import Task, system_id
from anabranch.store.port import Due, Reader


def due(
    task: Task,
    what: str,
    types: Iterable[TypeId] | None = None,
    *,
    everything: bool = False,
    apart_from_settled: bool = False,
) -> Due:
    """What a step of this run concerns; `types` narrows it to some object types, `everything` takes in those that are
    not due by themselves, `apart_from_settled` leaves out what this run's settling of matches has evaluated."""
    stamps = task.compiled.revision.inbound_stamps
    selected = task.compiled.types_of(system_id(task)) if types is None else list(types)
    return Due(
        system=system_id(task),
        what=what,
        stamps={type_id: stamps.get(type_id, 0) for type_id in selected if type_id in task.compiled.inbound},
        config_version=task.claimed.config_version,
        now=task.claimed.now,
        max_seq=task.claimed.start_seq,
        everything=everything or task.claimed.kind is RunKind.FULL_SYNC,
        not_settled_in=task.claimed.run if apart_from_settled else None,
    )


def context(
    task: Task,
    held: Callable[[str], str | None] | None = None,
    draw: Callable[[str, Sequence[str]], str] | None = None,
) -> EvalContext:
    """What an expression sees besides its inputs: the run's pinned instant, the draws (MOD-44)."""
    return EvalContext(now=task.claimed.now, held=held or nothing_drawn, draw=draw)


def nothing_drawn(name: str) -> str | None:
    """Outside `flow` and `reserve` nothing is drawn; an expression that wants it has no value yet."""
    raise NeedsDraw(name, ())


def inbound_types(task: Task) -> list[InboundType]:
    """The inbound side of every selected object type of the run's system."""
    return [
        task.compiled.inbound[one] for one in task.compiled.types_of(system_id(task)) if one in task.compiled.inbound
    ]


async def read_refs(task: Task, reader: Reader, csos: Sequence[Cso]) -> dict[CsoId, list[RawRef]]:
    """The raw identifiers that expressions read of these objects, by object."""
    inbounds = {cso.type_id: task.compiled.inbound[cso.type_id] for cso in csos}
    attrs = {attr for inbound in inbounds.values() for attr in inbound.reads_refs}
    reading = [cso.id for cso in csos if inbounds[cso.type_id].reads_refs] if attrs else []
    return await raw_refs_by_cso(reader, reading, attrs) if reading else {}


def with_refs(inbound: InboundType, cso: Cso, refs: Iterable[RawRef | CsoRef]) -> Document:
    """The document as expressions see it: raw identifiers beside the values where some expression reads them."""
    if not inbound.reads_refs:
        return cso.doc
    doc: dict[str, Any] = dict(cso.doc)
    for ref in refs:
        if ref.attr not in inbound.reads_refs:
            continue
        if inbound.record.attributes[ref.attr].multi_valued:
            doc.setdefault(ref.attr, []).append(ref.raw)
        else:
            doc[ref.attr] = ref.raw
    return {
        name: sorted(value) if isinstance(value, list) and name not in cso.doc else value for name, value in doc.items()
    }


def relinked(cso: Cso, **fields: Any) -> CsoLink:
    """The CSO's sync row with some fields changed."""
    as_it_is: dict[str, Any] = {
        "cso_id": cso.id,
        "mvo_id": cso.mvo_id,
        "join_type": cso.join_type,
        "join_rule": cso.join_rule,
        "synced_seq": cso.synced_seq,
        "rule_stamp": cso.rule_stamp,
        "config_version": cso.config_version,
        "turns_at": None,
        "contributions": cso.contributions,
        "refs_due": cso.refs_due,
        "failed": cso.failed,
        "released": cso.released,
    }
    as_it_is.update(fields)
    return CsoLink(**as_it_is)


def rewritten(mvo: Mvo, **fields: Any) -> MvoWrite:
    """The MVO with some fields changed; owed an outbound evaluation unless the fields say otherwise."""
    as_it_is = MvoWrite(
        id=mvo.id,
        state=mvo.state,
        delete_after=mvo.delete_after,
        deletion=mvo.deletion,
        doc=mvo.doc,
        provenance=mvo.provenance,
        evaluated=mvo.evaluated,
        outbound_due=True,
        outbound_stamp=mvo.outbound_stamp,
        outbound_version=mvo.outbound_version,
    )
    return replace(as_it_is, **fields)


def is_settled(task: Task, cso: Cso) -> bool:
    """True when the CSO's sync row already says that it was evaluated as it is, under these rules, and did not fail."""
    stamp = task.compiled.revision.inbound_stamps.get(cso.type_id, 0)
    return not cso.failed and (cso.synced_seq, cso.rule_stamp) == (cso.change_seq, stamp) and cso.config_version > 0


def unjoined(cso: Cso, *, released: bool = False) -> CsoLink:
    """The CSO's sync row after its join has ended; it is due again, to match anew (SYN-24)."""
    return relinked(
        cso,
        mvo_id=None,
        join_type=JoinType.NONE,
        join_rule=None,
        contributions=None,
        refs_due=False,
        synced_seq=0,
        released=released,
    )


def evaluated(
    task: Task,
    cso: Cso,
    *,
    contributions: Contributions | msgspec.UnsetType | None = msgspec.UNSET,
    refs_due: bool | None = None,
    failed: bool = False,
    settled_in: RunId | None = None,
) -> CsoLink:
    """The CSO's sync row after its evaluation is complete: the number that was read is consumed (SYN-5). What is not
    given stays as it is."""
    return CsoLink(
        cso_id=cso.id,
        mvo_id=cso.mvo_id,
        join_type=cso.join_type,
        join_rule=cso.join_rule,
        synced_seq=cso.change_seq,
        rule_stamp=task.compiled.revision.inbound_stamps.get(cso.type_id, 0),
        config_version=task.claimed.config_version,
        turns_at=None,
        contributions=cso.contributions if contributions is msgspec.UNSET else contributions,
        refs_due=cso.refs_due if refs_due is None else refs_due,
        failed=failed,
        released=cso.released,
        settled_in=settled_in,
    )


def outbound_stamps(task: Task) -> dict[TypeId, int]:
    """The stamps of what may be held against its targets in this run: the metaverse types of which it has the turn. Of
    another type somebody else may be at work, and an object half done would be taken for what it wants."""
    mine = types_in_turn(task)
    return {one: stamp for one, stamp in task.compiled.revision.outbound_stamps.items() if one in mine}


def types_in_turn(task: Task) -> frozenset[TypeId]:
    """The metaverse types of which the run has the turn."""
    system = task.compiled.system_of(task.claimed).key if task.claimed.system is not None else None
    return frozenset(turn_types(task.compiled.revision, task.claimed.kind, system))
