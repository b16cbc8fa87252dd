"""The straight way of a newcomer: from a source's object to a metaverse object with everything its targets lack.

In a first load nearly every object is one of hundreds of thousands of which the same is true: one rule projects it,
each attribute has one mapping, nothing fails, nothing is drawn, nothing refers to anything. What all of them have in
common is found out once here, and the rest is done in one go. Wherever an object is special in any way the answer is
None, nothing has been changed, and it takes the general way (`matching`, `flowing`, `newcomers`), which gives the same
to whoever could have gone straight.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from anabranch.engine.compiled import Failure, InboundType
from anabranch.engine.flow import ValueChange, first_entries
from anabranch.engine.keys import first_keys
from anabranch.model.changes import Changes, CsoLink, Item, NewMvo
from anabranch.model.enums import CsoState, JoinType, MvoState
from anabranch.model.identity import CsoId, MvoId
from anabranch.model.objects import Connector, Cso, Document, Provenance, ServedMvo
from anabranch.runtime.work import Task
from anabranch.sync_worker.extent import context
from anabranch.sync_worker.flowing import shown
from anabranch.sync_worker.newcomers import Newcomers

_ABSENT = msgspec.UNSET
_PROJECTED, _NORMAL, _ACTIVE = JoinType.PROJECTED, CsoState.NORMAL, MvoState.ACTIVE  # looked up once


def is_straight(task: Task, inbound: InboundType, project: int) -> bool:
    """Whether an object of the type that this rule projects may go straight at all. Its targets have to be served at
    once."""
    flow = inbound.flows.get(inbound.rules[project].mvo_type)
    if flow is None or len(flow.strata) != 1 or flow.strata[0].rest:
        return False
    return not any(link.draws for link in inbound.links)


class StraightWay:
    """Takes objects of one type that the same rules accept; `project` is the index of the rule that projects them."""

    def __init__(
        self,
        task: Task,
        inbound: InboundType,
        accepted: Sequence[int],
        project: int,
        ids: Iterator[int],
        newcomers: Newcomers,
    ) -> None:
        claimed, compiled = task.claimed, task.compiled
        rule = inbound.rules[project]
        self._task = task
        self._ids = ids
        self._newcomers = newcomers
        self._rule = rule.record.key
        self._mvo_type = rule.mvo_type
        side = compiled.metaverse[rule.mvo_type]
        self._keys = sorted(side.key_attrs)
        self._hidden = side.sensitive
        self._targets = side.targets
        self._prefix = f"{inbound.system.key}/{inbound.record.key}/"
        self._stratum = inbound.flows[rule.mvo_type].strata[0]
        self._first = first_entries(self._stratum, claimed.run)
        self._offers = [_ABSENT] * len(inbound.links)
        self._live = inbound.enabled.intersection(accepted)
        self._seen = context(task)
        nobody = ServedMvo(MvoId(0), rule.mvo_type, "", _ACTIVE, None, {}, 0)
        link = Connector(CsoId(0), MvoId(0), inbound.type_id, inbound.system_id, _NORMAL)
        self._shown = newcomers.context(nobody, link)
        self._referable = inbound.type_id in compiled.referable
        self._taken = 0
        self._stamp = compiled.revision.inbound_stamps.get(inbound.type_id, 0)
        self._outbound_stamp = compiled.revision.outbound_stamps.get(rule.mvo_type, 0)

    def take(self, changes: Changes, cso: Cso, cs: Document) -> MvoId | None:
        """The object is projected, with its values and with what its targets lack; the metaverse object it became, or
        None, and nothing is changed, where that is not as simple."""
        stratum = self._stratum
        offers = self._offers.copy()
        failures: list[Failure] = []
        stratum.function(cs, {}, self._seen, self._live, offers, failures)
        if failures or None in offers:
            return None
        values: list[ValueChange] = [
            (attr, None, value, mapping) for attr, at, mapping in stratum.plain if (value := offers[at]) is not _ABSENT
        ]
        if not values:
            return None
        doc = {attr: value for attr, _, value, _ in values}
        given = self._newcomers.lacking(self._targets, doc, self._shown)
        if given is None:
            return None
        whole = len(values) == len(stratum.plain)
        provenance = self._first if whole else {attr: self._first[attr] for attr in doc}
        mvo_id = MvoId(next(self._ids))
        if given:
            start = self._task.claimed.start_seq  # its own number is drawn when it is written, and is higher than that
            new = ServedMvo(mvo_id, self._mvo_type, self._prefix + (cso.anchor or ""), _ACTIVE, None, doc, start)
            for target, created in given:
                self._newcomers.provision(changes, new, target, created)
        self._write(changes, cso, mvo_id, doc, provenance, values)
        self._taken += 1
        return mvo_id

    def finish(self, changes: Changes) -> None:
        """What all who went straight have counted."""
        for name in ("projected", "selected", "changed", "outbound_evaluated"):
            changes.count(name, self._taken)
        self._taken = 0

    def _write(
        self,
        changes: Changes,
        cso: Cso,
        mvo_id: MvoId,
        doc: Document,
        provenance: Provenance,
        values: list[ValueChange],
    ) -> None:
        claimed, origin = self._task.claimed, self._prefix + (cso.anchor or "")
        changes.expect_csos[cso.id] = (cso.change_seq, cso.link_version)
        if self._referable:
            changes.joined_csos.append(cso.id)
        changes.item("cso", Item(cso.id, cso.anchor or "", _PROJECTED.value, (), self._rule))
        changes.links.append(
            CsoLink(
                cso_id=cso.id,
                mvo_id=mvo_id,
                join_type=_PROJECTED,
                join_rule=self._rule,
                synced_seq=cso.change_seq,
                rule_stamp=self._stamp,
                config_version=claimed.config_version,
                turns_at=None,
                contributions=None,
                refs_due=False,
                failed=False,
                released=False,
                settled_in=claimed.run,
            )
        )
        changes.new_mvos.append(
            NewMvo(
                id=mvo_id,
                type_id=self._mvo_type,
                origin_key=origin,
                doc=doc,
                provenance=provenance,
                evaluated=True,
                outbound_due=False,
                outbound_stamp=self._outbound_stamp,
                outbound_version=claimed.config_version,
            )
        )
        for attr in self._keys:
            if (change := first_keys(self._mvo_type, attr, mvo_id, doc.get(attr))) is not None:
                changes.match_keys.append(change)
        hidden = self._hidden
        told = [shown(hidden, value) for value in values] if hidden else values
        changes.item("mvo", Item(mvo_id, origin, "flowed", tuple(told)))
